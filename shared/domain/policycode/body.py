"""A declared policy as Azure's body, and back. Both ways, so that comparing is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from shared.domain.rules.declared import (
    Clock,
    DeclaredPolicy,
    Hourly,
    Keep,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
    Kind,
    Timetable,
    Weekly,
)

type Json = Mapping[str, Any]
_DAY = "2020-01-01"  # Azure wants a date with every time and looks at the time alone


def to_body(policy: DeclaredPolicy) -> dict[str, Any]:
    """Give the properties of a PUT of the policy."""
    at = _stamp(_start(policy.schedule))
    enhanced = policy.kind is Kind.ENHANCED
    body: dict[str, Any] = {
        "backupManagementType": "AzureIaasVM",
        "schedulePolicy": _schedule_v2(policy.schedule, at)
        if enhanced
        else _schedule_v1(policy.schedule, at),
        "retentionPolicy": _retention(policy.keep, at),
        "timeZone": policy.time_zone,
        "instantRpRetentionRangeInDays": instant_days(policy),
    }
    if enhanced:
        body["policyType"] = "V2"
    if policy.crash_consistent_only:
        body["snapshotConsistencyType"] = "OnlyCrashConsistent"
    return body


def instant_days(policy: DeclaredPolicy) -> int:
    """Give the days of instant restore; Azure's default is 2, and 5 where backups are weekly."""
    if policy.instant_restore_days is not None:
        return policy.instant_restore_days
    return 5 if policy.schedule.weekly is not None else 2


def _start(schedule: Timetable) -> Clock:
    if schedule.daily is not None:
        return schedule.daily
    if schedule.weekly is not None:
        return schedule.weekly.at
    assert schedule.hourly is not None, "checked: exactly one schedule"
    return schedule.hourly.start


def _stamp(clock: str) -> str:
    return f"{_DAY}T{clock}:00Z"


def _schedule_v1(schedule: Timetable, at: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunTimes": [at],
        "scheduleWeeklyFrequency": 0,
    }
    if schedule.weekly is None:
        return body | {"scheduleRunFrequency": "Daily"}
    days = [day.value for day in schedule.weekly.days]
    return body | {"scheduleRunFrequency": "Weekly", "scheduleRunDays": days}


def _schedule_v2(schedule: Timetable, at: str) -> dict[str, Any]:
    body: dict[str, Any] = {"schedulePolicyType": "SimpleSchedulePolicyV2"}
    if schedule.hourly is not None:
        hourly = {
            "interval": schedule.hourly.every_hours,
            "scheduleWindowStartTime": at,
            "scheduleWindowDuration": schedule.hourly.window_hours,
        }
        return body | {"scheduleRunFrequency": "Hourly", "hourlySchedule": hourly}
    if schedule.weekly is not None:
        weekly = {
            "scheduleRunDays": [day.value for day in schedule.weekly.days],
            "scheduleRunTimes": [at],
        }
        return body | {"scheduleRunFrequency": "Weekly", "weeklySchedule": weekly}
    return body | {"scheduleRunFrequency": "Daily", "dailySchedule": {"scheduleRunTimes": [at]}}


def _retention(keep: Keep, at: str) -> dict[str, Any]:
    body: dict[str, Any] = {"retentionPolicyType": "LongTermRetentionPolicy"}
    if keep.days is not None:
        body["dailySchedule"] = _kept(keep.days, "Days", at)
    if keep.weekly is not None:
        days = [day.value for day in keep.weekly.days]
        body["weeklySchedule"] = {"daysOfTheWeek": days} | _kept(keep.weekly.weeks, "Weeks", at)
    if keep.monthly is not None:
        body["monthlySchedule"] = _format(keep.monthly) | _kept(keep.monthly.months, "Months", at)
    if keep.yearly is not None:
        months = [month.value for month in keep.yearly.in_months]
        body["yearlySchedule"] = (
            {"monthsOfYear": months} | _format(keep.yearly) | _kept(keep.yearly.years, "Years", at)
        )
    return body


def _kept(count: int, unit: str, at: str) -> dict[str, Any]:
    return {"retentionTimes": [at], "retentionDuration": {"count": count, "durationType": unit}}


