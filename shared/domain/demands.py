"""What a VM demands of a backup policy: kinds of disk and place that only Enhanced ones take."""

from __future__ import annotations

from shared.domain.model import Snapshot, Vm


def shared_luns(vm: Vm, snapshot: Snapshot) -> tuple[int, ...]:
    """Give the LUNs of data disks that several VMs may attach."""
    if not snapshot.disks:
        return ()
    found = []
    for disk in vm.data_disks:
        facts = snapshot.disks.get(disk.id.key) if disk.id else None
        if facts and (facts.max_shares or 1) > 1 and disk.lun is not None:
            found.append(disk.lun)
    return tuple(found)


def needs_enhanced(vm: Vm, snapshot: Snapshot, *, exclude_shared: bool) -> tuple[str, ...]:
    """Say what of this VM only an Enhanced policy can back up (facts §3.1-§3.3, §3.7)."""
    reasons = []
    view_of = snapshot.disks or {}
    kinds = set()
    for disk in (vm.os_disk, *vm.data_disks):
        facts = view_of.get(disk.id.key) if disk.id else None
        kinds.add((disk.storage_type or (facts.storage_type if facts else "") or "").lower())
    if "ultrassd_lrs" in kinds:
        reasons.append("an Ultra disk")
    if "premiumv2_lrs" in kinds:
        reasons.append("a Premium SSD v2 disk")
    if vm.extended_location:
        reasons.append("an extended zone")
    if exclude_shared and shared_luns(vm, snapshot):
        reasons.append("a shared disk to be left out")
    return tuple(reasons)
