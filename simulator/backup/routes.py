"""The routes of Microsoft.RecoveryServices, each with the truth behind it.

``recorded`` means a recording shows the exchange; ``specified`` that Microsoft's specification
(bms 2024-04-01) or documentation describes it; ``assumed`` that neither says.
"""

from simulator.arm import Handler, Route, Truth
from simulator.backup import (
    discovery,
    guards,
    items,
    jobs,
    locations,
    operations,
    points,
    policies,
    protection,
    restores,
    settings,
    vault_operations,
    vaults,
)

_RSV = "/providers/Microsoft.RecoveryServices"
SUBSCRIPTION = "/subscriptions/{s}"
GROUP = SUBSCRIPTION + "/resourceGroups/{rg}"
VAULTS = GROUP + _RSV + "/vaults"
VAULT = VAULTS + "/{v}"
LOCATION = SUBSCRIPTION + _RSV + "/locations/{location}"
FABRIC = VAULT + "/backupFabrics/{fabric}"
CONTAINER = FABRIC + "/protectionContainers/{container}"
ITEM = CONTAINER + "/protectedItems/{item}"

_ACTION = "Microsoft.RecoveryServices/vaults"
_ITEM_ACTION = _ACTION + "/backupFabrics/protectionContainers/protectedItems"
_LOCATION_ACTION = "Microsoft.RecoveryServices/locations"


def _route(
    method: str,
    template: str,
    operation: str,
    action: str,
    handler: Handler,
    truth: Truth,
    source: str,
) -> Route:
    return Route(
        method=method,
        template=template,
        operation=operation,
        action=action,
        handler=handler,
        truth=truth,
        source=source,
    )


# One route, one line.
# fmt: off
_VAULT_ROUTES = (
    _route("GET", SUBSCRIPTION + _RSV + "/vaults", "Vaults_ListBySubscriptionId", _ACTION + "/read", vaults.list_vaults, "recorded", "test_backup_vault 2024"),
    _route("GET", VAULTS, "Vaults_ListByResourceGroup", _ACTION + "/read", vaults.list_vaults, "recorded", "test_backup_vault 2024"),
    _route("GET", VAULT, "Vaults_Get", _ACTION + "/read", vaults.get_vault, "recorded", "all cassettes"),
    _route("PUT", VAULT, "Vaults_CreateOrUpdate", _ACTION + "/write", vaults.put_vault, "recorded", "report §1.4"),
    _route("PATCH", VAULT, "Vaults_Update", _ACTION + "/write", vaults.patch_vault, "recorded", "report §6.16"),
    _route("DELETE", VAULT, "Vaults_Delete", _ACTION + "/delete", vaults.delete_vault, "recorded", "report §1.4, §6.14"),
    _route("GET", VAULT + "/operationStatus/{operation}", "Vaults_GetOperationStatus", _ACTION + "/operationStatus/read", vault_operations.vault_operation, "recorded", "facts §1.3, report §1.4"),
    _route("GET", VAULT + "/operationResults/{operation}", "Vaults_GetOperationResult", _ACTION + "/operationResults/read", vault_operations.vault_operation_result, "specified", "vaults 2024-04-01"),
    _route("GET", VAULT + "/usages", "Usages_ListByVaults", _ACTION + "/usages/read", settings.usages, "specified", "vaultusages 2024-04-01"),
    _route("GET", VAULT + "/backupUsageSummaries", "BackupUsageSummaries_List", _ACTION + "/backupUsageSummaries/read", settings.usage_summaries, "specified", "bms 2024-04-01"),
    _route("GET", VAULT + "/backupconfig/vaultconfig", "BackupResourceVaultConfigs_Get", _ACTION + "/backupconfig/read", settings.get_config, "recorded", "report §3.3"),
    _route("PATCH", VAULT + "/backupconfig/vaultconfig", "BackupResourceVaultConfigs_Update", _ACTION + "/backupconfig/write", settings.write_config, "recorded", "report §1.4"),
    _route("PUT", VAULT + "/backupconfig/vaultconfig", "BackupResourceVaultConfigs_Put", _ACTION + "/backupconfig/write", settings.write_config, "specified", "bms 2024-04-01"),
    _route("GET", VAULT + "/backupstorageconfig/vaultstorageconfig", "BackupResourceStorageConfigs_Get", _ACTION + "/backupstorageconfig/read", settings.get_storage, "specified", "bms 2024-04-01"),
    _route("PUT", VAULT + "/backupstorageconfig/vaultstorageconfig", "BackupResourceStorageConfigs_Update", _ACTION + "/backupstorageconfig/write", settings.write_storage, "specified", "bms 2024-04-01"),
    _route("PATCH", VAULT + "/backupstorageconfig/vaultstorageconfig", "BackupResourceStorageConfigs_Patch", _ACTION + "/backupstorageconfig/write", settings.write_storage, "specified", "bms 2024-04-01"),
    _route("GET", VAULT + "/backupEncryptionConfigs/backupResourceEncryptionConfig", "BackupResourceEncryptionConfigs_Get", _ACTION + "/backupEncryptionConfigs/read", settings.get_encryption, "recorded", "test_backup_encryption 2024"),
    _route("GET", VAULT + "/backupResourceGuardProxies", "ResourceGuardProxies_Get", _ACTION + "/backupResourceGuardProxies/read", guards.list_guards, "recorded", "test_backup_rg_mapping 2024"),
    _route("GET", VAULT + "/backupResourceGuardProxies/{guard}", "ResourceGuardProxy_Get", _ACTION + "/backupResourceGuardProxies/read", guards.get_guard, "recorded", "test_backup_rg_mapping 2024"),
    _route("PUT", VAULT + "/backupResourceGuardProxies/{guard}", "ResourceGuardProxy_Put", _ACTION + "/backupResourceGuardProxies/write", guards.put_guard, "recorded", "test_backup_rg_mapping 2024"),
    _route("DELETE", VAULT + "/backupResourceGuardProxies/{guard}", "ResourceGuardProxy_Delete", _ACTION + "/backupResourceGuardProxies/delete", guards.delete_guard, "recorded", "test_backup_rg_mapping 2024"),
    _route("POST", VAULT + "/backupResourceGuardProxies/{guard}/unlockDelete", "ResourceGuardProxy_UnlockDelete", _ACTION + "/backupResourceGuardProxies/unlockDelete/action", guards.unlock_delete, "recorded", "test_backup_rg_mapping 2024"),
)

