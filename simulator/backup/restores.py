"""Restores, as far as their requests and jobs go: no disk or VM comes of them (report §1.2, §3.3).

They are here because they share jobs and operations with backups, and so that a vault somebody
restores from looks as it does in Azure. A restore from the instant snapshot takes about a minute, one
from the vault as long as the recordings show.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from simulator.arm import Call, Json, Reply
from simulator.backup import asynchronous, refusals
from simulator.backup.disks import chosen_disks
from simulator.backup.durations import Kind, length
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, american_text, duration_text, fields_of, text_of
from simulator.backup.item_bodies import restore_kpis
from simulator.backup.items import item_of
from simulator.backup.records import Item, Job, JobKind, Point, Vault
from simulator.backup.state import BackupState
from simulator.backup.vault_lookup import vault_of
from simulator.world import World


class Target(StrEnum):
    DISKS = "RestoreDisks"
    ORIGINAL = "OriginalLocation"
    ALTERNATE = "AlternateLocation"


#: What the job calls it, and the task after the transfer.
_WORDS: dict[Target, tuple[str, str]] = {
    Target.DISKS: ("Recover disks", ""),
    Target.ORIGINAL: ("Replace disks", "Update the virtual machine"),
    Target.ALTERNATE: (
        "Recover VM to an alternate location",
        "Create the restored virtual machine",
    ),
}
_TRANSFER = "Transfer data from vault"
#: The share of a restore that is its transfer; the rest is what follows it.
_TRANSFER_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """What one restore was asked to do; its job's details are written from it."""

    target: Target
    from_vault: bool
    point_at: datetime
    storage: str
    group: str
    network: str
    new_vm: str
    disks: tuple[str, ...]
    size_gb: int
    container: str


def restore(world: World, call: Call) -> Reply:
    """Accept a restore; the operation ends when its job exists."""
    vault = vault_of(world, call)
    item = item_of(vault, call)
    point = _point(item, call.params["point"], world.now())
    asked = fields_of(call.fields().get("properties"))
    if asked.get("objectType") != "IaasVMRestoreRequest":
        raise refusals.bad_input(f"objectType '{text_of(asked.get('objectType'))}'")
    try:
        target = Target(text_of(asked.get("recoveryType")))
    except ValueError:
        raise refusals.bad_input(f"recoveryType '{asked.get('recoveryType')}'") from None
    if not text_of(asked.get("storageAccountId")):
        raise refusals.bad_input("storageAccountId")
    operation = _begin(world.backup, vault, item, _wish(item, point, target, asked), call)
    path = call.resource_id.split("/recoveryPoints/")[0]
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{path}/operationsStatus/{operation}",
        result_path=f"{path}/operationResults/{operation}",
    )


def _point(item: Item, name: str, now: datetime) -> Point:
    found = next((p for p in item.points if p.name == name and p.expires_at > now), None)
    if found is None:
        raise refusals.object_not_found("recovery point", name)
    return found


def _wish(item: Item, point: Point, target: Target, asked: Fields) -> Restore:
    group = text_of(asked.get("targetResourceGroupId")).rsplit("/", 1)[-1]
    network = text_of(asked.get("virtualNetworkId")).split("/")
    if target is Target.ORIGINAL:
        group = item.vm_id.split("/")[4]
    included, _ = chosen_disks(point.machine, point.disks)
    return Restore(
        target=target,
        from_vault=target is Target.DISKS and not group,
        point_at=point.at,
        storage=text_of(asked.get("storageAccountId")).rsplit("/", 1)[-1],
        group=group,
        network=f"Group {network[4]} {network[-1]}" if len(network) > 4 else "",
        new_vm=text_of(asked.get("targetVirtualMachineId")).rsplit("/", 1)[-1],
        disks=tuple(disk.name for disk in included) if point.disks is not None else (),
        size_gb=127,
        container=item.friendly_name.replace("-", "")[:16],
    )


def _begin(state: BackupState, vault: Vault, item: Item, wish: Restore, call: Call) -> str:
    kind = {Target.ORIGINAL: Kind.RESTORE_REPLACE, Target.ALTERNATE: Kind.RESTORE_VM}.get(
        wish.target, Kind.RESTORE_VAULT if wish.from_vault else Kind.RESTORE_DISKS
    )
    took = length(state, kind, vault.key, item.key)
    job = asynchronous.new_job(state, vault, item, JobKind.RESTORE, call.client_request_id, took)
    job.restore = wish

    def finish() -> None:
        asynchronous.complete(job)
        item.kpis = {**item.kpis, **restore_kpis()}
        state.touch(vault, item)

    if wish.target is Target.ORIGINAL:
        # Recorded: before disks are replaced the service takes a point of what there is.
        state.world.schedule.at(state.after(4.0), lambda: _keep_what_is(state, vault, item))
    state.world.schedule.at(job.ends_at, finish)
    ends = state.now() + length(state, Kind.BACKUP_TRIGGER, vault.key, item.key)
    operation = asynchronous.begin(
        state, vault, "restore", ends, job=job, item=item.key, settles_job=False
    )
    if state.era >= Era.Y2022:
        # Since mid-2021 a restore's operation and job have one id (report §6.11).
        del vault.operations[operation.operation_id.lower()]
        operation.operation_id = job.job_id
        vault.operations[job.job_id.lower()] = operation
    return operation.operation_id


