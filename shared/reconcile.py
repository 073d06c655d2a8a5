"""Reconcile: one idempotent pass over one VM, the same for every cause (DESIGN §3.1, §3.2).

    fold -> slot -> claim -> resolve what an earlier run left -> gather -> decide -> act -> release

`docs/protocol.md` tells what a crash at each arrow leaves behind and who picks it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as altered
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import first_backup, outcomes, rights, telemetry
from shared.act import (
    SETTLES_WITHOUT_JOB,
    Refused,
    Sent,
    change,
    in_flight,
    look_at,
    unresolved,
)
from shared.claims import FOLD, TIMED, Held, Passed, claim, folded
from shared.closer_look import closer_look
from shared.domain.decide import decide
from shared.domain.decisions import Change, Enroll, On, Undelete, Verdict
from shared.domain.findings import Severity
from shared.domain.guard import describe, held_back
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.model import Snapshot
from shared.domain.records import Intent, PastFailure, Row
from shared.domain.states import State
from shared.errors import AzureFault, Conflict, Disposition
from shared.gather import gather, past_of, read_anew
from shared.ledger_rows import changed_by_others, move, observed
from shared.outcome import recorded
from shared.ports import Etag, Ports, Subject
from shared.settle import resolve

MESSAGE_WAIT = timedelta(minutes=15)  # longer waits are rows (DESIGN §3.4)
IN_FLIGHT = "in-flight"  # the settlement looks again, because of the row's `again`
AFTER_HICCUP = timedelta(seconds=20)
AFTER_FAULT = timedelta(minutes=2)
AFTER_REFUSAL = timedelta(hours=1)
_VAULTS_TRIED = 20
_HOW = {  # in the words that notices know in every language
    State.ENROLLED: "enrolled",
    State.PROTECTED: "protected",
    State.ELSEWHERE: "elsewhere",
    State.EXCLUDED: "excluded",
    State.GONE: "gone",
}
_ENDED_BY_BACKUP = frozenset({"FIRST_BACKUP_OVERDUE", "FIRST_BACKUP_FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """The row to release, the outcome's name, and the wait that must have an owner."""

    row: Row
    outcome: str
    until: datetime | None = None


async def reconcile(ports: Ports, work: WorkItem, by: str, *, backlog: bool = False) -> str:
    """Look at one VM and do what is right; give a word for what happened.

    ``by`` names the queue message, so that its redelivery takes over its own claim.

    Raises:
        AzureFault: with disposition RAISE only; the message will be delivered again.

    """
    vm = work.vm_id
    seen = await ports.ledger.read(vm)
    if seen is not None and (why := folded(seen[0], work, by, ports.clock.now())):
        telemetry.count("enrollment.folded", why=why)
        return why
    asks_azure = seen is None or in_flight(seen[0]) is None
    if asks_azure and (seconds := await ports.pace.slot(vm.subscription, urgent=not backlog)):
        await ports.queues.send(work, delay=seconds, backlog=backlog)
        return "paced"
    try:
        return await _claimed(ports, work, by, seen, backlog=backlog)
    finally:
        if asks_azure:
            ports.pace.done(vm.subscription)


