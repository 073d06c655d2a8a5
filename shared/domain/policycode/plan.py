"""What it takes to make a vault's policy what the rules declare; shortening is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.domain.policycode.body import from_body, instant_days, to_body
from shared.domain.rules.declared import (
    DeclaredPolicy,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
    Timetable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """The policy does not exist."""

    name: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The policy is as declared."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The policy differs; ``differences`` are lines for people, ``shortens`` was allowed."""

    name: str
    body: dict[str, Any]
    differences: tuple[str, ...]
    shortens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Applying it would shorten what is kept, or cannot be done."""

    name: str
    differences: tuple[str, ...]
    because: tuple[str, ...]


type Plan = Create | Keep | Update | Refuse


def plan(
    declared: DeclaredPolicy,
    existing: Mapping[str, Any] | None,
    *,
    may_shorten: Collection[str] = (),
) -> Plan:
    """Compare a declared policy with Azure's properties (None: there is none).

    ``may_shorten`` names the policies whose retention the caller knowingly cuts: existing recovery
    points follow the new retention within a day (facts §6.2).
    """
    name = declared.name
    if existing is None:
        return Create(name=name, body=to_body(declared))
    there = from_body(name, existing)
    if there is None:
        return Refuse(
            name=name, differences=(), because=("the existing policy holds what we cannot read",)
        )
    differences = tuple(_differences(there, declared))
    if not differences:
        return Keep(name=name)
    if there.kind is not declared.kind:
        return Refuse(
            name=name, differences=differences, because=("a policy's kind cannot be changed",)
        )
    shortens = tuple(_shortens(there, declared))
    if shortens and name not in may_shorten:
        return Refuse(name=name, differences=differences, because=shortens)
    return Update(name=name, body=to_body(declared), differences=differences, shortens=shortens)


def _differences(there: DeclaredPolicy, wanted: DeclaredPolicy) -> Iterator[str]:
    before, after = _flat(there), _flat(wanted)
    for key in sorted(before | after):
        if before.get(key) != after.get(key):
            yield f"{key}: {_say(before.get(key))} -> {_say(after.get(key))}"


def _flat(policy: DeclaredPolicy) -> dict[str, object]:
    """Flatten to comparable lines; order of days does not matter, defaults are filled in."""
    flat: dict[str, object] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                walk(f"{prefix}.{name}" if prefix else name, getattr(value, name))
        elif isinstance(value, tuple):
            if value:
                flat[prefix] = tuple(sorted(map(str, value)))
        elif value is not None:
            flat[prefix] = str(value)

    walk("", policy)
    for name in ("name", "vaults"):
        flat.pop(name, None)
    flat["instant_restore_days"] = str(instant_days(policy))
    return flat


def _say(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _shortens(there: DeclaredPolicy, wanted: DeclaredPolicy) -> Iterator[str]:
    """Name every tier that keeps less: a shorter time, or fewer points."""
    old, new = there.keep, wanted.keep
    counts = (
        ("daily points", old.days, new.days),
        (
            "weekly points",
            old.weekly.weeks if old.weekly else None,
            new.weekly.weeks if new.weekly else None,
        ),
        (
            "monthly points",
            old.monthly.months if old.monthly else None,
            new.monthly.months if new.monthly else None,
        ),
        (
            "yearly points",
            old.yearly.years if old.yearly else None,
            new.yearly.years if new.yearly else None,
        ),
        ("instant restore days", instant_days(there), instant_days(wanted)),
        ("backups a week", _per_week(there.schedule), _per_week(wanted.schedule)),
    )
    for words, before, after in counts:
        if before is not None and (after is None or after < before):
            yield f"{words}: {before} -> {after if after is not None else 'none'}"
    for words, before_points, after_points in _points(there, wanted):
        lost = before_points - after_points
        if lost and after_points:
            yield f"{words} no longer kept: {', '.join(sorted(lost))}"
    if wanted.crash_consistent_only and not there.crash_consistent_only:
        yield "consistency: crash-consistent only"


def _points(
    there: DeclaredPolicy, wanted: DeclaredPolicy
) -> Iterator[tuple[str, set[str], set[str]]]:
    old, new = there.keep, wanted.keep
    yield "weekly points", _which(old.weekly), _which(new.weekly)
    yield "monthly points", _which(old.monthly), _which(new.monthly)
    yield "yearly points", _which(old.yearly), _which(new.yearly)


def _which(tier: KeepWeekly | KeepMonthly | KeepYearly | None) -> set[str]:
    """Spell out which points a tier keeps, so that a subset can be told from a change."""
    match tier:
        case None:
            return set()
        case KeepWeekly(days=days):
            return set(days)
        case KeepMonthly():
            return _named(tier)
        case KeepYearly(in_months=months):
            return {f"{point} of {month}" for point in _named(tier) for month in months}


def _named(tier: KeepMonthly | KeepYearly) -> set[str]:
    by_week = {f"{week} {day}" for week in tier.weeks for day in tier.days}
    return by_week | {f"day {date}" if date else "the last day" for date in tier.dates}


def _per_week(schedule: Timetable) -> int:
    if schedule.hourly is not None:
        return 7 * max(1, schedule.hourly.window_hours // schedule.hourly.every_hours)
    if schedule.weekly is not None:
        return len(schedule.weekly.days)
    return 7
