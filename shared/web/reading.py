"""Reads what the page shows: a few rows for numbers, and blocks of entries for lists.

No question here depends on the size of the ledger. Numbers come from the summaries; a list reads
only the subscriptions that hold its fifty lines; tags and names are looked for in every entry of
the subscriptions that the other filters leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from shared.abreast import abreast
from shared.domain.coverage import Cell, Entry, Standing, Summary, cells, doubted
from shared.domain.ids import virtual_machine
from shared.domain.sheets import (
    IN_FORCE,
    QUEUED,
    JobSheet,
    QueueSheet,
    Sheet,
    TrendSheet,
    VaultSheet,
)
from shared.errors import AzureFault, Conflict, Disposition
from shared.ports import Ports
from shared.web.filters import Filters
from shared.web.view import Counted, Overview, by_tag, considered, matching, overview

PAGE = 50
_AGAIN = 3  # tries to read a subscription that is counted anew meanwhile
TIMERS = ("sweep", "watch", "notices")
STALE_TIMER = timedelta(minutes=10)
_QUEUES = msgspec.json.Decoder(QueueSheet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the service itself is."""

    queues: QueueSheet | None  # None: not read yet
    rules: str  # which run; "": not looked at yet
    ran: Mapping[str, datetime | None]  # timer -> its latest good end
    parked: int  # not replayed; of the first page only
    swept: datetime | None  # the oldest finished sweep in scope
    suspicious: int

    def late(self, now: datetime) -> tuple[str, ...]:
        """Name the timers that have not run lately."""
        return tuple(name for name, at in self.ran.items() if at is None or now - at > STALE_TIMER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One line of a list."""

    subscription: str
    entry: Entry
    standing: Standing

    @property
    def id(self) -> str:
        return str(virtual_machine(self.subscription, self.entry.group, self.entry.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a list."""

    rows: tuple[Found, ...]
    total: int
    page: int

    @property
    def pages(self) -> int:
        return max(-(-self.total // PAGE), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything of one page view, read at one time."""

    at: datetime
    counted: tuple[Counted, ...]
    overview: Overview
    listing: Listing | None
    vaults: VaultSheet | None
    jobs: JobSheet | None
    trend: TrendSheet
    health: Health


async def seen(ports: Ports, filters: Filters) -> Seen:
    """Read and count for one view; a list only if something is filtered."""
    try:
        async with asyncio.TaskGroup() as group:
            summaries = group.create_task(ports.coverage.summaries())
            sheets = group.create_task(ports.coverage.sheets())
            swept = group.create_task(ports.ledger.sweeps())
            queued = group.create_task(ports.ledger.noted(QUEUED))
            rules = group.create_task(ports.ledger.noted(IN_FORCE))
            ran = [group.create_task(ports.ledger.noted(f"ran-{name}")) for name in TIMERS]
            parked = group.create_task(_parked(ports))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    counted = considered(
        summaries.result(),
        swept.result(),
        scope=ports.settings.subscriptions,
        now=ports.clock.now(),
        every=timedelta(seconds=ports.settings.sweep_seconds),
    )
    searched = await _searched(ports, counted, filters) if filters.by_entry else None
    kinds: Mapping[type[Sheet], Sheet] = {type(sheet): sheet for sheet in sheets.result()}
    vaults, jobs, trend = kinds.get(VaultSheet), kinds.get(JobSheet), kinds.get(TrendSheet)
    return Seen(
        at=ports.clock.now(),
        counted=counted,
        overview=_counted(counted, filters, searched),
        listing=await listed(ports, counted, filters, searched) if filters.chosen() else None,
        vaults=vaults if isinstance(vaults, VaultSheet) else None,
        jobs=jobs if isinstance(jobs, JobSheet) else None,
        trend=trend if isinstance(trend, TrendSheet) else TrendSheet(),
        health=Health(
            queues=_QUEUES.decode(text) if (text := queued.result()) else None,
            rules=rules.result(),
            ran={
                name: datetime.fromisoformat(end) if (end := task.result()) else None
                for name, task in zip(TIMERS, ran, strict=True)
            },
            parked=parked.result(),
            swept=min(
                (mark.finished_at for mark in swept.result() if mark.finished_at), default=None
            ),
            suspicious=sum(bool(mark.suspicious) for mark in swept.result()),
        ),
    )


async def _searched(
    ports: Ports, counted: Sequence[Counted], filters: Filters
) -> Mapping[str, Sequence[Entry]]:
    """Give what passes of every subscription that can hold it."""
    asked = [subscription for subscription, _ in matching(counted, filters)]
    found = await abreast(entries(ports, one, filters) for one in asked)
    return {one.subscription: lines for one, lines in zip(asked, found, strict=True)}


async def listed(
    ports: Ports,
    counted: Sequence[Counted],
    filters: Filters,
    searched: Mapping[str, Sequence[Entry]] | None = None,
) -> Listing:
    """Give one page of the VMs that pass, by subscription, group and name."""
    amounts = [
        (one, count if searched is None else len(searched.get(one.subscription, ())))
        for one, count in matching(counted, filters)
    ]
    total = sum(count for _, count in amounts)
    page = min(filters.page, max(-(-total // PAGE), 1))
    skip, rows = (page - 1) * PAGE, list[Found]()
    for one, count in amounts:
        if skip >= count:
            skip -= count
            continue
        if searched is not None:
            passing = list(searched[one.subscription])
        else:
            passing = await entries(ports, one, filters)
        rows += [_found(one, entry) for entry in passing[skip : skip + PAGE - len(rows)]]
        skip = 0
        if len(rows) >= PAGE:
            break
    return Listing(rows=tuple(rows), total=total, page=page)


async def every(ports: Ports, counted: Sequence[Counted], filters: Filters) -> AsyncIterator[Found]:
    """Walk all VMs that pass, for exports."""
    for one, _ in matching(counted, filters):
        for entry in await entries(ports, one, filters):
            yield _found(one, entry)


async def entries(ports: Ports, one: Counted, filters: Filters) -> list[Entry]:
    """Give the entries of a subscription that pass; counted anew meanwhile, it is read anew.

    Raises:
        AzureFault: it was counted anew each time.

    """
    summary: Summary | None = one.summary
    for _ in range(_AGAIN):
        if summary is None:
            return []
        try:
            return [
                entry
                async for block in ports.coverage.entries(summary, filters.having)
                for entry in block
                if filters.keeps(entry, one.subscription, doubtful=bool(one.doubt))
                and filters.finds(entry)
            ]
        except Conflict:
            latest = {found.subscription: found for found in await ports.coverage.summaries()}
            summary = latest.get(one.subscription)
    raise AzureFault(
        "coverage.read",
        status=0,
        code="Contention",
        message=f"{one.subscription} was counted anew {_AGAIN} times while it was read",
        disposition=Disposition.DEFER,
    )


def _found(one: Counted, entry: Entry) -> Found:
    return Found(
        subscription=one.subscription,
        entry=entry,
        standing=doubted(entry.standing, doubtful=bool(one.doubt)),
    )


def _counted(
    counted: Sequence[Counted], filters: Filters, searched: Mapping[str, Sequence[Entry]] | None
) -> Overview:
    if searched is None:
        return overview(counted, filters)

    def found(one: Counted) -> tuple[Cell, ...]:
        return cells(searched.get(one.subscription, ()))

    cover = overview(counted, filters, found)
    return replace(cover, tags=by_tag(counted, filters, searched))


async def _parked(ports: Ports) -> int:
    async for page in ports.parked.all():
        return sum(one.replayed_at is None for one in page)
    return 0
