"""When a policy backs up next, and by when the first recovery point must exist (DESIGN §3.15).

Azure's schedules do not move with daylight saving (facts §6.2), so a time zone is its standard
offset, all year round.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from shared.domain.model import Frequency, Policy, Schedule

HOURS = 6  # Azure starts within two hours of the schedule (facts §4.1), and a first backup runs
UNREADABLE = timedelta(days=8)  # schedule unknown: a weekly one at worst

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# Standard offsets in hours of Windows time zones (Windows' own names and offsets, 2026).
_OFFSETS: dict[float, str] = {
    -12: "Dateline Standard Time",
    -11: "UTC-11|Samoa Standard Time",
    -10: "Hawaiian Standard Time|Aleutian Standard Time",
    -9.5: "Marquesas Standard Time",
    -9: "Alaskan Standard Time|UTC-09",
    -8: "Pacific Standard Time|Pacific Standard Time (Mexico)|UTC-08",
    -7: "Mountain Standard Time|US Mountain Standard Time|Mountain Standard Time (Mexico)|"
    "Yukon Standard Time",
    -6: "Central Standard Time|Central America Standard Time|Central Standard Time (Mexico)|"
    "Canada Central Standard Time|Easter Island Standard Time",
    -5: "Eastern Standard Time|SA Pacific Standard Time|US Eastern Standard Time|"
    "Eastern Standard Time (Mexico)|Haiti Standard Time|Cuba Standard Time|"
    "Turks And Caicos Standard Time",
    -4: "Atlantic Standard Time|SA Western Standard Time|Pacific SA Standard Time|"
    "Venezuela Standard Time|Central Brazilian Standard Time|Paraguay Standard Time",
    -3.5: "Newfoundland Standard Time",
    -3: "E. South America Standard Time|Argentina Standard Time|SA Eastern Standard Time|"
    "Greenland Standard Time|Montevideo Standard Time|Bahia Standard Time|"
    "Tocantins Standard Time|Magallanes Standard Time|Saint Pierre Standard Time",
    -2: "UTC-02|Mid-Atlantic Standard Time",
    -1: "Azores Standard Time|Cape Verde Standard Time",
    0: "UTC|Coordinated Universal Time|GMT Standard Time|Greenwich Standard Time|"
    "Sao Tome Standard Time|Morocco Standard Time",
    1: "W. Europe Standard Time|Central Europe Standard Time|Romance Standard Time|"
    "Central European Standard Time|W. Central Africa Standard Time",
    2: "E. Europe Standard Time|FLE Standard Time|GTB Standard Time|Egypt Standard Time|"
    "South Africa Standard Time|Israel Standard Time|Jordan Standard Time|"
    "Middle East Standard Time|Syria Standard Time|Kaliningrad Standard Time|"
    "Libya Standard Time|Namibia Standard Time|Sudan Standard Time|West Bank Standard Time",
    3: "Arab Standard Time|Arabic Standard Time|Russian Standard Time|E. Africa Standard Time|"
    "Turkey Standard Time|Belarus Standard Time|Volgograd Standard Time",
    3.5: "Iran Standard Time",
    4: "Arabian Standard Time|Azerbaijan Standard Time|Georgian Standard Time|"
    "Mauritius Standard Time|Caucasus Standard Time|Russia Time Zone 3|Saratov Standard Time|"
    "Astrakhan Standard Time",
    4.5: "Afghanistan Standard Time",
    5: "West Asia Standard Time|Pakistan Standard Time|Ekaterinburg Standard Time|"
    "Qyzylorda Standard Time",
    5.5: "India Standard Time|Sri Lanka Standard Time",
    5.75: "Nepal Standard Time",
    6: "Central Asia Standard Time|Bangladesh Standard Time|Omsk Standard Time",
    6.5: "Myanmar Standard Time",
    7: "SE Asia Standard Time|N. Central Asia Standard Time|North Asia Standard Time|"
    "Altai Standard Time|W. Mongolia Standard Time|Tomsk Standard Time",
    8: "China Standard Time|Singapore Standard Time|Taipei Standard Time|"
    "W. Australia Standard Time|North Asia East Standard Time|Ulaanbaatar Standard Time",
    8.75: "Aus Central W. Standard Time",
    9: "Tokyo Standard Time|Korea Standard Time|Yakutsk Standard Time|"
    "Transbaikal Standard Time|North Korea Standard Time",
    9.5: "AUS Central Standard Time|Cen. Australia Standard Time",
    10: "AUS Eastern Standard Time|E. Australia Standard Time|Tasmania Standard Time|"
    "West Pacific Standard Time|Vladivostok Standard Time",
    10.5: "Lord Howe Standard Time",
    11: "Central Pacific Standard Time|Sakhalin Standard Time|Magadan Standard Time|"
    "Bougainville Standard Time|Norfolk Standard Time|Russia Time Zone 10",
    12: "New Zealand Standard Time|Fiji Standard Time|UTC+12|Kamchatka Standard Time|"
    "Russia Time Zone 11",
    12.75: "Chatham Islands Standard Time",
    13: "Tonga Standard Time|UTC+13",
    14: "Line Islands Standard Time",
}
_OFFSET_OF = {
    name.lower(): timedelta(hours=hours)
    for hours, names in _OFFSETS.items()
    for name in names.split("|")
}


def standard_offset(time_zone: str) -> timedelta | None:
    """Give a Windows time zone's standard offset from UTC; None if the name is not known."""
    return _OFFSET_OF.get(time_zone.strip().lower())