async def _claimed(
    ports: Ports, work: WorkItem, by: str, seen: tuple[Row, Etag] | None, *, backlog: bool
) -> str:
    """Claim the VM, reconcile it, release it."""
    held = await claim(ports.ledger, work, by, ports.clock.now(), seen)
    if isinstance(held, Passed):
        telemetry.count("enrollment.folded", why=held.why)
        return held.why
    lag = (ports.clock.now() - work.seen_at).total_seconds()
    telemetry.measure("enrollment.lag", max(lag, 0.0), cause=work.cause)
    with telemetry.span("reconcile", work.trace, vm=work.vm, cause=work.cause) as trace:
        try:
            found = held.row
            done = await _under_claim(ports, held, work, trace)
            await rights.told(ports, found, done.row, ports.clock.now())
            await outcomes.announce(ports, found, done.row, ports.clock.now())
            owned = held.row.until == done.until and work.cause not in TIMED
            if done.until is not None and not owned:
                await _owned(ports, work, done.until, trace, backlog=backlog)
            again = await held.release(replace(done.row, trace=trace))
        except Conflict:
            telemetry.wide("claim.lost", vm=work.vm, by=by, trace=trace)
            return "claim-lost"
    if again and done.outcome != IN_FLIGHT:
        await ports.queues.send(
            WorkItem(vm=work.vm, seen_at=ports.clock.now(), cause=Cause.AGAIN, trace=trace),
            backlog=backlog,
        )
    _tell(work, held.row, done.outcome)
    return done.outcome


async def _under_claim(ports: Ports, held: Held, work: WorkItem, trace: str) -> _Done:
    try:
        if unresolved(held.row):
            await resolve(ports, held)
            if unresolved(held.row):
                return _unknown(held.row, ports.clock.now(), trace)
        if (intent := in_flight(held.row)) is not None:
            return await _flying(ports, held, intent)
        return await _decided(ports, held, work, trace)
    except AzureFault as fault:
        now = ports.clock.now()
        if unresolved(held.row):
            return _unknown(held.row, now, trace, _pause(fault))
        if fault.disposition is Disposition.RAISE:
            raise
        return await _could_not(ports, held.row, fault, trace)


async def _flying(ports: Ports, held: Held, intent: Intent) -> _Done:
    """Leave a change to the watch, which looks again because of `again`; see that it does."""
    now = ports.clock.now()
    vault = ArmId.parse(intent.vault)
    if now - intent.at > SETTLES_WITHOUT_JOB and await ports.ledger.look(vault) is None:
        await look_at(ports, vault, now)
    return _Done(row=replace(held.row, again=now), outcome=IN_FLIGHT)


def _unknown(row: Row, now: datetime, trace: str, pause: timedelta = FOLD) -> _Done:
    """Leave a PUT that may have taken effect alone until the absence of its job says otherwise.

    The watch settles it as soon as its job is listed. Another PUT meanwhile, even the same, would
    be refused as a conflict or, worse, change something.
    """
    assert row.intent is not None, "only a change that was sent has an answer"
    until = max(row.intent.at + SETTLES_WITHOUT_JOB, now + pause)
    row = move(row, On.SENT, now, "answer-unknown", trace=trace)
    return _waiting(row, until, "answer-unknown")


