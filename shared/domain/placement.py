"""Which vault and which policy a VM gets: the second half of every decision (F19, F21, F22, F25).

Only vaults that rules name or tag, only in the VM's own region. A VM that is in one of them
stays there; a new one goes to the first candidate with room. Within a tier the policy's kind
follows the VM, and a hash of its id spreads VMs over the policies of a group, so that every run
and every worker chooses the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from shared.domain.catalogue import finding
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId
from shared.domain.model import (
    Policy,
    PolicyKind,
    ProtectedItem,
    Room,
    SecurityType,
    Snapshot,
    Vault,
    Vm,
    region_of,
)
from shared.domain.readiness.limits import LIMITS
from shared.domain.remedies import placement as remedy
from shared.domain.rules import Rules
from shared.domain.rules.model import (
    Preference,
    Subscriptions,
    Tier,
    TrustedLaunch,
    VaultSet,
    WantedKind,
)
from shared.domain.rules.selectors import Traits, tag_conditions
from shared.domain.selection import Match
from shared.domain.spelling import plain

_EMPTY = Room(items=0, today=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the VM belongs. ``excluded_luns`` are disks left out because the rule says so.

    ``current`` is the VM's item if it already lies in a vault that rules choose.
    """

    vault: Vault
    policy: Policy
    notes: tuple[Finding, ...] = ()
    because: tuple[str, ...] = ()
    current: ProtectedItem | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A vault that rules allow for a VM, with what ranks it."""

    vault: Vault
    vaults: VaultSet
    set_name: str
    set_rank: int
    listed: int


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
        return Refused(findings=(_no_vault(rules, match, snapshot, vm),))
    mine = own_item(snapshot, tuple(one.vault for one in found))
    if mine is not None:
        chosen = next(one for one in found if one.vault.id == mine.vault)
        return _with_policy(rules, match, snapshot, vm, chosen, mine)
    free = [one for one in found if not _name_taken(snapshot, one.vault)]
    if not free:
        return Refused(findings=(_taken(snapshot, vm, found[0].vault),))
    ready = [one for one in free if one.vault.provisioning.lower() == "succeeded"]
    if not ready:
        return _vault_not_ready(free[0].vault, now)
    ranked = sorted(ready, key=lambda one: _rank(one, snapshot, vm))
    roomy = [one for one in ranked if _room(snapshot, one).items < LIMITS.number("vault_vms")]
    if not roomy:
        return Refused(findings=(_full(rules, snapshot, vm, ranked),))
    cap = LIMITS.number("vault_new_vms_per_day_cap") if day_cap is None else day_cap
    reachable = roomy if roomy[0].vaults.spill else roomy[:1]
    open_today = [one for one in reachable if _room(snapshot, one).today < cap]
    if not open_today:
        return _day_full(reachable, snapshot, now)
    return _with_policy(rules, match, snapshot, vm, open_today[0], None)


# --- vaults --------------------------------------------------------------------------------------


def candidates(match: Match, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """Give every vault of the VM's region that the rule's sets name or tag, unranked."""
    vm = snapshot.vm
    if vm is None:
        return ()
    region = region_of(vm.location)
    found: dict[str, Candidate] = {}
    for rank, (name, vaults) in enumerate(match.ready.vaults):
        for vault in snapshot.vaults:
            if region_of(vault.location) != region or vault.id.key in found:
                continue
            listed = _listed(vaults, vault)
            if not why_not(match, vaults, vault, vm):
                found[vault.id.key] = Candidate(
                    vault=vault, vaults=vaults, set_name=name, set_rank=rank, listed=listed
                )
    return tuple(found.values())


def why_not(match: Match, vaults: VaultSet, vault: Vault, vm: Vm) -> str:
    """Say why a set does not take a vault of the VM's region; "" if it does."""
    same = vault.id.subscription.lower() == vm.id.subscription.lower()
    if vaults.subscriptions is Subscriptions.SAME and not same:
        return "it lies in another subscription"
    named = _listed(vaults, vault) < len(vaults.ids)
    if vault.private_endpoints and not named:
        return "it has private endpoints and is not named in the rules"
    if named:
        return ""
    if not vaults.tags and not vaults.same_tag:
        return "it is not named in the rules"
    tags = {plain(name): plain(value) for name, value in vault.tags.items()}
    seen = Traits(
        tags=tags, subscription="", group="", name="", region="", os="", size="", publisher=""
    )
    for condition in tag_conditions(vaults.tags):
        if not condition.test(seen):
            return condition.why_not(seen)
    for name in vaults.same_tag:
        own = match.tags.get(plain(name))
        if own is None:
            return f"the VM has no tag {name}"
        if tags.get(plain(name)) != plain(own.value):
            return f"its tag {name} is not the VM's {own.value!r}"
    return ""