_POLICY_ROUTES = (
    _route("GET", VAULT + "/backupPolicies", "BackupPolicies_List", _ACTION + "/backupPolicies/read", policies.list_policies, "recorded", "test_backup_policy 2024"),
    _route("GET", VAULT + "/backupPolicies/{policy}", "ProtectionPolicies_Get", _ACTION + "/backupPolicies/read", policies.get_policy, "recorded", "facts §6.1"),
    _route("PUT", VAULT + "/backupPolicies/{policy}", "ProtectionPolicies_CreateOrUpdate", _ACTION + "/backupPolicies/write", policies.put_policy, "recorded", "test_backup_policy 2024"),
    _route("DELETE", VAULT + "/backupPolicies/{policy}", "ProtectionPolicies_Delete", _ACTION + "/backupPolicies/delete", policies.delete_policy, "recorded", "test_backup_policy 2024"),
    _route("GET", VAULT + "/backupPolicies/{policy}/operations/{operation}", "ProtectionPolicyOperationStatuses_Get", _ACTION + "/backupPolicies/operations/read", policies.policy_operation, "specified", "bms 2024-04-01"),
    _route("GET", VAULT + "/backupPolicies/{policy}/operationResults/{operation}", "ProtectionPolicyOperationResults_Get", _ACTION + "/backupPolicies/operationResults/read", policies.policy_operation_result, "specified", "bms 2024-04-01"),
)

_DISCOVERY_ROUTES = (
    _route("POST", FABRIC + "/refreshContainers", "ProtectionContainers_Refresh", _ACTION + "/backupFabrics/refreshContainers/action", discovery.refresh, "recorded", "report §1.1"),
    _route("GET", FABRIC + "/operationResults/{operation}", "ProtectionContainerRefreshOperationResults_Get", _ACTION + "/backupFabrics/operationResults/read", operations.get_refresh_result, "recorded", "report §3.2"),
    _route("GET", FABRIC + "/operationsStatus/{operation}", "ProtectionContainerRefreshOperationStatuses_Get", _ACTION + "/backupFabrics/operationsStatus/read", operations.get_status, "assumed", "only its URL was recorded"),
    _route("GET", VAULT + "/backupProtectableItems", "BackupProtectableItems_List", _ACTION + "/backupProtectableItems/read", discovery.list_protectable, "recorded", "report §6.19"),
    _route("GET", VAULT + "/backupProtectionContainers", "BackupProtectionContainers_List", _ACTION + "/backupProtectionContainers/read", items.list_containers, "recorded", "test_backup_container 2024"),
    _route("GET", VAULT + "/backupDeletedProtectionContainers", "DeletedProtectionContainers_List", _ACTION + "/backupDeletedProtectionContainers/read", items.list_deleted_containers, "specified", "bms 2024-04-01"),
    _route("GET", CONTAINER, "ProtectionContainers_Get", _ACTION + "/backupFabrics/protectionContainers/read", items.get_container, "specified", "bms 2024-04-01"),
    _route("POST", LOCATION + "/backupStatus", "BackupStatus_Get", _LOCATION_ACTION + "/backupStatus/action", locations.backup_status, "recorded", "test_backup_protection 2024"),
    _route("POST", LOCATION + "/backupPreValidateProtection", "ProtectionIntent_Validate", _LOCATION_ACTION + "/backupPreValidateProtection/action", locations.pre_validate, "specified", "bms 2024-04-01"),
    _route("POST", LOCATION + "/backupValidateFeatures", "FeatureSupport_Validate", _LOCATION_ACTION + "/backupValidateFeatures/action", locations.validate_features, "specified", "bms 2024-04-01"),
)

