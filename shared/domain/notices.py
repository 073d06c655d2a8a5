"""Notices: one open notice per VM, listing all that stands in the way; who hears what, when.

Values only; what happens to them is in `tellings`, what carries it out in `shared/notify.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shared.domain.deliveries import Delivery, Kind, Route
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId

OPERATORS = "operators:"  # key of a notice about the service itself: this and a code
_RANK = {
    Severity.ADVISORY: 0,
    Severity.WAIT: 1,
    Severity.NEEDS_ENHANCED: 2,
    Severity.BLOCKER: 3,
}


class NoticeState(StrEnum):
    OPEN = "open"  # nobody has been told yet
    DELIVERED = "delivered"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    PARKED = "parked"  # nobody could be told; visible, replayable


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How soon, how often. Our choice (F43, F44), not Azure's."""

    settle: timedelta = timedelta(seconds=20)  # causes found together are told together
    calm: timedelta = timedelta(minutes=5)  # so long resolved before anybody hears of it
    remind: timedelta = timedelta(days=3)
    escalate: timedelta = timedelta(days=7)
    memory: timedelta = timedelta(hours=24)  # a cause that returns sooner is the same notice
    per_hour: int = 2
    per_day: int = 4


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="notice"):
    """The outbox row of one VM (or one trouble of the service)."""

    key: str
    id: str  # of this episode; on every card and in every Message-ID
    opened_at: datetime
    state: NoticeState = NoticeState.OPEN
    vm: str = ""
    region: str = ""
    rule: str = ""
    next_step: str = ""
    language: str = ""
    owner: str = ""  # where the recipients come from, in words
    findings: tuple[Finding, ...] = ()
    routes: tuple[Route, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    telling: Kind | None = None  # the telling that `deliveries` carry out
    tellings: int = 0
    messages: tuple[datetime, ...] = ()  # when tellings left, the latest few
    told: tuple[str, ...] = ()  # causes people know of
    told_severity: Severity | None = None
    told_at: datetime | None = None
    before: NoticeState | None = None  # the state to return to, should it not stay resolved
    snoozed_until: datetime | None = None
    snoozed_by: str = ""
    resolved_at: datetime | None = None
    how: str = ""  # how it was resolved, in words
    flaps: int = 0
    due_at: datetime | None = None  # the due index points here
    trace: str = ""
    v: int = 1

    @property
    def vm_id(self) -> ArmId | None:
        return ArmId.parse(self.vm) if self.vm else None

    @property
    def for_operators(self) -> bool:
        return self.key.startswith(OPERATORS)

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None


def rank(severity: Severity) -> int:
    """Give how bad a severity is: the higher, the worse."""
    return _RANK[severity]


def severity(findings: Sequence[Finding]) -> Severity:
    """Give the worst severity of findings (there is at least one)."""
    return max((f.severity for f in findings), key=rank)


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Order findings for people."""
    return tuple(sorted(findings, key=lambda f: (-rank(f.severity), f.code)))
