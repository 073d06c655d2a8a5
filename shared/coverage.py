"""Counting for the coverage page: only what changed, once a minute (ADR 6).

Called by the timer `sweep` after it has released what is due. Every outcome written to the ledger
changes its subscription's mark; here the subscriptions whose mark differs from the one they were
last counted at are counted again, from the rows themselves. Nothing is added or taken away, so
nothing can drift. With every sweep the sheets (room per vault, backup jobs) are read anew, queues
every time; where Azure does not answer the old sheet stays, and the page shows its age.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared import telemetry
from shared.abreast import abreast
from shared.domain.coverage import NO_VM, Count, Standing, Summary, doubt, doubted
from shared.domain.records import SweepMark
from shared.domain.sheets import (
    QUEUED,
    QUEUES,
    Day,
    JobSheet,
    QueueSheet,
    SeenJob,
    TrendSheet,
    VaultRoom,
    VaultSheet,
    job_sheet,
    with_today,
)
from shared.errors import AzureFault, Disposition
from shared.ports import Ports

COUNTED_AT_ONCE = 4  # subscriptions; a count is a walk of one partition
LARGE = 2_000  # VMs; of subscriptions with more, one at a time: a count holds an entry of each VM
JOBS_SINCE = timedelta(hours=24)


async def recount(ports: Ports) -> int:
    """Count the subscriptions that changed, refresh the sheets; give how many were counted."""
    now = ports.clock.now()
    marks = await ports.ledger.marks()
    known = {one.subscription: one for one in await ports.coverage.summaries()}
    swept = {mark.subscription.lower(): mark for mark in await ports.ledger.sweeps()}
    wanted = [
        subscription
        for subscription in sorted(marks.keys() | swept.keys())
        if _differs(known.get(subscription), marks.get(subscription, ""), swept.get(subscription))
    ]
    gate, alone = asyncio.Semaphore(COUNTED_AT_ONCE), asyncio.Lock()

    async def one(subscription: str) -> None:
        mark, sweep = marks.get(subscription, ""), swept.get(subscription)
        large = sweep is not None and sweep.vms > LARGE
        async with gate, alone if large else nullcontext():
            try:
                known[subscription] = await _count(ports, subscription, mark, sweep)
            except AzureFault as fault:  # the old count stays and says how old it is
                telemetry.wide("coverage.count_failed", subscription=subscription, code=fault.code)
                if fault.disposition is Disposition.RAISE:
                    raise

    async with asyncio.TaskGroup() as group:
        for subscription in wanted:
            group.create_task(one(subscription))
    await _sheets(ports, now)
    await _queues(ports, now)
    if wanted:
        await _today(ports, list(known.values()), swept, now)
    return len(wanted)


async def _count(ports: Ports, subscription: str, mark: str, swept: SweepMark | None) -> Summary:
    """Count one subscription. The mark was read before the rows, so nothing later is lost."""
    count = Count(subscription, now=ports.clock.now(), swept=swept)
    async for page in ports.ledger.subscription_rows(subscription):
        count.add(page)
    summary = count.summary(now=ports.clock.now(), mark=mark)
    telemetry.count("coverage.counted")
    return await ports.coverage.put(summary, count.entries)


def _differs(known: Summary | None, mark: str, swept: SweepMark | None) -> bool:
    if known is None or known.mark != mark:
        return True
    finished = swept.finished_at if swept is not None else None
    return finished is not None and finished > known.counted_at


# --- sheets --------------------------------------------------------------------------------------


async def _sheets(ports: Ports, now: datetime) -> None:
    kept = {type(sheet): sheet for sheet in await ports.coverage.sheets()}
    every = timedelta(seconds=ports.settings.sweep_seconds)
    vaults, jobs = kept.get(VaultSheet), kept.get(JobSheet)
    if not isinstance(vaults, VaultSheet) or now - vaults.read_at >= every:
        await _tried(ports, "vaults", _vaults(ports, now))
    if not isinstance(jobs, JobSheet) or now - jobs.read_at >= every:
        await _tried(ports, "jobs", _jobs(ports, now))


async def _tried(
    ports: Ports, what: str, sheet: Coroutine[Any, Any, VaultSheet | JobSheet]
) -> None:
    try:
        await ports.coverage.put_sheet(await sheet)
    except AzureFault as fault:  # the old sheet stays and says how old it is
        telemetry.wide("coverage.sheet_failed", sheet=what, code=fault.code, status=fault.status)


async def _vaults(ports: Ports, now: datetime) -> VaultSheet:
    rooms: list[VaultRoom] = []
    day = now.date().isoformat()
    vaults = await ports.directory.vaults()
    every = await ports.estate.held(sorted({vault.id.subscription for vault in vaults}))
    for vault in vaults:
        held = every.get(vault.id.key, {})
        names = {policy.id.key: policy.name for policy in await ports.directory.policies(vault.id)}
        rooms.append(
            VaultRoom(
                vault=str(vault.id),
                region=vault.location,
                items=sum(held.values()),
                today=await ports.ledger.places(vault.id, day),
                policies={
                    names.get(key, key.rpartition("/")[2]): count
                    for key, count in sorted(held.items())
                    if key
                },
            )
        )
    return VaultSheet(read_at=now, vaults=tuple(rooms))


async def _jobs(ports: Ports, now: datetime) -> JobSheet:
    subscriptions = await ports.estate.subscriptions()
    jobs: list[SeenJob] = []
    cursor = ""
    while True:
        page = await ports.estate.jobs(subscriptions, now - JOBS_SINCE, cursor)
        jobs.extend(page.rows)
        if not page.cursor:
            return job_sheet(jobs, now)
        cursor = page.cursor


async def _queues(ports: Ports, now: datetime) -> None:
    """Note how long the queues are, so that a page need not load and ask Queue storage."""
    try:
        depths = await abreast(ports.queues.depth(name) for name in QUEUES)
    except AzureFault as fault:
        telemetry.wide("coverage.sheet_failed", sheet="queues", code=fault.code)
        return
    sheet = QueueSheet(read_at=now, depths=dict(zip(QUEUES, depths, strict=True)))
    await ports.ledger.note(QUEUED, msgspec.json.encode(sheet).decode())


async def _today(
    ports: Ports, summaries: list[Summary], swept: dict[str, SweepMark], now: datetime
) -> None:
    """Write today's numbers into the trend, as the page would show them now."""
    every = timedelta(seconds=ports.settings.sweep_seconds)
    standings: Counter[Standing] = Counter()
    for summary in summaries:
        doubtful = bool(doubt(swept.get(summary.subscription), now, every))
        for cell in summary.cells:
            standings[doubted(cell.standing, doubtful=doubtful)] += cell.count
    for standing in Standing:  # the zeros too: a level stays until it is set again
        telemetry.level("enrollment.vms", standings[standing], standing=standing.value)
    kept = [sheet for sheet in await ports.coverage.sheets() if isinstance(sheet, TrendSheet)]
    today = Day(
        day=now.date().isoformat(),
        protected=standings[Standing.PROTECTED],
        of=sum(count for standing, count in standings.items() if standing not in NO_VM),
        standings={standing.value: count for standing, count in sorted(standings.items())},
    )
    trend = with_today(kept[0] if kept else TrendSheet(), today)
    if not kept or trend != kept[0]:
        await ports.coverage.put_sheet(trend)
