"""Readiness of disks (facts §3.2): count, size, kind, sharing, encryption."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.catalogue import finding
from shared.domain.demands import shared_luns
from shared.domain.findings import Finding
from shared.domain.limits import LIMITS
from shared.domain.model import Disk
from shared.domain.readiness.view import View
from shared.domain.remedies import disks as remedy
from shared.domain.rules.model import SharedDisks


def names(disks: Iterable[Disk]) -> str:
    """Name disks for people: the first few, with their LUN."""
    known = [f"{d.name} (LUN {d.lun})" if d.lun is not None else f"{d.name} (OS)" for d in disks]
    return ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")


def data_disk_count(view: View) -> Finding | None:
    count = len(view.vm.data_disks)
    most = LIMITS.number("data_disks")
    if count <= most:
        return None
    limit = LIMITS["data_disks"]
    return finding(
        "DATA_DISK_COUNT",
        text=f"The VM has {count} data disks; Azure Backup takes at most {most}.",
        evidence=f"{count} data disks; limit {LIMITS.history('data_disks')}",
        remedies=(remedy.fewer_disks(view.vm, most),),
        source=limit.source,
        source_date=limit.date,
    )


def disk_size(view: View) -> Finding | None:
    most = LIMITS.number("disk_gb")
    large = [disk for disk in view.disks if (view.size_gb(disk) or 0) > most]
    if not large:
        return None
    sizes = ", ".join(f"{disk.name}: {view.size_gb(disk)} GB" for disk in large[:8])
    return finding(
        "DISK_SIZE",
        text=f"A disk is larger than {most} GB, the most Azure Backup takes.",
        evidence=f"{sizes}; limit {LIMITS.history('disk_gb')}",
        remedies=(remedy.smaller_disks(),),
    )


def disk_size_total(view: View) -> Finding | None:
    most = LIMITS.number("all_disks_gb")
    total = sum(view.size_gb(disk) or 0 for disk in view.disks)
    if total <= most:
        return None
    return finding(
        "DISK_SIZE_TOTAL",
        text=f"The disks together are larger than {most} GB, the most Azure Backup takes.",
        evidence=f"{total} GB; limit {LIMITS.history('all_disks_gb')}",
        remedies=(remedy.smaller_disks(),),
    )


def disk_size_unknown(view: View) -> Finding | None:
    unknown = [
        disk
        for disk in view.disks
        if not disk.unmanaged and not disk.ephemeral and view.size_gb(disk) is None
    ]
    if not unknown:
        return None
    return finding(
        "DISK_SIZE_UNKNOWN",
        text="Azure does not show the size of every disk, so it could not be checked.",
        evidence=f"{names(unknown)}; power {view.vm.power or 'unknown'}",
    )


def unmanaged_disk(view: View) -> Finding | None:
    found = [disk for disk in view.disks if disk.unmanaged]
    if not found:
        return None
    old = LIMITS["unmanaged_data_disks"].before[0]
    return finding(
        "UNMANAGED_DISK",
        text="The VM has unmanaged disks, which Azure Backup no longer backs up.",
        evidence=f"{names(found)}; up to {old.value} were taken until {old.date[:4]}",
        remedies=remedy.convert_to_managed(view.vm),
    )


def ephemeral_os_disk(view: View) -> Finding | None:
    if not view.vm.os_disk.ephemeral:
        return None
    return finding(
        "EPHEMERAL_OS_DISK",
        text="The OS disk is ephemeral: it lives on the host and cannot be backed up.",
        evidence=f"disk {view.vm.os_disk.name}: diff-disk option Local",
        remedies=(remedy.managed_os_disk(),),
    )


def ultra_disk(view: View) -> Finding | None:
    found = [disk for disk in view.disks if view.storage_type(disk) == "ultrassd_lrs"]
    if not found or view.enhanced:
        return None
    return finding(
        "ULTRA_DISK",
        text="The VM has Ultra disks, which only an Enhanced policy backs up.",
        evidence=names(found),
        remedies=(remedy.enhanced_policy(),),
    )


def premium_v2_disk(view: View) -> Finding | None:
    found = [disk for disk in view.disks if view.storage_type(disk) == "premiumv2_lrs"]
    if not found or view.enhanced:
        return None
    return finding(
        "PREMIUM_V2_DISK",
        text="The VM has Premium SSD v2 disks, which only an Enhanced policy backs up.",
        evidence=names(found),
        remedies=(remedy.enhanced_policy(),),
    )


def shared_disk(view: View) -> Finding | None:
    luns = shared_luns(view.vm, view.snapshot)
    if not luns:
        return None
    found = [disk for disk in view.vm.data_disks if disk.lun in luns]
    if view.options.shared_disks is SharedDisks.BLOCK:
        return finding(
            "SHARED_DISK",
            text="The VM has a disk that several VMs may attach; Azure Backup does not take those.",
            evidence=names(found),
            remedies=remedy.shared_disks(found),
        )
    if view.enhanced:
        return None
    return finding(
        "SHARED_DISK_EXCLUDED",
        text="Shared disks are to be left out, which only an Enhanced policy can do.",
        evidence=names(found),
        remedies=(remedy.enhanced_policy(),),
    )


def disk_access_auth(view: View) -> Finding | None:
    found = [
        disk
        for disk in view.disks
        if (facts := view.facts(disk)) and facts.data_access_auth == "AzureActiveDirectory"
    ]
    if not found:
        return None
    return finding(
        "DISK_ACCESS_AUTH",
        text="A disk demands sign-in for data access; backups of it fail.",
        evidence=f"dataAccessAuthMode AzureActiveDirectory: {names(found)}",
        remedies=(remedy.no_access_auth([disk.id for disk in found if disk.id]),),
    )


def data_disk_security_type(view: View) -> Finding | None:
    found = []
    for disk in view.vm.data_disks:
        facts = view.facts(disk)
        kind = disk.security_type or (facts.security_type if facts else None)
        if kind and kind.lower() != "standard":
            found.append(disk)
    if not found:
        return None
    return finding(
        "DATA_DISK_SECURITY_TYPE",
        text="A data disk carries a security type of its own; Azure Backup does not take those.",
        evidence=names(found),
        remedies=(remedy.plain_data_disk(),),
    )


def write_accelerator(view: View) -> Finding | None:
    found = [disk for disk in view.disks if disk.write_accelerator]
    if not found:
        return None
    return finding(
        "WRITE_ACCELERATOR",
        text="Disks with write accelerator are backed up (since 2022), but the VM then needs a way"
        " out to storage, even if those disks are left out.",
        evidence=names(found),
        remedies=(remedy.way_out(),),
    )


def disk_encryption(view: View) -> Finding | None:
    if not view.vm.disk_encryption:
        return None
    return finding(
        "DISK_ENCRYPTION",
        text="The VM uses Azure Disk Encryption: the backup service must be able to read its keys.",
        evidence=f"key vault {view.vm.key_vault}"
        if view.vm.key_vault
        else "encryption settings or the AzureDiskEncryption extension",
        remedies=remedy.key_vault_rights(view.vm.key_vault),
    )


def disk_exclusion_encrypted(view: View) -> Finding | None:
    if not view.vm.disk_encryption or not view.excluded_luns or view.policy is None:
        return None
    if view.enhanced:
        return None
    return finding(
        "DISK_EXCLUSION_ENCRYPTED",
        text="Disks cannot be left out of an encrypted VM's backup under a Standard policy.",
        evidence=f"excluded LUNs {', '.join(map(str, view.excluded_luns))}",
        remedies=(remedy.enhanced_policy(),),
    )


CHECKS = (
    data_disk_count,
    disk_size,
    disk_size_total,
    disk_size_unknown,
    unmanaged_disk,
    ephemeral_os_disk,
    ultra_disk,
    premium_v2_disk,
    shared_disk,
    disk_access_auth,
    data_disk_security_type,
    write_accelerator,
    disk_encryption,
    disk_exclusion_encrypted,
)