async def _decided(ports: Ports, held: Held, work: WorkItem, trace: str) -> _Done:
    """Gather, decide and act; a vault that turns out full is taken out and decided again."""
    rules = await ports.rules.current()
    people = await ports.people.of(work.vm_id)
    snapshot = await gather(ports, work.vm_id, held.row, ports.clock.now())
    if (changed := changed_by_others(held.row, snapshot)) is not None:
        await held.save(changed)
        snapshot = altered(snapshot, past=past_of(changed))
    snapshot = await closer_look(ports, snapshot, held.row, rules, people)
    doubtful = True  # what is to be changed is read once more: what we know is minutes old
    for _ in range(_VAULTS_TRIED):
        now = ports.clock.now()
        verdict = decide(snapshot, rules, people, now, day_cap=ports.settings.place_cap)
        row = observed(held.row, snapshot, verdict)
        if not isinstance(verdict.decision, Change):
            break
        if doubtful and not isinstance(verdict.decision, Enroll):
            snapshot, doubtful = await read_anew(ports, snapshot, verdict.decision), False
            continue
        vm = snapshot.vm
        if reason := held_back(
            observing=ports.settings.observing,
            since=ports.settings.enroll_since,
            let_in=held.row.let_in,
            created=vm.created if vm is not None else None,
        ):
            row = move(row, On.OBSERVED, now, reason)
            done = _Done(row=replace(row, would=describe(verdict.decision)), outcome="observed")
            return await _told(ports, done, snapshot, verdict, trace)
        standing = tuple(one.code for one in row.findings if one.code in verdict.tell)
        row = replace(row, standing=standing)  # what blocked it is gone, whatever the answer
        try:
            sent = await change(ports, held, row, verdict.decision, work, trace)
        except Refused as refused:
            if (paused := _paused(ports, held.row, refused.fault)) is not None:
                return paused
            await _failed(held, verdict.decision, refused.fault, now)
            # what was refused may have been overtaken: deleted, moved, protected by another
            snapshot = await gather(ports, work.vm_id, held.row, ports.clock.now())
            snapshot = await closer_look(ports, snapshot, row, rules, people)
            continue
        if isinstance(sent, Sent):
            row = replace(held.row, intent=sent.intent)
            row = move(row, On.SENT, now, describe(verdict.decision), trace=trace)
            done = _Done(row=row, outcome=verdict.kind)
            return await _told(ports, done, snapshot, verdict, trace)
        if sent.full is None:
            later = now + timedelta(seconds=sent.seconds)
            return _waiting(move(row, On.WAIT, now, sent.why), later, sent.why)
        snapshot = _full(snapshot, sent.full)
    else:
        return _waiting(move(row, On.WAIT, now, "vaults-full"), now + AFTER_FAULT, "vaults-full")
    row = await first_backup.started(ports, held, row, snapshot, verdict, trace)
    row, until = await recorded(ports, row, snapshot, verdict, now)
    done = _Done(row=row, outcome=verdict.kind, until=until)
    return await _told(ports, done, snapshot, verdict, trace)


async def _told(
    ports: Ports, done: _Done, snapshot: Snapshot, verdict: Verdict, trace: str
) -> _Done:
    """Open, update or resolve the VM's notice; written before anything is sent.

    A change that was only sent resolves nothing: its settlement does, unless a cause stands on.
    """
    row = done.row
    notable = tuple(
        one for one in row.findings if one.severity is Severity.BLOCKER or one.code in verdict.tell
    )
    if notable:
        vm = snapshot.vm
        subject = Subject(
            vm=snapshot.id,
            region=row.region,
            tags=vm.tags if vm is not None else row.tags,
            group_tags=snapshot.group_tags or {},
            subscription_tags=snapshot.subscription_tags or {},
            rule=verdict.rule,
            routes=verdict.routes,
            since=row.since,
            next_step=_next_step(done.until),
            trace=trace,
            late=row.state is State.WAITING or _ENDED_BY_BACKUP.issuperset(f.code for f in notable),
        )
        await ports.notices.report(subject, notable, snapshot.at)
        standing = tuple(one.code for one in notable if one.code not in _ENDED_BY_BACKUP)
        row = replace(row, notified=True, standing=standing)
        return _Done(row=row, outcome=done.outcome, until=done.until)
    row = replace(row, standing=())
    changing = isinstance(verdict.decision, Change) and done.outcome != "observed"
    if row.notified and not changing and done.outcome != "Wait":
        await ports.notices.clear(snapshot.id, _HOW.get(row.state, row.why), snapshot.at, trace)
        return _Done(row=replace(row, notified=False), outcome=done.outcome, until=done.until)
    return _Done(row=row, outcome=done.outcome, until=done.until)


def _next_step(until: datetime | None) -> str:
    if until is not None:
        return f"We look again by ourselves at {until:%Y-%m-%d %H:%M} UTC."
    return (
        "We look again regularly and whenever the VM changes. Once the cause is gone, it goes on by"
        " itself."
    )


async def _failed(held: Held, change: Change, fault: AzureFault, now: datetime) -> None:
    """Record that Azure refused the PUT, so that `decide` says what that means."""
    count = held.row.failure.count + 1 if held.row.failure is not None else 1
    failure = PastFailure(
        code=fault.code or f"Http{fault.status}",
        message=fault.message,
        at=now,
        count=count,
        policy="" if isinstance(change, Undelete) else str(change.policy.id),
    )
    await held.save(replace(held.row, failure=failure))


