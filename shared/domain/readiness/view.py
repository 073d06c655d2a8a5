"""What a readiness check looks at: one VM with its snapshot, its rule's options and its place."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.model import Disk, DiskFacts, Policy, PolicyKind, Snapshot, Vault, Vm
from shared.domain.rules.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``vault`` and ``policy`` are None while there is no place for the VM."""

    vm: Vm
    snapshot: Snapshot
    options: Options
    vault: Vault | None = None
    policy: Policy | None = None
    excluded_luns: tuple[int, ...] = ()

    @property
    def disks(self) -> tuple[Disk, ...]:
        return (self.vm.os_disk, *self.vm.data_disks)

    @property
    def enhanced(self) -> bool:
        """An Enhanced policy was chosen, so what needs one has it."""
        return self.policy is not None and self.policy.kind is PolicyKind.ENHANCED

    def facts(self, disk: Disk) -> DiskFacts | None:
        """Give what the disk's own body shows, if it was read."""
        if disk.id is None or self.snapshot.disks is None:
            return None
        return self.snapshot.disks.get(disk.id.key)

    def size_gb(self, disk: Disk) -> int | None:
        """Give the size; a deallocated VM's body lacks it, the disk's own has it."""
        if disk.size_gb is not None:
            return disk.size_gb
        facts = self.facts(disk)
        return facts.size_gb if facts else None

    def storage_type(self, disk: Disk) -> str:
        facts = self.facts(disk)
        return (disk.storage_type or (facts.storage_type if facts else "") or "").lower()
