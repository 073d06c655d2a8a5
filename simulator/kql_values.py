"""How the query language reads and compares values: nothing equals the empty text."""

import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from simulator.arm import Json


def text(value: Json) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, separators=(",", ":"))
    return str(value)


def number(value: Json, *, whole: bool) -> Json:
    try:
        number = float(text(value))
    except ValueError:
        return None
    return int(number) if whole else number


def dynamic(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def moment(value: Json) -> Json:
    """Return a date as text that sorts by time: UTC, always six digits of fraction."""
    try:
        at = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return utc(at if at.tzinfo else at.replace(tzinfo=UTC))


def utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _has(text: str, term: str) -> bool:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    wanted = "".join(c if c.isalnum() else " " for c in term.lower()).split()
    if len(wanted) == 1:
        return wanted[0] in words
    return " ".join(wanted) in " ".join(words)


NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXTUAL: Mapping[str, Callable[[str, str], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "=~": lambda a, b: a.lower() == b.lower(),
    "!~": lambda a, b: a.lower() != b.lower(),
    "startswith": lambda a, b: a.lower().startswith(b.lower()),
    "!startswith": lambda a, b: not a.lower().startswith(b.lower()),
    "endswith": lambda a, b: a.lower().endswith(b.lower()),
    "!endswith": lambda a, b: not a.lower().endswith(b.lower()),
    "contains": lambda a, b: b.lower() in a.lower(),
    "!contains": lambda a, b: b.lower() not in a.lower(),
    "has": _has,
    "!has": lambda a, b: not _has(a, b),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def sortable(value: Json) -> tuple[int, float, str]:
    """Order nothing before numbers before texts, so that any column can be sorted."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (2, 0.0, text(value))
