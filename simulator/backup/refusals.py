"""The synchronous 4xx answers of vaults and backup, each with where its code and text come from.

A deliberate 4xx of the service has the five-member body and no ``x-ms-failure-cause``; ARM's own
has two members and says ``gateway`` (report §6.31).
"""

from simulator.arm import BY_GATEWAY, Refusal
from simulator.world import World

_FORMAT = (
    "Input for configure protection is not in proper format\r\nPlease ensure that container "
    "exists and other parameters are in valid format"
)


def vault_not_found(name: str, group: str) -> Refusal:
    """Recorded 2021 to 2025, also on the polling URLs of a vault that was deleted."""
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.RecoveryServices/vaults/{name}' under resource group "
        f"'{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        headers=BY_GATEWAY,
    )


def _service(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, code, message, form="arm-nulls")


def bad_protection_request() -> Refusal:
    """Wrong names, region, policy or an unknown VM; TF#2143, TF#2207 (real 400 answers)."""
    return _service(400, "BMSUserErrorInvalidConfigureProtectionRequest", _FORMAT)


def bad_input(what: str = "") -> Refusal:
    """A call with a missing or wrong member; TF#18577 and azure-sdk-for-python#1422."""
    detail = f"\r\n{what}" if what else "\r\nPlease check the required inputs"
    return _service(
        400, "BMSUserErrorInvalidInput", "Input provided for the call is invalid" + detail
    )


def wrong_provider_policy() -> Refusal:
    """A policy of another workload (HourlyLogBackup) for a VM; TF#25845."""
    return _service(
        400,
        "BMSUserErrorInvalidPolicyForGivenProvider",
        "Policy is not valid for given provider type. Please choose valid policy for given provider.",
    )


def item_not_found() -> Refusal:
    """TF#9452: a real 404 answer."""
    return _service(
        404,
        "BMSUserErrorDataSourceObjectNotFound",
        "Item not found.\r\nSelected item might have been deleted. "
        "Please check if item is registered to the vault.",
    )


def object_not_found(kind: str, name: str) -> Refusal:
    """A policy, job, operation or point that is not there: the real code is unknown (assumed)."""
    return _service(404, "ResourceNotFound", f"The {kind} '{name}' was not found in the vault.")


def name_taken() -> Refusal:
    """Another VM of the same group and name holds the item; text of bms24, arrival assumed."""
    return _service(
        400,
        "VirtualMachineAlreadyProtected",
        "Virtual machine with same name and same resource group is already protected. Please "
        "select `Disable' choice above for backup and go to backup item corresponding to this VM "
        "in the vault",
    )


def object_locked() -> Refusal:
    """SELFHELP21 has code and text; the status is by its class, conflict."""
    return _service(
        409,
        "BMSUserErrorObjectLocked",
        "Another operation is in progress on the selected item.",
    )


def backup_running() -> Refusal:
    """Facts §1.8: a second request while a backup runs."""
    return _service(
        400,
        "UserErrorBackupOperationInProgress",
        "Unable to initiate backup as another backup operation is currently in progress.",
    )


def not_protected() -> Refusal:
    """Facts §2.2: back up, suspend or stop what is not (actively) protected."""
    return _service(
        400,
        "UserErrorBcmDatasourceNotPresent",
        "The virtual machine is not actively protected by Azure Backup. Resume protection and "
        "then try the operation again.",
    )


def too_many_backups() -> Refusal:
    """MATRIX26: a hard stop after nine requests in 24 hours; its code is unknown (assumed)."""
    return _service(
        400,
        "UserErrorAdhocBackupLimitReached",
        "The number of on-demand backups in 24 hours exceeded the supported limit.",
    )


def immutable() -> Refusal:
    """Facts §2.2: less protection on an immutable vault; spelling seen once in OSS text."""
    return _service(
        400,
        "UserErrorOperationDeniedOnImmutableItem",
        "The operation is not allowed as it would reduce the protection of an immutable item.",
    )


def mutable_vault() -> Refusal:
    """Suspending needs an immutable vault [TFsrc]; the code is assumed."""
    return bad_input("Suspending backups is supported only in a vault with immutability.")


def guard_needed(world: World) -> Refusal:
    """TF#31887 has the text; status and code are unknown (assumed), and can be ordered."""
    return _service(
        int(world.knobs.number("backup.guard.status")),
        world.knobs.text("backup.guard.code"),
        "ResourceGuard Operation requestid is either null or empty",
    )


def enhanced_only() -> Refusal:
    """An Enhanced item cannot go back to a Standard policy (facts §3.3); the code is assumed."""
    return _service(
        400,
        "BMSUserErrorPolicyTypeChangeNotSupported",
        "Changing the policy of an item from Enhanced to Standard is not supported.",
    )


