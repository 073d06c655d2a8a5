"""Settings below a vault: soft delete, storage redundancy, encryption, usage counts."""

from simulator.arm import Call, Json, Reply
from simulator.backup import filters, refusals
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, text_of
from simulator.backup.names import VAULT_TYPE, vault_prefix
from simulator.backup.records import Vault
from simulator.backup.vault_bodies import learned_of, settled
from simulator.backup.vault_lookup import vault_of
from simulator.world import Cause, World

_SOFT_DELETE = frozenset({"enabled", "disabled", "alwayson"})
_REDUNDANCY = frozenset(
    {"georedundant", "locallyredundant", "zoneredundant", "readaccessgeozoneredundant"}
)


def get_config(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    return Reply(
        status=200,
        body=_config_body(world, call, vault),
        content_type=world.backup.era.content_type,
    )


def _config_body(world: World, call: Call, vault: Vault) -> Fields:
    config = vault.config
    properties: Fields = {
        "enhancedSecurityState": config.enhanced,
        "softDeleteFeatureState": config.soft_delete,
    }
    if world.backup.era >= Era.Y2022:
        properties["softDeleteRetentionPeriodInDays"] = config.days
    properties["isSoftDeleteFeatureStateEditable"] = config.editable
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    # The one id that does not echo how the request spelled "subscriptions" (recorded 2020).
    prefix = prefix.replace("/Subscriptions/", "/subscriptions/", 1)
    return {
        "id": f"{prefix}/backupconfig/vaultconfig",
        "name": "vaultconfig",
        "type": f"{VAULT_TYPE}/backupconfig",
        "properties": properties,
    }


def write_config(world: World, call: Call) -> Reply:
    """PUT and PATCH do the same and answer at once (recorded for PATCH)."""
    vault = vault_of(world, call)
    asked = fields_of(call.fields().get("properties"))
    config = vault.config
    wanted = text_of(asked.get("softDeleteFeatureState"))
    if wanted and wanted.lower() not in _SOFT_DELETE:
        raise refusals.bad_input(f"softDeleteFeatureState '{wanted}'")
    if config.soft_delete.lower() == "alwayson" and wanted and wanted.lower() != "alwayson":
        raise refusals.soft_delete_fixed()
    days = asked.get("softDeleteRetentionPeriodInDays")
    if days is not None and (type(days) is not int or not 14 <= days <= 180):
        raise refusals.bad_input(f"softDeleteRetentionPeriodInDays '{days}'")
    weakens = wanted.lower() == "disabled" and config.keeps_deleted
    if weakens and vault.guards and not asked.get("resourceGuardOperationRequests"):
        raise refusals.guard_needed(world)
    config.soft_delete = wanted or config.soft_delete
    config.enhanced = text_of(asked.get("enhancedSecurityState")) or config.enhanced
    config.days = days if isinstance(days, int) else config.days
    config.editable = config.soft_delete.lower() != "alwayson"
    vault.configured = True
    learned_of(world.backup, vault)
    settled(world.backup, vault)
    world.publish("write", call.resource_id, Cause.of(call))
    return get_config(world, call)


def get_storage(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    locked = "Locked" if vault.ever_registered else "Unlocked"
    body: Fields = {
        "id": f"{prefix}/backupstorageconfig/vaultstorageconfig",
        "name": "vaultstorageconfig",
        "type": f"{VAULT_TYPE}/backupstorageconfig",
        "properties": {**vault.storage, "storageTypeState": locked},
    }
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def write_storage(world: World, call: Call) -> Reply:
    """PUT answers 200 with the body, PATCH 204 (bms24); redundancy locks with the first item."""
    vault = vault_of(world, call)
    asked = fields_of(call.fields().get("properties"))
    wanted = text_of(asked.get("storageType") or asked.get("storageModelType"))
    if not wanted or wanted.lower() not in _REDUNDANCY:
        raise refusals.bad_input(f"storageType '{wanted}'")
    if vault.ever_registered and wanted != vault.storage.get("storageType"):
        raise refusals.storage_locked()
    crossing = asked.get("crossRegionRestoreFlag", vault.storage["crossRegionRestoreFlag"])
    vault.storage |= {
        "storageModelType": wanted,
        "storageType": wanted,
        "crossRegionRestoreFlag": crossing,
    }
    if world.backup.era >= Era.Y2024:
        properties = fields_of(vault.body.get("properties"))
        properties["redundancySettings"] = {
            "standardTierStorageRedundancy": wanted,
            "crossRegionRestore": "Enabled" if crossing is True else "Disabled",
        }
        vault.body["properties"] = properties
    settled(world.backup, vault)
    world.publish("write", call.resource_id, Cause.of(call))
    return Reply(status=204) if call.method == "PATCH" else get_storage(world, call)


def get_encryption(world: World, call: Call) -> Reply:
    """Answer what encrypts a vault: Microsoft's keys unless the vault's body says otherwise."""
    vault = vault_of(world, call)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    given = fields_of(fields_of(vault.body.get("properties")).get("encryption"))
    kek = fields_of(given.get("kekIdentity"))
    own_key = text_of(fields_of(given.get("keyVaultProperties")).get("keyUri"))
    properties: Fields = {}
    if user := text_of(kek.get("userAssignedIdentity")):
        properties["userAssignedIdentity"] = user
    properties["useSystemAssignedIdentity"] = not user
    properties["encryptionAtRestType"] = "CustomerManaged" if own_key else "MicrosoftManaged"
    if own_key:
        properties |= {"keyUri": own_key, "subscriptionId": ""}
    properties["lastUpdateStatus"] = "Succeeded" if own_key else "NotEnabled"
    properties["infrastructureEncryptionState"] = (
        text_of(given.get("infrastructureEncryption")) or "Disabled"
    )
    body: Fields = {
        "id": f"{prefix}/backupEncryptionConfigs/backupResourceEncryptionConfig",
        "name": "backupResourceEncryptionConfig",
        "type": f"{VAULT_TYPE}/backupEncryptionConfigs",
        "properties": properties,
    }
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def usages(world: World, call: Call) -> Reply:
    """Count what a vault holds: the only list whose totals can be trusted (facts §4.1)."""
    vault = vault_of(world, call)
    count = sum(item.visible for item in vault.items.values())
    failing = sum(item.health_status == "ActionRequired" for item in vault.items.values())
    warning = sum(item.health_status == "ActionSuggested" for item in vault.items.values())
    value = [
        _usage("MABContainersCount", "Backup management servers", 0),
        _usage("ProtectedItemCount", "Backup items/Azure virtual machine backup", count),
        _usage("ProtectedItemCriticalCount", "Critical", failing),
        _usage("ProtectedItemWarningCount", "Warning", warning),
        _usage("IaaSVMProtectedItemCount", "Azure Virtual Machines", count),
        _usage("IaaSVMProtectedItemCriticalCount", "Critical", failing),
        _usage("IaaSVMProtectedItemWarningCount", "Warning", warning),
        _usage("MABProtectedItemCount", "File-Folders", 0),
        _usage("DPMProtectedItemCount", "DPM Protected Items Count", 0),
    ]
    return Reply(status=200, body={"value": value})


def usage_summaries(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.SUMMARY).get("type", "")
    count = sum(item.visible for item in vault.items.values())
    match wanted:
        case "BackupProtectedItemCountSummary" | "":
            value = [_usage("AzureIaasVM", "Azure Virtual Machine", count)]
        case "BackupProtectionContainerCountSummary":
            value = []
        case _:
            raise refusals.bad_input(f"type '{wanted}'")
    return Reply(status=200, body={"value": value}, content_type=world.backup.era.content_type)


def _usage(name: str, text: str, count: int) -> Json:
    return {
        "unit": "Count",
        "currentValue": count,
        "limit": -1,
        "name": {"value": name, "localizedValue": text},
    }
