"""Backup runs: scheduled by policy, or asked for; snapshot, transfer, recovery point (facts §1.8).

A policy with members has one callback, for its next run; each member then starts within a few
minutes. A run is two tasks: the snapshot makes the point, the transfer makes it a vault's.
"""

from datetime import datetime, timedelta
from functools import partial

from simulator.backup import asynchronous, catalog, schedules
from simulator.backup.disks import chosen_disks
from simulator.backup.durations import Kind, length
from simulator.backup.formats import Fields, american_text, fields_of, text_of
from simulator.backup.item_bodies import GREEN, kpis_of
from simulator.backup.job_bodies import error_detail
from simulator.backup.orders import EVERY_VM
from simulator.backup.records import (
    Failure,
    Item,
    Job,
    JobKind,
    Point,
    Policy,
    Protection,
    Status,
    Task,
    Vault,
)
from simulator.backup.state import BackupState
from simulator.world import SYSTEM, Cause

_SNAPSHOT, _TRANSFER = "Take Snapshot", "Transfer data to vault"
#: A transfer shows as not started for about three minutes (recorded: 175 to 185 s), and then as
#: begun right after the snapshot.
_UNSEEN = timedelta(seconds=180)
#: A run whose VM is gone fails soon.
_FAR = timedelta(days=36500)
_NOBODY_THERE, _FAILS_AFTER = timedelta(seconds=1.9), timedelta(seconds=45)


def plan(state: BackupState, vault: Vault, policy: Policy, *, afresh: bool = False) -> None:
    """Schedule a policy's next run, unless it is scheduled or nobody is in it."""
    if (policy.next_run is not None and not afresh) or not policy.members or not policy.for_vms:
        return
    due = schedules.next_run(policy.properties, state.now())
    scheduled, policy.next_run = policy.next_run, due
    if due is not None and due != scheduled:
        state.world.schedule.at(due, lambda: _run_policy(state, vault, policy, due))


def _run_policy(state: BackupState, vault: Vault, policy: Policy, due: datetime) -> None:
    current = state.vaults.get(vault.key) is vault and vault.policies.get(policy.key) is policy
    if not current or policy.next_run != due:
        return
    policy.next_run = None
    spread = state.world.knobs.number("backup.start_delay")
    for key in sorted(policy.members):
        delay = state.draw("start", vault.key, key).uniform(0, max(spread, 0.0))
        at = due + timedelta(seconds=delay)
        state.world.schedule.at(at, partial(_run_item, state, vault, vault.items[key]))
    plan(state, vault, policy)


def _run_item(state: BackupState, vault: Vault, item: Item) -> None:
    policy = vault.policies.get(item.policy)
    if vault.items.get(item.key) is not item or not item.active or policy is None:
        return
    if item.backup_job is None:
        keeps, rule = schedules.keeps_for(policy.properties)
        start(state, vault, item, state.now() + keeps, rule, state.guid("activity", item.key))


def start(
    state: BackupState,
    vault: Vault,
    item: Item,
    expires_at: datetime,
    rule: str,
    activity_id: str,
) -> Job:
    """Begin a run now; its outcome is decided when each task is due."""
    vm = state.world.get(item.vm_id)
    ordered = _ordered_failure(state, item)
    failing = catalog.failure("UserErrorVmNotFoundV2") if vm is None else ordered
    waits = _NOBODY_THERE if vm is None else _FAILS_AFTER
    total = waits if failing else length(state, Kind.BACKUP, vault.key, item.key)
    job = asynchronous.new_job(
        state, vault, item, JobKind.BACKUP, activity_id, total, policy_name=item.policy_name
    )
    draw = state.draw("backup", vault.key, item.key)
    snapshot_from = job.started_at + timedelta(seconds=draw.uniform(0.8, 2.0))
    snapshot = min(length(state, Kind.SNAPSHOT, vault.key, item.key), total * 0.8)
    job.tasks = [
        Task(
            name=_SNAPSHOT,
            starts_at=snapshot_from,
            ends_at=job.ends_at if failing else snapshot_from + snapshot,
            fails=failing is not None,
            seen_from=job.started_at,
        ),
        Task(
            name=_TRANSFER,
            starts_at=snapshot_from + snapshot + timedelta(milliseconds=188),
            ends_at=job.ends_at - timedelta(milliseconds=870),
            seen_from=min(snapshot_from + snapshot + _UNSEEN, job.ends_at),
        ),
    ]
    item.backup_job = job.job_id
    item.backups += 1
    if rule == "On-Demand":
        job.bag["Recovery Point Expiry Time in UTC"] = american_text(expires_at)
    if failing is not None:
        job.tasks[1].seen_from = None
        job.tasks[1].starts_at = job.tasks[1].ends_at = job.ends_at + _FAR
        state.world.schedule.at(job.ends_at, lambda: _fail(state, vault, item, job, failing))
        return job
    point = _point(state, vault, item, fields_of(vm), job, expires_at, rule)
    state.world.schedule.at(job.tasks[0].ends_at, lambda: _snapshot(state, vault, item, job, point))
    state.world.schedule.at(job.ends_at, lambda: _finish(state, vault, item, job, point))
    return job


def _ordered_failure(state: BackupState, item: Item) -> Failure | None:
    """Read ``_sim.backup`` or the knob: the first backups of a VM fail with a code."""
    by_vm = fields_of(state.world.knobs.value("backup.run.orders"))
    own = next((v for k, v in by_vm.items() if k.lower() == item.vm_id.lower()), None)
    order = fields_of(
        own or state.world.orders_for(item.vm_id).get("backup") or by_vm.get(EVERY_VM)
    )
    times = order.get("times")
    if not order.get("code") or (isinstance(times, int) and item.backups >= times):
        return None
    return catalog.failure(text_of(order.get("code")), text_of(order.get("message")))


