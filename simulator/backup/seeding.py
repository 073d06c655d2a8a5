"""Vaults, policies, items, jobs and points of a seed: simply there, as a GET returns them.

Order does not matter: a child may come before its vault, an item before its policy. Members a seed
leaves out get the service's defaults.
"""

from datetime import datetime, timedelta

from simulator.arm import Json
from simulator.backup import backups
from simulator.backup.formats import Fields, fields_of, read_time, text_of
from simulator.backup.names import VmName
from simulator.backup.records import (
    Config,
    Item,
    Job,
    JobKind,
    Point,
    Policy,
    Protection,
    Status,
    Vault,
)
from simulator.backup.state import BackupState
from simulator.backup.stopping import schedule_purge
from simulator.backup.vault_bodies import in_order, new_body, settled
from simulator.backup.vaults import create
from simulator.ids import ResourceId
from simulator.world import SETTLED, Body, World

_RSV = "microsoft.recoveryservices/vaults"


def load(world: World, body: Body) -> bool:
    """Take one body of a seed if it is a vault or something of one; tell whether it was."""
    resource_id = ResourceId.parse(text_of(body.get("id")))
    kind = resource_id.type.lower()
    if kind == _RSV:
        _vault(world.backup, resource_id.text, body)
        return True
    if not kind.startswith(_RSV + "/"):
        return False
    vault_id = "/".join(resource_id.text.split("/")[:9])
    vault = _vault_or_new(world.backup, vault_id)
    properties = fields_of(body.get("properties"))
    match kind.removeprefix(_RSV + "/"):
        case "backuppolicies":
            _policy(world.backup, vault, resource_id.name, properties)
        case "backupfabrics/protectioncontainers":
            spelled = text_of(properties.get("virtualMachineId"))
            vault.container_ids[VmName.of_container(resource_id.name).key] = spelled
        case "backupfabrics/protectioncontainers/protecteditems":
            _item(world.backup, vault, resource_id, properties)
        case "backupfabrics/protectioncontainers/protecteditems/recoverypoints":
            _point(vault, resource_id, properties)
        case "backupjobs":
            _job(world.backup, vault, resource_id.name, properties)
        case "backupconfig":
            _config(vault, properties)
            settled(world.backup, vault)
        case "backupstorageconfig":
            vault.storage |= properties
        case "backupresourceguardproxies":
            vault.guards[resource_id.name] = {
                "guard": text_of(properties.get("resourceGuardResourceId")),
                "at": text_of(properties.get("lastUpdatedTime")),
            }
        case _:
            return False
    return True


def _vault_or_new(state: BackupState, vault_id: str) -> Vault:
    vault = state.vaults.get(vault_id.lower())
    if vault is None:
        vault = create(state, vault_id, {"location": "", "sku": {"name": "Standard"}})
        vault.known = True
        settled(state, vault)
    return vault


def _vault(state: BackupState, vault_id: str, given: Body) -> None:
    """Put a vault as it is given, the rest as a new one has it."""
    known = state.vaults.get(vault_id.lower())
    vault = known or create(state, vault_id, given)
    if known is not None:
        vault.body = new_body(state, vault_id, given, state.now())
    vault.vault_id, vault.known = vault_id, True
    vault.created_at = state.world.started - SETTLED
    properties = fields_of(given.get("properties"))
    security = fields_of(properties.get("securitySettings"))
    soft = fields_of(security.get("softDeleteSettings"))
    _config(
        vault,
        {
            "softDeleteFeatureState": soft.get("softDeleteState"),
            "softDeleteRetentionPeriodInDays": soft.get("softDeleteRetentionPeriodInDays"),
            "enhancedSecurityState": soft.get("enhancedSecurityState"),
        },
    )
    told = text_of(properties.get("backupStorageVersion"))
    if told and told != "Unassigned":
        vault.ever_registered, vault.storage_version = True, told
    vault.body["location"] = text_of(given.get("location"))
    vault.body |= {key: value for key, value in given.items() if key != "properties"}
    vault.body = in_order(vault.body)
    vault.body["properties"] = {**fields_of(vault.body.get("properties")), **properties}
    settled(state, vault)
    if state_word := text_of(properties.get("provisioningState")):
        vault.body["properties"] = {
            **fields_of(vault.body.get("properties")),
            "provisioningState": state_word,
        }
    state.world.put(vault_id, dict(vault.body), None, at=vault.created_at)


def _config(vault: Vault, properties: Fields) -> None:
    config: Config = vault.config
    config.soft_delete = text_of(properties.get("softDeleteFeatureState")) or config.soft_delete
    config.enhanced = text_of(properties.get("enhancedSecurityState")) or config.enhanced
    days = properties.get("softDeleteRetentionPeriodInDays")
    config.days = days if isinstance(days, int) and days else config.days
    config.editable = config.soft_delete.lower() != "alwayson"


def _policy(state: BackupState, vault: Vault, name: str, properties: Fields) -> None:
    properties.pop("protectedItemsCount", None)
    policy = Policy(name=name, properties=properties, changed_at=state.world.started - SETTLED)
    policy.members = {key for key, item in vault.items.items() if item.policy == policy.key}
    vault.policies[policy.key] = policy
    state.tell(vault)
    backups.plan(state, vault, policy)


