"""VMs that are somebody else's to look after: clusters, platforms, scale sets (row F8).

Azure's own policy skips the Databricks group pattern and two publishers (facts §3.1, §3.8); the
patterns of other platforms are theirs by documentation. A VM here is Ignored, with the reason.
"""

from __future__ import annotations

import re
from datetime import timedelta

from shared.domain.ids import VIRTUAL_MACHINES
from shared.domain.model import Snapshot, Vm

SHORT_LIVED = timedelta(minutes=10)  # such VMs come and go; their items would eat the daily quota

_GROUPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"mc_.+_.+_[a-z0-9]+"), "a node of an AKS cluster (resource group MC_*)"),
    (
        re.compile(r"databricks-rg-.+"),
        "a node of Azure Databricks (resource group databricks-rg-*)",
    ),
    (re.compile(r"aro-[a-z0-9]{6,}"), "a node of Azure Red Hat OpenShift (resource group aro-*)"),
)
_PUBLISHERS = {
    "azureopenshift": "a node of Azure Red Hat OpenShift (image publisher)",
    "azuredatabricks": "a node of Azure Databricks (image publisher)",
    "microsoft-aks": "a node of an AKS cluster (image publisher)",
}
_BUILDERS = re.compile(r"it_.+|packer-resource-group-.+|pkr-resource-group-.+")
_BUILDER_TAGS = {"azurevmimagebuilder", "packer"}
_CLASSIC = "a classic VM; classic compute was retired, and vaults of today hold ARM VMs"


def not_ours(snapshot: Snapshot) -> str:
    """Say why this VM is not ours to protect; "" if it is."""
    kind = snapshot.id.type
    if kind != VIRTUAL_MACHINES:
        if "classiccompute" in kind:
            return _CLASSIC
        if "virtualmachinescalesets" in kind:
            return "an instance of a uniform scale set, which Azure Backup cannot protect"
        return f"not an Azure virtual machine ({kind})"
    vm = snapshot.vm
    if vm is None:
        return ""
    if vm.managed_by:
        return f"managed by {_owner(vm.managed_by)}"
    if snapshot.group_managed_by:
        return f"in a resource group managed by {_owner(snapshot.group_managed_by)}"
    group = vm.id.group.lower()
    for pattern, why in _GROUPS:
        if pattern.fullmatch(group):
            return why
    return _PUBLISHERS.get(vm.image.publisher.lower(), "")


def short_lived(vm: Vm) -> str:
    """Say why this VM will probably not live long; "" if nothing says so."""
    if vm.scale_set:
        return "an instance of a scale set"
    if (vm.priority or "").lower() in {"spot", "low"}:
        return "a Spot VM"
    creator = next((v for k, v in vm.tags.items() if k.strip().lower() == "createdby"), "")
    if _BUILDERS.fullmatch(vm.id.group.lower()) or creator.strip().lower() in _BUILDER_TAGS:
        return "a VM of an image builder"
    return ""


def _owner(text: str) -> str:
    """Shorten an id to its type and name."""
    parts = [part for part in text.strip("/").split("/") if part]
    return "/".join(parts[-3:])[:160] if len(parts) >= 3 else text[:160]
