"""Recovery Services vaults (facts §1.3)."""

from __future__ import annotations

from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    mapping,
    rows,
    same,
    tags,
    text,
    words,
)
from shared.domain.model import Vault, region_of


def parse_vault(body: Body) -> Vault | None:
    """Give the vault; None if its id cannot be read."""
    vault = arm_id(body, "id")
    if vault is None:
        return None
    properties = mapping(body, "properties")
    security = mapping(properties, "securitySettings")
    return Vault(
        id=vault,
        location=region_of(text(body, "location")),
        tags=tags(body, "tags"),
        redundancy=words(properties, "redundancySettings", "standardTierStorageRedundancy"),
        cross_region_restore=_switch(text(properties, "redundancySettings", "crossRegionRestore")),
        soft_delete=words(security, "softDeleteSettings", "softDeleteState"),
        immutability=words(security, "immutabilitySettings", "state"),
        multi_user_authorization=same(text(security, "multiUserAuthorization"), "Enabled"),
        private_endpoints=same(text(properties, "privateEndpointStateForBackup"), "Enabled")
        or bool(rows(properties, "privateEndpointConnections")),
        public_access=_switch(text(properties, "publicNetworkAccess")),
        provisioning=text(properties, "provisioningState") or "Succeeded",
        storage_version=words(properties, "backupStorageVersion"),
        key=words(properties, "encryption", "keyVaultProperties", "keyUri"),
        key_reader=_key_reader(body, mapping(properties, "encryption", "kekIdentity")),
    )


def _key_reader(body: Body, identity: Body) -> str | None:
    """Give the identity that reads the customer's key: a user-assigned one, else the vault's."""
    chosen = words(identity, "userAssignedIdentity")
    if chosen is None:
        return words(body, "identity", "principalId") if identity else None
    assigned = mapping(body, "identity", "userAssignedIdentities")
    known = next((name for name in assigned if same(name, chosen)), "")
    return words(assigned, known, "principalId") or chosen


def _switch(word: str) -> bool | None:
    return same(word, "Enabled") if word else None