def _item(state: BackupState, vault: Vault, resource_id: ResourceId, given: Fields) -> None:
    words = resource_id.text.split("/")
    name = VmName.of_path(words[-3], words[-1])
    vm_id = text_of(given.get("sourceResourceId")) or text_of(given.get("virtualMachineId"))
    if not vm_id:
        group = f"/subscriptions/{resource_id.subscription}/resourceGroups/{name.group}"
        vm_id = f"{group}/providers/{name.vm_type}/{name.vm}"
    state_word = text_of(given.get("protectionState")) or Protection.IR_PENDING
    item = Item(
        name=name,
        vm_id=vm_id,
        friendly_name=text_of(given.get("friendlyName")) or vm_id.rsplit("/", 1)[1],
        data_id=text_of(given.get("protectedItemDataId"))
        or str(state.draw("data-id", vault.key, name.key).randrange(10**13, 10**15)),
        state=Protection(state_word),
        changed_at=state.world.started - SETTLED,
        last_status=text_of(given.get("lastBackupStatus")),
        last_backup=_time(given.get("lastBackupTime")),
        last_point=_time(given.get("lastRecoveryPoint")),
        health=_health(given.get("healthDetails")),
        protection_status=text_of(given.get("protectionStatus")) or "Healthy",
        health_status=text_of(given.get("healthStatus")) or "Passed",
        disks=_disks(given),
        kpis=fields_of(given.get("kpisHealths")),
        machine_id=text_of(given.get("virtualMachineId")),
    )
    if item.disks is None and "extendedProperties" in given:
        item.extended = fields_of(given["extendedProperties"])
    tells = item.last_point is not None or not item.last_status
    if item.state is Protection.PROTECTED and tells:
        _backed_up(state, vault, item)
    if given.get("isScheduledForDeferredDelete") is True:
        _soft_deleted(state, vault, item, given)
    vault.ever_registered = True
    if vault.storage_version == "Unassigned":
        vault.storage_version = "V2"
    state.add_item(vault, item)
    settled(state, vault)
    if policy_id := text_of(given.get("policyId")):
        item.policy_name = policy_id.rsplit("/", 1)[1]
        item.policy = item.policy_name.lower()
        policy = vault.policies.get(item.policy)
        if policy is not None:
            policy.members.add(item.key)
            backups.plan(state, vault, policy)
    state.tell(vault, item.key)


def _backed_up(state: BackupState, vault: Vault, item: Item) -> None:
    """Give a protected item the point its state claims."""
    at = item.last_point or state.world.started - timedelta(hours=12)
    item.last_point = at
    item.last_backup = item.last_backup or at - timedelta(seconds=5)
    item.last_status = item.last_status or Status.COMPLETED
    item.points.append(
        Point(
            name=str(state.draw("point", vault.key, item.key).randrange(10**13, 10**15)),
            at=at,
            policy_type="V1",
            expires_at=at + timedelta(days=30),
            rule="Daily",
            in_vault=True,
            made_up=True,
        )
    )


def _soft_deleted(state: BackupState, vault: Vault, item: Item, given: Fields) -> None:
    item.was_deleted = True
    item.deleted_at = _time(given.get("deferredDeleteTimeInUTC")) or state.world.started
    days = given.get("softDeleteRetentionPeriod")
    item.retention_days = days if isinstance(days, int) and days else vault.config.days
    item.purge_at = item.deleted_at + timedelta(days=item.retention_days)
    schedule_purge(state, vault, item)


def _time(value: Json) -> datetime | None:
    at = read_time(text_of(value))
    return at if at is not None and at.year > 2001 else None


def _health(value: Json) -> list[Fields]:
    return [fields_of(entry) for entry in value] if isinstance(value, list) else []


def _disks(given: Fields) -> Fields | None:
    chosen = fields_of(given.get("extendedProperties")).get("diskExclusionProperties")
    return fields_of(chosen) if chosen is not None else None


def _point(vault: Vault, resource_id: ResourceId, given: Fields) -> None:
    words = resource_id.text.split("/")
    item = vault.items.get(VmName.of_path(words[-5], words[-3]).key)
    at = _time(given.get("recoveryPointTime"))
    if item is None or at is None:
        raise ValueError(f"{resource_id.text} needs its item before it and a recoveryPointTime")
    item.points = [point for point in item.points if not point.made_up]
    item.points.append(
        Point(
            name=resource_id.name,
            at=at,
            policy_type=text_of(given.get("createdWithPolicyType")) or "V1",
            expires_at=at + timedelta(days=30),
            rule="Daily",
            in_vault=True,
            given=given if "objectType" in given else {},
        )
    )
    item.last_point = max(at, item.last_point or at)


def _job(state: BackupState, vault: Vault, name: str, given: Fields) -> None:
    short = text_of(given.get("containerName"))
    started = _time(given.get("startTime")) or state.world.started - timedelta(hours=1)
    vault.jobs[name.lower()] = Job(
        job_id=name,
        kind=JobKind(text_of(given.get("operation")) or JobKind.BACKUP),
        name=VmName.of_container(f"IaasVMContainer;{short}"),
        friendly_name=text_of(given.get("entityFriendlyName")),
        policy_name="",
        started_at=started,
        ends_at=_time(given.get("endTime")) or started,
        activity_id=text_of(given.get("activityId")) or state.guid("activity", name),
        status=Status(text_of(given.get("status")) or Status.COMPLETED),
    )
