"""Decide: the only place that says what happens to a VM (DESIGN §3.2).

Pure and total: everything it may look at is in the snapshot, the rules and the decisions of
people; everything it says is a `Verdict`. Whoever protects the VM already comes first
(`lifecycle`), then whether a new enrollment may begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as altered
from datetime import datetime, timedelta

from shared.domain.catalogue import finding
from shared.domain.decisions import (
    Block,
    ChangePolicy,
    Decision,
    Enroll,
    Exclude,
    Gone,
    Ignore,
    Orphaned,
    Resume,
    Undelete,
    Verdict,
    Wait,
)
from shared.domain.exclusions import ending
from shared.domain.failures import after_failure, after_refusal
from shared.domain.faultbook import finding_for
from shared.domain.findings import Finding, Severity
from shared.domain.lifecycle import existing, moved_here
from shared.domain.model import ProtectedItem, ProtectionState, Snapshot
from shared.domain.placement import Later, Place, place
from shared.domain.readiness import check
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.rules import Rules
from shared.domain.rules.options import Options, resolved
from shared.domain.selection import Exclusion, Ignored, Match, NoRule, in_force, select

LOOK_AGAIN = timedelta(minutes=2)
PASSING = frozenset({"PROVISIONING", "POWER_CHANGING"})  # tried all the same after the grace
EXCLUSION_ENDING = "EXCLUSION_ENDING"
_BUILT_IN = Options()
_ORDER = (Severity.BLOCKER, Severity.NEEDS_ENHANCED, Severity.WAIT, Severity.ADVISORY)


def decide(
    snapshot: Snapshot,
    rules: Rules,
    people: tuple[PersonDecision, ...],
    now: datetime,
    *,
    day_cap: int | None = None,
) -> Verdict:
    """Say what happens to a VM. Never raises; two calls with equal arguments agree."""
    vm = snapshot.vm
    if vm is None:
        return _absent(snapshot, rules)
    if vm.provisioning.lower() == "deleting":
        return _verdict(rules, Wait(until=now + LOOK_AGAIN, why="being deleted"))
    match select(rules, snapshot, people, now):
        case Ignored(why=why):
            return _verdict(rules, Ignore(reason=why))
        case Exclusion() as found:
            excluded = Exclude(
                reason=found.reason,
                owner=found.owner,
                until=found.until,
                by=found.by,
                since=found.since,
                reminder=found.reminder,
            )
            if found.reminder is None or now < found.reminder:
                return _verdict(rules, excluded)
            told = resolved(rules.content.options).tell & {EXCLUSION_ENDING}
            return altered(_verdict(rules, excluded, (ending(found),)), tell=told)
        case NoRule(findings=findings):
            return _verdict(rules, Block(), findings)
        case Match() as match:
            return _matched(snapshot, rules, match, people, now, day_cap)


def _matched(
    snapshot: Snapshot,
    rules: Rules,
    match: Match,
    people: tuple[PersonDecision, ...],
    now: datetime,
    day_cap: int | None,
) -> Verdict:
    placed = place(rules, match, snapshot, now, day_cap=day_cap)
    chosen = placed if isinstance(placed, Place) else None
    why = (f"rule {match.rule}", *(chosen.because if chosen is not None else ()))
    findings = (
        *match.findings,
        *(placed.notes if isinstance(placed, Place) else placed.findings),
    )
    if found := existing(snapshot, match, placed, people, now):
        decision, more = found
        if isinstance(decision, ChangePolicy | Resume | Undelete):
            refused = after_refusal(decision, snapshot, people, now)
            decision, more = refused or found
        ready = check(snapshot, rules, match, chosen)
        advice = tuple(one for one in ready if one.severity is Severity.ADVISORY)
        return _verdict(rules, decision, (*findings, *more, *advice), match, why, chosen)
    findings = (*findings, *check(snapshot, rules, match, chosen))
    if _has(findings, Severity.BLOCKER, Severity.NEEDS_ENHANCED):
        return _verdict(rules, Block(), findings, match, why, chosen)
    if match.not_before is not None and now < match.not_before:
        decision = Wait(until=match.not_before, why=match.young_because)
        return _verdict(rules, decision, findings, match, why, chosen)
    if isinstance(placed, Later):
        decision = Wait(until=placed.until, why=placed.why)
        return _verdict(rules, decision, findings, match, why, chosen)
    if (passing := _passing(findings, snapshot, match, now)) is not None:
        return _verdict(rules, passing, findings, match, why, chosen)
    if chosen is None:
        return _verdict(rules, Block(), (*findings, _unplaced()), match, why)
    if (moved := moved_here(snapshot, people, now)) is not None:
        return _verdict(rules, Block(), (*findings, moved), match, why)
    if failed := after_failure(snapshot, people, now, chosen.vault.id):
        decision, more = failed
        return _verdict(rules, decision, (*findings, *more), match, why, chosen)
    if (denied := _denied(snapshot, chosen, people)) is not None:
        return _verdict(rules, Block(), (*findings, denied), match, why, chosen)
    enroll = Enroll(vault=chosen.vault, policy=chosen.policy, excluded_luns=chosen.excluded_luns)
    return _verdict(rules, enroll, findings, match, why, chosen)


def _passing(
    findings: Iterable[Finding], snapshot: Snapshot, match: Match, now: datetime
) -> Wait | None:
    """Wait for what passes by itself, for as long as the rule's grace lasts; None: try now."""
    waits = [one for one in findings if one.severity is Severity.WAIT]
    if not waits:
        return None
    grace = timedelta(minutes=match.options.grace_minutes)
    over = (snapshot.past.passing_since or now) + grace
    if now >= over and all(one.code in PASSING for one in waits):
        return None
    until = min(now + LOOK_AGAIN, over) if over > now else now + LOOK_AGAIN
    return Wait(until=until, why=waits[0].code)


