"""NCRONTAB: the six-field schedules of timer triggers, in UTC.

``{second} {minute} {hour} {day} {month} {day-of-week}``; five fields mean second 0. A day must
match both day fields. Time spans are refused: most plans refuse them (facts §7.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
DAYS = {
    name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
}
FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
HORIZON = timedelta(days=366 * 9)  # 29 February is at most eight years away


class UnusableSchedule(ValueError):
    """A schedule that is not NCRONTAB, or that never comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The values each field allows."""

    text: str
    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day: frozenset[int]
    month: frozenset[int]
    weekday: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        words = text.split()
        if len(words) == 5:
            words = ["0", *words]
        if len(words) != 6:
            raise UnusableSchedule(f"{text!r} is not an NCRONTAB expression of six fields")
        second, minute, hour, day, month, weekday = (
            _field(word, *field, text=text) for word, field in zip(words, FIELDS, strict=True)
        )
        return cls(
            text=text,
            second=second,
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            weekday=weekday,
        )

    def next_after(self, when: datetime) -> datetime:
        """Return the first occurrence strictly after ``when``."""
        at = when.replace(microsecond=0) + timedelta(seconds=1)
        end = when + HORIZON
        while at < end:
            if at.month not in self.month:
                at = (at.replace(day=1) + timedelta(days=32)).replace(
                    day=1, hour=0, minute=0, second=0
                )
            elif at.day not in self.day or at.isoweekday() % 7 not in self.weekday:
                at = at.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif at.hour not in self.hour:
                at = at.replace(minute=0, second=0) + timedelta(hours=1)
            elif at.minute not in self.minute:
                at = at.replace(second=0) + timedelta(minutes=1)
            elif at.second not in self.second:
                at += timedelta(seconds=1)
            else:
                return at
        raise UnusableSchedule(f"{self.text!r} never comes")

    def shortest_interval(self, when: datetime) -> timedelta:
        """Return the shortest of the next few intervals: it decides about the default monitor."""
        times = [self.next_after(when)]
        for _ in range(5):
            times.append(self.next_after(times[-1]))
        return min(later - earlier for earlier, later in pairwise(times))


def _field(
    word: str, name: str, low: int, high: int, names: Mapping[str, int], *, text: str
) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        try:
            stride = int(step) if step else 1
            if span == "*":
                first, last = low, high
            elif "-" in span:
                first, last = (_number(end, names) for end in span.split("-", 1))
            else:
                first = _number(span, names)
                last = high if step else first
        except ValueError:
            raise UnusableSchedule(f"{text!r}: {part!r} is no {name}") from None
        if not (low <= first <= last <= high and stride > 0):
            raise UnusableSchedule(f"{text!r}: {part!r} is no {name}")
        values.update(range(first, last + 1, stride))
    return frozenset(values)


def _number(word: str, names: Mapping[str, int]) -> int:
    return names.get(word.lower()[:3], -1) if word.isalpha() else int(word)
