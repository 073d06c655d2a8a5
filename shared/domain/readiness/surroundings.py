"""Readiness of what surrounds the VM: locks, network path, the chosen policy."""

from __future__ import annotations

import re

from shared.domain.catalogue import finding
from shared.domain.demands import shared_luns
from shared.domain.findings import Finding
from shared.domain.model import Lock, Reachability, region_of
from shared.domain.readiness.view import View
from shared.domain.remedies import network as network_remedy
from shared.domain.remedies import surroundings as remedy

_SIZE = re.compile(r"(?:standard|basic)_(?P<family>[a-z]+)\d+(?:-\d+)?(?P<features>[a-z]*)")
_BOOST = re.compile(r"_v(\d+)$")


def lock_read_only(view: View) -> Finding | None:
    found = [
        lock
        for lock in view.snapshot.locks or ()
        if lock.level.lower() == "readonly" and not _on_snapshots(lock)
    ]
    if not found:
        return None
    return finding(
        "LOCK_READ_ONLY",
        text="A read-only lock covers the VM: backups of it fail.",
        evidence="; ".join(f"{lock.name} at {lock.scope}" for lock in found[:4])[:400],
        remedies=(remedy.delete_lock_instead(found),),
    )


def lock_snapshot_group(view: View) -> Finding | None:
    """Point out a lock on the snapshot group or one it inherits: points cannot be cleaned up."""
    locks = view.snapshot.locks
    if not locks:
        return None
    region = f"azurebackuprg_{region_of(view.vm.location)}_"
    direct = [lock for lock in locks if _on_snapshots(lock) and region in lock.scope.lower()]
    inherited = [
        lock
        for lock in locks
        if lock.scope.strip("/").lower().count("/") == 1 and lock.level.lower() != "readonly"
    ]
    if not direct and not inherited:
        return None
    covers = (
        "A lock covers the group of snapshots"
        if direct
        else "A lock on the whole subscription also covers the group of snapshots"
    )
    return finding(
        "LOCK_SNAPSHOT_GROUP",
        text=f"{covers} that Azure Backup makes: after 18 restore points that cannot be removed,"
        " backups fail.",
        evidence="; ".join(
            f"{lock.name} ({lock.level}) at {lock.scope}" for lock in (*direct, *inherited)[:4]
        ),
        remedies=(remedy.unlock_snapshots(direct[0]),)
        if direct
        else (remedy.lock_groups_instead(view.vm),),
    )


def _on_snapshots(lock: Lock) -> bool:
    return "/resourcegroups/azurebackuprg_" in lock.scope.lower()


def network(view: View) -> Finding | None:
    path = view.snapshot.network
    if path is None or path.answer is Reachability.ALLOWED:
        return None
    if path.answer is Reachability.BLOCKED:
        return finding(
            "NETWORK_BLOCKED",
            text="The VM's network does not let it out to Azure Backup and storage. Backups with a"
            " current agent do not need that; it is a cause where they fail for want of network.",
            evidence=path.decided_by,
            remedies=network_remedy.blocked(path),
        )
    return finding(
        "NETWORK_UNKNOWN",
        text="Whether the VM gets out to Azure Backup and storage cannot be seen from Azure.",
        evidence=path.decided_by,
        remedies=network_remedy.unknown(),
    )


def crash_consistent(view: View) -> Finding | None:
    """Hold a crash-consistent policy against the VM (facts §3.5)."""
    if view.policy is None or not view.policy.crash_consistent_only:
        return None
    obstacles = _obstacles(view)
    if obstacles:
        return finding(
            "CRASH_CONSISTENT_UNFIT",
            text=f"Policy {view.policy.name} takes crash-consistent backups only, which this VM"
            " cannot have.",
            evidence="; ".join(obstacles),
            remedies=(remedy.other_policy(),),
        )
    return finding(
        "CRASH_CONSISTENT_ONLY",
        text=f"Policy {view.policy.name} takes crash-consistent backups only: databases recover as"
        " after a power failure.",
        evidence="snapshotConsistencyType OnlyCrashConsistent",
    )


def _obstacles(view: View) -> list[str]:
    found = []
    if not takes_premium(view.vm.size):
        found.append(f"size {view.vm.size} takes no Premium disks")
    if is_boosted(view.vm.size):
        found.append(f"size {view.vm.size} is an Azure Boost size")
    kinds = {view.storage_type(disk) for disk in view.disks}
    if kinds & {"ultrassd_lrs", "premiumv2_lrs"}:
        found.append("Ultra or Premium SSD v2 disks")
    if view.vm.os_disk.ephemeral:
        found.append("an ephemeral OS disk")
    if shared_luns(view.vm, view.snapshot):
        found.append("shared disks")
    if any(disk.write_accelerator for disk in view.disks):
        found.append("write accelerator")
    return found


def takes_premium(size: str) -> bool:
    """Read the size's name: an ``s`` among its features, or one of the old families of SSD."""
    found = _SIZE.match(size.lower())
    if found is None:
        return True  # an unknown name is no reason to refuse
    return "s" in found["features"] or found["family"] in {"ds", "gs"}


def is_boosted(size: str) -> bool:
    """Say whether the size is of a generation on Azure Boost (Intel v6 and later, AMD v7)."""
    found = _BOOST.search(size.lower())
    if found is None:
        return False
    name = _SIZE.match(size.lower())
    amd = name is not None and "a" in name["features"]
    return int(found[1]) >= (7 if amd else 6)


def policy_unreadable(view: View) -> Finding | None:
    if view.policy is None or (view.policy.schedule and view.policy.retention):
        return None
    return finding(
        "POLICY_UNREADABLE",
        text=f"Schedule or retention of policy {view.policy.name} could not be read; a later change"
        " of policy will ask a person.",
        evidence=f"policy {view.policy.name} in vault {view.policy.vault.name}",
    )


CHECKS = (lock_read_only, lock_snapshot_group, network, crash_consistent, policy_unreadable)
