"""Filters of event subscriptions: event types, subject, advanced filters (facts §5.6).

Several filters must all match, of several values one. A key that is missing matches only the
negative operators. Keys with a dot inside a name cannot be addressed, so ``claims`` cannot be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.arm import Json, Refusal

MOST_FILTERS = 25
MOST_VALUES = 25
LONGEST_VALUE = 512

type Test = Callable[[Json, Sequence[Json]], bool]


def _text(test: Callable[[str, str], bool]) -> Test:
    def holds(value: Json, wanted: Sequence[Json]) -> bool:
        return isinstance(value, str) and any(
            test(value.lower(), str(one).lower()) for one in wanted
        )

    return holds


def _number(test: Callable[[float, float], bool]) -> Test:
    def holds(value: Json, wanted: Sequence[Json]) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and any(test(value, one) for one in wanted if isinstance(one, int | float))
        )

    return holds


def _in_range(value: Json, wanted: Sequence[Json]) -> bool:
    return isinstance(value, int | float) and any(
        one[0] <= value <= one[1] for one in wanted if isinstance(one, list) and len(one) == 2
    )


POSITIVE: Mapping[str, Test] = {
    "StringIn": _text(lambda value, one: value == one),
    "StringContains": _text(lambda value, one: one in value),
    "StringBeginsWith": _text(lambda value, one: value.startswith(one)),
    "StringEndsWith": _text(lambda value, one: value.endswith(one)),
    "NumberIn": _number(lambda value, one: value == one),
    "NumberGreaterThan": _number(lambda value, one: value > one),
    "NumberGreaterThanOrEquals": _number(lambda value, one: value >= one),
    "NumberLessThan": _number(lambda value, one: value < one),
    "NumberLessThanOrEquals": _number(lambda value, one: value <= one),
    "NumberInRange": _in_range,
    "BoolEquals": lambda value, wanted: isinstance(value, bool) and value in wanted,
}
NEGATIVE: Mapping[str, str] = {
    "StringNotIn": "StringIn",
    "StringNotContains": "StringContains",
    "StringNotBeginsWith": "StringBeginsWith",
    "StringNotEndsWith": "StringEndsWith",
    "NumberNotIn": "NumberIn",
    "NumberNotInRange": "NumberInRange",
}
PRESENCE = frozenset({"IsNullOrUndefined", "IsNotNull"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    operator: str
    key: str
    values: tuple[Json, ...]

    def matches(self, event: Mapping[str, Json]) -> bool:
        value = _find(event, self.key)
        if self.operator == "IsNullOrUndefined":
            return value is None
        if self.operator == "IsNotNull":
            return value is not None
        if positive := NEGATIVE.get(self.operator):
            return not POSITIVE[positive](value, self.values)
        return POSITIVE[self.operator](value, self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    types: frozenset[str] | None
    begins: str
    ends: str
    case_sensitive: bool
    advanced: tuple[Advanced, ...]

    def matches(self, event: Mapping[str, Json]) -> bool:
        """Tell whether an event, in its delivery schema, passes."""
        kind = str(event.get("eventType", event.get("type", "")))
        if self.types is not None and kind.lower() not in self.types:
            return False
        subject, begins, ends = str(event.get("subject", "")), self.begins, self.ends
        if not self.case_sensitive:
            subject, begins, ends = subject.lower(), begins.lower(), ends.lower()
        return (
            subject.startswith(begins)
            and subject.endswith(ends)
            and all(one.matches(event) for one in self.advanced)
        )


def parse(fields: Json) -> Filter:
    """Read ``properties.filter``, or refuse it with the limit it breaks."""
    given = fields if isinstance(fields, dict) else {}
    types = given.get("includedEventTypes")
    advanced = tuple(_advanced(one) for one in given.get("advancedFilters") or ())
    values = sum(len(one.values) for one in advanced)
    if len(advanced) > MOST_FILTERS or values > MOST_VALUES:
        raise _invalid(
            f"An event subscription has at most {MOST_FILTERS} advanced filters "
            f"and {MOST_VALUES} values in all; this one has {len(advanced)} and {values}."
        )
    return Filter(
        types=frozenset(str(one).lower() for one in types)
        if types and "All" not in types
        else None,
        begins=str(given.get("subjectBeginsWith") or ""),
        ends=str(given.get("subjectEndsWith") or ""),
        case_sensitive=given.get("isSubjectCaseSensitive") is True,
        advanced=advanced,
    )


def _advanced(fields: Json) -> Advanced:
    if not isinstance(fields, dict):
        raise _invalid("An advanced filter is an object.")
    operator, key = str(fields.get("operatorType", "")), str(fields.get("key", ""))
    if operator not in {*POSITIVE, *NEGATIVE, *PRESENCE}:
        raise _invalid(f"The advanced filter operator {operator!r} is not supported.")
    if not key:
        raise _invalid("An advanced filter needs a key.")
    values = fields.get("values", [fields["value"]] if "value" in fields else [])
    if not isinstance(values, list) or (operator not in PRESENCE and not values):
        raise _invalid(f"The advanced filter on {key!r} needs a list of values.")
    if any(isinstance(one, str) and len(one) > LONGEST_VALUE for one in values):
        raise _invalid(f"A value of an advanced filter has at most {LONGEST_VALUE} characters.")
    return Advanced(operator=operator, key=key, values=tuple(values))


def _find(event: Mapping[str, Json], key: str) -> Json:
    value: Json = event
    for name in key.split("."):
        if not isinstance(value, dict):
            return None
        lowered = {known.lower(): known for known in value}
        value = value.get(lowered.get(name.lower(), name))
    return value


def _invalid(message: str) -> Refusal:
    return Refusal(400, "InvalidRequest", message)
