"""Remedies about items that exist already: stopped, soft-deleted, weaker, another VM's."""

from __future__ import annotations

from shared.domain.findings import Remedy
from shared.domain.ids import ArmId
from shared.domain.model import Policy, ProtectedItem
from shared.domain.quoting import ps, sh


def _item_arguments(item: ProtectedItem) -> str:
    vault = item.vault
    container = item.id.parent
    return (
        f"--subscription {vault.subscription} -g {sh(vault.group)} -v {sh(vault.name)}"
        f" -c {sh(container.name if container is not None else '')} -i {sh(item.id.name)}"
    )


def _powershell_item(item: ProtectedItem) -> str:
    vault = item.vault
    name = item.source.name if item.source is not None else item.id.name.rsplit(";", 1)[-1]
    return (
        f"$v = Get-AzRecoveryServicesVault -ResourceGroupName {ps(vault.group)}"
        f" -Name {ps(vault.name)}; $i = Get-AzRecoveryServicesBackupItem -VaultId $v.ID"
        f" -BackupManagementType AzureVM -WorkloadType AzureVM -Name {ps(name)}"
    )


def stopped(item: ProtectedItem) -> tuple[Remedy, ...]:
    """Resume, or say that it is meant."""
    return (
        Remedy(
            text="Resume the protection (choose the policy), or let an operator consent to it.",
            az=f"az backup protection resume {_item_arguments(item)}"
            " --backup-management-type AzureIaasVM --policy-name POLICY",
            powershell=f"{_powershell_item(item)}; Enable-AzRecoveryServicesBackupProtection"
            " -Item $i -Policy $policy -VaultId $v.ID",
        ),
        Remedy(
            text="If it is meant to stay stopped, have an operator exclude the VM with owner,"
            " reason and expiry."
        ),
    )


def soft_deleted(item: ProtectedItem) -> tuple[Remedy, ...]:
    """Undelete, or wait until Azure has removed it."""
    return (
        Remedy(
            text="Undelete the backups, or let an operator consent to it; the service then"
            " resumes the protection.",
            az=f"az backup protection undelete {_item_arguments(item)}"
            " --backup-management-type AzureIaasVM --workload-type VM",
            powershell=f"{_powershell_item(item)};"
            " Undo-AzRecoveryServicesBackupItemDeletion -Item $i -VaultId $v.ID -Force",
        ),
        Remedy(text="Or wait until the soft-deleted backups are gone; the VM is enrolled then."),
    )


def recreated(item: ProtectedItem) -> tuple[Remedy, ...]:
    """Decide what happens to the recovery points of the VM that had this name before."""
    return (
        Remedy(
            text="Keep the old recovery points: have an operator consent, and the new VM goes on"
            " under the same item.",
        ),
        _stopped_by_hand(item),
    )


def moved(item: ProtectedItem) -> tuple[Remedy, ...]:
    """Decide what happens to the recovery points under the former id."""
    return (
        Remedy(
            text="Have an operator consent, and the VM is enrolled under its new id; the old"
            " recovery points stay.",
        ),
        _stopped_by_hand(item),
    )


def _stopped_by_hand(item: ProtectedItem) -> Remedy:
    return Remedy(
        text="Or stop the old item's protection and decide about its recovery points by hand;"
        " this service never deletes any.",
        az=f"az backup protection disable {_item_arguments(item)}"
        " --backup-management-type AzureIaasVM --yes",
        powershell=f"{_powershell_item(item)};"
        " Disable-AzRecoveryServicesBackupProtection -Item $i -VaultId $v.ID",
    )


def in_error(item: ProtectedItem) -> tuple[Remedy, ...]:
    """Read the jobs, and repair what they name."""
    vault = item.vault
    return (
        Remedy(
            text="Read why the item's latest job failed, and do what it recommends.",
            az=f"az backup job list --subscription {vault.subscription} -g {sh(vault.group)}"
            f" -v {sh(vault.name)} --status Failed",
            powershell=f"{_powershell_item(item)};"
            " Get-AzRecoveryServicesBackupJob -VaultId $v.ID -Status Failed",
        ),
    )


def never_backed_up() -> tuple[Remedy, ...]:
    """Read why the schedule made no recovery point, and make one."""
    return (
        Remedy(
            text="Open the item's backup jobs, read why the latest one failed, then start a "
            "backup by hand.",
            link="https://learn.microsoft.com/azure/backup/backup-azure-vms-troubleshoot",
        ),
    )


def weaker(vm: ArmId, target: Policy) -> tuple[Remedy, ...]:
    """Consent for this VM, or put the tag back."""
    return (
        Remedy(
            text="If the shorter retention is meant, an operator consents for this VM"
            " (recovery points beyond it are then removed by Azure).",
            az=f"python -m ops decide consent-weaker {sh(str(vm))}"
            f" --policy {sh(target.name)} --reason REASON --yes",
        ),
        Remedy(text="Otherwise put the tag back to its former value."),
    )


def one_way(vm: ArmId, target: Policy) -> tuple[Remedy, ...]:
    """Consent to the move that cannot be taken back."""
    return (
        Remedy(
            text="Consent for this VM, or allow standard_to_enhanced in the rules for all.",
            az=f"python -m ops decide consent-enhanced {sh(str(vm))}"
            f" --policy {sh(target.name)} --reason REASON --yes",
        ),
    )
