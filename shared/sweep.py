"""Sweep: find what events missed, drift, orphans; release long waits. Act through `reconcile`.

Called by the timer `sweep` (once a minute: releases what is due, and starts a walk of every
subscription when one is due) and by the queue `sweeps` (one subscription per message). A sweep
never decides anything itself: it only says "look at this VM". And absence is no evidence: a walk
that looks wrong acts on nothing (DESIGN §3.13).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from shared import telemetry
from shared.domain.decisions import On
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, SweepPage, WorkItem
from shared.domain.model import ProtectedItem, ProtectionState
from shared.domain.records import Row, SweepMark
from shared.domain.states import State
from shared.errors import AzureFault, Conflict, Disposition
from shared.ledger_rows import move
from shared.ports import Page, Ports, SeenVm

RELEASED_AT_ONCE = 200
PROBED = 50  # of the VMs that a suspicious walk lacks, so that a real loss is found out in the end
_SHRUNK = 0.9  # fewer VMs than this share of last time is suspicious
_STALE = timedelta(minutes=15)
_SETTLED = frozenset({State.ENROLLED, State.PROTECTED})
_OURS = frozenset({ProtectionState.PENDING, ProtectionState.PROTECTED, ProtectionState.ERROR})


async def tick(ports: Ports) -> int:
    """Release due waits and start the sweeps that are due; give the number of messages."""
    now = ports.clock.now()
    released = await release_due(ports, now)
    every = timedelta(seconds=ports.settings.sweep_seconds)
    last = await ports.ledger.noted("sweep-started")
    if last and now - datetime.fromisoformat(last) < every:
        return released
    for subscription in await ports.estate.subscriptions():
        await ports.queues.send(
            SweepPage(subscription=subscription, sweep=uuid4().hex, started_at=now)
        )
    await ports.ledger.note("sweep-started", now.isoformat())  # last: one page too many is harmless
    return released


async def release_due(ports: Ports, now: datetime) -> int:
    """Turn due rows into messages, never more than 200 at once (they wake as a herd)."""
    room = RELEASED_AT_ONCE - await ports.queues.depth("enrollments-backlog")
    if room <= 0:
        return 0
    due = await ports.ledger.due(now, room)
    for vm, at in due:
        await ports.queues.send(
            WorkItem(vm=str(vm), seen_at=now, cause=Cause.RELEASE), backlog=True
        )
        await ports.ledger.drop_due(vm, at)
    return len(due)


async def sweep(ports: Ports, page: SweepPage) -> SweepMark:
    """Walk one subscription and enqueue every VM that needs a look."""
    now = ports.clock.now()
    marks = {mark.subscription: mark for mark in await ports.ledger.sweeps()}
    before = marks.get(page.subscription)
    if before is not None and before.started_at > page.started_at:
        return before  # late: a newer sweep has begun
    mark = SweepMark(subscription=page.subscription, sweep=page.sweep, started_at=page.started_at)
    try:
        seen = await _seen(ports, page.subscription)
    except AzureFault as fault:
        return await _unfinished(ports, mark, fault, before)
    rows: dict[str, Row] = {}
    async for batch in ports.ledger.subscription_rows(page.subscription):
        rows |= {ArmId.parse(row.vm).key: row for row in batch}
    alive = sum(_seen_long_enough(row, now) for row in rows.values())
    known = max(before.vms if before is not None else 0, alive)
    if known and len(seen) < _SHRUNK * known and known - len(seen) > 1:
        missing = [row.vm for key, row in rows.items() if key not in seen and _alive(row)]
        for vm_id in missing[:PROBED]:  # ARM itself is asked whether they are gone
            await _enqueue(ports, ArmId.parse(vm_id), now)
        why = f"{len(seen)} VMs where {known} were known"
        return await _suspicious(ports, mark, why, before, loud=True)
    rules = await ports.rules.current()
    enqueued = 0
    counts: Counter[str] = Counter(row.state.value for row in rows.values())
    for key, vm in seen.items():
        row = rows.get(key)
        try:
            items = await ports.index.named(vm.id)
        except AzureFault as fault:
            return await _unfinished(ports, mark, fault, before)
        why = _why_look(row, vm, items, rules.version, now)
        if row is not None and not why:
            await _recovery_point(ports, row, items, now)
        elif why:
            counts[f"looked: {why}"] += 1
            enqueued += await _enqueue(ports, vm.id, now)
    for key, row in rows.items():
        if key not in seen and _alive(row):
            counts["looked: not seen"] += 1
            enqueued += await _enqueue(ports, ArmId.parse(row.vm), now)
    mark = replace(
        mark,
        finished_at=ports.clock.now(),
        vms=len(seen),
        enqueued=enqueued,
        counts=dict(counts),
    )
    await ports.ledger.put_sweep(mark)
    await ports.notices.operators_clear(f"SWEEP_SUSPICIOUS {page.subscription}", now)
    telemetry.count("enrollment.sweeps")
    telemetry.count("enrollment.swept_new", counts["looked: new"])
    telemetry.wide("sweep.finished", subscription=page.subscription, vms=len(seen), **counts)
    return mark


def _alive(row: Row) -> bool:
    return row.state is not State.GONE


def _seen_long_enough(row: Row, now: datetime) -> bool:
    """Tell whether Resource Graph, which lags, must know this VM by now."""
    return _alive(row) and (row.first_seen is None or now - row.first_seen > _STALE)


async def _seen(ports: Ports, subscription: str) -> dict[str, SeenVm]:
    seen: dict[str, SeenVm] = {}
    cursor = ""
    while True:
        page: Page[SeenVm] = await ports.estate.vms(subscription, cursor)
        seen |= {vm.id.key: vm for vm in page.rows}
        if not page.cursor:
            return seen
        cursor = page.cursor


def _why_look(
    row: Row | None, vm: SeenVm, items: tuple[ProtectedItem, ...], rules: str, now: datetime
) -> str:
    """Say why a VM needs a reconcile, or ""."""
    if row is None:
        return "new"
    if row.uid and row.uid != vm.uid:
        return "re-created"
    if row.claim is not None:
        return "" if row.claim.expires > now else "abandoned"
    match row.state:
        case State.ENROLLING:
            return "stale" if now - row.since > _STALE else ""
        case State.BLOCKED | State.STOPPED | State.SOFT_DELETED | State.OBSERVED | State.UNKNOWN:
            return "may have changed"
        case State.WAITING | State.STUCK:
            return "wait lost" if row.until is None or row.until < now - _STALE else ""
        case State.GONE | State.ORPHANED:
            return "back"
        case _:
            pass
    if row.rules_version != rules:
        return "rules changed"
    if dict(row.tags) != dict(sorted(vm.tags.items())[: len(row.tags)]):
        return "tags changed"
    if row.state in _SETTLED and _drifted(row, items):
        return "drift"
    return ""


def _drifted(row: Row, items: tuple[ProtectedItem, ...]) -> bool:
    mine = [item for item in items if str(item.vault).lower() == row.vault.lower()]
    if not mine:
        return True
    item = mine[0]
    policy = str(item.policy).lower() if item.policy is not None else ""
    return item.state not in _OURS or policy != row.policy.lower()


async def _recovery_point(
    ports: Ports, row: Row, items: tuple[ProtectedItem, ...], now: datetime
) -> None:
    """Take an enrolled VM with a recovery point to Protected: one row write, no look needed."""
    item = next((item for item in items if item.has_recovery_point), None)
    if row.state is not State.ENROLLED or item is None:
        return
    vm = ArmId.parse(row.vm)
    found = await ports.ledger.read(vm)
    if found is None or found[0].state is not State.ENROLLED or found[0].claim is not None:
        return
    fresh, etag = found
    protected = move(
        fresh,
        On.RECOVERY_POINT,
        now,
        "recovery point seen",
        protected_at=now,
        last_recovery_point=item.last_recovery_point,
        notified=False,
    )
    if fresh.notified:
        await ports.notices.clear(vm, "protected", now, fresh.trace)
    try:
        await ports.ledger.replace(protected, etag)
    except Conflict:
        return  # somebody looks at it now; the next sweep sees the rest
    if fresh.until is not None:
        await ports.ledger.drop_due(vm, fresh.until)
    if fresh.enrolled_at is not None:
        took = (now - (fresh.first_seen or fresh.enrolled_at)).total_seconds()
        telemetry.measure("enrollment.time_to_protect", took)
    telemetry.wide("vm.protected", vm=row.vm, vault=row.vault, trace=fresh.trace)


async def _enqueue(ports: Ports, vm: ArmId, now: datetime) -> int:
    await ports.queues.send(WorkItem(vm=str(vm), seen_at=now, cause=Cause.SWEEP), backlog=True)
    return 1


async def _unfinished(
    ports: Ports, mark: SweepMark, fault: AzureFault, before: SweepMark | None
) -> SweepMark:
    why = f"walk not finished: {fault.code or fault.status}"
    loud = fault.disposition is Disposition.PARK
    return await _suspicious(ports, mark, why, before, loud=loud)


async def _suspicious(
    ports: Ports, mark: SweepMark, why: str, before: SweepMark | None, *, loud: bool
) -> SweepMark:
    """Mark the sweep as one that nothing may be concluded from, and say so once.

    What passes by itself (a throttle, a gateway) is said when it did not pass until the next
    sweep.
    """
    mark = replace(mark, finished_at=ports.clock.now(), suspicious=why)
    await ports.ledger.put_sweep(mark)
    telemetry.wide("sweep.suspicious", subscription=mark.subscription, why=why)
    if not loud and not (before is not None and before.suspicious):
        return mark
    await ports.notices.tell_operators(
        f"SWEEP_SUSPICIOUS {mark.subscription}",
        "A sweep of a subscription was not believed and nothing was acted on. Check the "
        "service's roles on the subscription (a removed role hides rows without an error).",
        f"subscription {mark.subscription}: {why}",
        ports.clock.now(),
    )
    return mark
