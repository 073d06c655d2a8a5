"""What holds a decided change back: the mode and the start date (DESIGN §3.14)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from shared.domain.decisions import Change, ChangePolicy, Enroll, Resume, Undelete


def held_back(*, observing: bool, since: datetime, let_in: bool, created: datetime | None) -> str:
    """Say why a change must not be carried out, or "".

    A VM whose age Azure does not tell counts as old: it is touched once a backfill has let it in.
    """
    if observing:
        return "observing"
    if let_in:
        return ""
    if created is None or created < since:
        return "created-before-enroll-since"
    return ""


def describe(change: Change) -> str:
    """Say in words what a change does, for observe mode, plan and explain."""
    match change:
        case Enroll():
            return f"enroll in vault {change.vault.name} under policy {change.policy.name}"
        case ChangePolicy():
            return f"change policy to {change.policy.name} in vault {change.item.vault.name}"
        case Resume():
            return f"resume protection in vault {change.item.vault.name} under {change.policy.name}"
        case Undelete():
            return f"undelete the item in vault {change.item.vault.name}"
    assert_never(change)
