"""A vault's ARM body: how it is born, what settles later, what a list leaves out (report §3.3)."""

from datetime import datetime

from simulator.arm import Json
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, etag_text, fields_of, text_of
from simulator.backup.names import VAULT_TYPE
from simulator.backup.records import Config, Vault
from simulator.backup.state import BackupState

#: The order properties were recorded in.
_ORDER = (
    "provisioningState",
    "privateEndpointStateForBackup",
    "privateEndpointStateForSiteRecovery",
    "encryption",
    "monitoringSettings",
    "backupStorageVersion",
    "securitySettings",
    "redundancySettings",
    "secureScore",
    "bcdrSecurityLevel",
    "publicNetworkAccess",
    "restoreSettings",
)
_ORDER_2022 = (
    "provisioningState",
    "privateEndpointStateForBackup",
    "privateEndpointStateForSiteRecovery",
    "encryption",
    "backupStorageVersion",
    "redundancySettings",
    "monitoringSettings",
)
#: What the backup service adds to a single GET and ARM's lists do not have.
_NOT_IN_LISTS = frozenset({"backupStorageVersion", "securitySettings", "redundancySettings"})
#: What a client may set by PUT or PATCH.
_WRITABLE = frozenset(
    {
        "encryption",
        "monitoringSettings",
        "publicNetworkAccess",
        "redundancySettings",
        "restoreSettings",
        "securitySettings",
        "resourceGuardOperationRequests",
    }
)


def new_body(state: BackupState, vault_id: str, asked: Fields, at: datetime) -> Fields:
    """Make the body of a vault that is being created."""
    era = state.era
    given = fields_of(asked.get("properties"))
    properties: Fields = {
        "provisioningState": "Provisioning" if era.vault_create_waits else "Succeeded"
    }
    if era >= Era.Y2021:
        properties["privateEndpointStateForBackup"] = "None"
        properties["privateEndpointStateForSiteRecovery"] = "None"
    if Era.M2022_11 <= era <= Era.Y2022:
        properties["encryption"] = None
    if era >= Era.M2022_08 and "monitoringSettings" in given:
        properties["monitoringSettings"] = given["monitoringSettings"]
    if era >= Era.Y2023:
        if "securitySettings" in given:
            properties["securitySettings"] = {
                "immutabilitySettings": fields_of(given["securitySettings"]).get(
                    "immutabilitySettings"
                ),
                "softDeleteSettings": None,
                "multiUserAuthorization": "Invalid",
            }
        properties["publicNetworkAccess"] = given.get("publicNetworkAccess", "Enabled")
        properties["restoreSettings"] = given.get(
            "restoreSettings",
            {"crossSubscriptionRestoreSettings": {"crossSubscriptionRestoreState": "Enabled"}},
        )
    if era >= Era.Y2024:
        properties["redundancySettings"] = redundancy(given)
        properties["secureScore"] = "None"
        properties["bcdrSecurityLevel"] = "Poor"
    body: Fields = {
        "location": asked.get("location"),
        "name": vault_id.rsplit("/", 1)[1],
        "etag": etag_text(at),
    }
    for member in ("tags", "identity"):
        if asked.get(member):
            body[member] = asked[member]
    body["properties"] = _ordered(properties, era)
    body["id"] = vault_id
    body["type"] = VAULT_TYPE
    body["sku"] = asked.get("sku") or {"name": "Standard"}
    return body


def _score(properties: Fields) -> None:
    """Grade a vault as Azure does; recorded: immutability lifts it one step."""
    security = fields_of(properties.get("securitySettings"))
    immutable = text_of(fields_of(security.get("immutabilitySettings")).get("state"))
    better = immutable.lower() in {"locked", "unlocked"}
    properties["secureScore"] = "Minimum" if better else "None"
    properties["bcdrSecurityLevel"] = "Fair" if better else "Poor"


def redundancy(given: Fields) -> Fields:
    asked = fields_of(given.get("redundancySettings"))
    return {
        "standardTierStorageRedundancy": text_of(asked.get("standardTierStorageRedundancy"))
        or "GeoRedundant",
        "crossRegionRestore": text_of(asked.get("crossRegionRestore")) or "Disabled",
    }


def settled(state: BackupState, vault: Vault, *, written: bool = False) -> None:
    """Complete a vault: what the backup service fills in once it knows it.

    Only a write of the vault itself gives it a new etag (recorded: settings, guards and the first
    registration change the body and not the etag).
    """
    properties = fields_of(vault.body.get("properties"))
    properties["provisioningState"] = "Succeeded"
    if not vault.known:
        _keep(state, vault, properties, written=written)
        return
    if state.era >= Era.M2022_08:
        properties["backupStorageVersion"] = storage_version(vault, properties)
    configured = vault.configured and state.era is not Era.Y2022
    if Era.M2022_08 <= state.era <= Era.Y2023 and (vault.ever_registered or configured):
        properties.setdefault("redundancySettings", redundancy({}))
    if state.era >= Era.Y2024:
        _score(properties)
    if state.era >= Era.Y2023:
        properties["securitySettings"] = _security(state, vault, properties)
    _keep(state, vault, properties, written=written)


def _keep(state: BackupState, vault: Vault, properties: Fields, *, written: bool) -> None:
    vault.body["properties"] = _ordered(properties, state.era)
    if written:
        vault.body["etag"] = etag_text(state.now())
    state.world.put(vault.vault_id, dict(vault.body), None)
    state.tell(vault)


def storage_version(vault: Vault, properties: Fields) -> str:
    """Return the storage a vault has settled for: the first item or key decides, once.

    V1 was recorded where the first item left disks out, and after cross-region restore was turned
    on; V2 everywhere else.
    """
    crosses = fields_of(properties.get("redundancySettings")).get("crossRegionRestore") == "Enabled"
    if crosses:
        return "V1"
    if vault.storage_version == "Unassigned" and properties.get("encryption"):
        return "V2"
    return vault.storage_version


