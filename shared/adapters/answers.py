"""Reads what a failed answer says: code, message and how long to wait.

Azure words its errors in several forms (report §6.31): ARM's, the backup service's five-field one,
a form with `ErrorCode` and no `error` object, the storage services' header, OData's; and gateways
in front of all of them send HTML or nothing. Whatever comes, reading it raises nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_MESSAGE = 2000

_AGAIN_AFTER = re.compile(r"try again (?:after|in) '?(\d+(?:\.\d+)?)'? second", re.IGNORECASE)
_IN_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What one answer with a failing status says."""

    status: int
    code: str
    message: str
    retry_after: float | None  # seconds


def refusal(status: int, headers: Mapping[str, str], text: str) -> Refusal:
    """Read a failed answer. ``headers`` may have names in any case."""
    lower = {name.lower(): value for name, value in headers.items()}
    code, message = _words(text)
    return Refusal(
        status=status,
        code=code or lower.get("x-ms-error-code", ""),
        message=message,
        retry_after=retry_after(lower, message),
    )


def retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Give the seconds to wait, from headers (lower-case names) or, if they are silent, the text.

    An HTTP date counts from the answer's own `Date`, so that no clock but Azure's is involved.
    """
    for name in _IN_MILLISECONDS:
        if (milliseconds := _number(headers.get(name, ""))) is not None:
            return milliseconds / 1000
    told = headers.get("retry-after", "").strip()
    if (seconds := _number(told)) is not None:
        return seconds
    until, sent = _date(told), _date(headers.get("date", ""))
    if until is not None and sent is not None:
        return max(0.0, (until - sent).total_seconds())
    if found := _AGAIN_AFTER.search(message):
        return float(found[1])
    return None


def _words(text: str) -> tuple[str, str]:
    """Give code and message of a body in any of the recorded forms, or its text as it is."""
    try:
        body = json.loads(text)
    except ValueError:
        return "", _readable(text)
    if not isinstance(body, dict):
        return "", _readable(text)
    error = body.get("error") or body.get("odata.error")
    if isinstance(error, dict):
        return _text(error.get("code")), _readable(_text(error.get("message")))
    if isinstance(error, str):  # Entra: {"error": "...", "error_description": "..."}
        return error, _readable(_text(body.get("error_description")))
    code = _text(body.get("ErrorCode") or body.get("code") or body.get("Code"))
    return code, _readable(_text(body.get("Message") or body.get("message")))


def _text(value: Any) -> str:
    """Give a text that may be wrapped with its language: {"Language": ..., "Value": ...}."""
    if isinstance(value, dict):
        value = value.get("Value") or value.get("value")
    return str(value) if isinstance(value, str | int) else ""


def _readable(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:LONGEST_MESSAGE]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
