"""Does Azure take a declared policy? Limits come from `limits.json` (facts §4.1, §6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.domain.daylight import daylight
from shared.domain.limits import LIMITS
from shared.domain.rules.declared import (
    DeclaredPolicy,
    KeepMonthly,
    KeepYearly,
    Kind,
    Timetable,
)
from shared.domain.schedule import standard_offset, time_zones
from shared.domain.spelling import did_you_mean

NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,148}[A-Za-z0-9]")  # facts §1.12
NAME_HINT = "3-150 letters, digits, hyphens; starts with a letter, no hyphen at the end"
INTERVALS = (4, 6, 8, 12, 24)

type Place = tuple[str, ...]
type Problem = tuple[Place, str, str, str]  # where in the policy, what, hint, level


def problems(policy: DeclaredPolicy) -> Iterator[Problem]:
    """Give everything that Azure would refuse, or that is probably not meant."""
    if not NAME.fullmatch(policy.name):
        yield ("name",), f"{policy.name[:80]!r} is no policy name", NAME_HINT, "error"
    yield from _schedule(policy)
    yield from _instant(policy)
    yield from _keep(policy)
    yield from _zone(policy)
    if policy.crash_consistent_only and policy.kind is Kind.STANDARD:
        yield ("crash_consistent_only",), "needs kind: enhanced", "", "error"


def _schedule(policy: DeclaredPolicy) -> Iterator[Problem]:
    given = [
        name for name in ("daily", "weekly", "hourly") if getattr(policy.schedule, name) is not None
    ]
    if len(given) != 1:
        yield ("schedule",), "must be exactly one of daily, weekly, hourly", "", "error"
    hourly = policy.schedule.hourly
    if hourly is None:
        return
    if policy.kind is Kind.STANDARD:
        yield (
            ("schedule", "hourly"),
            "a Standard policy backs up once a day at most",
            "kind: enhanced",
            "error",
        )
    if hourly.every_hours not in INTERVALS:
        known = ", ".join(map(str, INTERVALS))
        yield (
            ("schedule", "hourly", "every_hours"),
            f"cannot be {hourly.every_hours}",
            known,
            "error",
        )
    if hourly.window_hours < hourly.every_hours:
        yield (
            ("schedule", "hourly", "window_hours"),
            "is shorter than the interval",
            f"at least {hourly.every_hours}",
            "error",
        )


def _instant(policy: DeclaredPolicy) -> Iterator[Problem]:
    days = policy.instant_restore_days
    weekly = policy.schedule.weekly is not None
    where: Place = ("instant_restore_days",)
    if policy.kind is Kind.STANDARD:
        most = LIMITS.number("instant_restore_standard")
        if weekly and days != most:
            yield where, f"must be {most} for a weekly Standard policy", "", "error"
        elif days is not None and not 1 <= days <= most:
            yield where, f"cannot be {days} for a Standard policy", f"1 to {most}", "error"
        return
    most = LIMITS.number("instant_restore_enhanced")
    if policy.schedule.hourly is not None:
        every = f"instant_restore_every_{policy.schedule.hourly.every_hours}_hours"
        most = LIMITS.number(every) if every in LIMITS else most
    least = 5 if weekly else 1
    if days is not None and not least <= days <= most:
        yield where, f"cannot be {days} with this schedule", f"{least} to {most}", "error"


def _keep(policy: DeclaredPolicy) -> Iterator[Problem]:
    keep, schedule = policy.keep, policy.schedule
    if schedule.weekly is None and keep.days is None:
        yield ("keep",), "a daily or hourly schedule needs `days`", "", "error"
    if schedule.weekly is not None:
        yield from _keep_weekly_schedule(policy)
    numbers = (
        (("keep", "days"), keep.days, LIMITS.number("daily_days_least"), "daily_days"),
        (
            ("keep", "weekly", "weeks"),
            keep.weekly.weeks if keep.weekly else None,
            1,
            "weekly_weeks",
        ),
        (
            ("keep", "monthly", "months"),
            keep.monthly.months if keep.monthly else None,
            1,
            "monthly_months",
        ),
        (
            ("keep", "yearly", "years"),
            keep.yearly.years if keep.yearly else None,
            1,
            "yearly_years",
        ),
    )
    for where, number, least, limit in numbers:
        most = LIMITS.number(limit)
        if number is not None and not least <= number <= most:
            yield where, f"cannot be {number}", f"{least} to {most}", "error"
    for name, tier in (("monthly", keep.monthly), ("yearly", keep.yearly)):
        if tier is not None:
            yield from _relative(("keep", name), tier, schedule)


def _keep_weekly_schedule(policy: DeclaredPolicy) -> Iterator[Problem]:
    assert policy.schedule.weekly is not None
    days = set(policy.schedule.weekly.days)
    if policy.keep.days is not None:
        yield ("keep", "days"), "a weekly schedule has no daily points", "remove it", "error"
    if policy.keep.weekly is None:
        yield ("keep",), "a weekly schedule needs `weekly`", "", "error"
    elif set(policy.keep.weekly.days) != days:
        names = ", ".join(sorted(days))
        yield ("keep", "weekly", "days"), "must be the days of the schedule", names, "error"


def _relative(
    where: Place, tier: KeepMonthly | KeepYearly, schedule: Timetable
) -> Iterator[Problem]:
    """Check the two ways to name a point: weekday of the month, or date."""
    by_week, by_date = bool(tier.weeks or tier.days), bool(tier.dates)
    if by_week == by_date:
        yield where, "needs either weeks and days, or dates", "", "error"
    elif by_week and not (tier.weeks and tier.days):
        yield where, "needs both weeks and days", "", "error"
    wrong = [date for date in tier.dates if not 0 <= date <= 28]
    if wrong:
        yield (
            (*where, "dates"),
            f"cannot hold {wrong[0]}",
            "1 to 28, or 0 for the last day",
            "error",
        )
    if schedule.weekly is None:
        return
    if by_date:
        yield where, "with a weekly schedule, name weeks and days, not dates", "", "error"
    elif not set(tier.days) <= set(schedule.weekly.days):
        yield (*where, "days"), "holds a day without a backup", "", "error"


def _zone(policy: DeclaredPolicy) -> Iterator[Problem]:
    if standard_offset(policy.time_zone) is None:
        yield (
            ("time_zone",),
            f"{policy.time_zone[:60]!r} is no Windows time zone that we know",
            did_you_mean(policy.time_zone, time_zones()),
            "error",
        )
        return
    rule = daylight(policy.time_zone)
    if rule is not None:
        yield (
            ("time_zone",),
            (
                f"{policy.time_zone} moves its clocks ({rule.words}) but backup schedules do not:"
                f" {rule.minutes} minutes later by the wall clock in summer"
            ),
            "UTC, or change the policy by hand at both changes",
            "warning",
        )
