"""The guides' checklist for one VM, point by point: met, not met, waiting, cannot see (row S28)."""

from __future__ import annotations

import msgspec

from shared.domain.catalogue import CATALOGUE, Step
from shared.domain.findings import Finding, Severity
from shared.domain.model import Policy, Reachability, Snapshot

MET, NOT_MET, WAITING, UNSEEN = "met", "not met", "waiting", "cannot see"
_MARKS = {MET: "x", NOT_MET: "!", WAITING: "~", UNSEEN: "?"}

# Advice that means a point of the guides is not met, although it never stops an enrollment.
_UNMET = frozenset(
    {"AGENT_NOT_READY", "AGENT_DISABLED", "AGENT_OLD", "AGENT_MIGRATED", "NETWORK_BLOCKED"}
)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point with the findings that decide it."""

    step: str
    status: str
    words: str
    codes: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        return _MARKS[self.status]


def checklist(
    snapshot: Snapshot, findings: tuple[Finding, ...], policy: Policy | None
) -> tuple[Point, ...]:
    """Give every point in the guides' order, restores last."""
    points = []
    for step in Step:
        mine = tuple(one for one in findings if CATALOGUE[one.code].step is step)
        points.append(_point(step, mine, snapshot, policy))
    return tuple(points)


def _point(
    step: Step, mine: tuple[Finding, ...], snapshot: Snapshot, policy: Policy | None
) -> Point:
    codes = tuple(one.code for one in mine)
    severities = {one.severity for one in mine}
    if severities & {Severity.BLOCKER, Severity.NEEDS_ENHANCED} or _UNMET & {*codes}:
        status = NOT_MET
    elif Severity.WAIT in severities:
        status = WAITING
    elif unseen := _unseen(step, snapshot, policy):
        return Point(step=step.value, status=UNSEEN, words=f"{UNSEEN}: {unseen}", codes=codes)
    else:
        status = MET
    words = f"{status}{' (' + ', '.join(codes) + ')' if codes else ''}"
    return Point(step=step.value, status=status, words=words, codes=codes)


def _unseen(step: Step, snapshot: Snapshot, policy: Policy | None) -> str:
    """Say what was not looked at, so that silence is never taken for a yes."""
    vm = snapshot.vm
    if vm is None:
        return "there is no VM"
    match step:
        case Step.VAULT | Step.POLICY if policy is None:
            return "not reached"
        case Step.REDUNDANCY:
            vault = next((v for v in snapshot.vaults if policy and v.id == policy.vault), None)
            return "" if vault and vault.redundancy else "the vault's redundancy is not known"
        case Step.AGENT:
            return "" if vm.agent else "no agent status"
        case Step.NETWORK:
            if snapshot.network is None:
                return "not looked at; no rule asks for it"
            unknown = snapshot.network.answer is Reachability.UNKNOWN
            return snapshot.network.decided_by if unknown else ""
        case Step.ENABLE | Step.FIRST_BACKUP:
            return _not_yet(step, snapshot)
        case _:
            return ""


def _not_yet(step: Step, snapshot: Snapshot) -> str:
    mine = [item for item in snapshot.items if item.source in {None, snapshot.id}]
    if not mine:
        return "not enabled yet"
    if step is Step.FIRST_BACKUP and not any(item.has_recovery_point for item in mine):
        return "there is no recovery point yet"
    return ""