def _keep_what_is(state: BackupState, vault: Vault, item: Item) -> None:
    if vault.items.get(item.key) is not item:
        return
    item.last_point = state.now()
    item.points.append(
        Point(
            name=str(state.draw("point", vault.key, item.key).randrange(10**13, 10**15)),
            at=state.now(),
            policy_type="V1",
            expires_at=state.now() + timedelta(days=30),
            rule="Daily",
            machine=fields_of(state.world.get(item.vm_id)),
        )
    )
    state.touch(vault, item)


def details(era: Era, job: Job, wish: Restore, now: datetime, *, running: bool) -> Fields:
    """Write ``extendedInfo`` of a restore's job."""
    share = (now - job.started_at) / (job.ends_at - job.started_at)
    shown: Fields = {
        "tasksList": _tasks(era, wish, share, running=running),
        "propertyBag": _bag(era, job, wish, running=running),
        "internalPropertyBag": {"restoreLocationType": wish.target.value}
        if era >= Era.Y2021
        else {},
    }
    halfway = wish.from_vault and share >= _TRANSFER_SHARE
    if not running:
        shown |= {"progressPercentage": 100.0, "estimatedRemainingDuration": "PT0S"}
        return shown
    shown["progressPercentage"] = 50.0 if halfway else 1.0
    if halfway:
        shown["estimatedRemainingDuration"] = duration_text(job.ends_at - now)
    if era < Era.Y2021 or era >= Era.Y2024:
        shown["dynamicErrorMessage"] = ""
    return shown


def _tasks(era: Era, wish: Restore, share: float, *, running: bool) -> list[Json]:
    after = _WORDS[wish.target][1]
    moved = not running or (not wish.from_vault and share >= _TRANSFER_SHARE)
    transfer: Fields = {
        "taskId": _TRANSFER,
        "duration": "PT0S",
        "status": "Completed" if moved else "InProgress",
    }
    if wish.from_vault and share >= _TRANSFER_SHARE:
        done = wish.size_gb if not running else wish.size_gb / 2
        transfer["taskExecutionDetails"] = f"{done:g} GBs / {wish.size_gb} GBs Transferred"
    tasks = [transfer]
    if after:
        word = "Completed" if not running else "InProgress" if moved else "NotStarted"
        tasks.append({"taskId": after, "duration": "PT0S", "status": word})
    if era >= Era.Y2024:
        tasks = [{**task, "taskType": "Normal"} for task in tasks]
    return list(tasks)


def _bag(era: Era, job: Job, wish: Restore, *, running: bool) -> Fields:
    bag: Fields = {"Job Type": _WORDS[wish.target][0]}
    match wish.target:
        case Target.DISKS if era >= Era.Y2021:
            bag["Target VM Name"] = "vmName"
        case Target.ALTERNATE:
            bag |= {
                "Original VM Name": job.friendly_name,
                "Target VM Name": wish.new_vm,
                "Target VNet Name": wish.network,
            }
        case Target.ORIGINAL:
            bag["Target VM Name"] = None if running else job.friendly_name
        case _:
            pass
    bag["Target Storage Account Name"] = wish.storage
    bag["Recovery point time "] = american_text(wish.point_at)
    blobs = not running and wish.target is Target.DISKS
    where = f"{wish.container}-{job.job_id.replace('-', '')}"
    url = f"https://{wish.storage}.blob.core.windows.net/{where}"
    if blobs:
        config = f"config-{wish.container}-{job.job_id}.json"
        bag |= {
            "Config Blob Name": config,
            "Config Blob Container Name": where,
            "Config Blob Uri": f"{url}/{config}",
        }
    if wish.group:
        bag["Target resource group"] = wish.group
    if blobs:
        bag["Template Blob Uri"] = f"{url}/azuredeploy{job.job_id}.json"
        if wish.disks:
            bag["Restored disk(s)"] = wish.disks[0]
            bag["Backed-up disk(s)"] = "; ".join(wish.disks)
    return bag
