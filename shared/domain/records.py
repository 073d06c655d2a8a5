"""What is kept: ledger rows (a projection), decisions of people and parked messages (not).

Records are msgspec structs because they are a stored format; ids in them are text as Azure writes
it. A row may be lost and is rebuilt by a sweep; a `PersonDecision` or `Parked` may not be lost and
is never changed (DESIGN §3.11).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.findings import Finding
from shared.domain.states import State


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who is reconciling the VM now. ``by`` names the queue message, so a redelivery owns it."""

    since: datetime
    by: str
    expires: datetime


class ChangeKind(StrEnum):
    """The changes of protection that the product can make. There is no stop and no delete."""

    ENROLL = "enroll"
    CHANGE_POLICY = "change-policy"
    RESUME = "resume"
    UNDELETE = "undelete"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What we are about to do, written before the PUT; and what became of it.

    ``request_id`` is sent as x-ms-client-request-id and comes back as the job's activityId.
    """

    kind: ChangeKind
    vault: str
    policy: str
    request_id: str
    at: datetime
    day: str  # UTC day of the place taken in (vault, day), ISO
    trace: str = ""
    accepted_at: datetime | None = None
    operation: str = ""  # operation id, from the answer's headers
    asked_by: str = ""  # who consented, where a consent was needed
    excluded_luns: tuple[int, ...] = ()


class PastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """How the last attempt ended badly (stored form of `model.Failure`)."""

    code: str
    message: str
    at: datetime
    count: int
    recommendations: tuple[str, ...] = ()
    policy: str = ""  # that the change was to attach; "" for an undelete


class PastValidation(msgspec.Struct, frozen=True, kw_only=True):
    """What Azure's own pre-validation said (stored form of `model.Validation`)."""

    vault: str
    at: datetime
    code: str = ""
    message: str = ""
    recommendation: str = ""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a VM's history."""

    at: datetime
    state: State
    why: str
    trace: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the ledger knows of one VM."""

    vm: str
    state: State
    since: datetime  # in this state
    seen_at: datetime  # when Azure was last read for it
    uid: str = ""
    region: str = ""
    os: str = ""
    size: str = ""
    tags: dict[str, str] = {}
    until: datetime | None = None  # when to look again; the due index points here
    why: str = ""
    rule: str = ""
    rules_version: str = ""
    vault: str = ""
    policy: str = ""
    would: str = ""  # observe mode: what enforce would have done
    findings: tuple[Finding, ...] = ()
    excluded_by: str = ""  # owner of the exclusion
    excluded_until: datetime | None = None  # its end; `until` may be the day of its reminder
    reason: str = ""  # reason of the exclusion, in the owner's words
    claim: Claim | None = None
    gathering_since: datetime | None = None  # start of the latest reconcile, claim or not
    again: datetime | None = None  # somebody met a live claim at this time
    intent: Intent | None = None  # present until settled
    failure: PastFailure | None = None
    first_seen: datetime | None = None
    enrolled_at: datetime | None = None
    protected_at: datetime | None = None
    deadline: datetime | None = None  # by when the first recovery point must exist
    deadline_hours: int = 6  # that it may take after its schedule, as the rule says
    last_recovery_point: datetime | None = None
    job: str = ""  # id of the job that settled the latest change
    first_backup_after: int | None = None  # hours, as the rule says; None: never by us
    backup_job: str = ""  # request id of the first backup that we started
    undone: tuple[datetime, ...] = ()  # our changes that somebody changed back
    history: tuple[Transition, ...] = ()
    attempts: int = 0
    trace: str = ""
    sweep: str = ""  # the latest sweep that saw it
    notified: bool = False  # a notice is open
    standing: tuple[str, ...] = ()  # its causes that neither enrolling nor a first backup removes
    enrolled_uid: str = ""  # vmId of the VM that was enrolled; another one is another VM
    tag_excluded_since: datetime | None = None
    passing_since: datetime | None = None  # since when a provisioning or power state is waited for
    validation: PastValidation | None = None
    waits_for_ceiling: bool = False  # of changes; nothing else of it is due at `until`
    let_in: bool = False  # by a backfill, though it may be older than ENROLL_SINCE; for good
    v: int = 1


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """A change that Azure has accepted or may have; in a partition of its own per vault."""

    vm: str
    vault: str
    request_id: str
    sent_at: datetime
    kind: ChangeKind
    operation: str = ""
    trace: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """When to look at a vault's jobs next, one row per vault with anything in flight."""

    vault: str
    next_at: datetime
    interval: float  # seconds
    oldest: datetime  # sent_at of the oldest unsettled change


class DecisionKind(StrEnum):
    EXCLUDE = "exclude"
    SNOOZE = "snooze"
    CONSENT_WEAKER = "consent-weaker"  # this VM may go under this weaker policy
    CONSENT_UNDELETE = "consent-undelete"
    CONSENT_RESUME = "consent-resume"
    CONSENT_ENHANCED = "consent-enhanced"  # Standard to Enhanced, a one-way door
    RETRY = "retry"
    REVOKE = "revoke"  # takes an earlier decision back


class PersonDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticated person decided. Append-only; the latest of a kind counts."""

    vm: str
    kind: DecisionKind
    by: str
    at: datetime
    reason: str
    until: datetime | None = None
    policy: str = ""  # consents name the policy
    revokes: str = ""  # key of the decision taken back
    key: str = ""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A message nobody could use: raw (without claims and httpRequest), why, when, trace."""

    key: str
    source: str  # event, enrollments, enrollments-backlog, sweeps, notices
    reason: str
    raw: str
    at: datetime
    trace: str = ""
    detail: str = ""
    replayed_at: datetime | None = None


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sweep of one subscription has come; kept until the next one begins."""

    sweep: str
    started_at: datetime
    at: datetime  # of the latest page, or of its next try
    cursor: str = ""  # up to here the walk is done
    known: int = 0  # VMs that there must be, about
    seen: int = 0
    absent: int = 0  # rows without a VM
    enqueued: int = 0
    counts: dict[str, int] = {}
    unannounced: int = 0  # VMs that the ledger does not know, younger than all found before
    newest: datetime | None = None  # when the youngest of all VMs found so was created
    ended: bool = False


class SweepMark(msgspec.Struct, frozen=True, kw_only=True):
    """How the latest sweep of one subscription went; aggregates for page, health and alerts."""

    subscription: str
    sweep: str
    started_at: datetime
    finished_at: datetime | None = None
    vms: int = 0
    items: int = 0
    enqueued: int = 0
    suspicious: str = ""  # why nothing was acted on, if so
    counts: dict[str, int] = {}  # state -> VMs, and more
    unannounced: int = 0  # as in the walk
    newest: datetime | None = None