def _security(state: BackupState, vault: Vault, properties: Fields) -> Fields:
    before = fields_of(properties.get("securitySettings"))
    config = vault.config
    soft: Fields = {
        "softDeleteRetentionPeriodInDays": _shown_days(vault, config),
        "softDeleteState": config.soft_delete,
    }
    if state.era >= Era.Y2024:
        soft["enhancedSecurityState"] = config.enhanced
    return {
        "immutabilitySettings": before.get("immutabilitySettings"),
        "softDeleteSettings": soft,
        "multiUserAuthorization": "Enabled" if vault.guards else "Disabled",
    }


def _shown_days(vault: Vault, config: Config) -> int:
    """With soft delete off the vault says 0 days once an item was registered (recorded)."""
    kept = config.keeps_deleted or vault.storage_version == "Unassigned"
    return (
        config.days
        if kept or storage_version(vault, fields_of(vault.body["properties"])) == "V1"
        else 0
    )


def learned_of(state: BackupState, vault: Vault) -> None:
    """Let the backup service know a vault: from now on it fills in its part of the body."""
    if not vault.known:
        vault.known = True
        settled(state, vault)


def first_registration(state: BackupState, vault: Vault, *, selects_disks: bool) -> None:
    """Fix what the first registered item fixes: the storage version and the redundancy."""
    if vault.ever_registered:
        return
    vault.ever_registered = vault.known = True
    vault.storage_version = "V1" if selects_disks else "V2"
    settled(state, vault)


def changed(state: BackupState, vault: Vault, asked: Fields) -> None:
    """Merge a PUT or PATCH into a vault's body; nested objects merge, lists replace."""
    given = fields_of(asked.get("properties"))
    properties = fields_of(vault.body.get("properties"))
    for member in _WRITABLE & given.keys():
        if member == "resourceGuardOperationRequests":
            continue
        if member == "encryption":
            properties[member] = _encryption(properties.get(member), given[member])
        else:
            properties[member] = _merged(properties.get(member), given[member])
    soft = fields_of(fields_of(given.get("securitySettings")).get("softDeleteSettings"))
    if wanted := text_of(soft.get("softDeleteState")):
        vault.config.soft_delete = wanted
    days = soft.get("softDeleteRetentionPeriodInDays")
    if isinstance(days, int):
        vault.config.days = days
    vault.body["properties"] = _ordered(properties, state.era)
    for member in ("tags", "sku"):
        if member in asked:
            vault.body[member] = asked[member]
    if "identity" in asked:
        vault.body = _with_identity(state, vault, fields_of(asked["identity"]))


def _with_identity(state: BackupState, vault: Vault, asked: Fields) -> Fields:
    kinds = {word.strip().lower() for word in text_of(asked.get("type")).split(",")}
    by_system, by_user = "systemassigned" in kinds, "userassigned" in kinds
    identity: Fields = {}
    if by_system or by_user:
        identity["tenantId"] = state.world.tenant_id
    if by_system:
        before_all = fields_of(vault.body.get("identity"))
        # Recorded: an identity that is taken away and given again is a new one.
        identity["principalId"] = before_all.get("principalId") or state.guid("identity", vault.key)
    names = ["SystemAssigned"] * by_system + ["UserAssigned"] * by_user
    identity["type"] = ", ".join(names) or "None"
    if by_user:
        before = fields_of(vault.body.get("identity"))
        identity["userAssignedIdentities"] = _users(state, before, asked)
    return in_order({**vault.body, "identity": identity})


def in_order(body: Fields) -> Fields:
    """Write a vault's members in the recorded order."""
    order = ("location", "name", "etag", "tags", "identity", "properties", "id", "type", "sku")
    return {key: body[key] for key in order if key in body}


def _users(state: BackupState, before: Fields, asked: Fields) -> Fields:
    """Merge user-assigned identities: one that is null goes, the others stay (recorded)."""
    kept = fields_of(before.get("userAssignedIdentities"))
    for key, value in fields_of(asked.get("userAssignedIdentities")).items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = {
                "clientId": state.world.stable_guid("client", key),
                "principalId": state.world.stable_guid("principal", key),
            }
    return kept


def _encryption(before: Json, asked: Json) -> Fields:
    """Merge encryption settings; a key's identity is the system's or one user's, never both."""
    old, new = fields_of(before), fields_of(asked)
    kept: Fields = {
        "keyVaultProperties": new.get("keyVaultProperties") or old.get("keyVaultProperties")
    }
    kek = fields_of(new.get("kekIdentity")) or fields_of(old.get("kekIdentity"))
    user = text_of(kek.get("userAssignedIdentity"))
    kept["kekIdentity"] = {
        "useSystemAssignedIdentity": not user,
        "userAssignedIdentity": user or None,
    }
    kept["infrastructureEncryption"] = (
        text_of(new.get("infrastructureEncryption"))
        or text_of(old.get("infrastructureEncryption"))
        or "Disabled"
    )
    return kept


def _merged(old: Json, new: Json) -> Json:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new


def _ordered(properties: Fields, era: Era) -> Fields:
    order = _ORDER_2022 if Era.M2022_08 <= era <= Era.Y2022 else _ORDER
    known = {key: properties[key] for key in order if key in properties}
    return known | {key: value for key, value in properties.items() if key not in known}


def in_list(body: Fields) -> Fields:
    """Return a vault as ARM's lists show it, without what only the service knows."""
    properties = fields_of(body.get("properties"))
    return {
        **body,
        "properties": {k: v for k, v in properties.items() if k not in _NOT_IN_LISTS},
    }
