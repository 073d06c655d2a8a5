"""Which policy of a tier a VM gets in its vault: kind first, then the spread group."""

from __future__ import annotations

from shared.domain.findings import Finding
from shared.domain.limits import LIMITS
from shared.domain.model import Policy, PolicyKind, ProtectedItem, SecurityType, Snapshot, Vault, Vm
from shared.domain.placement.refusals import (
    policy_kind,
    policy_missing,
    reasons_for_enhanced,
)
from shared.domain.placement.vaults import EMPTY, tie
from shared.domain.rules import Rules
from shared.domain.rules.model import TrustedLaunch, WantedKind
from shared.domain.selection import Match
from shared.domain.spelling import plain


def choose(
    rules: Rules,
    match: Match,
    snapshot: Snapshot,
    vm: Vm,
    vault: Vault,
    mine: ProtectedItem | None,
) -> Policy | Finding:
    tier = rules.tier(match.tier)
    existing = snapshot.policies.get(vault.id.key, ())
    by_name = {plain(policy.name): policy for policy in existing}
    named = [
        by_name[plain(name)] for name in (*tier.standard, *tier.enhanced) if plain(name) in by_name
    ]
    if not named:
        return policy_missing(rules, match, vault, tier, tuple(p.name for p in existing))
    current = next((p for p in existing if mine is not None and p.id == mine.policy), None)
    kinds = _kinds(match, snapshot, vm, current)
    for kind in kinds:
        group = [policy for policy in named if policy.kind is kind]
        if not group:
            continue
        if current is not None and current in group:
            return current  # a spread group is one target: moving inside it would be drift
        return _spread(snapshot, vault, group)
    return policy_kind(rules, match, snapshot, vm, vault, named, kinds, current)


def _kinds(
    match: Match, snapshot: Snapshot, vm: Vm, current: Policy | None
) -> tuple[PolicyKind, ...]:
    """Give the kinds that may be chosen, preferred one first."""
    both = (PolicyKind.STANDARD, PolicyKind.ENHANCED)
    wish = match.options.trusted_launch
    trusted = vm.security is SecurityType.TRUSTED_LAUNCH
    if reasons_for_enhanced(match, snapshot, vm) or (trusted and wish is TrustedLaunch.REQUIRE):
        return (PolicyKind.ENHANCED,)
    if current is not None and current.kind is PolicyKind.ENHANCED:
        return (PolicyKind.ENHANCED,)  # there is no way back (facts §3.3)
    if trusted and wish is TrustedLaunch.PREFER:
        return both[::-1]
    if current is not None:
        return both  # Standard to Enhanced is a one-way door: only where it is needed
    return both[::-1] if match.options.policy_kind is WantedKind.ENHANCED else both


def _spread(snapshot: Snapshot, vault: Vault, group: list[Policy]) -> Policy:
    """Choose within a spread group: by hash among those with room, else the emptiest."""
    taken = snapshot.room.get(vault.id.key, EMPTY).per_policy
    roomy = [p for p in group if taken.get(p.id.key, 0) < LIMITS.number("policy_vms")]
    if roomy:
        return min(roomy, key=lambda policy: tie(snapshot.id, policy.id.key))
    return min(group, key=lambda policy: (taken.get(policy.id.key, 0), policy.id.key))
