"""Vaults as code: which vaults the rules declare or a region lacks, and which policies go where.

Pure, like `policycode`. A vault that is there is never changed: its redundancy locks with the
first item and immutability has no way back, so what differs is told to a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from shared.domain.ids import ArmId
from shared.domain.lint import members
from shared.domain.model import Vault, region_of
from shared.domain.remedies.placement import wanted_tags
from shared.domain.rules import Rules
from shared.domain.rules.declared import Hardening
from shared.domain.rules.model import Subscriptions, VaultSet


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVault:
    """A vault that the rules declare, or that a region with VMs lacks."""

    vault: ArmId
    region: str
    hardening: Hardening
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultDiffers:
    """A vault that is there and is set up otherwise than the rules say."""

    vault: ArmId
    differences: tuple[str, ...]


def differences(there: Vault, region: str, wanted: Hardening) -> Iterator[str]:
    """Name what is set up otherwise; what Azure does not tell is no difference."""
    pairs: tuple[tuple[str, object, object], ...] = (
        ("region", there.location, region),
        ("redundancy", there.redundancy, wanted.redundancy.value),
        ("cross-region restore", there.cross_region_restore, wanted.cross_region_restore),
        ("immutability", there.immutability, wanted.immutability.value),
        ("public access", there.public_access, wanted.public_access),
    )
    for name, is_so, shall_be in pairs:
        locked = name == "immutability" and is_so == "Locked"  # more than was asked for
        if is_so is not None and is_so != shall_be and not locked:
            yield f"{name}: {is_so} -> {shall_be}"
    for tag, value in wanted.tags.items():
        if there.tags.get(tag) != value:
            yield f"tag {tag}: {there.tags.get(tag, 'none')} -> {value}"


def lacking(
    rules: Rules, known: tuple[Vault, ...], living: Counter[tuple[str, str]]
) -> tuple[tuple[MakeVault, ...], tuple[str, ...]]:
    """Find regions where VMs live and the file's first vault set has no vault (row S1).

    ``living`` counts the VMs of each subscription and region. Gives the vaults to make, and the
    regions that stay without one because the rules do not let us make any.
    """
    new = rules.content.new_vaults
    name, vaults = next(iter(rules.content.vaults.items()))
    making: dict[tuple[str, str], MakeVault] = {}
    uncovered: set[str] = set()
    for (subscription, region), _ in living.most_common():
        if _is_covered(vaults, known, subscription, region):
            continue
        if not new.create:
            uncovered.add(region)
            continue
        home = new.subscription or subscription
        alone = vaults.subscriptions is Subscriptions.SAME
        key = (home if alone else "", region)  # else one vault serves a region for all
        if key in making:
            continue
        making[key] = MakeVault(
            vault=vault_id(
                home, new.group.replace("{region}", region), new.name.replace("{region}", region)
            ),
            region=region,
            hardening=msgspec.structs.replace(
                new.hardening,
                redundancy=vaults.redundancy or new.hardening.redundancy,
                tags=new.hardening.tags | wanted_tags(vaults),
            ),
            because=f"VMs live in {region} and vault set {name} has no vault there",
        )
    return tuple(making.values()), tuple(sorted(uncovered))


def _is_covered(vaults: VaultSet, known: tuple[Vault, ...], subscription: str, region: str) -> bool:
    return any(
        region_of(vault.location) == region
        and (
            vaults.subscriptions is not Subscriptions.SAME
            or vault.id.subscription.lower() == subscription
        )
        for vault in members(vaults, known)
    )


def policies_by_vault(
    rules: Rules, known: tuple[Vault, ...]
) -> Iterator[tuple[Vault, tuple[str, ...]]]:
    """Give every vault with the names of the policies that are declared for it."""
    content = rules.content
    belongs = {
        name: {vault.id.key for vault in members(vaults, known)}
        for name, vaults in content.vaults.items()
    }
    for vault in known:
        names = tuple(
            policy.name
            for policy in content.declared.policies
            if any(vault.id.key in belongs[name] for name in policy.vaults or content.vaults)
        )
        if names:
            yield vault, names


def as_vault(one: MakeVault) -> Vault:
    """Give the vault as it will be."""
    return Vault(
        id=one.vault,
        location=one.region,
        tags=one.hardening.tags,
        redundancy=one.hardening.redundancy.value,
    )


def vault_id(subscription: str, group: str, name: str) -> ArmId:
    """Give the id of a vault."""
    return ArmId.of(subscription, group, "Microsoft.RecoveryServices", (("vaults", name),))
