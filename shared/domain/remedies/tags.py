"""Remedies about tags, rules and exclusions."""

from __future__ import annotations

from shared.domain.findings import Remedy
from shared.domain.model import Vm
from shared.domain.quoting import ps, sh


def set_tag(vm: Vm, name: str, value: str, known: tuple[str, ...]) -> Remedy:
    """Set one tag and leave the others as they are."""
    choice = f" Known values: {', '.join(known[:12])}." if known else ""
    resource = str(vm.id)
    return Remedy(
        text=f"Set tag {name} to the value you want.{choice}",
        az=f"az tag update --resource-id {sh(resource)} --operation Merge"
        f" --tags {sh(f'{name}={value}')}",
        powershell=f"Update-AzTag -ResourceId {ps(resource)} -Operation Merge"
        f" -Tag @{{{ps(name)}={ps(value)}}}",
    )


def renew_exclusion() -> Remedy:
    return Remedy(
        text="If it must stay out of backup, renew the exclusion with owner, reason and expiry"
        " in the rules file, or have an operator exclude the VM again.",
    )


def add_rule(vm: Vm) -> Remedy:
    return Remedy(
        text="Add a rule that matches this VM, or a default, to the rules file."
        f" It is in region {vm.location}, resource group {vm.id.group}.",
    )
