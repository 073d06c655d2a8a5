"""What an earlier failed attempt means for the next one: wait, try again, or ask a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.decisions import Block, Wait
from shared.domain.faultbook import FaultClass, class_of, finding_for
from shared.domain.findings import Finding, Severity
from shared.domain.model import Snapshot
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.selection import in_force

_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (2, 4, 8, 15))
PATIENCE = 12  # tries of something that passes by itself before a person hears of it
ANOTHER_TRY = timedelta(hours=6)  # the cause may have been removed without an event
_PASSING = frozenset({FaultClass.TRANSIENT, FaultClass.WAIT, FaultClass.CONFLICT})


def after_failure(
    snapshot: Snapshot, people: tuple[PersonDecision, ...], now: datetime
) -> tuple[Wait | Block, tuple[Finding, ...]] | None:
    """Say what the last failure asks for; None: try (again) now."""
    failure = snapshot.past.failure
    if failure is None:
        return None
    retry = in_force(people, DecisionKind.RETRY)
    if retry is not None and retry.at > failure.at:
        return None
    told = finding_for(
        failure.code, failure.message, 0, failure.recommendations, severity=Severity.BLOCKER
    )
    if class_of(failure.code, 0) in _PASSING and failure.count < PATIENCE:
        until = failure.at + _PAUSES[min(failure.count, len(_PAUSES)) - 1]
        return None if now >= until else (Wait(until=until, why=f"failed {failure.code}"), ())
    if now >= failure.at + ANOTHER_TRY:
        return None
    return Block(), (told,)
