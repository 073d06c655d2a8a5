"""Remedies about the machine: its state, its system, its restore."""

from __future__ import annotations

from shared.domain.findings import Remedy
from shared.domain.model import Vm
from shared.domain.quoting import ps, sh


def reapply(vm: Vm) -> Remedy:
    return Remedy(
        text="Look at the failed change (often an extension), then let Azure apply the VM's"
        " settings again.",
        az=f"az vm get-instance-view --ids {sh(str(vm.id))} --query"
        ' "{vm:statuses,extensions:extensions[].{name:name,status:statuses}}"\n'
        f"az vm reapply --ids {sh(str(vm.id))}",
        powershell=f"Set-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)} -Reapply",
    )


def wake(vm: Vm) -> Remedy:
    return Remedy(
        text="Start the VM; it is enrolled by itself then.",
        az=f"az vm start --ids {sh(str(vm.id))}",
        powershell=f"Start-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)}",
    )


def no_hibernation(vm: Vm) -> Remedy:
    return Remedy(
        text="Deallocate the VM instead of hibernating it, or switch hibernation off (the VM must"
        " be deallocated for that).",
        az=f"az vm update --ids {sh(str(vm.id))} --enable-hibernation false",
        powershell=f"$vm = Get-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)}\n"
        f"Update-AzVM -ResourceGroupName {ps(vm.id.group)} -VM $vm -HibernationEnabled:$false",
    )


def confidential() -> Remedy:
    return Remedy(
        text="Back the data up inside the guest, or exclude the VM in the rules until confidential"
        " VMs are supported.",
        link="https://learn.microsoft.com/azure/backup/backup-support-matrix-iaas",
    )


def same_subscription() -> Remedy:
    return Remedy(
        text="Let the rules choose a vault of the VM's own subscription (`subscriptions: same`)."
    )


def enhanced_policy() -> Remedy:
    return Remedy(
        text="Give the VM's tier an Enhanced policy in the rules and create it in the vault."
    )


def other_system() -> Remedy:
    return Remedy(
        text="Move the workload to a 64-bit system, or exclude the VM with a reason in the rules."
    )


def marketplace() -> Remedy:
    return Remedy(text="If the offer goes away, restore the disks and build the VM from them.")


def restore_by_script() -> Remedy:
    return Remedy(
        text="Restore the disks and create the VM with its network settings by script.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-arm-restore-vms"
        "#restore-vms-with-special-configurations",
    )


def restore_domain_controller() -> Remedy:
    return Remedy(
        text="Follow the guide for domain controllers; if another controller of the domain lives,"
        " a new one is often the better restore.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-arm-restore-vms"
        "#restore-domain-controller-vms",
    )
