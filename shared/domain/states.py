"""The states of a VM in the ledger (DESIGN: one word per state, the portal's words beside them)."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    IGNORED = "Ignored"  # not ours: managed by somebody else, classic, uniform scale set
    EXCLUDED = "Excluded"  # by rule, decision or tag; owner, reason, expiry
    WAITING = "Waiting"  # until, why
    BLOCKED = "Blocked"  # findings; a person must act
    ENROLLING = "Enrolling"  # PUT sent or accepted, not settled
    ENROLLED = "Enrolled"  # policy attached, first backup pending, deadline
    PROTECTED = "Protected"  # a recovery point exists
    ELSEWHERE = "ProtectedElsewhere"  # in a vault our rules do not choose; left alone
    STOPPED = "Stopped"
    SOFT_DELETED = "SoftDeleted"
    ORPHANED = "Orphaned"  # item without VM
    GONE = "Gone"  # VM and item gone
    STUCK = "Stuck"  # could not find out or could not do; parked
    OBSERVED = "Observed"  # observe mode: would change, see `would`
    UNKNOWN = "Unknown"  # no row younger than two sweeps


PORTAL_WORDS = {
    State.ENROLLED: "Protected (pending initial backup) / Warning (initial backup pending)",
    State.PROTECTED: "Protected",
    State.STOPPED: "Protection stopped",
    State.SOFT_DELETED: "Soft deleted",
}