def bad_policy() -> Refusal:
    """The catch-all of policy validation: one text for ten mistakes (seen by many clients)."""
    return _service(
        400,
        "BMSUserErrorInvalidPolicyInput",
        "Input for create or update policy is not in proper format\r\nPlease check format of "
        "parameters like schedule time, schedule days, retention time and retention days",
    )


def bad_retention() -> Refusal:
    return _service(
        400,
        "BMSUserErrorPolicyRetentionInvalid",
        "The retention duration provided in the backup policy is not supported. Verify the "
        "supported retention durations at https://aka.ms/policysupport",
    )


def policy_in_use() -> Refusal:
    return _service(
        400,
        "BMSUserErrorPolicyObjectInUse",
        "The policy is in use by one or more backup items. Move them to another policy and retry.",
    )


def storage_locked() -> Refusal:
    """Redundancy is fixed once an item is registered (facts §1.11); the code is assumed."""
    return _service(
        400,
        "CloudStorageTypeNotModifiable",
        "Storage replication type cannot be changed after an item is registered to the vault.",
    )


def soft_delete_fixed() -> Refusal:
    return bad_input("Soft delete of this vault is always on and cannot be disabled.")


def vault_not_empty(names: list[str]) -> Refusal:
    """Recorded December 2022: soft-deleted items keep their vault."""
    return _service(
        400,
        "ServiceResourceNotEmptyWithBackendMessage",
        "Recovery Services vault cannot be deleted as there are backup items still present in "
        "soft delete state. Visit the following link for the steps to permanently delete soft "
        f"deleted items: https://aka.ms/undeletesoftdeleteditems.  : {', '.join(names)}. Please "
        "ensure all containers have been unregistered from the vault and all private endpoints "
        "associated with the vault have been deleted, and retry operation. For more details, see "
        "https://aka.ms/AB-AA4ecq5",
    )


def vault_not_empty_before_2022(names: list[str]) -> Refusal:
    """The same refusal in the words of November 2020 and January 2021."""
    return _service(
        400,
        "ServiceResourceNotEmptyWithBackendMessage",
        "Recovery Services vault cannot be deleted as there are backup items in soft deleted state "
        "in the vault. The soft deleted items are permanently deleted after 14 days of delete "
        "operation. Please try vault deletion after the backup items are permanently deleted and "
        "there is no item in soft deleted state left in the vault.For more information, refer "
        "https://aka.ms/SoftDeleteCloudWorkloads. The registered items are : "
        f"{', '.join(names)}\nPlease ensure all containers have been unregistered from the vault "
        "and all private endpoints associated with the vault have been deleted, and retry "
        "operation. For more details, see https://aka.ms/AB-AA4ecq5",
    )


def vault_has_items() -> Refusal:
    return _service(
        400,
        "BMSUserErrorVaultDeletionNotAllowed",
        "Vault cannot be deleted as there are existing resources within the vault.",
    )


def bad_vault_name(name: str) -> Refusal:
    return Refusal(
        400,
        "InvalidResourceName",
        f"The provided resource name '{name}' is invalid. It must be 2 to 50 characters, begin "
        "with a letter and hold letters, digits and hyphens only.",
        headers=BY_GATEWAY,
    )


def location_required() -> Refusal:
    return Refusal(
        400,
        "LocationRequired",
        "The location property is required for this definition.",
        headers=BY_GATEWAY,
    )


def location_fixed(name: str, group: str, there: str, asked: str) -> Refusal:
    return Refusal(
        409,
        "InvalidResourceLocation",
        f"The resource '{name}' already exists in location '{there}' in resource group "
        f"'{group}'. A resource with the same name cannot be created in location '{asked}'. "
        "Please select a new resource name.",
        headers=BY_GATEWAY,
    )


def linked_denied(
    *, caller: str, object_id: str, action: str, scope: str, linked: str, vm: str
) -> Refusal:
    """ARM's linked access check of ``sourceResourceId`` (facts §2.1, §8.2)."""
    return Refusal(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{caller}' with object id '{object_id}' has permission to perform action "
        f"'{action}' on scope '{scope}'; however, it does not have permission to perform "
        f"action(s) '{linked}' on the linked scope(s) '{vm}' (respectively) or the linked "
        "scope(s) are invalid.",
        headers=BY_GATEWAY,
    )


def linked_tenant(action: str, scope: str, tenant: str, subscription: str) -> Refusal:
    """Recorded December 2022 for a resource guard of another tenant."""
    return Refusal(
        403,
        "LinkedAuthorizationFailed",
        f"The client has permission to perform action '{action}' on scope '{scope}', however the "
        f"current tenant '{tenant}' is not authorized to access linked subscription "
        f"'{subscription}'.",
        headers=BY_GATEWAY,
    )
