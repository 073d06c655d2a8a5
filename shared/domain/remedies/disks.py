"""Remedies about disks."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.findings import Remedy
from shared.domain.ids import ArmId
from shared.domain.model import Disk, Vm
from shared.domain.quoting import ps, sh


def fewer_disks(vm: Vm, most: int) -> Remedy:
    return Remedy(
        text=f"Detach disks that are not needed, or move their data to other VMs, until at most"
        f" {most} data disks are left. List them first:",
        az=f"az vm show --ids {sh(str(vm.id))} --query"
        ' "storageProfile.dataDisks[].{lun:lun,name:name,gb:diskSizeGb}" --output table',
        powershell=f"(Get-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)})"
        ".StorageProfile.DataDisks | Format-Table Lun, Name, DiskSizeGB",
    )


def smaller_disks() -> Remedy:
    return Remedy(
        text="Move data to smaller disks, or back this data up inside the guest. A managed disk"
        " cannot be shrunk in place: create a smaller one and copy.",
    )


def convert_to_managed(vm: Vm) -> tuple[Remedy, ...]:
    """Give the conversion; the storage firewall's two settings are said for older backups."""
    return (
        Remedy(
            text="Convert the disks to managed disks. The VM is stopped for it, and may get"
            " another address; there is no way back.",
            az=f"az vm deallocate --ids {sh(str(vm.id))}\n"
            f"az vm convert --ids {sh(str(vm.id))}\n"
            f"az vm start --ids {sh(str(vm.id))}",
            powershell=f"Stop-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)}"
            " -Force\n"
            f"ConvertTo-AzVMManagedDisk -ResourceGroupName {ps(vm.id.group)} -VMName"
            f" {ps(vm.id.name)}",
            link="https://learn.microsoft.com/azure/virtual-machines/windows/"
            "convert-unmanaged-to-managed-disks",
        ),
        Remedy(
            text="Where an older backup of unmanaged disks still runs behind a storage firewall:"
            " allow all networks while backup is being configured, afterwards selected networks"
            " with trusted Microsoft services; there is then no file restore.",
        ),
    )


def managed_os_disk() -> Remedy:
    return Remedy(
        text="If the VM holds anything worth keeping, deploy it again on a managed OS disk;"
        " otherwise exclude it in the rules: such VMs are meant to be replaced.",
        link="https://learn.microsoft.com/azure/virtual-machines/ephemeral-os-disks",
    )


def enhanced_policy() -> Remedy:
    return Remedy(
        text="Give the VM's tier an Enhanced policy in the rules and create it in the vault.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-vms-enhanced-policy",
    )


def shared_disks(found: Sequence[Disk]) -> tuple[Remedy, ...]:
    first = found[0].id if found and found[0].id else None
    unshare = Remedy(
        text="Or make the disk one VM's own (every VM that uses it must be stopped).",
        az=f"az disk update --ids {sh(str(first))} --max-shares 1" if first else "",
        powershell=f"Get-AzDisk -ResourceGroupName {ps(first.group)} -DiskName {ps(first.name)} |"
        " ForEach-Object { $_.MaxShares = 1; $_ | Update-AzDisk }"
        if first
        else "",
    )
    return (
        Remedy(
            text="Let the rules leave shared disks out of the backup (`shared_disks: exclude`);"
            " that needs an Enhanced policy, and their data must be protected otherwise.",
        ),
        unshare,
    )


def no_access_auth(disks: Sequence[ArmId]) -> Remedy:
    return Remedy(
        text="Turn the sign-in for data access off on these disks.",
        az="\n".join(
            f"az disk update --ids {sh(str(disk))} --data-access-auth-mode None"
            for disk in disks[:8]
        ),
        powershell="\n".join(
            f"New-AzDiskUpdateConfig -DataAccessAuthMode None | Update-AzDisk -ResourceGroupName"
            f" {ps(disk.group)} -DiskName {ps(disk.name)}"
            for disk in disks[:8]
        ),
    )


def plain_data_disk() -> Remedy:
    return Remedy(
        text="Create a data disk without a security type, copy the data, and detach this one. Only"
        " OS disks carry a security type.",
    )


def way_out() -> Remedy:
    return Remedy(
        text="Make sure that the VM reaches storage (TCP 443 to service tag Storage); the network"
        " check of this page says whether its security groups let it.",
    )


def key_vault_rights(vault: str | None) -> tuple[Remedy, ...]:
    """Grant the backup service's own application what it needs on the key vault (its id, if shown)."""
    name = sh(vault.rstrip("/").rpartition("/")[2]) if vault else "<key-vault>"
    name_ps = ps(vault.rstrip("/").rpartition("/")[2]) if vault else "<key-vault>"
    scope = sh(vault) if vault else "<key-vault-resource-id>"
    return (
        Remedy(
            text="On a key vault with access policies: let Backup Management Service get, list and"
            " back up keys and secrets.",
            az=f"az keyvault set-policy --name {name} --object-id"
            " \"$(az ad sp list --display-name 'Backup Management Service' --query [0].id"
            ' --output tsv)" --key-permissions get list backup'
            " --secret-permissions get list backup",
            powershell="$app = Get-AzADServicePrincipal -DisplayName 'Backup Management Service'\n"
            f"Set-AzKeyVaultAccessPolicy -VaultName {name_ps} -ObjectId $app.Id"
            " -PermissionsToKeys get,list,backup -PermissionsToSecrets get,list,backup",
            link="https://learn.microsoft.com/azure/backup/backup-azure-vms-encryption",
        ),
        Remedy(
            text="On a key vault with role assignments: give the same application a role that can"
            " read and back up keys and secrets.",
            az=f"az role assignment create --role 'Key Vault Administrator' --scope {scope}"
            ' --assignee-object-id "$(az ad sp list --display-name'
            " 'Backup Management Service' --query [0].id --output tsv)\""
            " --assignee-principal-type ServicePrincipal",
        ),
    )
