"""What a policy body must be to be accepted, and how the service writes it back (facts §6.2).

The service has one text for ten mistakes; only a retention out of range has its own code.
"""

from datetime import timedelta

from simulator.arm import Json
from simulator.backup import refusals
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, read_time, text_of, time_text
from simulator.backup.names import MANAGEMENT
from simulator.backup.schedules import times_of_day
from simulator.backup.zones import offset

#: Shortest and longest retention by tier (vendor documents; minimum of RSV26).
RETENTION = {
    "dailySchedule": ("Days", 7, 9999),
    "weeklySchedule": ("Weeks", 1, 5163),
    "monthlySchedule": ("Months", 1, 1188),
    "yearlySchedule": ("Years", 1, 99),
}
#: The order a tier's members come back in.
_TIER_ORDER = (
    "daysOfTheWeek",
    "retentionScheduleFormatType",
    "monthsOfYear",
    "retentionScheduleDaily",
    "retentionScheduleWeekly",
    "retentionTimes",
    "retentionDuration",
)
INTERVALS = frozenset({4, 6, 8, 12, 24})
_HALF_HOUR = timedelta(minutes=30)


def checked(properties: Fields, era: Era) -> Fields:
    """Return the policy as the service keeps it, or refuse it."""
    management = text_of(properties.get("backupManagementType"))
    if management.lower() != MANAGEMENT.lower():
        raise refusals.bad_input(f"backupManagementType '{management}'")
    schedule = fields_of(properties.get("schedulePolicy"))
    enhanced = schedule.get("schedulePolicyType") == "SimpleSchedulePolicyV2"
    if not enhanced and schedule.get("schedulePolicyType") != "SimpleSchedulePolicy":
        raise refusals.bad_policy()
    if enhanced != (text_of(properties.get("policyType")).upper() == "V2"):
        raise refusals.bad_policy()
    zone = text_of(properties.get("timeZone")) or "UTC"
    if offset(zone) is None:
        raise refusals.bad_policy()
    weekly, starts = _check_schedule(schedule, enhanced=enhanced)
    retention = fields_of(properties.get("retentionPolicy"))
    _check_retention(retention, weekly=weekly, starts=starts)
    _check_tiering(properties.get("tieringPolicy"), retention)
    kept: Fields = {"backupManagementType": MANAGEMENT}
    if enhanced:
        kept["policyType"] = "V2"
    if era >= Era.Y2021:
        kept["instantRPDetails"] = fields_of(properties.get("instantRPDetails"))
    kept["schedulePolicy"] = _schedule_kept(schedule, enhanced=enhanced)
    kept["retentionPolicy"] = _retention_kept(retention)
    if "tieringPolicy" in properties:
        kept["tieringPolicy"] = properties["tieringPolicy"]
    if era >= Era.Y2019:
        kept["instantRpRetentionRangeInDays"] = _instant_days(properties, enhanced, weekly=weekly)
        kept["timeZone"] = zone
    if "snapshotConsistencyType" in properties:
        kept["snapshotConsistencyType"] = properties["snapshotConsistencyType"]
    return fields_of(_times_kept(kept))


def _check_schedule(schedule: Fields, *, enhanced: bool) -> tuple[bool, list[timedelta]]:
    frequency = text_of(schedule.get("scheduleRunFrequency"))
    plan = schedule
    if enhanced:
        plan = fields_of(schedule.get(f"{frequency.lower()}Schedule"))
    match frequency:
        case "Daily" | "Weekly":
            starts = times_of_day(plan.get("scheduleRunTimes"))
        case "Hourly" if enhanced:
            starts = times_of_day([plan.get("scheduleWindowStartTime")])
            interval, length = plan.get("interval"), plan.get("scheduleWindowDuration")
            if interval not in INTERVALS or not isinstance(length, int) or not 4 <= length <= 24:
                raise refusals.bad_policy()
        case _:
            raise refusals.bad_policy()
    if frequency == "Weekly" and not plan.get("scheduleRunDays"):
        raise refusals.bad_policy()
    if len(starts) != 1 or any(at % _HALF_HOUR for at in starts):
        raise refusals.bad_policy()
    return frequency == "Weekly", starts


def _check_retention(retention: Fields, *, weekly: bool, starts: list[timedelta]) -> None:
    if retention.get("retentionPolicyType") != "LongTermRetentionPolicy":
        raise refusals.bad_policy()
    needed, wrong = ("weeklySchedule", "dailySchedule") if weekly else ("dailySchedule", None)
    if not fields_of(retention.get(needed)) or (wrong and retention.get(wrong)):
        raise refusals.bad_policy()
    for tier, (unit, least, most) in RETENTION.items():
        plan = fields_of(retention.get(tier))
        if not plan:
            continue
        length = fields_of(plan.get("retentionDuration"))
        count = length.get("count")
        if length.get("durationType") != unit or isinstance(count, bool):
            raise refusals.bad_policy()
        if not isinstance(count, int) or times_of_day(plan.get("retentionTimes")) != starts:
            raise refusals.bad_policy()
        if not least <= count <= most:
            raise refusals.bad_retention()


def _check_tiering(tiering: Json, retention: Fields) -> None:
    """Archive needs points that are kept for months: daily-only policies are refused."""
    mode = fields_of(fields_of(tiering).get("ArchivedRP")).get("tieringMode")
    long_term = retention.get("monthlySchedule") or retention.get("yearlySchedule")
    if mode in {"TierRecommended", "TierAfter"} and not long_term:
        raise refusals.bad_policy()


def _instant_days(properties: Fields, enhanced: bool, *, weekly: bool) -> int:
    days = properties.get("instantRpRetentionRangeInDays", 5 if weekly else 2)
    least, most = (5 if weekly else 1), (30 if enhanced else 5)
    if isinstance(days, bool) or not isinstance(days, int) or not least <= days <= most:
        raise refusals.bad_policy()
    return days


def _schedule_kept(schedule: Fields, *, enhanced: bool) -> Fields:
    if enhanced:
        return _in_order(
            schedule,
            (
                "schedulePolicyType",
                "scheduleRunFrequency",
                "hourlySchedule",
                "dailySchedule",
                "weeklySchedule",
            ),
            {},
        )
    return _in_order(
        schedule,
        (
            "schedulePolicyType",
            "scheduleRunFrequency",
            "scheduleRunDays",
            "scheduleRunTimes",
            "scheduleWeeklyFrequency",
        ),
        {"scheduleWeeklyFrequency": 0},
    )


def _in_order(given: Fields, order: tuple[str, ...], otherwise: Fields) -> Fields:
    whole = {**otherwise, **given}
    return {key: whole[key] for key in order if whole.get(key) is not None}


def _retention_kept(retention: Fields) -> Fields:
    kept: Fields = {"retentionPolicyType": retention["retentionPolicyType"]}
    for tier in RETENTION:
        if plan := fields_of(retention.get(tier)):
            kept[tier] = _in_order(plan, _TIER_ORDER, {})
    return kept


def _times_kept(value: Json) -> Json:
    """Rewrite ``…00.000Z`` as ``…00Z`` everywhere, as a policy comes back (report §6.29)."""
    match value:
        case dict():
            return {key: _times_kept(inner) for key, inner in value.items()}
        case list():
            return [_times_kept(inner) for inner in value]
        case str() if value.endswith("Z") and (at := read_time(value)) is not None:
            return time_text(at)
        case _:
            return value
