"""Which vaults are candidates for a VM, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.faultbook import known
from shared.domain.ids import ArmId, vault_of
from shared.domain.limits import LIMITS
from shared.domain.model import ProtectedItem, ProtectionState, Room, Snapshot, Vault, Vm, region_of
from shared.domain.rules.model import Preference, Subscriptions, VaultSet
from shared.domain.rules.selectors import Traits, tag_conditions
from shared.domain.selection import Match
from shared.domain.spelling import plain

EMPTY = Room(items=0, today=0)
_VAULTS_TRIED = 2  # that called themselves full; then a person hears of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A vault that rules allow for a VM, with what ranks it."""

    vault: Vault
    vaults: VaultSet
    set_name: str
    set_rank: int
    listed: int


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
            if not why_not(match, vaults, vault, snapshot):
                found[vault.id.key] = Candidate(
                    vault=vault, vaults=vaults, set_name=name, set_rank=rank, listed=listed
                )
    return tuple(found.values())


def why_not(match: Match, vaults: VaultSet, vault: Vault, snapshot: Snapshot) -> str:
    """Say why a set does not take a vault of the VM's region; "" if it does."""
    here, there = snapshot.id.subscription.lower(), vault.id.subscription.lower()
    same = here == there
    tenant, other = snapshot.tenants.get(here), snapshot.tenants.get(there)
    if not same and None not in {tenant, other} and tenant != other:
        return f"it belongs to tenant {other}, the VM to {tenant}; Azure Backup does not cross them"
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
    return min(
        mine,
        key=lambda item: (
            item.state is ProtectionState.SOFT_DELETED,
            item.state is ProtectionState.STOPPED,
            item.id.key,
        ),
        default=None,
    )


def _listed(vaults: VaultSet, vault: Vault) -> int:
    """Give the vault's position in the set's list; one past the end if it is not in it."""
    for at, text in enumerate(vaults.ids):
        if text.strip().strip("/").lower() == vault.id.key.strip("/"):
            return at
    return len(vaults.ids)


def rank(one: Candidate, snapshot: Snapshot, vm: Vm) -> tuple[object, ...]:
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
                keys.append(room_of(snapshot, one).items * 10 // LIMITS.number("vault_vms"))
    return (*keys, tie(snapshot.id, vault.id.key))


def why_behind(one: Candidate, chosen: Candidate, snapshot: Snapshot, vm: Vm, day_cap: int) -> str:
    """Say why a candidate was not chosen: it cannot take the VM, or what ranks it behind."""
    if is_taken(snapshot, one.vault):
        return "it holds another VM of this name"
    if not is_ready(one.vault):
        return f"it is {one.vault.provisioning.lower()}"
    room = room_of(snapshot, one)
    if room.items >= LIMITS.number("vault_vms"):
        return f"it holds {room.items} VMs"
    if room.today >= day_cap:
        return f"it took in {room.today} VMs today"
    words = {
        Preference.LISTED: "it is listed later",
        Preference.SAME_SUBSCRIPTION: "it lies in another subscription",
        Preference.REDUNDANCY: f"it is {one.vault.redundancy or 'of unknown redundancy'}",
        Preference.IMMUTABLE: "it is not immutable",
        Preference.ROOM: "it is fuller",
    }
    reasons = (f"set {one.set_name} comes later", *(words[each] for each in chosen.vaults.prefer))
    pairs = zip(rank(one, snapshot, vm), rank(chosen, snapshot, vm), reasons, strict=False)
    return next((why for its, best, why in pairs if its != best), "equal; a hash breaks the tie")


def tie(vm: ArmId, other: str) -> str:
    """Break a tie the same way in every run: the smaller hash of VM and candidate wins.

    Hashing both (and not the VM alone) keeps a VM's choice when other candidates come or go.
    """
    return hashlib.blake2b(f"{vm.key}|{other}".encode(), digest_size=8).hexdigest()


def room_of(snapshot: Snapshot, one: Candidate) -> Room:
    room = snapshot.room.get(one.vault.id.key, EMPTY)
    if one.vault.id != said_full(snapshot):
        return room
    return replace(room, items=max(room.items, LIMITS.number("vault_vms")))


def said_full(snapshot: Snapshot) -> ArmId | None:
    """Give the vault that Azure just called full for this VM, whatever our own count says."""
    failure = snapshot.past.failure
    if failure is None or failure.policy is None or failure.count > _VAULTS_TRIED:
        return None
    fault = known(failure.code, 0, failure.message).fault
    full = fault is not None and fault.finding == "VAULT_FULL"
    return vault_of(failure.policy) if full else None


def is_ready(vault: Vault) -> bool:
    return vault.provisioning.lower() == "succeeded"


def is_taken(snapshot: Snapshot, vault: Vault) -> bool:
    return any(
        item.vault == vault.id and item.source is not None and item.source != snapshot.id
        for item in snapshot.items
    )
