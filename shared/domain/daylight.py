"""Which time zones move their clocks, and when next: backup schedules do not move (row S21).

A policy at 23:00 in such a zone keeps its standard time, so by the wall clock it starts an hour
later in summer. The rules of the zones are those of 2026; a zone that follows no calendar rule
(Morocco, West Bank) is named without a date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

_SUNDAY, _FRIDAY, _THURSDAY = 6, 4, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Nth:
    """A day like "last Sunday of March" (``earliest`` 0) or "first Sunday from the 8th"."""

    month: int
    weekday: int
    earliest: int  # first day of the month that counts; 0: the last such weekday
    words: str

    def of(self, year: int) -> date:
        if self.earliest == 0:
            first = date(year + self.month // 12, self.month % 12 + 1, 1)
            return first - timedelta(days=(first.weekday() - self.weekday - 1) % 7 + 1)
        start = date(year, self.month, self.earliest)
        return start + timedelta(days=(self.weekday - start.weekday()) % 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daylight:
    """One calendar rule. ``begins`` and ``ends`` None: it follows no rule we know."""

    begins: Nth | None
    ends: Nth | None
    minutes: int = 60

    @property
    def words(self) -> str:
        if self.begins is None or self.ends is None:
            return "dates announced every year"
        return f"from the {self.begins.words} to the {self.ends.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The next time the clocks move. ``minutes`` forward is positive."""

    on: date
    minutes: int


_LAST_MARCH = Nth(month=3, weekday=_SUNDAY, earliest=0, words="last Sunday of March")
_LAST_OCTOBER = Nth(month=10, weekday=_SUNDAY, earliest=0, words="last Sunday of October")
_FIRST_APRIL = Nth(month=4, weekday=_SUNDAY, earliest=1, words="first Sunday of April")
_FIRST_OCTOBER = Nth(month=10, weekday=_SUNDAY, earliest=1, words="first Sunday of October")
_EUROPE = Daylight(begins=_LAST_MARCH, ends=_LAST_OCTOBER)
_AMERICA = Daylight(
    begins=Nth(month=3, weekday=_SUNDAY, earliest=8, words="second Sunday of March"),
    ends=Nth(month=11, weekday=_SUNDAY, earliest=1, words="first Sunday of November"),
)
_AUSTRALIA = Daylight(begins=_FIRST_OCTOBER, ends=_FIRST_APRIL)
_LORD_HOWE = Daylight(begins=_FIRST_OCTOBER, ends=_FIRST_APRIL, minutes=30)
_NEW_ZEALAND = Daylight(
    begins=Nth(month=9, weekday=_SUNDAY, earliest=0, words="last Sunday of September"),
    ends=_FIRST_APRIL,
)
_CHILE = Daylight(
    begins=Nth(month=9, weekday=_SUNDAY, earliest=2, words="first Sunday from September 2"),
    ends=Nth(month=4, weekday=_SUNDAY, earliest=2, words="first Sunday from April 2"),
)
_EGYPT = Daylight(
    begins=Nth(month=4, weekday=_FRIDAY, earliest=0, words="last Friday of April"),
    ends=Nth(month=10, weekday=_THURSDAY, earliest=0, words="last Thursday of October"),
)
_ISRAEL = Daylight(
    begins=Nth(month=3, weekday=_FRIDAY, earliest=23, words="Friday from March 23"),
    ends=_LAST_OCTOBER,
)
_IRREGULAR = Daylight(begins=None, ends=None)

_ZONES: Mapping[Daylight, str] = {
    _EUROPE: "GMT Standard Time|W. Europe Standard Time|Central Europe Standard Time|"
    "Romance Standard Time|Central European Standard Time|GTB Standard Time|FLE Standard Time|"
    "E. Europe Standard Time|Azores Standard Time|Greenland Standard Time|"
    "Middle East Standard Time",
    _AMERICA: "Eastern Standard Time|Central Standard Time|Mountain Standard Time|"
    "Pacific Standard Time|Pacific Standard Time (Mexico)|Alaskan Standard Time|"
    "Aleutian Standard Time|Atlantic Standard Time|Newfoundland Standard Time|"
    "Cuba Standard Time|Haiti Standard Time|Turks And Caicos Standard Time|"
    "Saint Pierre Standard Time|US Eastern Standard Time",
    _AUSTRALIA: "AUS Eastern Standard Time|Tasmania Standard Time|Cen. Australia Standard Time|"
    "Norfolk Standard Time",
    _LORD_HOWE: "Lord Howe Standard Time",
    _NEW_ZEALAND: "New Zealand Standard Time|Chatham Islands Standard Time",
    _CHILE: "Pacific SA Standard Time|Easter Island Standard Time",
    _EGYPT: "Egypt Standard Time",
    _ISRAEL: "Israel Standard Time",
    _IRREGULAR: "Morocco Standard Time|West Bank Standard Time",
}
_DAYLIGHT = {name.lower(): rule for rule, names in _ZONES.items() for name in names.split("|")}


def daylight(time_zone: str) -> Daylight | None:
    """Give the daylight-saving rule of a Windows time zone; None if its clocks stay."""
    return _DAYLIGHT.get(time_zone.strip().lower())


def next_change(time_zone: str, after: date) -> Change | None:
    """Give the next move of the clocks after a day; None if there is none, or no rule for it."""
    rule = daylight(time_zone)
    if rule is None or rule.begins is None or rule.ends is None:
        return None
    upcoming = [
        Change(on=day, minutes=minutes)
        for year in (after.year, after.year + 1)
        for day, minutes in (
            (rule.begins.of(year), rule.minutes),
            (rule.ends.of(year), -rule.minutes),
        )
        if day > after
    ]
    return min(upcoming, key=lambda change: change.on)
