"""Recovery points of an item, and the request to make one now (report §3.3)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from simulator.arm import Call, Json, Reply
from simulator.backup import asynchronous, backups, filters, refusals
from simulator.backup.disks import Disk, chosen_disks
from simulator.backup.durations import Kind, length
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, read_american, read_time, text_of, time_text
from simulator.backup.items import item_of
from simulator.backup.names import POINT_TYPE, vault_prefix
from simulator.backup.paging import page
from simulator.backup.records import Item, Point
from simulator.backup.state import BackupState
from simulator.backup.vault_lookup import vault_of
from simulator.world import World

_DAY = timedelta(days=1)
#: On-demand requests in 24 hours before the service stops (MATRIX26).
MOST_REQUESTS = 9
#: Kept so long unless the request says otherwise (FAQ).
_DEFAULT_RETENTION = timedelta(days=30)
_TOO_SHORT = (
    "Recovery point cannot be moved to Archive tier due to insufficient retention duration "
    "specified in policy.. Update policy on the protected item with appropriate retention setting "
    "and try again."
)
_NOT_READY = (
    "We're still determining if this Recovery Point can be moved.. "
    "Please check again after some time."
)


def backup_now(world: World, call: Call) -> Reply:
    """Accept an on-demand backup: the operation ends when the job exists, not when it is over."""
    vault = vault_of(world, call)
    item = item_of(vault, call)
    asked = fields_of(call.fields().get("properties"))
    if asked.get("objectType") != "IaasVMBackupRequest":
        raise refusals.bad_input(f"objectType '{text_of(asked.get('objectType'))}'")
    now = world.now()
    expires_at = _expiry(asked, now)
    if not item.active:
        raise refusals.not_protected()
    if item.backup_job is not None:
        raise refusals.backup_running()
    while item.asked_at and item.asked_at[0] <= now - _DAY:
        item.asked_at.popleft()
    if len(item.asked_at) >= MOST_REQUESTS:
        raise refusals.too_many_backups()
    item.asked_at.append(now)
    state = world.backup
    job = backups.start(state, vault, item, expires_at, "On-Demand", call.client_request_id)
    took = length(state, Kind.BACKUP_TRIGGER, vault.key, item.key)
    operation = asynchronous.begin(
        state, vault, "backup", now + took, job=job, item=item.key, settles_job=False
    )
    path = call.resource_id.rsplit("/", 1)[0]
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{path}/operationsStatus/{operation.operation_id}",
        result_path=f"{path}/operationResults/{operation.operation_id}",
    )


def _expiry(asked: Fields, now: datetime) -> datetime:
    text = text_of(asked.get("recoveryPointExpiryTimeInUTC"))
    if not text:
        return now + _DEFAULT_RETENTION
    expires_at = read_time(text)
    if expires_at is None or expires_at <= now or expires_at > now + 99 * 366 * _DAY:
        raise refusals.bad_input(f"recoveryPointExpiryTimeInUTC '{text}'")
    return expires_at


def list_points(world: World, call: Call) -> Reply:
    """List the points there are, newest first."""
    vault = vault_of(world, call)
    item = item_of(vault, call)
    wanted = filters.read(call.query, filters.POINTS)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    since, until = _bound(wanted, "start"), _bound(wanted, "end")
    listed = sorted(
        (
            point
            for point in _kept(item, world.now())
            if (since is None or point.at >= since) and (until is None or point.at <= until)
        ),
        key=lambda point: point.at,
        reverse=True,
    )
    state = world.backup
    body = page(
        world, call, listed, lambda point: _body(state, item, point, prefix, detailed=False)
    )
    return Reply(status=200, body=body, content_type=state.era.content_type)


def _bound(wanted: Mapping[str, str], which: str) -> datetime | None:
    text = wanted.get(f"{which}Date") or wanted.get(f"{which}Time")
    if text is None:
        return None
    bound = read_american(text)
    if bound is None:
        raise refusals.bad_input(f"{which}Date '{text}'")
    return bound


def _kept(item: Item, now: datetime) -> list[Point]:
    return [point for point in item.points if point.expires_at > now]


def get_point(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    item = item_of(vault, call)
    name = call.params["point"]
    point = next((p for p in _kept(item, world.now()) if p.name == name), None)
    if point is None:
        raise refusals.object_not_found("recovery point", name)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    body = _body(world.backup, item, point, prefix, detailed=True)
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def _body(state: BackupState, item: Item, point: Point, prefix: str, *, detailed: bool) -> Fields:
    return {
        "id": f"{prefix}{item.name.item_path}/recoveryPoints/{point.name}",
        "name": point.name,
        "type": POINT_TYPE,
        "properties": point.given
        or _properties(state.era, point, _machine(state, item, point), detailed=detailed),
    }


def _machine(state: BackupState, item: Item, point: Point) -> Fields:
    """Return the VM as it was backed up; points of a seed show it as it is."""
    return point.machine or fields_of(state.world.get(item.vm_id))


def _properties(era: Era, point: Point, vm: Fields, *, detailed: bool) -> Fields:
    machine = fields_of(vm.get("properties"))
    storage = fields_of(fields_of(machine.get("storageProfile")).get("osDisk"))
    shown: Fields = {
        "objectType": "IaasVMRecoveryPoint",
        "recoveryPointType": _consistency(vm),
        "recoveryPointTime": time_text(point.at),
        "recoveryPointAdditionalInfo": "",
        "sourceVMStorageType": "PremiumVMOnPartialPremiumStorage",
        "isSourceVMEncrypted": False,
        "isInstantIlrSessionActive": False,
        "recoveryPointTierDetails": _tiers(era, point),
        "isManagedVirtualMachine": True,
        "virtualMachineSize": text_of(fields_of(machine.get("hardwareProfile")).get("vmSize")),
        "originalStorageAccountOption": False,
        "osType": text_of(storage.get("osType")),
    }
    if zones := vm.get("zones"):
        shown["zones"] = zones
    if point.disks is not None:
        shown["recoveryPointDiskConfiguration"] = _disks(vm, point, detailed=detailed)
    if era >= Era.M2021_06:
        reason = _NOT_READY if era >= Era.Y2023 else _TOO_SHORT
        shown["recoveryPointMoveReadinessInfo"] = {
            "ArchivedRP": {"isReadyForMove": False, "additionalInfo": reason}
        }
    if era >= Era.Y2023:
        kind = text_of(fields_of(machine.get("securityProfile")).get("securityType"))
        shown["securityType"] = kind or "None"
        shown["isPrivateAccessEnabledOnAnyDisk"] = False
    if era >= Era.Y2024:
        shown["createdWithPolicyType"] = point.policy_type
        shown["threatStatus"] = 0
    return shown


def _consistency(vm: Fields) -> str:
    """Windows points were application-consistent, Linux ones file-system-consistent (recorded)."""
    profile = fields_of(fields_of(vm.get("properties")).get("storageProfile"))
    os_type = text_of(fields_of(profile.get("osDisk")).get("osType"))
    return "AppConsistent" if os_type.lower() == "windows" else "FileSystemConsistent"


def _tiers(era: Era, point: Point) -> list[Json]:
    if era < Era.M2022_08:
        return [{"type": kind, "status": 1} for kind in ((1, 2) if point.in_vault else (1,))]
    kinds = ("InstantRP", "HardenedRP") if point.in_vault else ("InstantRP",)
    return [{"type": kind, "status": "Valid"} for kind in kinds]


def _disks(vm: Fields, point: Point, *, detailed: bool) -> Fields:
    included, excluded = chosen_disks(vm, point.disks)
    shown: Fields = {
        "numberOfDisksIncludedInBackup": len(included),
        "numberOfDisksAttachedToVm": len(included) + len(excluded),
    }
    if detailed:
        shown["includedDiskList"] = _listed(included)
        shown["excludedDiskList"] = _listed(excluded)
    return shown


def _listed(disks: list[Disk]) -> list[Json]:
    return [{"lun": disk.lun, "name": disk.name} for disk in disks]
