"""Settle: what became of a change that was sent. Used by `watch` in bulk and by a run that finds
an intent whose answer nobody recorded (docs/protocol.md, step f).

Truth comes from the job list: our request id is the job's activityId (facts §1.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import outcomes, telemetry
from shared.act import SETTLES_WITHOUT_JOB, look_at, taken_back
from shared.claims import Held
from shared.domain.decisions import On
from shared.domain.faultbook import known
from shared.domain.ids import ArmId, item_of
from shared.domain.messages import Cause, WorkItem
from shared.domain.model import Policy, ProtectedItem, ProtectionState
from shared.domain.records import ChangeKind, InFlight, Intent, PastFailure, Row
from shared.domain.schedule import first_backup_deadline, starts_later
from shared.domain.states import State
from shared.errors import AzureFault, Conflict
from shared.gather import vault_is_gone
from shared.ledger_rows import enrolled_under, move
from shared.ports import Job, Ports

_ENDED_WELL = frozenset({"Completed", "CompletedWithWarnings"})
_RUNNING = frozenset({"InProgress", "Cancelling"})
_CLOCKS = timedelta(minutes=5)  # a job's start may lie before our own time of the PUT
_TRIES = 8

OPERATION_OF = {
    ChangeKind.ENROLL: "ConfigureBackup",
    ChangeKind.CHANGE_POLICY: "ConfigureBackup",
    ChangeKind.RESUME: "ConfigureBackup",
    ChangeKind.UNDELETE: "Undelete",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a change ended. ``code`` "" means well."""

    job: str
    at: datetime
    code: str = ""
    message: str = ""
    recommendations: tuple[str, ...] = ()


def ending_of(job: Job, now: datetime) -> Ending | None:
    """Read a job; None while it runs."""
    if job.status in _RUNNING:
        return None
    at = job.ended or now
    if job.status in _ENDED_WELL:
        return Ending(job=job.id, at=at)
    code, message, recommendations = job.errors[0] if job.errors else (f"Job{job.status}", "", ())
    return Ending(job=job.id, at=at, code=code, message=message, recommendations=recommendations)


async def settle(ports: Ports, entry: InFlight, ending: Ending) -> bool:
    """Write how a change ended; False while a run holds the VM (the next look tries again)."""
    vm, vault = ArmId.parse(entry.vm), ArmId.parse(entry.vault)
    now = ports.clock.now()
    for _ in range(_TRIES):
        found = await ports.ledger.read(vm)
        row, etag = found if found is not None else (None, "")
        intent = row.intent if row is not None else None
        if row is None or intent is None or intent.request_id != entry.request_id:
            await ports.ledger.drop_in_flight(vault, vm, entry.request_id)
            return True
        if row.claim is not None and row.claim.expires > now:
            return False
        settled = await _settled_row(ports, row, intent, ending, now)
        if row.notified and not row.standing and not _look_again(row, intent, ending):
            await ports.notices.clear(vm, "enrolled", now, intent.trace)
            settled = replace(settled, notified=False)
        await outcomes.announce(ports, row, settled, now)
        try:
            await ports.ledger.replace(settled, etag)
        except Conflict:
            continue
        await _afterwards(ports, entry, row, settled, intent, ending, now)
        return True
    return False


async def resolve(ports: Ports, held: Held) -> None:
    """Find out what became of an intent whose answer nobody recorded.

    Afterwards the row has either no intent, or one that Azure is known to have accepted, or still
    the unknown one, if the job may yet appear.
    """
    intent = held.row.intent
    assert intent is not None, "only an intent can be resolved"
    vault = ArmId.parse(intent.vault)
    try:
        job = await _job_of(ports, vault, intent)
        gone = False
    except AzureFault as fault:
        if not vault_is_gone(fault):
            raise
        job, gone = None, True  # and with it whatever the PUT did
    if job is not None:
        await ports.ledger.put_in_flight(_entry(held.row, intent))
        await look_at(ports, vault, ports.clock.now())
        await held.save(replace(held.row, intent=replace(intent, accepted_at=job.started)))
        telemetry.wide("intent.found", vm=held.row.vm, request=intent.request_id)
        return
    if ports.clock.now() - intent.at < SETTLES_WITHOUT_JOB:
        return
    if intent.kind is ChangeKind.ENROLL and not gone:
        await _learn_item(ports, vault, held.row)
    await taken_back(ports, held)
    telemetry.wide("intent.void", vm=held.row.vm, request=intent.request_id, vault_gone=gone)


async def _job_of(ports: Ports, vault: ArmId, intent: Intent) -> Job | None:
    """Look for the job that carries the intent's request id."""
    async for page in ports.backup.jobs(
        vault, since=intent.at - _CLOCKS, operation=OPERATION_OF[intent.kind]
    ):
        for job in page:
            if job.request_id.lower() == intent.request_id.lower():
                return job
    return None


async def _learn_item(ports: Ports, vault: ArmId, row: Row) -> None:
    """See whether the PUT made an item without a job: the index learns of it too late."""
    item = await ports.backup.item(item_of(vault, ArmId.parse(row.vm)))
    if item is not None:
        ports.index.learn(item)