def time_zones() -> tuple[str, ...]:
    """Give the names of the time zones that are known."""
    return tuple(name for names in _OFFSETS.values() for name in names.split("|"))


def next_backup(policy: Policy, after: datetime) -> datetime | None:
    """Give the policy's next scheduled start after a UTC instant; None if it cannot be read."""
    if policy.schedule is None or not policy.schedule.times:
        return None
    offset = standard_offset(policy.time_zone) or timedelta()
    local = after.astimezone(UTC) + offset
    for ahead in range(9):
        day = local + timedelta(days=ahead)
        starts = (
            datetime.combine(day.date(), start, tzinfo=UTC) - offset
            for start in _starts(policy.schedule, _DAYS[day.weekday()])
        )
        upcoming = sorted(start for start in starts if start > after)
        if upcoming:
            return upcoming[0]
    return None


def starts_later(policy: Policy | None, now: datetime, hours: int) -> bool:
    """Say whether the next scheduled start is further away; one that is not known counts as far."""
    start = next_backup(policy, now) if policy is not None else None
    return start is None or start - now > timedelta(hours=hours)


def first_backup_deadline(
    policy: Policy | None, enrolled: datetime, *, hours: int = HOURS
) -> datetime:
    """Give the instant by which a VM enrolled then must have its first recovery point.

    ``hours`` is what the rule grants after the schedule (option ``deadline_hours``).
    """
    start = next_backup(policy, enrolled) if policy is not None else None
    if start is None:
        return enrolled + UNREADABLE
    return start + timedelta(hours=hours)


def _starts(schedule: Schedule, weekday: str) -> tuple[time, ...]:
    match schedule.frequency:
        case Frequency.DAILY:
            return schedule.times
        case Frequency.WEEKLY:
            return schedule.times if weekday in {d.lower() for d in schedule.days} else ()
        case Frequency.HOURLY:
            return _hourly(schedule)


def _hourly(schedule: Schedule) -> tuple[time, ...]:
    step = schedule.interval_hours or 24
    window = schedule.window_hours or 24
    start = schedule.times[0]
    hours = [start.hour + ahead for ahead in range(0, window, step)]
    return tuple(time(hour % 24, start.minute) for hour in hours)
