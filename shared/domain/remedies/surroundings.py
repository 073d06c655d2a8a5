"""Remedies about locks and the chosen policy."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.findings import Remedy
from shared.domain.model import Lock, Vm, region_of
from shared.domain.quoting import ps, sh


def delete_lock_instead(locks: Sequence[Lock]) -> Remedy:
    lock = locks[0]
    scope = "/" + lock.scope.strip("/")
    return Remedy(
        text=f"Replace lock {lock.name} by one of level CanNotDelete, which backups can live with.",
        az=f"az lock create --name {sh(lock.name + '-no-delete')} --lock-type CanNotDelete --scope"
        f" {sh(scope)} && az lock delete --ids"
        f" {sh(f'{scope}/providers/Microsoft.Authorization/locks/{lock.name}')}",
        powershell=f"New-AzResourceLock -LockName {ps(lock.name + '-no-delete')} -LockLevel"
        f" CanNotDelete -Scope {ps(scope)} -Force\n"
        f"Remove-AzResourceLock -LockName {ps(lock.name)} -Scope {ps(scope)} -Force",
    )


def lock_groups_instead(vm: Vm) -> Remedy:
    """Give the recipe: make the snapshot group beforehand and lock the other groups one by one."""
    region = region_of(vm.location)
    group = f"AzureBackupRG_{region}_1"
    return Remedy(
        text=f"Make the group {group} yourself (with the tags your policies ask for), lock the"
        " other resource groups one by one, and take the lock off the subscription: a lock on the"
        " subscription cannot leave one group out.",
        az=f"az group create --subscription {sh(vm.id.subscription)} --name {sh(group)} --location"
        f" {sh(region)}",
        powershell=f"New-AzResourceGroup -Name {ps(group)} -Location {ps(region)}",
        link="https://learn.microsoft.com/azure/backup/backup-azure-troubleshoot-vm-backup-fails-"
        "snapshot-timeout",
    )


def unlock_snapshots(lock: Lock) -> Remedy:
    scope = "/" + lock.scope.strip("/")
    return Remedy(
        text="Take the lock off the group of snapshots; Azure Backup makes and removes them itself.",
        az="az lock delete --ids"
        f" {sh(f'{scope}/providers/Microsoft.Authorization/locks/{lock.name}')}",
        powershell=f"Remove-AzResourceLock -LockName {ps(lock.name)} -Scope {ps(scope)} -Force",
        link="https://learn.microsoft.com/azure/backup/backup-azure-troubleshoot-vm-backup-fails-"
        "snapshot-timeout",
    )


def other_policy() -> Remedy:
    return Remedy(
        text="Choose a tier whose policy is not crash-consistent only, or a size with Premium disks."
    )