def _full(snapshot: Snapshot, vault: ArmId) -> Snapshot:
    """Give the snapshot with every place of today in that vault taken."""
    room = {
        key: altered(room, today=max(room.today, 1_000_000)) if key == vault.key else room
        for key, room in snapshot.room.items()
    }
    return altered(snapshot, room=room)


def _paused(ports: Ports, row: Row, fault: AzureFault) -> _Done | None:
    """A throttle or an outage is waited out; a refusal is decided on."""
    if fault.disposition is not Disposition.DEFER:
        return None
    now = ports.clock.now()
    why = f"azure {fault.code or fault.status}"
    return _waiting(move(row, On.WAIT, now, why), now + _pause(fault), why)


async def _could_not(ports: Ports, row: Row, fault: AzureFault, trace: str) -> _Done:
    """Record that we could not find out. Nothing is concluded from it (DESIGN §3.13)."""
    now = ports.clock.now()
    why = f"{fault.operation} {fault.code or fault.status}"
    telemetry.wide(
        "azure.fault",
        vm=row.vm,
        operation=fault.operation,
        status=fault.status,
        code=fault.code,
        disposition=fault.disposition,
        request=fault.request_id,
        trace=trace,
    )
    if fault.disposition is Disposition.PARK:
        if lacked := await rights.refused(ports, ArmId.parse(row.vm), fault, now):
            why = lacked
        else:
            await ports.notices.tell_operators(
                fault.code or f"HTTP_{fault.status}",
                f"{fault.operation} was refused: {fault.message}",
                row.vm,
                now,
            )
        stuck = move(row, On.NOT_FOUND_OUT, now, why, trace=trace)
        return _waiting(stuck, now + AFTER_REFUSAL, why)
    pause = _pause(fault, _patience(row, now))
    return _waiting(move(row, On.NOT_NOW, now, why, trace=trace), now + pause, why)


def _patience(row: Row, now: datetime) -> timedelta:
    """Try soon what failed for the first time, and as long as it waited already after that.

    A hiccup must not cost a new VM its minute, an outage must not be asked in a frenzy.
    """
    if row.state is not State.WAITING:
        return AFTER_FAULT
    return min(max(now - row.since, AFTER_HICCUP), AFTER_FAULT)


def _pause(fault: AzureFault, untold: timedelta = AFTER_FAULT) -> timedelta:
    told = timedelta(seconds=fault.retry_after) if fault.retry_after is not None else untold
    return max(told, FOLD)


def _waiting(row: Row, until: datetime, why: str) -> _Done:
    return _Done(row=replace(row, until=until), outcome=f"wait {why}", until=until)


async def _owned(
    ports: Ports, work: WorkItem, until: datetime, trace: str, *, backlog: bool
) -> None:
    """Give a wait its one owner: a delayed message, or a row of the due index."""
    wait = until - ports.clock.now()
    if wait > MESSAGE_WAIT:
        await ports.ledger.put_due(work.vm_id, until)
        return
    await ports.queues.send(
        WorkItem(vm=work.vm, seen_at=until, cause=Cause.RETRY, trace=trace),
        delay=max(wait.total_seconds(), 0.0),
        backlog=backlog,
    )


def _tell(work: WorkItem, row: Row, outcome: str) -> None:
    telemetry.count("enrollment.decisions", outcome=outcome.partition(" ")[0], cause=work.cause)
    telemetry.wide(
        "vm.reconciled",
        vm=work.vm,
        cause=work.cause,
        outcome=outcome,
        state=row.state,
        why=row.why,
        rule=row.rule,
        findings=[finding.code for finding in row.findings],
        trace=row.trace,
    )
