"""Why a VM that a sweep came by needs a look. Pure; the look itself is `reconcile`'s.

A sweep only compares what Resource Graph shows with what the ledger remembers. Whatever differs is
looked at by ARM, so a wrong answer here costs a look and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from shared.domain.ids import ArmId
from shared.domain.model import ProtectedItem, ProtectionState
from shared.domain.records import Row
from shared.domain.states import State

STALE = timedelta(minutes=15)  # Graph knows a VM by then, a change is settled, a wait has ended
LAG = timedelta(minutes=45)  # Graph's lag for backup rows (unpublished), with room
_SETTLED = frozenset({State.ENROLLED, State.PROTECTED})
_OURS = frozenset({ProtectionState.PENDING, ProtectionState.PROTECTED, ProtectionState.ERROR})


def of_vm(
    row: Row | None,
    *,
    uid: str,
    tags: Mapping[str, str],
    items: Sequence[ProtectedItem],
    rules: str,
    now: datetime,
) -> str:
    """Say why a VM that exists needs a look, or "". ``rules`` is the version in force."""
    if row is None:
        return "new"
    if row.uid and row.uid != uid:
        return "re-created"
    if row.claim is not None:
        return "" if row.claim.expires > now else "abandoned"
    match row.state:
        case State.ENROLLING:
            return "stale" if now - row.since > STALE else ""
        case State.BLOCKED | State.STOPPED | State.SOFT_DELETED | State.OBSERVED | State.UNKNOWN:
            return "may have changed"
        case State.WAITING | State.STUCK:
            return "wait lost" if row.until is None or row.until < now - STALE else ""
        case State.GONE | State.ORPHANED:
            return "back"
        case _:
            pass
    if row.rules_version != rules:
        return "rules changed"
    if dict(row.tags) != dict(sorted(tags.items())[: len(row.tags)]):
        return "tags changed"
    if row.state in _SETTLED and _drifted(row, items, now):
        return "drift"
    return ""


def of_absent(row: Row, items: Sequence[ProtectedItem], now: datetime) -> str:
    """Say why a VM that the walk did not show needs a look, or ""."""
    if row.state is State.GONE or (row.claim is not None and row.claim.expires > now):
        return ""
    if row.first_seen is not None and now - row.first_seen <= STALE:
        return ""  # Graph does not know it yet
    if row.state is State.ORPHANED and any(
        str(one.vault).lower() == row.vault.lower() for one in items
    ):
        return ""  # as it was
    return "not seen"


def of_item(items: Sequence[ProtectedItem]) -> ArmId | None:
    """Give the VM of items that neither a VM nor a row stands for; None if nothing is left of it."""
    alive = (one for one in items if one.state is not ProtectionState.SOFT_DELETED)
    return next((one.source for one in alive), None)


def recovery_point(row: Row, items: Sequence[ProtectedItem]) -> ProtectedItem | None:
    """Give the item that makes an enrolled VM a protected one."""
    if row.state is not State.ENROLLED:
        return None
    return next((item for item in items if item.has_recovery_point), None)


def _drifted(row: Row, items: Sequence[ProtectedItem], now: datetime) -> bool:
    """Tell whether the VM's item differs from the ledger, unless Graph may not know it yet."""
    item = next((one for one in items if str(one.vault).lower() == row.vault.lower()), None)
    if item is None:
        return now - max(row.since, row.enrolled_at or row.since) > LAG
    policy = str(item.policy).lower() if item.policy is not None else ""
    differs = item.state not in _OURS or policy != row.policy.lower()
    return differs and now - row.seen_at > STALE
