"""Which VMs a vault and a policy take: what the service finds out about a VM after it said 202.

Each rule cites the facts; where the server's code is unknown the catalogue says so. The rules read
the VM as it is in the world when the operation ends.
"""

from collections.abc import Iterator

from simulator.backup.catalog import failure
from simulator.backup.formats import Fields, fields_of, text_of
from simulator.backup.names import region
from simulator.backup.records import Failure, Item, Policy, Vault
from simulator.backup.state import BackupState

#: Facts §3.2, MATRIX26.
MOST_DATA_DISKS = 32
LARGEST_DISK_GB = 65_536
_ENHANCED_STORAGE = frozenset({"ultrassd_lrs", "premiumv2_lrs"})
_LASTING = frozenset({"succeeded", "failed", ""})
#: Since this api-version a Standard policy takes Trusted Launch VMs (facts §3.3).
TRUSTED_LAUNCH_SINCE = "2025-01-01"


def vm_problem(state: BackupState, vm: Fields, policy: Policy, api_version: str) -> Failure | None:
    """Return the first reason why a VM cannot be protected by a policy, or None."""
    return next(_problems(state, vm, policy, api_version), None)


def _problems(
    state: BackupState, vm: Fields, policy: Policy, api_version: str
) -> Iterator[Failure]:
    properties = fields_of(vm.get("properties"))
    storage = fields_of(properties.get("storageProfile"))
    os_disk = fields_of(storage.get("osDisk"))
    data = storage.get("dataDisks")
    disks = [fields_of(disk) for disk in data] if isinstance(data, list) else []
    if text_of(properties.get("provisioningState")).lower() not in _LASTING:
        yield failure("UserErrorVmNotInDesirableState")
    if len(disks) > MOST_DATA_DISKS:
        yield failure("UserErrorBCMUnsupportedDiskCount")
    if fields_of(os_disk.get("diffDiskSettings")).get("option") == "Local":
        yield failure("UserErrorUnsupportedDiskConfiguration")
    if any("vhd" in disk for disk in (os_disk, *disks)):
        yield failure("UserErrorUnsupportedStorageType")
    for disk in disks:
        yield from _disk_problems(state, disk, policy)
    yield from _security_problems(state, security_of(vm), policy, api_version)


def _disk_problems(state: BackupState, disk: Fields, policy: Policy) -> Iterator[Failure]:
    managed = fields_of(disk.get("managedDisk"))
    body = fields_of(state.world.get(text_of(managed.get("id"))))
    sku = text_of(managed.get("storageAccountType")) or text_of(
        fields_of(body.get("sku")).get("name")
    )
    size = disk.get("diskSizeGB")
    if isinstance(size, int) and size > LARGEST_DISK_GB:
        yield failure("UserErrorUnsupportedDiskSize")
    if sku.lower() in _ENHANCED_STORAGE and not policy.is_enhanced:
        yield failure("UserErrorUnsupportedStorageType")
    shares = fields_of(body.get("properties")).get("maxShares")
    if isinstance(shares, int) and shares > 1 and not policy.is_enhanced:
        yield failure("UserErrorSharedDiskBackupNotSupported")


def security_of(vm: Fields) -> str:
    """Return a VM's securityType in lower case, empty for a plain one."""
    profile = fields_of(fields_of(vm.get("properties")).get("securityProfile"))
    return text_of(profile.get("securityType")).lower()


def migration_problem(item: Item, vm: Fields) -> Failure | None:
    """Refuse a VM that left Trusted Launch, or a plain one created under its name."""
    if item.security == "trustedlaunch" and security_of(vm) != "trustedlaunch":
        return failure("UserErrorMigrationFromTrustedLaunchVMToNonTrustedVMNotAllowed")
    return None


def _security_problems(
    state: BackupState, kind: str, policy: Policy, api_version: str
) -> Iterator[Failure]:
    if kind == "confidentialvm" and not policy.is_enhanced:
        yield failure("UserErrorTrustedLaunchNotSupportedWithStandardPolicy")
    if kind == "trustedlaunch" and not policy.is_enhanced:
        rule = state.world.knobs.text("backup.trusted_launch.standard")
        old_client = rule == "by-version" and api_version < TRUSTED_LAUNCH_SINCE
        if rule == "refused" or old_client:
            yield failure("UserErrorTrustedLaunchNotSupportedWithStandardPolicy")


def registration_problem(state: BackupState, vault: Vault, vm_id: str, key: str) -> Failure | None:
    """Return why a vault takes no new registration of a VM: another vault, or its quotas."""
    for other, item in state.items_of_vm(vm_id):
        if other.key != vault.key and (item.active or item.soft_deleted):
            # A stopped item elsewhere does not stand in the way (report §6.19, recorded).
            return failure("UserErrorVmAlreadyRegistered")
    knobs = state.world.knobs
    if len(vault.items) - (key in vault.items) >= knobs.number("backup.quota.vault"):
        return failure("UserErrorProtectionQuotaExceeded")
    today = f"{state.now():%Y-%m-%d}"
    if vault.registered_on[today] >= knobs.number("backup.quota.day"):
        return failure(
            knobs.text("backup.quota.day_code"),
            "The number of virtual machines registered to the vault today reached its limit.",
        )
    return None


def policy_is_full(state: BackupState, policy: Policy, key: str) -> bool:
    most = state.world.knobs.number("backup.quota.policy")
    return bool(most) and len(policy.members - {key}) >= most


def in_region(vault: Vault, vm: Fields) -> bool:
    return region(text_of(vm.get("location"))) == region(vault.location)
