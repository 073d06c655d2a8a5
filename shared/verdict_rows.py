"""Verdict rows: how a verdict that changes nothing in Azure is written into the ledger row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from shared import first_backup
from shared.domain.decisions import (
    AlreadyProtected,
    Block,
    ChangePolicy,
    Enroll,
    Exclude,
    Gone,
    Ignore,
    On,
    Orphaned,
    Resume,
    Undelete,
    Verdict,
    Wait,
)
from shared.domain.model import Policy, ProtectedItem, Snapshot
from shared.domain.records import PastFailure, Row
from shared.domain.schedule import first_backup_deadline
from shared.domain.states import State
from shared.ledger_rows import enrolled_under, move
from shared.ports import Ports

OVERDUE_LOOK = timedelta(hours=6)
_BLOCKED_AS = {
    State.STOPPED: On.FOUND_STOPPED,
    State.SOFT_DELETED: On.FOUND_SOFT_DELETED,
}


async def recorded(
    ports: Ports, row: Row, snapshot: Snapshot, verdict: Verdict, now: datetime
) -> tuple[Row, datetime | None]:
    """Give the row after a verdict without a change, and when to look again by ourselves."""
    decision = verdict.decision
    match decision:
        case AlreadyProtected(elsewhere=True):
            return _at(move(row, On.FOUND_ELSEWHERE, now, f"in {decision.item.vault}"), decision)
        case AlreadyProtected():
            return await _protected(ports, _here(row, decision.item), snapshot, decision.item, now)
        case Wait():
            row = move(row, On.WAIT, now, decision.why, until=decision.until)
            return row, decision.until
        case Block():
            codes = ", ".join(finding.code for finding in verdict.findings[:5])
            return move(row, _BLOCKED_AS.get(decision.state, On.BLOCK), now, codes), None
        case Exclude():
            reminder = decision.reminder
            until = reminder if reminder is not None and now < reminder else decision.until
            row = move(row, On.EXCLUDE, now, decision.by, until=until)
            row = replace(
                row,
                excluded_by=decision.owner,
                excluded_until=decision.until,
                reason=decision.reason,
                tag_excluded_since=decision.since,
            )
            return row, until
        case Ignore():
            return move(row, On.IGNORE, now, decision.reason), None
        case Orphaned():
            return _at(
                move(row, On.VM_GONE_ITEM_LEFT, now, f"item in {decision.item.vault}"), decision
            )
        case Gone():
            return move(row, On.VM_GONE, now, "deleted"), None
        case Enroll() | ChangePolicy() | Resume() | Undelete():
            raise AssertionError("a change is carried out by act, not recorded")
    assert_never(decision)


def _at(row: Row, decision: AlreadyProtected | Orphaned) -> tuple[Row, None]:
    return _here(row, decision.item), None


def _here(row: Row, item: ProtectedItem) -> Row:
    return replace(
        row,
        vault=str(item.vault),
        policy=str(item.policy) if item.policy is not None else "",
        last_recovery_point=item.last_recovery_point or row.last_recovery_point,
        failure=_still(row.failure, item),
    )


def _still(failure: PastFailure | None, item: ProtectedItem) -> PastFailure | None:
    """Keep a failed policy change in mind as long as the item is not under that policy."""
    if failure is None or not failure.policy or failure.policy.lower() == str(item.policy).lower():
        return None
    return failure


async def _protected(
    ports: Ports, row: Row, snapshot: Snapshot, item: ProtectedItem, now: datetime
) -> tuple[Row, datetime | None]:
    """Tell Enrolled from Protected: only a recovery point counts (DESIGN §3.15)."""
    if row.uid and not row.enrolled_uid:
        await ports.ledger.note(enrolled_under(row.uid), row.vm)
    if item.has_recovery_point:
        row = replace(
            row, protected_at=row.protected_at or now, enrolled_uid=row.enrolled_uid or row.uid
        )
        return move(row, On.FOUND_PROTECTED, now, _why(item)), None
    policies = snapshot.policies.get(item.vault.key, ())
    policy: Policy | None = next((p for p in policies if p.id == item.policy), None)
    enrolled = row.enrolled_at or now
    deadline = row.deadline or first_backup_deadline(policy, enrolled, hours=row.deadline_hours)
    if now >= deadline:
        fresh = await ports.backup.item(item.id)  # near the deadline the index is too old
        if fresh is not None and fresh.has_recovery_point:
            ports.index.learn(fresh)
            return await _protected(ports, row, snapshot, fresh, now)
        missing = await first_backup.missing(ports, fresh or item, enrolled, deadline)
        row = replace(row, findings=(*row.findings, missing))
        until = now + OVERDUE_LOOK
    else:
        until = deadline
    row = move(row, On.FOUND_PENDING, now, _why(item), until=until)
    row = replace(
        row, deadline=deadline, enrolled_at=enrolled, enrolled_uid=row.enrolled_uid or row.uid
    )
    return row, until


def _why(item: ProtectedItem) -> str:
    return f"{item.state} in {item.vault.name}"
