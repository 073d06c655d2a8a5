"""What the coverage page shows, as values. Pure: summaries and filters in, an `Overview` out.

The same numbers feed the page, its JSON and `ops coverage`. Links are query strings of filters,
so that every view can be sent to a colleague.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.coverage import (
    NO_VM,
    Cell,
    Entry,
    Standing,
    Summary,
    doubt,
    doubted,
    percentile,
)
from shared.domain.records import SweepMark
from shared.web.filters import Filters

NOT_SEEN_YET = "no row yet"
NO_VALUE = "(empty)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One line of a table: how many of some VMs are protected."""

    key: str
    protected: int
    of: int
    query: str

    @property
    def missing(self) -> int:
        return self.of - self.protected

    @property
    def share(self) -> str:
        return percent(self.protected, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """VMs of one standing, or with one cause."""

    key: str
    count: int
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A subscription of which nothing good is believed now."""

    subscription: str
    why: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that is counted."""

    protected: int
    of: int
    standings: tuple[Slice, ...]
    causes: tuple[Slice, ...]
    subscriptions: tuple[Part, ...]
    regions: tuple[Part, ...]
    vaults: tuple[Part, ...]
    policies: tuple[Part, ...]
    rules: tuple[Part, ...]
    doubts: tuple[Doubt, ...]
    missing: int  # VMs a sweep saw and no row tells of; they count as unknown
    enroll_p50: float | None
    enroll_p95: float | None
    protect_p50: float | None
    protect_p95: float | None
    counted_at: datetime | None  # the oldest count among those shown
    tags: tuple[Part, ...] = ()  # by value of the tag that is looked for, if no value is

    @property
    def share(self) -> str:
        return percent(self.protected, self.of)

    def count(self, standing: Standing) -> int:
        return next((one.count for one in self.standings if one.key == standing), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One subscription with what is doubted of it."""

    summary: Summary
    doubt: str
    missing: int

    @property
    def subscription(self) -> str:
        return self.summary.subscription


def percent(part: int, whole: int) -> str:
    """Give a share rounded down, so that only all of them are 100 %."""
    if not whole:
        return "–"
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %" if tenths < 1000 else "100 %"


def considered(
    summaries: Iterable[Summary],
    swept: Iterable[SweepMark],
    *,
    scope: Sequence[str],
    now: datetime,
    every: timedelta,
) -> tuple[Counted, ...]:
    """Put beside each subscription what is doubted of it and how many VMs have no row.

    A subscription that was swept and never counted, or is in scope and was never swept, is told
    as well: it must not be missing silently. One that the settings no longer name is left out.
    """
    marks = {mark.subscription.lower(): mark for mark in swept}
    known = {one.subscription: one for one in summaries}
    names = {one.lower() for one in scope} if scope else known.keys() | marks.keys()
    found = []
    for name in sorted(names):
        summary = known.get(name) or Summary(subscription=name, counted_at=now)
        mark = marks.get(name)
        why = doubt(mark, now, every)
        seen = mark.vms if mark is not None and not mark.suspicious else 0
        ours = sum(cell.count for cell in summary.cells if cell.standing is not Standing.ORPHANED)
        missing = max(seen - ours - summary.gone, 0)
        found.append(Counted(summary=summary, doubt=why, missing=missing))
    return tuple(found)


def overview(
    counted: Sequence[Counted],
    filters: Filters,
    cells_of: Callable[[Counted], Iterable[Cell]] = lambda one: one.summary.cells,
) -> Overview:
    """Count what passes the filters. ``cells_of`` gives other cells where entries were searched."""
    shown = [one for one in counted if filters.subscription.lower() in {"", one.subscription}]
    tally = _Tally()
    for one in shown:
        for cell in cells_of(one):
            if filters.keeps(cell, one.subscription, doubtful=bool(one.doubt)):
                tally.add(one.subscription, cell, doubtful=bool(one.doubt))
    missing = _missing(shown, filters, tally)
    enroll, protect = Counter[int](), Counter[int]()
    for one in shown:
        enroll.update(one.summary.enroll)
        protect.update(one.summary.protect)
    return Overview(
        protected=tally.standings[Standing.PROTECTED],
        of=sum(count for key, count in tally.standings.items() if key not in NO_VM),
        standings=tuple(
            Slice(key=key, count=tally.standings[key], query=filters.query(standing=key.value))
            for key in Standing
            if tally.standings[key]
        ),
        causes=tuple(
            Slice(key=key, count=count, query=filters.query(cause=key))
            for key, count in sorted(tally.causes.items(), key=lambda pair: (-pair[1], pair[0]))
        ),
        subscriptions=_parts(tally.parts("subscription"), filters, "subscription"),
        regions=_parts(tally.parts("region"), filters, "region"),
        vaults=_parts(tally.parts("vault"), filters, "vault"),
        policies=_parts(tally.parts("policy"), filters, "policy"),
        rules=_parts(tally.parts("rule"), filters, "rule"),
        doubts=tuple(
            Doubt(
                subscription=one.subscription,
                why=one.doubt,
                query=filters.query(subscription=one.subscription),
            )
            for one in shown
            if one.doubt
        ),
        missing=missing,
        enroll_p50=percentile(enroll, 0.5),
        enroll_p95=percentile(enroll, 0.95),
        protect_p50=percentile(protect, 0.5),
        protect_p95=percentile(protect, 0.95),
        counted_at=min((one.summary.counted_at for one in shown), default=None),
    )


_PLACE = ("subscription", "region", "vault", "policy", "rule")


class _Tally:
    """Adds cells up: by standing, by cause, and by place, of which there are fewer than cells."""

    def __init__(self) -> None:
        self.standings: Counter[Standing] = Counter()
        self.causes: Counter[str] = Counter()
        self._places: dict[tuple[str, ...], list[int]] = {}

    def add(self, subscription: str, cell: Cell, *, doubtful: bool) -> None:
        standing = doubted(cell.standing, doubtful=doubtful)
        self.standings[standing] += cell.count
        for cause in cell.causes:
            self.causes[cause] += cell.count
        if standing in NO_VM:
            return
        place = (subscription, cell.region, cell.vault, cell.policy, cell.rule)
        found = self._places.setdefault(place, [0, 0])
        found[0] += cell.count if standing is Standing.PROTECTED else 0
        found[1] += cell.count

    def parts(self, name: str) -> dict[str, list[int]]:
        """Give protected and all by one part of their place; "" is nowhere."""
        number, found = _PLACE.index(name), dict[str, list[int]]()
        for place, (protected, of) in self._places.items():
            if key := place[number]:
                pair = found.setdefault(key.lower() if name == "vault" else key, [0, 0])
                pair[0] += protected
                pair[1] += of
        return found


def by_tag(
    counted: Iterable[Counted], filters: Filters, searched: Mapping[str, Sequence[Entry]]
) -> tuple[Part, ...]:
    """Count by value of the tag that is looked for; nothing if one value is."""
    name = filters.tag.strip().lower()
    if not name or "=" in name:
        return ()
    counts: dict[str, list[int]] = {}
    for one in counted:
        for entry in searched.get(one.subscription, ()):
            standing = doubted(entry.standing, doubtful=bool(one.doubt))
            if standing in NO_VM:
                continue
            value = next(text for key, text in entry.tags.items() if key.lower() == name)
            pair = counts.setdefault(value.strip().lower(), [0, 0])
            pair[0] += standing is Standing.PROTECTED
            pair[1] += 1
    found = [
        Part(
            key=value or NO_VALUE,
            protected=pair[0],
            of=pair[1],
            query=filters.query(tag=f"{name}={value}"),
        )
        for value, pair in counts.items()
    ]
    return tuple(sorted(found, key=lambda part: (-part.missing, -part.of, part.key)))


def _missing(shown: Iterable[Counted], filters: Filters, tally: _Tally) -> int:
    """Count VMs without a row as unknown, where nothing but the subscription is filtered."""
    if filters.chosen().keys() - {"subscription", "standing"}:
        return 0
    if filters.standing not in {"", Standing.UNKNOWN}:
        return 0
    total = 0
    for one in shown:
        if one.missing:
            cell = Cell(Standing.UNKNOWN, "", "", "", "", (NOT_SEEN_YET,), one.missing)
            tally.add(one.subscription, cell, doubtful=False)
            total += one.missing
    return total


def _parts(counts: Mapping[str, Sequence[int]], filters: Filters, name: str) -> tuple[Part, ...]:
    """Give the lines of a table, those with most unprotected VMs first."""
    found = [
        Part(key=key, protected=pair[0], of=pair[1], query=filters.query(**{name: key}))
        for key, pair in counts.items()
    ]
    return tuple(sorted(found, key=lambda part: (-part.missing, -part.of, part.key)))


def matching(counted: Sequence[Counted], filters: Filters) -> Iterator[tuple[Counted, int]]:
    """Give each subscription with how many of its VMs pass, tags and names aside."""
    for one in counted:
        count = sum(
            cell.count
            for cell in one.summary.cells
            if filters.keeps(cell, one.subscription, doubtful=bool(one.doubt))
        )
        if count:
            yield one, count
