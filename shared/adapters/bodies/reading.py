"""Reads fields of untrusted JSON: the value of the asked type, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.domain.ids import ArmId
from shared.errors import BadArmId

type Body = Mapping[str, Any]

_NEVER = 2001  # Azure writes "never" as a day of the year 1 or 2001 (report §6.24)


def mapping(body: Body, *path: str) -> Body:
    """Give an object; also one that Resource Graph sends as text (facts §4.5a)."""
    value = _at(body, path)
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def rows(body: Body, *path: str) -> tuple[Body, ...]:
    """Give the objects of a list."""
    return tuple(row for row in _list(body, path) if isinstance(row, Mapping))


def texts(body: Body, *path: str) -> tuple[str, ...]:
    """Give the texts of a list."""
    return tuple(word for word in _list(body, path) if isinstance(word, str))


def numbers(body: Body, *path: str) -> tuple[int, ...]:
    """Give the whole numbers of a list."""
    return tuple(number for value in _list(body, path) if (number := _whole(value)) is not None)


def text(body: Body, *path: str) -> str:
    """Give a text, or ""."""
    value = _at(body, path)
    return value if isinstance(value, str) else ""


def words(body: Body, *path: str) -> str | None:
    """Give a text that says something, or None."""
    return text(body, *path) or None


def flag(body: Body, *path: str) -> bool | None:
    """Give a truth, which may come as 1 or "True" (facts §5.3)."""
    value = _at(body, path)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, bool | int) else None


def number(body: Body, *path: str) -> int | None:
    """Give a whole number, which may come as text."""
    return _whole(_at(body, path))


def moment(body: Body, *path: str) -> datetime | None:
    """Give a time in UTC: 0 to 7 digits of fraction, any zone or none (report §6.26)."""
    value = _at(body, path)
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and value:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
    else:
        return None
    if found.year <= _NEVER:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def arm_id(body: Body, *path: str) -> ArmId | None:
    """Give an id; "" and what is no id are none. Some come as a full URL (report §6.5)."""
    value = text(body, *path)
    if value.lower().startswith("https://"):
        value = "/" + value.split("/", 3)[-1]
    try:
        return ArmId.parse(value)
    except BadArmId:
        return None


def tags(body: Body, *path: str) -> dict[str, str]:
    """Give tags; a value that is no text is kept as text."""
    found = mapping(body, *path)
    return {str(name): "" if value is None else str(value) for name, value in found.items()}


def same(left: str | None, right: str) -> bool:
    """Tell whether a word is this one in any case; enumerations change theirs."""
    return left is not None and left.lower() == right.lower()


def _at(body: Body, path: Sequence[str]) -> Any:
    value: Any = body
    for name in path:
        if isinstance(value, str) and value.startswith("{"):
            value = mapping({"": value}, "")
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _list(body: Body, path: Sequence[str]) -> Sequence[Any]:
    value = _at(body, path)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