async def _settled_row(
    ports: Ports, row: Row, intent: Intent, ending: Ending, now: datetime
) -> Row:
    done = replace(row, intent=None, job=ending.job or row.job)
    if ending.code:
        count = row.failure.count + 1 if row.failure is not None else 1
        failure = PastFailure(
            code=ending.code,
            message=ending.message,
            at=now,
            count=count,
            recommendations=ending.recommendations,
            policy=intent.policy,
        )
        return move(done, _failed(row, intent), now, f"failed {ending.code}", failure=failure)
    done = replace(done, failure=None, vault=intent.vault, policy=intent.policy or row.policy)
    if intent.kind is ChangeKind.UNDELETE:
        return move(done, On.FOUND_STOPPED, now, "undeleted")
    if row.protected_at is not None:
        return move(done, On.FOUND_PROTECTED, now, f"{intent.kind} succeeded")
    policy = await _policy(ports, intent)
    deadline = first_backup_deadline(policy, now, hours=row.deadline_hours)
    after = row.first_backup_after
    until = now if after is not None and starts_later(policy, now, after) else deadline
    await ports.ledger.put_due(ArmId.parse(row.vm), until)
    await ports.ledger.note(enrolled_under(row.uid), row.vm)  # it may move, and keep its vmId
    return move(
        done,
        On.FOUND_PENDING,
        now,
        "operation succeeded",
        enrolled_at=row.enrolled_at or ending.at,
        enrolled_uid=row.uid,
        deadline=deadline,
        until=until,
        backup_job="",
    )


def _look_again(row: Row, intent: Intent, ending: Ending) -> bool:
    """Tell whether a run must say what comes next."""
    waited = row.again is not None and row.again >= intent.at
    return bool(ending.code) or intent.kind is not ChangeKind.ENROLL or waited


def _failed(row: Row, intent: Intent) -> On:
    """Say what a failed change leaves: a VM whose policy was to change is as protected as before."""
    if intent.kind is ChangeKind.CHANGE_POLICY:
        return On.FOUND_PROTECTED if row.protected_at is not None else On.FOUND_PENDING
    return On.FAILED if row.state is State.ENROLLING else On.WAIT


async def _afterwards(
    ports: Ports,
    entry: InFlight,
    before: Row,
    settled: Row,
    intent: Intent,
    ending: Ending,
    now: datetime,
) -> None:
    """Everything that may be lost without harm: a sweep or the next look does it again."""
    vm, vault = ArmId.parse(entry.vm), ArmId.parse(entry.vault)
    ports.pace.settled(vault)
    if ending.code and intent.kind is ChangeKind.ENROLL:
        await ports.ledger.give_place(vault, intent.day, vm)
    elif not ending.code:
        ports.index.learn(_item(vm, vault, intent, before))
    if _look_again(before, intent, ending):
        await ports.queues.send(
            WorkItem(vm=settled.vm, seen_at=now, cause=Cause.AGAIN, trace=intent.trace),
            backlog=True,
        )
    await ports.ledger.drop_in_flight(vault, vm, entry.request_id)
    telemetry.count("enrollment.settled", kind=intent.kind, code=ending.code or "ok")
    if ending.code and known(ending.code, 0, ending.message).fault is None:
        telemetry.count(telemetry.UNKNOWN_CODES, code=ending.code[:80], arrived="job")
    if not ending.code and intent.kind is ChangeKind.ENROLL and before.first_seen is not None:
        took = (ending.at - before.first_seen).total_seconds()
        telemetry.measure("enrollment.time_to_enroll", max(took, 0.0))
    telemetry.wide(
        "change.settled",
        vm=entry.vm,
        kind=intent.kind,
        vault=entry.vault,
        code=ending.code,
        job=ending.job,
        state=settled.state,
        trace=intent.trace,
    )


async def _policy(ports: Ports, intent: Intent) -> Policy | None:
    try:
        policies = await ports.directory.policies(ArmId.parse(intent.vault))
    except AzureFault:
        return None
    wanted = ArmId.parse(intent.policy)
    return next((policy for policy in policies if policy.id == wanted), None)


def _item(vm: ArmId, vault: ArmId, intent: Intent, before: Row) -> ProtectedItem:
    """Give the item as Azure will list it once its index catches up."""
    stopped = intent.kind is ChangeKind.UNDELETE
    known = ProtectionState.PROTECTED if before.protected_at else ProtectionState.PENDING
    return ProtectedItem(
        id=item_of(vault, vm),
        source=vm,
        state=ProtectionState.STOPPED if stopped else known,
        policy=ArmId.parse(intent.policy) if intent.policy else None,
        last_recovery_point=before.last_recovery_point,
    )


def _entry(row: Row, intent: Intent) -> InFlight:
    return InFlight(
        vm=row.vm,
        vault=intent.vault,
        request_id=intent.request_id,
        sent_at=intent.at,
        kind=intent.kind,
        trace=intent.trace,
    )