def _snapshot(state: BackupState, vault: Vault, item: Item, job: Job, point: Point) -> None:
    if job.status is not Status.IN_PROGRESS or vault.items.get(item.key) is not item:
        return
    if state.world.get(item.vm_id) is None:
        # The VM went away during its snapshot: no point, and the job fails (recorded 2021).
        job.tasks[0].ends_at = job.tasks[1].starts_at = job.ends_at + _FAR
        job.tasks[1].seen_from = None
        return
    first = not item.points
    item.points.append(point)
    if first and state.world.knobs.flag("backup.extension_event"):
        cause = Cause(
            principal=SYSTEM,
            correlation_id=job.activity_id,
            operation_name="Microsoft.Compute/virtualMachines/extensions/write",
            method="PUT",
        )
        state.world.publish("write", f"{item.vm_id}/extensions/VMSnapshot", cause, {})


def _finish(state: BackupState, vault: Vault, item: Item, job: Job, point: Point) -> None:
    if job.status is not Status.IN_PROGRESS:
        return
    item.backup_job = None
    if vault.items.get(item.key) is not item:
        job.status = Status.CANCELLED
        return
    item.last_backup = job.started_at
    if point not in item.points:
        _fail(state, vault, item, job, catalog.failure("UserErrorVmNotFoundV2"))
        return
    if state.world.get(item.vm_id) is None:
        # The VM went away during the transfer: recorded in 2020 and 2021.
        job.failure = catalog.failure("ResourceNotFound")
        job.status, job.tasks[1].fails = Status.WARNINGS, True
        item.last_status = Status.WARNINGS.value
        job.bag["Backup Size"] = "0 MB"
        item.health, item.health_status = [_told(job.failure)], "ActionRequired"
    else:
        job.status = Status.COMPLETED
        item.last_status = Status.COMPLETED.value
        job.bag["Backup Size"] = f"{state.draw('size', item.key).randrange(9800, 12400)} MB"
        job.bag |= job.disk_bag
        point.in_vault = True
        _healthy(item)
    item.last_point = point.at
    item.kpis |= kpis_of(job.failure)
    if item.active:
        item.state = Protection.PROTECTED
    state.touch(vault, item)


def _healthy(item: Item) -> None:
    item.health = [GREEN]
    item.protection_status, item.health_status = "Healthy", "Passed"
    item.failures = 0


def _fail(state: BackupState, vault: Vault, item: Item, job: Job, failure: Failure) -> None:
    job.status, job.failure = Status.FAILED, failure
    job.bag["Backup Size"] = "0 MB"
    item.backup_job = None
    if vault.items.get(item.key) is not item:
        return
    item.last_status, item.last_backup = Status.FAILED.value, job.started_at
    item.protection_status, item.health_status = "Unhealthy", "ActionRequired"
    item.kpis |= kpis_of(failure, again=item.failures > 0)
    if state.world.get(item.vm_id) is None:
        item.state = Protection.PROTECTED  # recorded: no point, and no longer IRPending
    item.health = [_told(failure)]
    item.failures += 1
    state.touch(vault, item)


def _told(failure: Failure) -> Fields:
    """Write a failure as an item's health tells it."""
    detail = error_detail(failure)
    return {
        "code": detail["errorCode"],
        "title": detail["errorTitle"],
        "message": detail["errorString"],
        "recommendations": detail["recommendations"],
    }


def cancel(state: BackupState, vault: Vault, job: Job, *, asked_at: datetime) -> None:
    """End a running job: a backup with warnings if its snapshot is taken, cancelled otherwise.

    The item then says its last backup failed when the cancellation was asked for (recorded 2022).
    """
    if job.status is not Status.IN_PROGRESS:
        return
    if not job.tasks:
        job.status, job.ends_at = Status.CANCELLED, state.now()
        return
    taken = state.now() >= job.tasks[0].ends_at
    job.ends_at = state.now()
    job.failure = catalog.failure("UserErrorJobSuccessfullyCancelled")
    job.status = Status.WARNINGS if taken else Status.CANCELLED
    for task in job.tasks:
        if task.ends_at > job.ends_at:
            task.ends_at, task.cancelled = job.ends_at, True
            task.starts_at, task.seen_from = min(task.starts_at, job.ends_at), job.ends_at
    item = vault.items.get(job.name.key)
    if item is None:
        return
    item.backup_job = None
    job.bag["Backup Size"] = "0 MB"
    item.last_backup = asked_at
    item.last_status = Status.FAILED.value
    item.health, item.health_status = [_told(job.failure)], "ActionSuggested"
    item.kpis |= kpis_of(job.failure)
    if taken and item.points:
        item.last_point = item.points[-1].at
        if item.active:
            item.state = Protection.PROTECTED
    state.touch(vault, item)


def _point(
    state: BackupState,
    vault: Vault,
    item: Item,
    vm: Fields,
    job: Job,
    expires_at: datetime,
    rule: str,
) -> Point:
    policy = vault.policies.get(item.policy)
    draw = state.draw("point", vault.key, item.key)
    included, excluded = chosen_disks(vm, item.disks)
    if item.disks is not None:
        job.disk_bag["Backed-up disk(s)"] = "; ".join(disk.name for disk in included)
        if excluded:
            job.disk_bag["Excluded disk(s)"] = "; ".join(disk.name for disk in excluded)
    return Point(
        name=str(draw.randrange(10**13, 10**15)),
        at=job.started_at + length(state, Kind.POINT, vault.key, item.key),
        policy_type="V2" if policy is not None and policy.is_enhanced else "V1",
        expires_at=expires_at,
        rule=rule,
        machine=vm,
        disks=item.disks,
    )
