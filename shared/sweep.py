"""Sweep: find what events missed, drift, orphans; release long waits. Act through `reconcile`.

Called by the timer `sweep` (once a minute: releases what is due, and starts a walk of every
subscription when one is due) and by the queue `sweeps` (one page of one subscription per message).
A sweep never decides anything itself: it only says "look at this VM". And absence is no evidence:
a walk that looks wrong acts on nothing (DESIGN §3.13).

A walk merges three streams in one order (`local_key`): VMs, protected items, ledger rows. It holds
one page of each, whatever the size of the estate. How far it came stands in a note; a message that
comes twice finds that its page was done. No page puts more than `RELEASED_AT_ONCE` looks into the
backlog; the rest of the page waits until there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from shared import onboarding, outcomes, telemetry
from shared.abreast import abreast
from shared.domain import looks
from shared.domain.decisions import On
from shared.domain.ids import ArmId, local_key
from shared.domain.messages import Cause, SweepPage, WorkItem
from shared.domain.model import ProtectedItem
from shared.domain.records import Row, SweepMark, Walk
from shared.domain.states import State
from shared.errors import AzureFault, Conflict, Disposition
from shared.ledger_rows import move
from shared.ports import Ports, SeenVm

RELEASED_AT_ONCE = 200
CROWDED = 10.0  # seconds until a page is tried again for which the backlog had no room
PASSING = 30.0  # ... that met a fault that passes, times the number of tries
TRIES = 3
PROBED = 50  # of the VMs that a suspicious walk lacks, so that a real loss is found out in the end
_SHRUNK = 0.9  # fewer VMs than this share of last time is suspicious
_FORGOTTEN = timedelta(minutes=10)  # a walk without a page for so long has lost its message
_BACKLOG = "enrollments-backlog"


async def tick(ports: Ports) -> int:
    """Release due waits and start the sweeps that are due; give the number of messages."""
    now = ports.clock.now()
    released = await release_due(ports, now)
    every = timedelta(seconds=ports.settings.sweep_seconds)
    last = await ports.ledger.noted("sweep-started")
    if last and now - datetime.fromisoformat(last) < every:
        return released
    try:
        await _start(ports, now)
    except AzureFault as fault:
        if not _passes(fault):
            raise
        telemetry.wide("sweep.put_off", operation=fault.operation, code=fault.code)
    return released


async def _start(ports: Ports, now: datetime) -> None:
    """Send the first page of every subscription that is not being walked."""
    await onboarding.visible(ports, now)
    for subscription in await ports.estate.subscriptions():
        walk = await _walk(ports, subscription)
        if walk is not None and not walk.ended and now - walk.at < _FORGOTTEN:
            continue  # a large subscription is still being walked
        await ports.queues.send(
            SweepPage(subscription=subscription, sweep=uuid4().hex, started_at=now)
        )
    await ports.ledger.note("sweep-started", now.isoformat())  # last: one page too many is harmless


def _passes(fault: AzureFault) -> bool:
    """Tell whether the next tick or try may do better by itself."""
    return fault.disposition in {Disposition.DEFER, Disposition.RETRY}


async def release_due(ports: Ports, now: datetime) -> int:
    """Turn due rows into messages, never more than 200 at once (they wake as a herd)."""
    room = RELEASED_AT_ONCE - await ports.queues.depth("enrollments-backlog")
    if room <= 0:
        return 0
    due = await ports.ledger.due(now, room)
    await abreast(_release(ports, vm, at, now) for vm, at in due)
    return len(due)


async def _release(ports: Ports, vm: ArmId, at: datetime, now: datetime) -> None:
    """Send before the index forgets: a crash in between releases twice, never not at all."""
    work = WorkItem(vm=str(vm), seen_at=now, cause=Cause.RELEASE)
    await ports.queues.send(work, backlog=True)
    await ports.ledger.drop_due(vm, at)


async def sweep(ports: Ports, page: SweepPage) -> None:
    """Look at one page of a subscription, enqueue every VM that needs a look, send the next page."""
    now = ports.clock.now()
    marks = {mark.subscription: mark for mark in await ports.ledger.sweeps()}
    before = marks.get(page.subscription)
    walk = await _walk(ports, page.subscription)
    if _late(page, before, walk):
        return
    if walk is None or walk.sweep != page.sweep:
        walk = Walk(sweep=page.sweep, started_at=page.started_at, at=now)
    room = RELEASED_AT_ONCE - await ports.queues.depth(_BACKLOG)
    if room <= 0:
        await _put_off(ports, page, walk, CROWDED)
        return
    try:
        await _page(ports, page, walk, before, room)
    except AzureFault as fault:
        if _passes(fault) and page.tries < TRIES:
            again = replace(page, tries=page.tries + 1)
            await _put_off(ports, again, walk, fault.retry_after or PASSING * again.tries)
            return
        why = f"walk not finished: {fault.code or fault.status}"
        await _suspicious(ports, page, why, before, loud=fault.disposition is Disposition.PARK)


def _late(page: SweepPage, before: SweepMark | None, walk: Walk | None) -> bool:
    """Tell whether a newer sweep has begun, or this page was done (its message came twice)."""
    if before is not None and before.started_at > page.started_at:
        return True
    if walk is None or walk.sweep != page.sweep:
        return walk is not None and walk.started_at > page.started_at
    return walk.ended or walk.cursor > page.cursor


async def _page(
    ports: Ports, page: SweepPage, walk: Walk, before: SweepMark | None, room: int
) -> None:
    """Merge one page of VMs with its items and rows."""
    now, rules = ports.clock.now(), await ports.rules.current()
    shown = await ports.estate.vms(page.subscription, page.cursor)
    items = await ports.estate.items_of(page.subscription, page.cursor, shown.cursor)
    vms = {local_key(vm.id): vm for vm in shown.rows}
    rows = {
        local_key(ArmId.parse(row.vm)): row
        async for batch in ports.ledger.subscription_rows(
            page.subscription, after=page.cursor, through=shown.cursor
        )
        for row in batch
    }
    missing = [row for key, row in rows.items() if key not in vms and _missed(row, now)]
    walk = replace(walk, at=now, known=walk.known or await _known(ports, page, before))
    if why := _implausible(walk, shown.left, len(rows), len(missing)):
        alive = await _alive(ports, page.subscription, now)
        if page.cursor or _shrunk(shown.left, alive):
            # ARM itself is asked about some: what is really gone is known the next time
            await abreast(_enqueue(ports, ArmId.parse(row.vm), now) for row in missing[:PROBED])
            await _suspicious(ports, page, why, before, loud=True)
            return
        walk = replace(walk, known=shown.left)  # they were deleted, as events told
    wanted: list[ArmId] = []
    counts: Counter[str] = Counter(walk.counts)
    cursor = shown.cursor
    seen, absent = walk.seen, walk.absent
    protected: list[tuple[Row, ProtectedItem]] = []
    unknown: list[SeenVm] = []
    of = _by_vm(items)
    for key in sorted({*vms, *rows, *of}):
        if len(wanted) >= room:
            break
        cursor = key
        vm, row, mine = vms.get(key), rows.get(key), of.get(key, [])
        seen += vm is not None
        if row is not None:
            counts[row.state.value] += 1
        elif vm is not None:
            unknown.append(vm)
        look, why = _look(vm, row, mine, rules.version, now)
        if why:
            counts[f"looked: {why}"] += 1
            absent += vm is None and row is not None
        if look is not None:
            wanted.append(look)
        elif row is not None and (item := looks.recovery_point(row, mine)) is not None:
            protected.append((row, item))
    else:
        cursor = shown.cursor
    await abreast(_recovery_point(ports, row, item, now) for row, item in protected)
    await abreast(_enqueue(ports, vm, now) for vm in wanted)
    walk = replace(
        onboarding.noticed(walk, unknown, before),
        cursor=cursor,
        seen=seen,
        absent=absent,
        enqueued=walk.enqueued + len(wanted),
        counts=dict(counts),
        ended=not cursor,
    )
    if cursor:
        await ports.queues.send(replace(page, cursor=cursor, tries=0))
    else:
        await _finished(ports, page, walk, before)
    await ports.ledger.note(_note(page.subscription), msgspec.json.encode(walk).decode())


def _look(
    vm: SeenVm | None, row: Row | None, items: list[ProtectedItem], rules: str, now: datetime
) -> tuple[ArmId | None, str]:
    """Say which VM to look at, and why."""
    if vm is not None:
        why = looks.of_vm(row, uid=vm.uid, tags=vm.tags, items=items, rules=rules, now=now)
        return (vm.id if why else None), why
    if row is not None:
        why = looks.of_absent(row, items, now)
        return (ArmId.parse(row.vm) if why else None), why
    left = looks.of_item(items)
    return left, "item without VM" if left is not None else ""


def _by_vm(items: Iterable[ProtectedItem]) -> dict[str, list[ProtectedItem]]:
    found: dict[str, list[ProtectedItem]] = {}
    for item in items:
        if item.source is not None:
            found.setdefault(local_key(item.source), []).append(item)
    return found


# --- is the walk to be believed? ------------------------------------------------------------------


def _implausible(walk: Walk, left: int, rows: int, missing: int) -> str:
    """Say why this page must not be believed: too few VMs in all, or too many rows without one."""
    total = walk.seen + left
    if _shrunk(total, walk.known):
        return f"{total} VMs where {walk.known} were known"
    absent, known = walk.absent + missing, max(walk.known, walk.seen + rows)
    if absent > 1 and _shrunk(known - absent, known):
        return f"{absent} of {known} known VMs not shown"
    return ""


def _shrunk(now: int, before: int) -> bool:
    return before - now > 1 and now < _SHRUNK * before


def _missed(row: Row, now: datetime) -> bool:
    """Tell whether Resource Graph, which lags, must show this VM by now."""
    gone = row.state in {State.GONE, State.ORPHANED}
    return not gone and (row.first_seen is None or now - row.first_seen > looks.STALE)


async def _known(ports: Ports, page: SweepPage, before: SweepMark | None) -> int:
    """Give how many VMs the subscription must have: as many as last time, or as the ledger has."""
    if before is not None and not before.suspicious:
        return before.vms
    return await _alive(ports, page.subscription, ports.clock.now())


async def _alive(ports: Ports, subscription: str, now: datetime) -> int:
    """Count the VMs that the ledger holds for alive; walks all rows."""
    count = 0
    async for batch in ports.ledger.subscription_rows(subscription):
        count += sum(_missed(row, now) for row in batch)
    return count


# --- ends -----------------------------------------------------------------------------------------


async def _finished(ports: Ports, page: SweepPage, walk: Walk, before: SweepMark | None) -> None:
    now = ports.clock.now()
    mark = SweepMark(
        subscription=page.subscription,
        sweep=page.sweep,
        started_at=page.started_at,
        finished_at=now,
        vms=walk.seen,
        enqueued=walk.enqueued,
        counts=walk.counts,
        unannounced=walk.unannounced,
        newest=walk.newest,
    )
    await onboarding.announced(ports, before, mark)
    await ports.ledger.put_sweep(mark)
    await ports.notices.operators_clear(f"SWEEP_SUSPICIOUS {page.subscription}", now)
    telemetry.count("enrollment.sweeps")
    telemetry.count("enrollment.swept_new", walk.unannounced)
    telemetry.wide("sweep.finished", subscription=page.subscription, vms=walk.seen, **walk.counts)


async def _put_off(ports: Ports, page: SweepPage, walk: Walk, seconds: float) -> None:
    """Try a page again later; the walk lives on meanwhile."""
    kept = replace(walk, at=ports.clock.now() + timedelta(seconds=seconds))
    await ports.ledger.note(_note(page.subscription), msgspec.json.encode(kept).decode())
    await ports.queues.send(page, delay=seconds)


async def _suspicious(
    ports: Ports, page: SweepPage, why: str, before: SweepMark | None, *, loud: bool
) -> None:
    """Mark the sweep as one that nothing may be concluded from, and say so once.

    What passes by itself (a throttle, a gateway) is said when it did not pass until the next
    sweep.
    """
    mark = SweepMark(
        subscription=page.subscription,
        sweep=page.sweep,
        started_at=page.started_at,
        finished_at=ports.clock.now(),
        suspicious=why,
    )
    await ports.ledger.put_sweep(mark)
    await ports.ledger.note(_note(page.subscription), "")
    telemetry.wide("sweep.suspicious", subscription=mark.subscription, why=why)
    if not loud and not (before is not None and before.suspicious):
        return
    await ports.notices.tell_operators(
        f"SWEEP_SUSPICIOUS {mark.subscription}",
        "A sweep of a subscription was not believed and nothing was acted on. Check the "
        "service's roles on the subscription (a removed role hides rows without an error).",
        f"subscription {mark.subscription}: {why}",
        ports.clock.now(),
    )


# --- small steps ----------------------------------------------------------------------------------


async def _recovery_point(ports: Ports, row: Row, item: ProtectedItem, now: datetime) -> None:
    """Take an enrolled VM with a recovery point to Protected: one row write, no look needed."""
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
        notified=fresh.notified and bool(fresh.standing),
    )
    if fresh.notified and not fresh.standing:
        await ports.notices.clear(vm, "protected", now, fresh.trace)
    await outcomes.announce(ports, fresh, protected, now)
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


async def _enqueue(ports: Ports, vm: ArmId, now: datetime) -> None:
    await ports.queues.send(WorkItem(vm=str(vm), seen_at=now, cause=Cause.SWEEP), backlog=True)


def _note(subscription: str) -> str:
    return f"sweep {subscription.lower()}"


async def _walk(ports: Ports, subscription: str) -> Walk | None:
    text = await ports.ledger.noted(_note(subscription))
    return msgspec.json.decode(text, type=Walk) if text else None
