"""Which vault and which policy a VM gets: the second half of every decision (F19, F21, F22, F25).

Only vaults that rules name or tag, only in the VM's own region. A VM that is in one of them
stays there; a new one goes to the first candidate with room. Within a tier the policy's kind
follows the VM, and a hash of its id spreads VMs over the policies of a group, so that every run
and every worker chooses the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from shared.domain.demands import shared_luns
from shared.domain.findings import Finding, Severity
from shared.domain.limits import LIMITS
from shared.domain.model import Policy, ProtectedItem, Snapshot, Vault, Vm
from shared.domain.placement.policies import choose
from shared.domain.placement.refusals import (
    all_full,
    day_full,
    kind_note,
    name_taken,
    no_vault,
    policy_note,
    vault_not_ready,
    vault_notes,
)
from shared.domain.placement.vaults import (
    Candidate,
    candidates,
    is_ready,
    is_taken,
    own_item,
    rank,
    room_of,
    why_behind,
)
from shared.domain.rules import Rules
from shared.domain.rules.model import SharedDisks
from shared.domain.selection import Match

__all__ = [
    "Later",
    "Place",
    "Placed",
    "Refused",
    "behind",
    "candidates",
    "own_item",
    "place",
]

_VAULT_READY = timedelta(minutes=5)
_NAMED = 8  # candidates of which explain says why they were not chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the VM belongs. ``excluded_luns`` are disks left out because the rule says so.

    ``current`` is the VM's item if it already lies in a vault that rules choose; else the vault was
    chosen among ``candidates``, each of which takes in ``day_cap`` VMs a day.
    """

    vault: Vault
    policy: Policy
    notes: tuple[Finding, ...] = ()
    because: tuple[str, ...] = ()
    excluded_luns: tuple[int, ...] = ()
    current: ProtectedItem | None = None
    candidates: tuple[Candidate, ...] = ()
    day_cap: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is no place; the findings say what is missing."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """There is a place, but not before ``until``."""

    until: datetime
    why: str
    findings: tuple[Finding, ...] = ()


type Placed = Place | Refused | Later


def place(
    rules: Rules, match: Match, snapshot: Snapshot, now: datetime, *, day_cap: int | None = None
) -> Placed:
    """Choose vault and policy for a VM that a rule takes.

    ``day_cap`` is how many VMs we newly protect per vault and UTC day (default: the soft cap of
    `limits.json`; Azure's own is 250, with an unknown day boundary).
    """
    vm = snapshot.vm
    assert vm is not None, "only a VM that exists is placed"
    found = candidates(match, snapshot)
    if not found:
        return Refused(findings=(no_vault(rules, match, snapshot, vm),))
    mine = own_item(snapshot, tuple(one.vault for one in found))
    if mine is not None:
        chosen = next(one for one in found if one.vault.id == mine.vault)
        return _with_policy(rules, match, snapshot, vm, chosen, mine)
    free = [one for one in found if not is_taken(snapshot, one.vault)]
    if not free:
        return Refused(findings=(name_taken(snapshot, vm, found[0].vault),))
    ready = [one for one in free if is_ready(one.vault)]
    if not ready:
        return _later(now + _VAULT_READY, vault_not_ready(free[0].vault))
    ranked = sorted(ready, key=lambda one: rank(one, snapshot, vm))
    roomy = [one for one in ranked if room_of(snapshot, one).items < LIMITS.number("vault_vms")]
    if not roomy:
        return Refused(findings=(all_full(rules, snapshot, vm, ranked),))
    cap = LIMITS.number("vault_new_vms_per_day_cap") if day_cap is None else day_cap
    reachable = roomy if roomy[0].vaults.spill else roomy[:1]
    open_today = [one for one in reachable if room_of(snapshot, one).today < cap]
    if not open_today:
        return _later(_next_day(now), day_full(reachable, snapshot))
    chosen = open_today[0]
    placed = _with_policy(rules, match, snapshot, vm, chosen, None)
    if not isinstance(placed, Place):
        return placed
    return replace(placed, candidates=found, day_cap=cap)


def behind(place: Place, snapshot: Snapshot) -> tuple[str, ...]:
    """Say of each other candidate what put it behind. For explain, not for work."""
    vm = snapshot.vm
    chosen = next((one for one in place.candidates if one.vault == place.vault), None)
    if vm is None or chosen is None:
        return ()
    return tuple(
        f"not vault {one.vault.name}: {why_behind(one, chosen, snapshot, vm, place.day_cap)}"
        for one in place.candidates[:_NAMED]
        if one is not chosen
    )


def _with_policy(
    rules: Rules,
    match: Match,
    snapshot: Snapshot,
    vm: Vm,
    chosen: Candidate,
    mine: ProtectedItem | None,
) -> Placed:
    """Choose the tier's policy in the chosen vault and collect what is worth knowing."""
    if not match.tier:
        return Refused(findings=())  # the match's findings say why there is no tier
    vault = chosen.vault
    notes = vault_notes(chosen, vm, mine)
    blockers = tuple(note for note in notes if note.severity is Severity.BLOCKER)
    policy = choose(rules, match, snapshot, vm, vault, mine)
    if isinstance(policy, Finding):
        return Refused(findings=(policy, *blockers))
    if blockers:
        return Refused(findings=blockers)
    kind = kind_note(match, vm, policy, vault)
    full = policy_note(snapshot, vault, policy, rules.tier(match.tier), mine)
    because = (
        f"vault {vault.name} of set {chosen.set_name}"
        + (" (the VM is there already)" if mine else ""),
        f"tier {match.tier}: {match.tier_because}",
        f"policy {policy.name} ({policy.kind.value})",
    )
    return Place(
        vault=vault,
        policy=policy,
        notes=(*notes, *kind, *full),
        because=because,
        excluded_luns=_excluded(match, snapshot, vm, mine),
        current=mine,
    )


def _excluded(
    match: Match, snapshot: Snapshot, vm: Vm, mine: ProtectedItem | None
) -> tuple[int, ...]:
    """Give the LUNs to leave out: what the item leaves out already (every PUT replaces the list,
    facts §3.7) and shared disks where the rule says so.
    """
    kept = mine.excluded_luns if mine else ()
    shared = shared_luns(vm, snapshot) if match.options.shared_disks is SharedDisks.EXCLUDE else ()
    return tuple(sorted({*kept, *shared}))


def _later(until: datetime, note: Finding) -> Later:
    return Later(until=until, why=note.text, findings=(note,))


def _next_day(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC) + timedelta(days=1)
