"""Is one policy weaker than another? Nothing we do by ourselves may make protection weaker.

A policy change cuts existing recovery points within a day (facts §6.2), and whoever may write
tags must not be able to destroy history that way (DESIGN §3.12). So every doubt counts as
weaker: an old policy that we cannot read is taken to be the stronger one.
"""

from __future__ import annotations

from shared.domain.model import Frequency, Policy, PolicyKind, Retention, Schedule

_TIERS: tuple[tuple[str, str, str], ...] = (
    ("daily_days", "daily retention", "days"),
    ("weekly_weeks", "weekly retention", "weeks"),
    ("monthly_months", "monthly retention", "months"),
    ("yearly_years", "yearly retention", "years"),
)


def weaker(old: Policy, new: Policy) -> tuple[str, ...]:
    """Name everything that shrinks from the old policy to the new one; () if nothing does."""
    if old.id == new.id:
        return ()
    found: list[str] = []
    if old.kind is PolicyKind.ENHANCED and new.kind is PolicyKind.STANDARD:
        found.append("kind: Enhanced to Standard, which Azure refuses")
    if old.retention is None or old.schedule is None:
        return (*found, f"policy {old.name} cannot be read, so it counts as the stronger one")
    if new.retention is None or new.schedule is None:
        return (*found, f"policy {new.name} cannot be read")
    found += _retention(old.retention, new.retention)
    before, after = _per_week(old.schedule), _per_week(new.schedule)
    if after < before:
        found.append(f"backups a week: {before} to {after}")
    found += _shorter("instant restore", old.instant_restore_days, new.instant_restore_days, "days")
    if new.crash_consistent_only and not old.crash_consistent_only:
        found.append("consistency: application-consistent to crash-consistent only")
    return tuple(found)


def _retention(old: Retention, new: Retention) -> list[str]:
    found: list[str] = []
    for field, words, unit in _TIERS:
        found += _shorter(words, getattr(old, field), getattr(new, field), unit)
    return found


def _shorter(words: str, old: int | None, new: int | None, unit: str) -> list[str]:
    if old is None or (new is not None and new >= old):
        return []
    return [f"{words}: {old} {unit} to {'none' if new is None else f'{new} {unit}'}"]


def _per_week(schedule: Schedule) -> int:
    """Count scheduled backups of a week; an hourly window of n hours holds n / interval of them."""
    match schedule.frequency:
        case Frequency.WEEKLY:
            return max(1, len(schedule.days)) * max(1, len(schedule.times))
        case Frequency.DAILY:
            return 7 * max(1, len(schedule.times))
        case Frequency.HOURLY:
            window, step = schedule.window_hours or 24, schedule.interval_hours or 24
            return 7 * max(1, window // max(1, step))
