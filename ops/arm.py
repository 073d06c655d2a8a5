"""What the halves of the doctor share: reading ARM with the operator's login, writing a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.session import Session
from shared.web.doctor import Check, Health


async def rows(
    session: Session, path: str, *, api_version: str, operation: str
) -> list[Mapping[str, Any]]:
    """Read a whole list."""
    pages = session.foundation.clients.listed(path, api_version=api_version, operation=operation)
    return [row async for page in pages for row in page]


def mapping(value: object) -> Mapping[str, Any]:
    """Give an object of an answer; whatever else stands there is empty."""
    return value if isinstance(value, Mapping) else {}


def line(what: str, result: Health, says: str, fix: str = "") -> Check:
    """Write one line."""
    return Check(what=what, result=result, says=says, fix=fix)
