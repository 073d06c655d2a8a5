"""Remedies about the VM agent (row S10): install, verify, update, allow."""

from __future__ import annotations

from shared.domain.findings import Remedy
from shared.domain.model import OsType, Vm
from shared.domain.quoting import ps, sh

_QUIET = " Not while a backup of this VM runs."
_WINDOWS = "https://learn.microsoft.com/azure/virtual-machines/extensions/agent-windows"
_LINUX = "https://learn.microsoft.com/azure/virtual-machines/extensions/agent-linux"


def repair(vm: Vm) -> tuple[Remedy, ...]:
    """Wait first; then see whether the agent runs; then install it anew."""
    return (
        Remedy(
            text="If the VM is new, wait some minutes. Otherwise see what Azure hears of it:",
            az=f"az vm get-instance-view --ids {sh(str(vm.id))} --query instanceView.vmAgent",
            powershell=f"(Get-AzVM -ResourceGroupName {ps(vm.id.group)} -Name {ps(vm.id.name)}"
            " -Status).VMAgent",
        ),
        *install(vm),
    )


def install(vm: Vm) -> tuple[Remedy, ...]:
    """Give the steps for the VM's system; both where it is not known."""
    match vm.os:
        case OsType.WINDOWS:
            return (_windows(),)
        case OsType.LINUX:
            return (_linux(),)
        case None:
            return (_windows(), _linux())


def _windows() -> Remedy:
    return Remedy(
        text="Windows: as administrator, install the agent's MSI over what is there (that is also"
        " the update), then verify: C:\\WindowsAzure\\Packages\\WaAppAgent.exe must show product"
        f" version 2.6.1198.718 or later.{_QUIET}",
        powershell="Get-Service WindowsAzureGuestAgent, RdAgent\n"
        "(Get-Item C:\\WindowsAzure\\Packages\\WaAppAgent.exe).VersionInfo.ProductVersion",
        link=_WINDOWS,
    )


def _linux() -> Remedy:
    return Remedy(
        text="Linux: as root, install or update the agent's package from the distribution's own"
        " repository (walinuxagent or WALinuxAgent; not from GitHub), then verify that it runs."
        f"{_QUIET}",
        az="sudo apt-get install -y walinuxagent || sudo dnf install -y WALinuxAgent"
        " || sudo zypper install -y python-azure-agent\n"
        "systemctl status walinuxagent waagent\n"
        "waagent --version",
        link=_LINUX,
    )


def check_network() -> Remedy:
    return Remedy(
        text="Migrated VMs often keep the network settings of their old home: the guest must take"
        " its address by DHCP and reach 168.63.129.16 on TCP 80 and 32526.",
        link="https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
    )


def allow_extensions(vm: Vm) -> tuple[Remedy, ...]:
    return (
        Remedy(
            text="Allow extensions for this VM, and install the agent if it is not there.",
            az=f"az vm update --ids {sh(str(vm.id))} --set osProfile.allowExtensionOperations=true",
            powershell=f"$vm = Get-AzVM -ResourceGroupName {ps(vm.id.group)}"
            f" -Name {ps(vm.id.name)}\n"
            "$vm.OSProfile.AllowExtensionOperations = $true\n"
            "Update-AzVM -ResourceGroupName $vm.ResourceGroupName -VM $vm",
        ),
        *install(vm),
    )