def _format(tier: KeepMonthly | KeepYearly) -> dict[str, Any]:
    if tier.dates:
        days = [{"date": date, "isLast": date == 0} for date in tier.dates]
        return {
            "retentionScheduleFormatType": "Daily",
            "retentionScheduleDaily": {"daysOfTheMonth": days},
        }
    return {
        "retentionScheduleFormatType": "Weekly",
        "retentionScheduleWeekly": {
            "daysOfTheWeek": [day.value for day in tier.days],
            "weeksOfTheMonth": [week.value for week in tier.weeks],
        },
    }


# --- back ----------------------------------------------------------------------------------------


def from_body(name: str, properties: Json) -> DeclaredPolicy | None:
    """Read Azure's body into what we would have declared; None if it holds more than we know."""
    try:
        described = {
            "name": name,
            "kind": "enhanced" if properties.get("policyType") == "V2" else "standard",
            "schedule": _read_schedule(properties["schedulePolicy"]),
            "keep": _read_keep(properties["retentionPolicy"]),
            "time_zone": properties.get("timeZone") or "UTC",
            "instant_restore_days": properties.get("instantRpRetentionRangeInDays"),
            "crash_consistent_only": properties.get("snapshotConsistencyType")
            == "OnlyCrashConsistent",
        }
        return msgspec.convert(described, DeclaredPolicy)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, msgspec.ValidationError):
        return None


def _clock(stamps: object) -> str:
    (stamp,) = cast("Sequence[str]", [stamps] if isinstance(stamps, str) else stamps)
    return stamp[11:16]


def _read_schedule(body: Json) -> dict[str, Any]:
    frequency = body["scheduleRunFrequency"]
    if frequency == "Hourly":
        hourly = body["hourlySchedule"]
        read = Hourly(
            every_hours=hourly["interval"],
            start=_clock(hourly["scheduleWindowStartTime"]),
            window_hours=hourly["scheduleWindowDuration"],
        )
        return {"hourly": msgspec.structs.asdict(read)}
    inner = body.get("dailySchedule") if frequency == "Daily" else body.get("weeklySchedule")
    inner = inner or body
    at = _clock(inner["scheduleRunTimes"])
    if frequency == "Daily":
        return {"daily": at}
    weekly = Weekly(at=at, days=tuple(inner["scheduleRunDays"]))
    return {"weekly": msgspec.structs.asdict(weekly)}


def _read_keep(body: Json) -> dict[str, Any]:
    if body["retentionPolicyType"] != "LongTermRetentionPolicy":
        raise ValueError(body["retentionPolicyType"])
    read: dict[str, Any] = {}
    if daily := body.get("dailySchedule"):
        read["days"] = _count(daily, "Days")
    if weekly := body.get("weeklySchedule"):
        kept = KeepWeekly(weeks=_count(weekly, "Weeks"), days=tuple(weekly["daysOfTheWeek"]))
        read["weekly"] = msgspec.structs.asdict(kept)
    if monthly := body.get("monthlySchedule"):
        read["monthly"] = {"months": _count(monthly, "Months")} | _read_format(monthly)
    if yearly := body.get("yearlySchedule"):
        read["yearly"] = {
            "years": _count(yearly, "Years"),
            "in_months": tuple(yearly["monthsOfYear"]),
        } | _read_format(yearly)
    return read


def _count(tier: Json, unit: str) -> int:
    duration = tier["retentionDuration"]
    if duration["durationType"] != unit:
        raise ValueError(duration["durationType"])
    return int(duration["count"])


def _read_format(tier: Json) -> dict[str, Any]:
    if tier["retentionScheduleFormatType"] == "Daily":
        days = tier["retentionScheduleDaily"]["daysOfTheMonth"]
        return {"dates": tuple(0 if day.get("isLast") else day["date"] for day in days)}
    weekly = tier["retentionScheduleWeekly"]
    return {
        "days": tuple(weekly["daysOfTheWeek"]),
        "weeks": tuple(weekly["weeksOfTheMonth"]),
    }
