"""Backup policies for VMs, Standard and Enhanced (facts §6).

A schedule or retention that is not fully understood is None as a whole: `decide` takes an
unreadable policy for the stronger one (DESIGN §3.12), and half a truth could look weaker.
"""

from __future__ import annotations

from datetime import datetime, time

from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    mapping,
    number,
    same,
    text,
    texts,
    words,
)
from shared.domain.model import Frequency, Policy, PolicyKind, Retention, Schedule

_VM = "AzureIaasVM"
_UNITS = {
    "dailySchedule": "Days",
    "weeklySchedule": "Weeks",
    "monthlySchedule": "Months",
    "yearlySchedule": "Years",
}


def parse_policy(body: Body) -> Policy | None:
    """Give the policy; None if it is not for VMs or its id cannot be read."""
    policy = arm_id(body, "id")
    properties = mapping(body, "properties")
    if policy is None or policy.parent is None:
        return None
    if not same(text(properties, "backupManagementType"), _VM):
        return None
    enhanced = same(text(properties, "policyType"), "V2")
    return Policy(
        id=policy,
        kind=PolicyKind.ENHANCED if enhanced else PolicyKind.STANDARD,
        schedule=_schedule(mapping(properties, "schedulePolicy")),
        retention=_retention(mapping(properties, "retentionPolicy")),
        instant_restore_days=number(properties, "instantRpRetentionRangeInDays"),
        time_zone=text(properties, "timeZone") or "UTC",
        crash_consistent_only=same(
            text(properties, "snapshotConsistencyType"), "OnlyCrashConsistent"
        ),
        archive=words(properties, "tieringPolicy", "ArchivedRP", "tieringMode"),
    )


def _schedule(body: Body) -> Schedule | None:
    """Give the schedule; V1 holds times at the top, V2 one object per frequency."""
    frequency = next(
        (one for one in Frequency if same(text(body, "scheduleRunFrequency"), one)), None
    )
    match frequency:
        case None:
            return None
        case Frequency.HOURLY:
            hourly = mapping(body, "hourlySchedule")
            start = _time(text(hourly, "scheduleWindowStartTime"))
            interval, window = number(hourly, "interval"), number(hourly, "scheduleWindowDuration")
            if start is None or not interval or not window:
                return None
            return Schedule(
                frequency=frequency, times=(start,), interval_hours=interval, window_hours=window
            )
        case Frequency.DAILY:
            times = _times(body) or _times(mapping(body, "dailySchedule"))
            return Schedule(frequency=frequency, times=times) if times else None
        case Frequency.WEEKLY:
            inner = mapping(body, "weeklySchedule") or body
            times, days = _times(inner), texts(inner, "scheduleRunDays")
            if not times or not days:
                return None
            return Schedule(frequency=frequency, times=times, days=days)


def _times(body: Body) -> tuple[time, ...]:
    """Give the times of day; none of them if one cannot be read."""
    times = [_time(word) for word in texts(body, "scheduleRunTimes")]
    return tuple(found for found in times if found is not None) if None not in times else ()


def _time(word: str) -> time | None:
    """Give the time of day of a timestamp whose day means nothing; no zone is applied."""
    try:
        return datetime.fromisoformat(word).time()
    except ValueError:
        return None


def _retention(body: Body) -> Retention | None:
    if same(text(body, "retentionPolicyType"), "SimpleRetentionPolicy"):
        count = _count(body, "Days")
        return Retention(daily_days=count) if count else None
    if not any(mapping(body, tier) for tier in _UNITS):
        return None
    kept: list[int | None] = []
    for tier, unit in _UNITS.items():
        schedule = mapping(body, tier)
        count = _count(schedule, unit) if schedule else None
        if schedule and count is None:
            return None
        kept.append(count)
    daily, weekly, monthly, yearly = kept
    return Retention(
        daily_days=daily, weekly_weeks=weekly, monthly_months=monthly, yearly_years=yearly
    )


def _count(schedule: Body, unit: str) -> int | None:
    duration = mapping(schedule, "retentionDuration")
    return number(duration, "count") if same(text(duration, "durationType"), unit) else None
