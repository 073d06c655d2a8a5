"""The four spellings of one protected VM, and ids in the caller's own spelling (report §6.1 to 6.5).

A container is ``IaasVMContainer;iaasvmcontainerv2;rg;vm``, its item ``VM;iaasvmcontainerv2;rg;vm``,
a property ``iaasvmcontainerv2;rg;vm``; backupStatus answers in lower case. Ids in an answer begin
with the vault's path as the request spelled it: 2,500 recorded bodies, no exception.
"""

import re
from dataclasses import dataclass
from typing import Self

from simulator.ids import ResourceId

VAULT_TYPE = "Microsoft.RecoveryServices/vaults"
VM_TYPE = "Microsoft.Compute/virtualMachines"
CONTAINER_TYPE = VAULT_TYPE + "/backupFabrics/protectionContainers"
ITEM_TYPE = CONTAINER_TYPE + "/protectedItems"
POINT_TYPE = ITEM_TYPE + "/recoveryPoints"
JOB_TYPE = VAULT_TYPE + "/backupJobs"
POLICY_TYPE = VAULT_TYPE + "/backupPolicies"
KIND = "iaasvmcontainerv2"
#: Classic VMs: old vaults still list them, nothing can be asked of them any more.
CLASSIC_KIND = "iaasvmcontainer"
CLASSIC_VM_TYPE = "Microsoft.ClassicCompute/virtualMachines"
MANAGEMENT = "AzureIaasVM"

_VAULT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")
_POLICY_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{1,148}[A-Za-z0-9])")
_VAULT_PATH = re.compile(
    r"(?i)/subscriptions/[^/]+/resourceGroups/[^/]+"
    r"/providers/Microsoft\.RecoveryServices/vaults/[^/?]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmName:
    """Group and name of a VM inside a vault: no subscription in it, so two VMs can collide."""

    group: str
    vm: str
    kind: str = KIND

    @property
    def short(self) -> str:
        return f"{self.kind};{self.group};{self.vm}"

    @property
    def is_classic(self) -> bool:
        return self.kind.lower() == CLASSIC_KIND

    @property
    def vm_type(self) -> str:
        return CLASSIC_VM_TYPE if self.is_classic else VM_TYPE

    @property
    def container(self) -> str:
        return f"IaasVMContainer;{self.short}"

    @property
    def item(self) -> str:
        return f"VM;{self.short}"

    @property
    def protectable(self) -> str:
        return f"vm;{self.short}"

    @property
    def key(self) -> str:
        return self.short.lower()

    @property
    def item_path(self) -> str:
        return (
            f"/backupFabrics/Azure/protectionContainers/{self.container}/protectedItems/{self.item}"
        )

    @classmethod
    def of_vm(cls, vm_id: str) -> Self:
        """Derive the name from a VM's id; raise ValueError for anything that is no VM."""
        parsed = ResourceId.parse(vm_id)
        if parsed.type.lower() != VM_TYPE.lower() or not parsed.group:
            raise ValueError(f"not a virtual machine: {vm_id!r}")
        return cls(group=parsed.group, vm=parsed.name)

    @classmethod
    def of_path(cls, container: str, item: str) -> Self:
        """Read a container's and an item's name; raise ValueError if they do not fit together."""
        name = cls.of_container(container)
        words = item.split(";")
        if len(words) != 4 or words[0].lower() != "vm" or ";".join(words[1:]).lower() != name.key:
            raise ValueError(f"not the item of {container!r}: {item!r}")
        return name

    @classmethod
    def of_container(cls, container: str) -> Self:
        words = container.split(";")
        if len(words) != 4 or words[0].lower() != "iaasvmcontainer":
            raise ValueError(f"not a VM container: {container!r}")
        kind = words[1].lower()
        if kind not in {KIND, CLASSIC_KIND} or not words[2] or not words[3]:
            raise ValueError(f"not a VM container: {container!r}")
        return cls(group=words[2], vm=words[3], kind=kind)


def vault_prefix(requested: str, otherwise: str) -> str:
    """Return the vault id as a request spelled it, or its own id outside a request."""
    found = _VAULT_PATH.match(requested)
    return found.group(0) if found else otherwise


def is_vault_name(name: str) -> bool:
    return _VAULT_NAME.fullmatch(name) is not None


def is_policy_name(name: str) -> bool:
    return _POLICY_NAME.fullmatch(name) is not None


def region(text: str) -> str:
    """Fold ``West Europe`` and ``westeurope`` together, as every comparison of regions does."""
    return text.lower().replace(" ", "")