def own_item(snapshot: Snapshot, vaults: Sequence[Vault]) -> ProtectedItem | None:
    """Give this VM's item in one of these vaults: placement of an enrolled VM is sticky."""
    keys = {vault.id.key for vault in vaults}
    mine = [
        item
        for item in snapshot.items
        if item.vault.key in keys and (item.source is None or item.source == snapshot.id)
    ]
    return min(mine, key=lambda item: (item.deferred_delete is not None, item.id.key), default=None)


def _listed(vaults: VaultSet, vault: Vault) -> int:
    """Give the vault's position in the set's list; one past the end if it is not in it."""
    for at, text in enumerate(vaults.ids):
        if text.strip().strip("/").lower() == vault.id.key.strip("/"):
            return at
    return len(vaults.ids)


def _rank(one: Candidate, snapshot: Snapshot, vm: Vm) -> tuple[object, ...]:
    """Order candidates: set, then the set's preferences, then a hash of VM and vault."""
    keys: list[object] = [one.set_rank]
    vault, wanted = one.vault, one.vaults.redundancy
    for preference in one.vaults.prefer:
        match preference:
            case Preference.LISTED:
                keys.append(one.listed)
            case Preference.SAME_SUBSCRIPTION:
                keys.append(vault.id.subscription.lower() != vm.id.subscription.lower())
            case Preference.REDUNDANCY:
                keys.append(wanted is not None and vault.redundancy != wanted.value)
            case Preference.IMMUTABLE:
                keys.append(vault.immutability not in {"Unlocked", "Locked"})
            case Preference.ROOM:
                keys.append(_room(snapshot, one).items * 10 // LIMITS.number("vault_vms"))
    return (*keys, tie(snapshot.id, vault.id.key))


def tie(vm: ArmId, other: str) -> str:
    """Break a tie the same way in every run: the smaller hash of VM and candidate wins.

    Hashing both (and not the VM alone) keeps a VM's choice when other candidates come or go.
    """
    return hashlib.blake2b(f"{vm.key}|{other}".encode(), digest_size=8).hexdigest()


def _room(snapshot: Snapshot, one: Candidate) -> Room:
    return snapshot.room.get(one.vault.id.key, _EMPTY)


def _name_taken(snapshot: Snapshot, vault: Vault) -> bool:
    return any(
        item.vault == vault.id and item.source is not None and item.source != snapshot.id
        for item in snapshot.items
    )


# --- policies ------------------------------------------------------------------------------------


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
    notes = _vault_notes(chosen, vm, mine)
    blockers = tuple(note for note in notes if note.severity is Severity.BLOCKER)
    policy = _policy(rules, match, snapshot, vm, vault, mine)
    if isinstance(policy, Finding):
        return Refused(findings=(policy, *blockers))
    if blockers:
        return Refused(findings=blockers)
    kind_note = _kind_note(match, vm, policy, vault)
    full = _policy_note(snapshot, vault, policy, rules.tier(match.tier), mine)
    because = (
        f"vault {vault.name} of set {chosen.set_name}"
        + (" (the VM is there already)" if mine else ""),
        f"tier {match.tier}: {match.tier_because}",
        f"policy {policy.name} ({policy.kind.value})",
    )
    return Place(
        vault=vault,
        policy=policy,
        notes=(*notes, *kind_note, *full),
        because=because,
        current=mine,
    )


def _policy(
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
        return _policy_missing(rules, match, vault, tier, tuple(p.name for p in existing))
    current = next((p for p in existing if mine is not None and p.id == mine.policy), None)
    kinds = _kinds(match, vm, current)
    for kind in kinds:
        group = [policy for policy in named if policy.kind is kind]
        if not group:
            continue
        if current is not None and current in group:
            return current  # a spread group is one target: moving inside it would be drift
        return _spread(snapshot, vault, group)
    return _policy_kind(rules, match, vm, vault, named, kinds, current)


def needs_enhanced(vm: Vm) -> tuple[str, ...]:
    """Say what of this VM only an Enhanced policy can back up (facts §3.2, §3.3)."""
    reasons = []
    kinds = {(disk.storage_type or "").lower() for disk in (vm.os_disk, *vm.data_disks)}
    if "ultrassd_lrs" in kinds:
        reasons.append("an Ultra disk")
    if "premiumv2_lrs" in kinds:
        reasons.append("a Premium SSD v2 disk")
    if vm.extended_location:
        reasons.append("an extended zone")
    return tuple(reasons)


def _kinds(match: Match, vm: Vm, current: Policy | None) -> tuple[PolicyKind, ...]:
    """Give the kinds that may be chosen, preferred one first."""
    both = (PolicyKind.STANDARD, PolicyKind.ENHANCED)
    wish = match.options.trusted_launch
    trusted = vm.security is SecurityType.TRUSTED_LAUNCH
    if needs_enhanced(vm) or (trusted and wish is TrustedLaunch.REQUIRE):
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
    taken = snapshot.room.get(vault.id.key, _EMPTY).per_policy
    roomy = [p for p in group if taken.get(p.id.key, 0) < LIMITS.number("policy_vms")]
    if roomy:
        return min(roomy, key=lambda policy: tie(snapshot.id, policy.id.key))
    return min(group, key=lambda policy: (taken.get(policy.id.key, 0), policy.id.key))


# --- findings ------------------------------------------------------------------------------------


def _no_vault(rules: Rules, match: Match, snapshot: Snapshot, vm: Vm) -> Finding:
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
    reasons = [
        f"{vault.name} ({vault.id.group}): {why_not(match, vaults, vault, vm)}"
        for vault in near
        for _, vaults in match.ready.vaults[:1]
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


def _taken(snapshot: Snapshot, vm: Vm, vault: Vault) -> Finding:
    other = next(i.source for i in snapshot.items if i.source and i.source != snapshot.id)
    return finding(
        "NAME_TAKEN",
        text="A VM of another subscription with the same resource group and name is in this vault;"
        " Azure Backup cannot hold both.",
        evidence=f"{vault.name} holds {other}",
        remedies=(remedy.name_taken(vm, vault),),
    )


def _vault_not_ready(vault: Vault, now: datetime) -> Later:
    note = finding(
        "VAULT_NOT_READY",
        text=f"Vault {vault.name} is not ready.",
        evidence=f"provisioning state {vault.provisioning}",
    )
    return Later(until=now + timedelta(minutes=5), why=note.text, findings=(note,))


def _full(rules: Rules, snapshot: Snapshot, vm: Vm, ranked: list[Candidate]) -> Finding:
    counts = ", ".join(f"{one.vault.name}: {_room(snapshot, one).items}" for one in ranked[:8])
    return finding(
        "VAULT_FULL",
        text=f"Every vault for this VM holds {LIMITS.number('vault_vms')} VMs, the most Azure takes.",
        evidence=counts,
        remedies=remedy.another_vault(rules.content.new_vaults, ranked[0].vaults, vm),
    )


def _day_full(found: list[Candidate], snapshot: Snapshot, now: datetime) -> Later:
    tomorrow = datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC) + timedelta(days=1)
    counts = ", ".join(f"{one.vault.name}: {_room(snapshot, one).today}" for one in found[:8])
    note = finding(
        "VAULT_DAY_FULL",
        text="Every vault for this VM has taken in as many new VMs as it may today.",
        evidence=f"newly protected today: {counts}",
    )
    return Later(until=tomorrow, why=note.text, findings=(note,))


def _vault_notes(chosen: Candidate, vm: Vm, mine: ProtectedItem | None) -> tuple[Finding, ...]:
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


def _policy_missing(
    rules: Rules, match: Match, vault: Vault, tier: Tier, existing: tuple[str, ...]
) -> Finding:
    wanted = (*tier.standard, *tier.enhanced)
    return finding(
        "POLICY_MISSING",
        text=f"Vault {vault.name} has no policy of tier {match.tier}.",
        evidence=f"wanted: {', '.join(wanted)}; there: {', '.join(existing[:12]) or 'none'}",
        remedies=remedy.policy_missing(rules.content.declared.policies, vault, wanted),
    )


def _policy_kind(
    rules: Rules,
    match: Match,
    vm: Vm,
    vault: Vault,
    named: list[Policy],
    kinds: tuple[PolicyKind, ...],
    current: Policy | None,
) -> Finding:
    reasons = list(needs_enhanced(vm))
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


def _kind_note(match: Match, vm: Vm, policy: Policy, vault: Vault) -> tuple[Finding, ...]:
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


def _policy_note(
    snapshot: Snapshot, vault: Vault, policy: Policy, tier: Tier, mine: ProtectedItem | None
) -> tuple[Finding, ...]:
    taken = snapshot.room.get(vault.id.key, _EMPTY).per_policy.get(policy.id.key, 0)
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
