"""What Azure cannot show of a VM: caveats for its page and explain, never for a notice.

Each is said once, with what it means and whether the statement still holds today. The guides that
the service replaces warned of these; nothing here changes a decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from shared.domain.catalogue import finding
from shared.domain.daylight import daylight, next_change
from shared.domain.findings import Finding, Remedy
from shared.domain.model import OsType, Policy, Snapshot, Vm
from shared.domain.remedies import network as network_remedy
from shared.domain.remedies import unseen as remedy

_OFF = frozenset({"stopped", "deallocated"})
_EVIDENCE = "not visible from Azure"


def _fixed(
    code: str, text: str, remedies: tuple[Remedy, ...] = (), evidence: str = _EVIDENCE
) -> Finding:
    return finding(code, text=text, evidence=evidence, remedies=remedies)


_LUKS = _fixed(
    "GUEST_LUKS",
    "Volumes that the Linux guest encrypts itself (LUKS) were not supported in 2018; today's matrix"
    " does not mention them. Azure Disk Encryption is another matter and is supported.",
    (remedy.restore_once(),),
)
_CLUSTER = _fixed(
    "GUEST_CLUSTER",
    "Cluster shared volumes and scale-out file servers: the guest's backup writer fails, and every"
    " VM of the cluster would have to be in the same snapshot.",
    (remedy.in_guest(),),
)
_STORAGE = _fixed(
    "GUEST_STORAGE",
    "Storage Spaces, deduplicated volumes, ZFS, container volumes and storage replicas are backed"
    " up as plain disks; single files cannot be restored from some of them.",
    (remedy.restore_once(),),
)
_MOUNTS = _fixed("GUEST_MOUNTS", "Network drives that the guest mounts are not in the backup.")
_MULTI_VM = _fixed(
    "MULTI_VM",
    "Points of several VMs are not taken at one moment: there is no consistency across VMs.",
    (remedy.in_guest(),),
)
_FIREWALL = _fixed(
    "GUEST_FIREWALL",
    "The guest must reach the platform's address 168.63.129.16 (TCP 80, 443, 32526) and take its"
    " address by DHCP.",
    (network_remedy.platform(),),
)
_PROXY_WINDOWS = _fixed(
    "GUEST_PROXY",
    "A proxy in the guest is only needed where backups fail for want of network.",
    (network_remedy.windows_proxy(), network_remedy.proxy_server()),
)
_PROXY_LINUX = _fixed(
    "GUEST_PROXY",
    "A proxy in the guest is only needed where backups fail for want of network.",
    (network_remedy.linux_proxy(), network_remedy.proxy_server()),
)
_NETWORK = _fixed(
    "RESTORE_NETWORK",
    "A VM restored through the portal comes back without its load balancers, internal or external,"
    " and without reserved addresses; a fixed private address becomes a dynamic one.",
    (remedy.restore_disks(),),
)
_REPLACE = _fixed(
    "RESTORE_REPLACE",
    "A restore as a new VM fails while one of that name exists. Nothing has to be removed: restore"
    " under another name, or replace the disks of the existing VM, which keeps its old ones. Once"
    " only the VM's own region could be restored to; today a paired region can, where the vault"
    " allows cross-region restore.",
    (remedy.replace_disks(),),
)
_FILES = _fixed(
    "FILE_RESTORE",
    "Single files can be restored on listed systems only; not from encrypted VMs, Ultra or Premium"
    " SSD v2 disks or Storage Spaces; LVM and RAID volumes not onto the same VM; and not where"
    " unmanaged disks lie in a storage account with a firewall.",
    (remedy.file_restore_list(),),
)


def caveats(snapshot: Snapshot, policy: Policy | None, now: datetime) -> tuple[Finding, ...]:
    """Tell what holds for this kind of VM although nobody can see it from outside."""
    vm = snapshot.vm
    if vm is None:
        return ()
    found = [caveat for of in _CAVEATS if (caveat := of(vm)) is not None]
    if snapshot.network is not None and (lost := snapshot.network.lost):
        found = [
            replace(c, evidence="; ".join(lost[:8])) if c.code == _NETWORK.code else c
            for c in found
        ]
    if policy is not None and (shift := daylight_saving(policy, now)) is not None:
        found.append(shift)
    return tuple(found)


def _unless(system: OsType, caveat: Finding) -> Callable[[Vm], Finding | None]:
    return lambda vm: None if vm.os is system else caveat


def _always(caveat: Finding) -> Callable[[Vm], Finding | None]:
    return lambda _: caveat


def _proxy(vm: Vm) -> Finding:
    return _PROXY_LINUX if vm.os is OsType.LINUX else _PROXY_WINDOWS


def consistency(vm: Vm) -> Finding:
    """Say which consistency to expect of the VM's recovery points, and why (row S26)."""
    if (vm.power or "").lower() in _OFF:
        kind, why = "crash-consistent", "the VM is off, so the guest takes no part"
    elif vm.provision_agent is False or vm.allow_extensions is False:
        kind, why = "crash-consistent", "agent or extensions are switched off"
    elif vm.os is OsType.WINDOWS:
        kind, why = "application-consistent", "the VM runs and Windows has a snapshot service"
    elif vm.os is OsType.LINUX:
        kind, why = (
            "file-system-consistent",
            "Linux becomes application-consistent only with pre- and post-snapshot scripts",
        )
    else:
        kind, why = "at least crash-consistent", "the system is not known"
    return finding(
        "CONSISTENCY",
        text=f"Expect {kind} recovery points: {why}.",
        evidence=f"system {vm.os or 'unknown'}, power state {vm.power or 'unknown'}",
        remedies=(remedy.consistency_scripts(),) if vm.os is OsType.LINUX else (),
    )


def daylight_saving(policy: Policy, now: datetime) -> Finding | None:
    """Say when the policy's start moves against the wall clock, and what to do (row S21)."""
    rule = daylight(policy.time_zone)
    if rule is None:
        return None
    change = next_change(policy.time_zone, now.date())
    when = rule.words
    if change is not None:
        hours = abs(change.minutes) / 60
        direction = "later" if change.minutes > 0 else "earlier"
        when = f"from {change.on.isoformat()} it starts {hours:g} h {direction} by the wall clock"
    return finding(
        "DAYLIGHT_SAVING",
        text=f"Policy {policy.name} does not follow daylight saving: {when}.",
        evidence=f"time zone {policy.time_zone}, {rule.words}",
        remedies=(remedy.move_schedule(),),
    )


_CAVEATS: tuple[Callable[[Vm], Finding | None], ...] = (
    consistency,
    _unless(OsType.WINDOWS, _LUKS),
    _unless(OsType.LINUX, _CLUSTER),
    _always(_STORAGE),
    _always(_MOUNTS),
    _always(_MULTI_VM),
    _always(_FIREWALL),
    _proxy,
    _always(_NETWORK),
    _always(_REPLACE),
    _always(_FILES),
)