def _denied(
    snapshot: Snapshot, chosen: Place, people: tuple[PersonDecision, ...]
) -> Finding | None:
    """Give Azure's own no to this vault, unless somebody asked for another try since."""
    said = snapshot.validation
    if said is None or not said.code or said.vault != chosen.vault.id:
        return None
    retry = in_force(people, DecisionKind.RETRY)
    if retry is not None and retry.at > said.at:
        return None
    return finding_for(
        said.code,
        said.message,
        recommendations=(said.recommendation,) if said.recommendation else (),
        finding_code="PREVALIDATION_FAILED",
        severity=Severity.BLOCKER,
    )


def _absent(snapshot: Snapshot, rules: Rules) -> Verdict:
    """The VM is gone: is anything left of it?"""
    left = [item for item in snapshot.items if item.source in {None, snapshot.id}]
    alive = [item for item in left if item.state is not ProtectionState.SOFT_DELETED]
    if not alive:
        return _verdict(rules, Gone())
    return _verdict(rules, Orphaned(item=alive[0]), (_orphan(alive[0]),))


def _orphan(item: ProtectedItem) -> Finding:
    last = (
        f", last recovery point {item.last_recovery_point:%Y-%m-%d}"
        if (item.last_recovery_point)
        else ""
    )
    return finding(
        "ORPHANED",
        text="The VM is gone but its recovery points are kept and paid for. They are never "
        "deleted by this service.",
        evidence=f"item in vault {item.vault.name}, {item.state}{last}",
    )


def _unplaced() -> Finding:
    return finding(
        "NO_TIER",
        text="The rules give this VM no tier, so there is no policy to choose.",
        evidence="no tier",
    )


def _has(findings: Iterable[Finding], *severities: Severity) -> bool:
    return any(one.severity in severities for one in findings)


def _verdict(
    rules: Rules,
    decision: Decision,
    findings: Iterable[Finding] = (),
    match: Match | None = None,
    why: tuple[str, ...] = (),
    place: Place | None = None,
) -> Verdict:
    options = match.options if match is not None else _BUILT_IN
    return Verdict(
        decision=decision,
        findings=tuple(sorted(findings, key=lambda one: _ORDER.index(one.severity))),
        rule=match.rule if match is not None else "",
        why=why,
        routes=match.routes if match is not None else (),
        tell=match.options.tell if match is not None else frozenset(),
        rules_version=rules.version,
        deadline_hours=options.deadline_hours,
        first_backup_after=options.first_backup_after,
        place=place,
    )
