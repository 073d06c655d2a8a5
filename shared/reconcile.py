"""Reconcile: one idempotent pass over one VM, the same for every cause (DESIGN §3.1, §3.2).

    fold -> slot -> claim -> resolve what an earlier run left -> gather -> decide -> act -> release

`docs/protocol.md` tells what a crash at each arrow leaves behind and who picks it up.
"""

from __future__ import annotations

from dataclasses import replace as altered
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import ceiling, first_backup, outcomes, rights, telemetry
from shared.act import (
    SETTLES_WITHOUT_JOB,
    Refused,
    Sent,
    change,
    in_flight,
    look_at,
    unresolved,
)
from shared.claims import TIMED, Held, Passed, claim, folded
from shared.closer_look import closer_look
from shared.domain.decide import decide
from shared.domain.decisions import Change, Enroll, On, Undelete
from shared.domain.guard import describe, held_back
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.model import Snapshot
from shared.domain.records import Intent, PastFailure, Row
from shared.errors import AzureFault, Conflict, Disposition
from shared.gather import gather, past_of, read_anew
from shared.ledger_rows import changed_by_others, move, observed
from shared.ports import Etag, Ports
from shared.settle import resolve
from shared.telling import told
from shared.verdict_rows import recorded
from shared.waits import AFTER_FAULT, Done, could_not, owned, pause, paused, unknown, waiting

IN_FLIGHT = "in-flight"  # the settlement looks again, because of the row's `again`
_VAULTS_TRIED = 20


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
    held_until = await ceiling.still_reached(ports, work, seen and seen[0], ports.clock.now())
    asks_azure = held_until is None and (seen is None or in_flight(seen[0]) is None)
    if asks_azure and (seconds := await ports.pace.slot(vm.subscription, urgent=not backlog)):
        await ports.queues.send(work, delay=seconds, backlog=backlog)
        return "paced"
    try:
        return await _claimed(ports, work, by, seen, held_until, backlog=backlog)
    finally:
        if asks_azure:
            ports.pace.done(vm.subscription)


async def _claimed(
    ports: Ports,
    work: WorkItem,
    by: str,
    seen: tuple[Row, Etag] | None,
    held_until: datetime | None,
    *,
    backlog: bool,
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
            done = await _under_claim(ports, held, work, held_until, trace)
            await rights.told(ports, found, done.row, ports.clock.now())
            await outcomes.announce(ports, found, done.row, ports.clock.now())
            same_wait = held.row.until == done.until and work.cause not in TIMED
            if done.until is not None and not same_wait:
                await owned(ports, work, done, trace, backlog=backlog)
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


async def _under_claim(
    ports: Ports, held: Held, work: WorkItem, held_until: datetime | None, trace: str
) -> Done:
    if held_until is not None and held.row.waits_for_ceiling:
        return waiting(held.row, held_until, ceiling.CEILING)
    try:
        if unresolved(held.row):
            await resolve(ports, held)
            if unresolved(held.row):
                return unknown(held.row, ports.clock.now(), trace)
        if (intent := in_flight(held.row)) is not None:
            return await _flying(ports, held, intent)
        return await _decided(ports, held, work, trace)
    except AzureFault as fault:
        now = ports.clock.now()
        if unresolved(held.row):
            return unknown(held.row, now, trace, pause(fault))
        if fault.disposition is Disposition.RAISE:
            raise
        return await could_not(ports, held.row, fault, trace)


async def _flying(ports: Ports, held: Held, intent: Intent) -> Done:
    """Leave a change to the watch, which looks again because of `again`; see that it does."""
    now = ports.clock.now()
    vault = ArmId.parse(intent.vault)
    if now - intent.at > SETTLES_WITHOUT_JOB and await ports.ledger.look(vault) is None:
        await look_at(ports, vault, now)
    return Done(row=replace(held.row, again=now), outcome=IN_FLIGHT)


async def _decided(ports: Ports, held: Held, work: WorkItem, trace: str) -> Done:
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
        vm = snapshot.vm
        if reason := held_back(
            observing=ports.settings.observing,
            since=ports.settings.enroll_since,
            let_in=held.row.let_in,
            created=vm.created if vm is not None else None,
        ):
            row = move(row, On.OBSERVED, now, reason)
            done = Done(row=replace(row, would=describe(verdict.decision)), outcome="observed")
            return await told(ports, done, snapshot, verdict, trace)
        standing = tuple(one.code for one in row.findings if one.code in verdict.tell)
        row = replace(row, standing=standing)  # what blocked it is gone, whatever the answer
        if until := await ceiling.reached(ports, work, now):
            return _put_off(row, until, ceiling.CEILING, now)
        if doubtful and not isinstance(verdict.decision, Enroll):
            snapshot, doubtful = await read_anew(ports, snapshot, verdict.decision.item), False
            continue
        try:
            sent = await change(ports, held, row, verdict.decision, work, trace)
        except Refused as refused:
            if (wait := paused(ports, held.row, refused.fault)) is not None:
                return wait
            await _failed(held, verdict.decision, refused.fault, now)
            # what was refused may have been overtaken: deleted, moved, protected by another
            snapshot = await gather(ports, work.vm_id, held.row, ports.clock.now())
            snapshot = await closer_look(ports, snapshot, row, rules, people)
            continue
        if isinstance(sent, Sent):
            row = replace(held.row, intent=sent.intent)
            row = move(row, On.SENT, now, describe(verdict.decision), trace=trace)
            done = Done(row=row, outcome=verdict.kind)
            return await told(ports, done, snapshot, verdict, trace)
        if sent.full is None:
            return _put_off(row, now + timedelta(seconds=sent.seconds), sent.why, now)
        snapshot = _full(snapshot, sent.full)
    else:
        return _put_off(row, now + AFTER_FAULT, "vaults-full", now)
    row = await first_backup.started(ports, held, row, snapshot, verdict, trace)
    row, until = await recorded(ports, row, snapshot, verdict, now)
    done = Done(row=row, outcome=verdict.kind, until=until)
    return await told(ports, done, snapshot, verdict, trace)


def _put_off(row: Row, until: datetime, why: str, now: datetime) -> Done:
    row = replace(row, waits_for_ceiling=why == ceiling.CEILING)
    return waiting(move(row, On.WAIT, now, why), until, why)


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
