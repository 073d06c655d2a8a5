"""What an earlier failed attempt means for the next one: wait, try again, or ask a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from shared.domain.decisions import (
    AlreadyProtected,
    Block,
    ChangePolicy,
    Decision,
    Resume,
    Undelete,
    Wait,
)
from shared.domain.faultbook import FaultClass, class_of, finding_for
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId
from shared.domain.model import Snapshot
from shared.domain.placement.vaults import said_full
from shared.domain.records import ChangeKind, DecisionKind, PersonDecision
from shared.domain.rights import lack_of
from shared.domain.selection import in_force
from shared.domain.states import State

_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (2, 4, 8, 15))
PATIENCE = 12  # tries of something that passes by itself before a person hears of it
ANOTHER_GRANT = timedelta(hours=1)  # a right that we lack is tried for so often
ANOTHER_TRY = timedelta(hours=6)  # the cause may have been removed without an event
_PASSING = frozenset({FaultClass.TRANSIENT, FaultClass.WAIT, FaultClass.CONFLICT})


def after_failure(
    snapshot: Snapshot, people: tuple[PersonDecision, ...], now: datetime, vault: ArmId
) -> tuple[Wait | Block, tuple[Finding, ...]] | None:
    """Say what the last failure asks for; None: try (again) now, in the chosen vault."""
    if said_full(snapshot) not in {None, vault}:
        return None  # another one was chosen since
    return _judged(snapshot, people, now, forever=False)


def after_refusal(
    change: ChangePolicy | Resume | Undelete,
    snapshot: Snapshot,
    people: tuple[PersonDecision, ...],
    now: datetime,
) -> tuple[Decision, tuple[Finding, ...]] | None:
    """Say what becomes of a change of an existing item that failed before; None: make it (again).

    A change that Azure refuses for good (an immutable vault, a Resource Guard) is never repeated
    by itself; whatever protection there is stays. A change to another policy is another change.
    """
    failure = snapshot.past.failure
    wanted = None if isinstance(change, Undelete) else change.policy.id
    if failure is None or failure.policy != wanted:
        return None
    lasting = class_of(failure.code, 0, failure.message) not in _PASSING
    judged = _judged(snapshot, people, now, forever=lasting, change=_kind(change))
    if judged is None:
        return None
    held, told = judged
    named = tuple(replace(one, evidence=f"{_named(change)}: {one.evidence}") for one in told)
    if isinstance(held, Wait):
        return held, named
    match change:
        case ChangePolicy():
            return AlreadyProtected(item=change.item, elsewhere=False), named
        case Resume():
            return Block(state=State.STOPPED), named
        case Undelete():
            return Block(state=State.SOFT_DELETED), named
    assert_never(change)


def _named(change: ChangePolicy | Resume | Undelete) -> str:
    match change:
        case ChangePolicy():
            return f"change to policy {change.policy.name}"
        case Resume():
            return f"resume under policy {change.policy.name}"
        case Undelete():
            return "undelete"
    assert_never(change)


def _kind(change: ChangePolicy | Resume | Undelete) -> ChangeKind:
    match change:
        case ChangePolicy():
            return ChangeKind.CHANGE_POLICY
        case Resume():
            return ChangeKind.RESUME
        case Undelete():
            return ChangeKind.UNDELETE
    assert_never(change)


def _judged(
    snapshot: Snapshot,
    people: tuple[PersonDecision, ...],
    now: datetime,
    *,
    forever: bool,
    change: ChangeKind = ChangeKind.ENROLL,
) -> tuple[Wait | Block, tuple[Finding, ...]] | None:
    failure = snapshot.past.failure
    if failure is None:
        return None
    retry = in_force(people, DecisionKind.RETRY)
    if retry is not None and retry.at > failure.at:
        return None
    told = finding_for(
        failure.code,
        failure.message,
        recommendations=failure.recommendations,
        severity=Severity.BLOCKER,
        change=change,
    )
    if (lack := lack_of(failure.code, failure.message, snapshot.id)) is not None:
        until = failure.at + ANOTHER_GRANT  # the operators' business, never the owner's
        waiting = replace(told, severity=Severity.WAIT)
        return None if now >= until else (Wait(until=until, why=lack.code), (waiting,))
    passing = class_of(failure.code, 0, failure.message) in _PASSING
    if passing and failure.count < PATIENCE:
        until = failure.at + _PAUSES[min(failure.count, len(_PAUSES)) - 1]
        return None if now >= until else (Wait(until=until, why=f"failed {failure.code}"), ())
    if not forever and now >= failure.at + ANOTHER_TRY:
        return None
    return Block(), (told,)
