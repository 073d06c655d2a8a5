"""What placement says when there is no place, or a remark about the one it found."""

from __future__ import annotations

from shared.domain.catalogue import finding
from shared.domain.demands import needs_enhanced
from shared.domain.findings import Finding
from shared.domain.limits import LIMITS
from shared.domain.model import (
    Policy,
    PolicyKind,
    ProtectedItem,
    SecurityType,
    Snapshot,
    Vault,
    Vm,
    region_of,
)
from shared.domain.placement.vaults import EMPTY, Candidate, room_of, why_not
from shared.domain.remedies import placement as remedy
from shared.domain.rules import Rules
from shared.domain.rules.model import SharedDisks, Tier, TrustedLaunch
from shared.domain.selection import Match


def no_vault(rules: Rules, match: Match, snapshot: Snapshot, vm: Vm) -> Finding:
    region = region_of(vm.location)
    regions = snapshot.backup_regions
    if regions is not None and region not in {region_of(one) for one in regions}:
        return finding(
            "REGION_UNSUPPORTED",
            text=f"Azure Backup does not exist in region {region}.",
            evidence=f"region {region} is not in the provider's list of {len(regions)} regions",
            remedies=(remedy.unsupported_region(vm),),
        )
    near = [vault for vault in snapshot.vaults if region_of(vault.location) == region]
    several = len(match.ready.vaults) > 1
    reasons = [
        f"{vault.name} ({vault.id.group}): {why_not(match, vaults, vault, snapshot)}"
        + (f" (set {name})" if several else "")
        for vault in near
        for name, vaults in match.ready.vaults
    ]
    sets = ", ".join(name for name, _ in match.ready.vaults)
    evidence = f"vault set {sets} has no vault in {region}"
    if reasons:
        evidence += "; not taken: " + "; ".join(reasons[:5])
    return finding(
        "NO_VAULT_IN_REGION",
        text=f"No vault that the rules choose lies in region {region}.",
        evidence=evidence,
        remedies=remedy.no_vault(rules.content.new_vaults, match.ready.vaults[0][1], vm, near),
    )


def name_taken(snapshot: Snapshot, vm: Vm, vault: Vault) -> Finding:
    other = next(i.source for i in snapshot.items if i.source and i.source != snapshot.id)
    return finding(
        "NAME_TAKEN",
        text="A VM of another subscription with the same resource group and name is in this vault;"
        " Azure Backup cannot hold both.",
        evidence=f"{vault.name} holds {other}",
        remedies=(remedy.name_taken(vm, vault),),
    )


def vault_not_ready(vault: Vault) -> Finding:
    return finding(
        "VAULT_NOT_READY",
        text=f"Vault {vault.name} is not ready.",
        evidence=f"provisioning state {vault.provisioning}",
    )


def all_full(rules: Rules, snapshot: Snapshot, vm: Vm, ranked: list[Candidate]) -> Finding:
    counts = ", ".join(f"{one.vault.name}: {room_of(snapshot, one).items}" for one in ranked[:8])
    return finding(
        "VAULT_FULL",
        text=f"Every vault for this VM holds {LIMITS.number('vault_vms')} VMs, the most Azure takes.",
        evidence=counts,
        remedies=remedy.another_vault(rules.content.new_vaults, ranked[0].vaults, vm),
    )


def day_full(found: list[Candidate], snapshot: Snapshot) -> Finding:
    counts = ", ".join(f"{one.vault.name}: {room_of(snapshot, one).today}" for one in found[:8])
    return finding(
        "VAULT_DAY_FULL",
        text="Every vault for this VM has taken in as many new VMs as it may today.",
        evidence=f"newly protected today: {counts}",
    )


