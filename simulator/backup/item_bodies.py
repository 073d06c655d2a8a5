"""Protected items and containers as the service writes them (report §3.1, §3.3; facts §1.7)."""

from simulator.backup.eras import Era
from simulator.backup.formats import NO_BACKUP, Fields, time_text, timespan_text
from simulator.backup.names import CONTAINER_TYPE, ITEM_TYPE, MANAGEMENT
from simulator.backup.records import Failure, Item, Vault
from simulator.backup.state import BackupState

#: Recorded health of an item whose backup worked.
GREEN: Fields = {
    "code": 400239,
    "title": "IaasVmHealthGreenDefault",
    "message": "Backup pre-check status of this virtual machine is OK.",
    "recommendations": [],
}


def kpis_of(failure: Failure | None, *, again: bool = False) -> Fields:
    """Write the outcome of the last backup as a key performance indicator (2021, 2022)."""
    return {"BackupOperationStatusKPI": _kpi(failure, again=again)}


def restore_kpis() -> Fields:
    return {"RestoreOperationStatusKPI": _kpi(None)}


def _kpi(failure: Failure | None, *, again: bool = False) -> Fields:
    detail: Fields = {"code": 0, "title": "Success", "message": "", "recommendations": []}
    if failure is not None:
        detail = {
            "code": failure.number,
            "title": failure.code,
            "message": failure.message,
            "recommendations": list(failure.recommendations),
        }
    return {
        "resourceHealthStatus": (
            "Healthy"
            if failure is None
            else ("PersistentDegraded" if again else "TransientDegraded")
        ),
        "resourceHealthDetails": [detail],
    }


def item_body(state: BackupState, vault: Vault, item: Item, prefix: str) -> Fields:
    """Write an item; status fields stay green whatever happened, only the state tells."""
    return {
        "id": prefix + item.name.item_path,
        "name": item.name.item,
        "type": ITEM_TYPE,
        "properties": _properties(state, vault, item, prefix),
    }


def _properties(state: BackupState, vault: Vault, item: Item, prefix: str) -> Fields:
    era = state.era
    shown: Fields = {}
    if Era.Y2021 <= era <= Era.Y2022:
        shown["kpisHealths"] = item.kpis
    shown |= {
        "friendlyName": item.friendly_name,
        "virtualMachineId": item.machine_id or item.vm_id,
        "protectionStatus": item.protection_status,
        "protectionState": item.state.value,
        "healthStatus": item.health_status,
    }
    if item.health:
        shown["healthDetails"] = list(item.health)
    shown |= {
        "lastBackupStatus": item.last_status,
        "lastBackupTime": time_text(item.last_backup) if item.last_backup else NO_BACKUP,
        "protectedItemDataId": item.data_id,
    }
    if item.disks is not None:
        shown["extendedProperties"] = {"diskExclusionProperties": item.disks}
    elif item.extended is not None:
        shown["extendedProperties"] = item.extended
    if Era.M2022_11 <= era <= Era.Y2022:
        shown["ConfiguredRPGenerationFrequency"] = "00:00:00"
    if era is Era.Y2024:
        shown["sourceSideScanning"] = 0
    if era >= Era.Y2025:
        shown["policyType"] = _policy_type(vault, item)
    policy_id = f"{prefix}/backupPolicies/{item.policy_name}" if item.policy_name else ""
    shown |= {
        "protectedItemType": item.name.vm_type,
        "backupManagementType": MANAGEMENT,
        "workloadType": "VM",
        "containerName": item.name.short,
        "sourceResourceId": item.vm_id,
        "policyId": policy_id,
        "policyName": item.policy_name,
    }
    if item.last_point is not None:
        shown["lastRecoveryPoint"] = time_text(item.last_point)
    if era >= Era.M2022_11:
        shown["vaultId"] = f"https://management.azure.com{prefix}"
    if item.deleted_at is not None:
        shown |= _deferred(state, item)
    if era >= Era.M2021_06:
        shown["isArchiveEnabled"] = False
    if era >= Era.M2022_11:
        shown["softDeleteRetentionPeriod"] = item.retention_days if item.soft_deleted else 0
    return shown


def _policy_type(vault: Vault, item: Item) -> str:
    policy = vault.policies.get(item.policy)
    if policy is None:
        return ""
    return "V2" if policy.is_enhanced else "V1"


def _deferred(state: BackupState, item: Item) -> Fields:
    """``deferredDeleteTimeInUTC`` is when it was deleted, not when it goes (report §6.25)."""
    if item.deleted_at is None or item.purge_at is None:
        return {}
    return {
        "deferredDeleteTimeInUTC": time_text(item.deleted_at),
        "isScheduledForDeferredDelete": True,
        "deferredDeleteTimeRemaining": timespan_text(item.purge_at - state.now()),
    }


def container_body(era: Era, vault: Vault, item: Item, prefix: str) -> Fields:
    """Write the container of an item: one VM, one container."""
    deleted = item.was_deleted and era >= Era.M2022_08  # before that it always said Registered
    machine = vault.container_ids.get(item.key) or item.machine_id or item.vm_id
    return {
        "id": f"{prefix}/backupFabrics/Azure/protectionContainers/{item.name.container}",
        "name": item.name.container,
        "type": CONTAINER_TYPE,
        "properties": {
            "virtualMachineId": machine,
            "virtualMachineVersion": "Classic" if item.name.is_classic else "Compute",
            "resourceGroup": machine.split("/")[4],
            "friendlyName": item.friendly_name,
            "backupManagementType": MANAGEMENT,
            "registrationStatus": "SoftDeleted" if deleted else "Registered",
            "healthStatus": "Healthy",
            "containerType": item.name.vm_type,
            "protectableObjectType": item.name.vm_type,
        },
    }