_ITEM_ROUTES = (
    _route("GET", VAULT + "/backupProtectedItems", "BackupProtectedItems_List", _ACTION + "/backupProtectedItems/read", items.list_items, "recorded", "report §3.1"),
    _route("GET", ITEM, "ProtectedItems_Get", _ITEM_ACTION + "/read", items.get_item, "recorded", "test_backup_item 2024"),
    _route("PUT", ITEM, "ProtectedItems_CreateOrUpdate", _ITEM_ACTION + "/write", protection.put_item, "recorded", "report §1.1, §1.2"),
    _route("DELETE", ITEM, "ProtectedItems_Delete", _ITEM_ACTION + "/delete", protection.delete_item, "recorded", "report §1.2"),
    _route("GET", ITEM + "/operationsStatus/{operation}", "ProtectedItemOperationStatuses_Get", _ITEM_ACTION + "/operationsStatus/read", operations.get_status, "specified", "bms 2024-04-01; same body as backupOperations"),
    _route("GET", ITEM + "/operationResults/{operation}", "ProtectedItemOperationResults_Get", _ITEM_ACTION + "/operationResults/read", operations.get_item_result, "specified", "bms 2024-04-01"),
    _route("POST", ITEM + "/backup", "Backups_Trigger", _ITEM_ACTION + "/backup/action", points.backup_now, "recorded", "test_backup_scenario 2024"),
    _route("GET", ITEM + "/recoveryPoints", "RecoveryPoints_List", _ITEM_ACTION + "/recoveryPoints/read", points.list_points, "recorded", "report §3.3"),
    _route("GET", ITEM + "/recoveryPoints/{point}", "RecoveryPoints_Get", _ITEM_ACTION + "/recoveryPoints/read", points.get_point, "recorded", "report §3.3"),
)

_RESTORE_ROUTES = (
    _route("POST", ITEM + "/recoveryPoints/{point}/restore", "Restores_Trigger", _ITEM_ACTION + "/recoveryPoints/restore/action", restores.restore, "specified", "bms 2024-04-01; the job: report §3.3"),
)

_JOB_ROUTES = (
    _route("GET", VAULT + "/backupOperations/{operation}", "BackupOperationStatuses_Get", _ACTION + "/backupOperations/read", operations.get_status, "recorded", "report §6.10"),
    _route("GET", VAULT + "/backupOperationResults/{operation}", "BackupOperationResults_Get", _ACTION + "/backupOperationResults/read", operations.get_vault_result, "specified", "bms 2024-04-01"),
    _route("GET", VAULT + "/backupJobs", "BackupJobs_List", _ACTION + "/backupJobs/read", jobs.list_jobs, "recorded", "test_backup_job 2020, 2021"),
    _route("GET", VAULT + "/backupJobs/{job}", "JobDetails_Get", _ACTION + "/backupJobs/read", jobs.get_job, "recorded", "report §3.3"),
    _route("POST", VAULT + "/backupJobs/{job}/cancel", "JobCancellations_Trigger", _ACTION + "/backupJobs/cancel/action", jobs.cancel_job, "recorded", "report §6.8"),
    _route("GET", VAULT + "/backupJobs/{job}/operationsStatus/{operation}", "JobOperationStatuses_Get", _ACTION + "/backupJobs/operationsStatus/read", operations.get_status, "assumed", "only its URL was recorded"),
    _route("GET", VAULT + "/backupJobs/{job}/operationResults/{operation}", "JobOperationResults_Get", _ACTION + "/backupJobs/operationResults/read", operations.get_vault_result, "specified", "bms 2024-04-01"),
)

# fmt: on

ROUTES: tuple[Route, ...] = (
    *_VAULT_ROUTES,
    *_POLICY_ROUTES,
    *_DISCOVERY_ROUTES,
    *_ITEM_ROUTES,
    *_RESTORE_ROUTES,
    *_JOB_ROUTES,
)
