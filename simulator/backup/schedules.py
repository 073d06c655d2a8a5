"""When a policy's backups run: Standard and Enhanced, daily, weekly and hourly, in its time zone.

The date inside a schedule time says nothing, only the time of day does; it is local to the
policy's ``timeZone`` although it is written with a ``Z`` (facts §6.2).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from simulator.arm import Json
from simulator.backup.formats import Fields, fields_of, read_time, text_of
from simulator.backup.zones import offset

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)


def next_run(policy: Fields, after: datetime) -> datetime | None:
    """Return the first scheduled run strictly after a time; None if nothing is scheduled."""
    shift = offset(text_of(policy.get("timeZone")) or "UTC") or timedelta()
    local = after + shift
    for step in range(-1, 9):
        day = (local + step * _DAY).date()
        for at in sorted(_runs_of(policy, day)):
            if (due := datetime.combine(day, time(), UTC) + at - shift) > after:
                return due
    return None


def _runs_of(policy: Fields, day: date) -> Iterator[timedelta]:
    """Yield the runs of a local day as offsets from its midnight; a window may pass the next one."""
    schedule = fields_of(policy.get("schedulePolicy"))
    enhanced = schedule.get("schedulePolicyType") == "SimpleSchedulePolicyV2"
    match text_of(schedule.get("scheduleRunFrequency")).lower():
        case "hourly":
            yield from _hourly(fields_of(schedule.get("hourlySchedule")))
        case "daily":
            plan = fields_of(schedule.get("dailySchedule")) if enhanced else schedule
            yield from times_of_day(plan.get("scheduleRunTimes"))
        case "weekly":
            plan = fields_of(schedule.get("weeklySchedule")) if enhanced else schedule
            if _DAYS[day.weekday()] in _names(plan.get("scheduleRunDays")):
                yield from times_of_day(plan.get("scheduleRunTimes"))
        case _:
            return


def _hourly(plan: Fields) -> Iterator[timedelta]:
    start = next(iter(times_of_day([plan.get("scheduleWindowStartTime")])), None)
    interval, length = plan.get("interval"), plan.get("scheduleWindowDuration")
    if start is None or not isinstance(interval, int) or not isinstance(length, int):
        return
    for hours in range(0, min(length, 23) + 1, max(interval, 1)):
        yield start + timedelta(hours=hours)


def times_of_day(times: Json) -> list[timedelta]:
    """Read schedule times as offsets from midnight; what is no time is left out."""
    read = [read_time(t) for t in times if isinstance(t, str)] if isinstance(times, list) else []
    return [timedelta(hours=at.hour, minutes=at.minute) for at in read if at is not None]


def _names(days: Json) -> set[str]:
    return {d.lower() for d in days if isinstance(d, str)} if isinstance(days, list) else set()


def keeps_for(policy: Fields) -> tuple[timedelta, str]:
    """Return how long a scheduled point is kept, with its rule's name (the shortest tier)."""
    retention = fields_of(policy.get("retentionPolicy"))
    for tier, days in (
        ("daily", 1),
        ("weekly", 7),
        ("monthly", 30),
        ("yearly", 365),
    ):
        plan = fields_of(retention.get(f"{tier}Schedule"))
        count = fields_of(plan.get("retentionDuration")).get("count")
        if isinstance(count, int):
            return timedelta(days=count * days), tier.title()
    return timedelta(days=30), "Daily"


def tiers(policy: Fields) -> dict[str, int]:
    """Return the retention of each tier in days: what an immutable item may not lose."""
    retention = fields_of(policy.get("retentionPolicy"))
    lengths = {"daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}
    found: dict[str, int] = {}
    for tier, days in lengths.items():
        plan = fields_of(retention.get(f"{tier}Schedule"))
        count = fields_of(plan.get("retentionDuration")).get("count")
        if isinstance(count, int):
            found[tier] = count * days
    return found


def keeps_less(new: Fields, old: Fields) -> bool:
    """Tell whether a policy keeps any tier shorter than another one, or not at all."""
    after = tiers(new)
    return any(after.get(tier, 0) < days for tier, days in tiers(old).items())