def vault_notes(chosen: Candidate, vm: Vm, mine: ProtectedItem | None) -> tuple[Finding, ...]:
    vault, wanted = chosen.vault, chosen.vaults.redundancy
    notes = []
    if wanted is not None and vault.redundancy is not None and vault.redundancy != wanted.value:
        locked = mine is not None or (vault.storage_version or "Unassigned") != "Unassigned"
        notes.append(
            finding(
                "VAULT_REDUNDANCY_LOCKED" if locked else "VAULT_REDUNDANCY",
                text=f"Vault {vault.name} is {vault.redundancy}, the rules want {wanted.value}"
                + (
                    "; it holds backups, so this cannot be changed any more."
                    if locked
                    else "; the first VM in it would lock that for good."
                ),
                evidence=f"redundancy {vault.redundancy}, storage {vault.storage_version}",
                remedies=remedy.redundancy(vault, wanted.value, locked=locked),
            )
        )
    if vault.key:
        notes.append(
            finding(
                "VAULT_CUSTOMER_KEY",
                text=f"Vault {vault.name} is encrypted with a key of yours: backups fail as soon as"
                " the vault's identity may not use it.",
                evidence=f"key {vault.key}, read by {vault.key_reader or 'an identity not shown'}",
                remedies=remedy.customer_key(vault),
            )
        )
    if vault.soft_delete == "Disabled":
        notes.append(
            finding(
                "VAULT_SOFT_DELETE_OFF",
                text=f"Soft delete is off in vault {vault.name}: a deleted backup is gone at once.",
                evidence=f"soft delete {vault.soft_delete}",
                remedies=(remedy.soft_delete(vault),),
            )
        )
    if vault.id.subscription.lower() != vm.id.subscription.lower():
        notes.append(
            finding(
                "VAULT_OTHER_SUBSCRIPTION",
                text="VM and vault lie in different subscriptions; such a vault cannot be moved.",
                evidence=f"vault {vault.name} in subscription {vault.id.subscription}",
            )
        )
    return tuple(notes)


def policy_missing(
    rules: Rules, match: Match, vault: Vault, tier: Tier, existing: tuple[str, ...]
) -> Finding:
    wanted = (*tier.standard, *tier.enhanced)
    return finding(
        "POLICY_MISSING",
        text=f"Vault {vault.name} has no policy of tier {match.tier}.",
        evidence=f"wanted: {', '.join(wanted)}; there: {', '.join(existing[:12]) or 'none'}",
        remedies=remedy.policy_missing(rules.content.declared.policies, vault, wanted),
    )


def reasons_for_enhanced(match: Match, snapshot: Snapshot, vm: Vm) -> tuple[str, ...]:
    return needs_enhanced(
        vm, snapshot, exclude_shared=match.options.shared_disks is SharedDisks.EXCLUDE
    )


def policy_kind(
    rules: Rules,
    match: Match,
    snapshot: Snapshot,
    vm: Vm,
    vault: Vault,
    named: list[Policy],
    kinds: tuple[PolicyKind, ...],
    current: Policy | None,
) -> Finding:
    reasons = list(reasons_for_enhanced(match, snapshot, vm))
    if vm.security is SecurityType.TRUSTED_LAUNCH:
        reasons.append("Trusted Launch, for which the rules want an Enhanced policy")
    if current is not None and current.kind is PolicyKind.ENHANCED:
        reasons.append(f"it is under the Enhanced policy {current.name} already")
    return finding(
        "POLICY_KIND",
        text=f"Tier {match.tier} has no {kinds[0].value} policy in vault {vault.name}, and this VM"
        f" needs one.",
        evidence="; ".join(
            [*reasons, f"there: {', '.join(f'{p.name} ({p.kind.value})' for p in named)}"]
        ),
        remedies=remedy.policy_kind(
            rules.content.declared.policies, vault, rules.tier(match.tier), match.tier
        ),
    )


def kind_note(match: Match, vm: Vm, policy: Policy, vault: Vault) -> tuple[Finding, ...]:
    standard = policy.kind is PolicyKind.STANDARD
    if vm.security is not SecurityType.TRUSTED_LAUNCH or not standard:
        return ()
    if match.options.trusted_launch is TrustedLaunch.ALLOW:
        return ()
    return (
        finding(
            "TRUSTED_LAUNCH_STANDARD",
            text=f"This Trusted Launch VM gets the Standard policy {policy.name}, as tier"
            f" {match.tier} has no Enhanced one in vault {vault.name}.",
            evidence=f"security type TrustedLaunch, policy kind {policy.kind.value}",
        ),
    )


def policy_note(
    snapshot: Snapshot, vault: Vault, policy: Policy, tier: Tier, mine: ProtectedItem | None
) -> tuple[Finding, ...]:
    taken = snapshot.room.get(vault.id.key, EMPTY).per_policy.get(policy.id.key, 0)
    if mine is not None or taken < LIMITS.number("policy_vms"):
        return ()
    return (
        finding(
            "POLICY_FULL",
            text=f"Policy {policy.name} serves {taken} VMs; Azure advises at most"
            f" {LIMITS.number('policy_vms')}.",
            evidence=f"{taken} VMs; spread group: {', '.join((*tier.standard, *tier.enhanced))}",
            remedies=(remedy.more_policies(vault),),
        ),
    )
