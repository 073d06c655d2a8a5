"""Every finding the product can make: code, usual severity, what is looked at, source, date.

`docs/checks.md` is printed from here and the runbook has a section per code. A limit's number is
not here but in `limits.json`; a code's text is where the finding is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.findings import Finding, Remedy, Severity


class Step(StrEnum):
    """The points of the guides' checklist, in its order (row S28)."""

    LIMITS = "limits"
    VAULT = "vault in the region"
    REDUNDANCY = "redundancy"
    POLICY = "policy"
    AGENT = "agent"
    NETWORK = "network"
    ENABLE = "enable"
    FIRST_BACKUP = "first backup"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One code. ``answer`` is the remedy in a few words; ``rows`` are the feature rows behind it."""

    code: str
    severity: Severity
    step: Step
    looks_at: str
    answer: str
    source: str
    date: str
    rows: str = ""
    unseen: bool = False  # cannot be seen in ARM: a caveat for page and explain only


_B = Severity.BLOCKER
_E = Severity.NEEDS_ENHANCED
_W = Severity.WAIT
_A = Severity.ADVISORY
_MATRIX = "Support matrix for Azure VM backup"
_PREPARE = "Prepare to back up Azure VMs"
_TROUBLE = "Troubleshoot Azure VM backup"
_REST = "Recordings and REST reference (facts §1)"


def _rows(
    step: Step, rows: str, source: str, date: str, *entries: tuple[str, Severity, str, str]
) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            code=code,
            severity=severity,
            step=step,
            looks_at=looks_at,
            answer=answer,
            source=source,
            date=date,
            rows=rows,
        )
        for code, severity, looks_at, answer in entries
    )


def _unseen(
    rows: str, source: str, date: str, *entries: tuple[str, Step, str, str]
) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            code=code,
            severity=_A,
            step=step,
            looks_at=looks_at,
            answer=answer,
            source=source,
            date=date,
            rows=rows,
            unseen=True,
        )
        for code, step, looks_at, answer in entries
    )


# fmt: off
ENTRIES: tuple[Entry, ...] = (
    # --- limits of the VM -----------------------------------------------------------------------
    *_rows(
        Step.LIMITS, "F13 S13", _MATRIX, "2026-03-26",
        ("DATA_DISK_COUNT", _B, "number of data disks", "detach or merge disks"),
        ("DISK_SIZE", _B, "size of each disk", "shrink or split the disk"),
        ("DISK_SIZE_TOTAL", _B, "sum of all disk sizes", "move data to another VM"),
        ("ULTRA_DISK", _E, "storage type of every disk", "use an Enhanced policy"),
        ("PREMIUM_V2_DISK", _E, "storage type of every disk", "use an Enhanced policy"),
        ("SHARED_DISK", _B, "maxShares of every data disk", "exclude it by LUN, or unshare it"),
        ("SHARED_DISK_EXCLUDED", _E, "maxShares, where the rule excludes such disks", "none needed; the disk is left out of the backup"),
        ("DISK_ACCESS_AUTH", _B, "data access authentication mode of every disk", "turn it off"),
        ("DATA_DISK_SECURITY_TYPE", _B, "security type of every data disk", "copy the data to a plain disk"),
        ("EXTENDED_ZONE", _E, "extended location of the VM", "use an Enhanced policy"),
    ),
    *_rows(
        Step.LIMITS, "F13", "Ephemeral OS disks", "2026-09-08",
        ("EPHEMERAL_OS_DISK", _B, "diff-disk settings of the OS disk", "redeploy on a managed OS disk"),
    ),
    *_rows(
        Step.LIMITS, "S15", _MATRIX, "2026-03-26",
        ("UNMANAGED_DISK", _B, "VHD of the OS and data disks", "convert to managed disks"),
    ),
    *_rows(
        Step.LIMITS, "S14 S16", _MATRIX, "2023-07-05",
        ("WRITE_ACCELERATOR", _A, "write accelerator of every disk", "give the VM a way out to storage"),
    ),
    *_rows(
        Step.LIMITS, "C.1", _MATRIX, "2026-03-26",
        ("DISK_ENCRYPTION", _A, "encryption settings, encryption extension", "grant the backup service rights on the key vault"),
        ("DISK_EXCLUSION_ENCRYPTED", _B, "excluded LUNs of an encrypted VM under a Standard policy", "use an Enhanced policy"),
        ("HIBERNATION_ENABLED", _A, "hibernation switched on for the VM", "do not hibernate it, or switch it off"),
        ("DISK_SIZE_UNKNOWN", _A, "disk sizes while the VM is deallocated", "none; Azure checks at the first backup"),
        ("CONFIDENTIAL_VM", _B, "security type of the VM", "back up inside the guest until it is supported"),
        ("CONFIDENTIAL_OTHER_SUBSCRIPTION", _B, "security type, subscriptions of VM and vault", "use a vault of the VM's subscription"),
        ("MARKETPLACE_PLAN", _A, "purchase plan of the image", "keep the terms accepted"),
        ("SPOT_VM", _A, "priority of the VM", "none; restores come back as a regular VM"),
        ("VM_SIZE_SMALL", _A, "VM size", "expect slow backups, or resize"),
        ("HIBERNATED", _B, "hibernation state", "start the VM or shut it down"),
    ),
    *_rows(
        Step.LIMITS, "S12", _MATRIX, "2026-03-26",
        ("OS_UNTESTED", _A, "operating system name, image", "none; the backup is tried"),
        ("OS_OLD", _A, "operating system name, image", "plan an upgrade; the backup is tried"),
        ("OS_UNSUPPORTED", _A, "image publisher and offer, operating system name", "use crash-consistent backup or another system"),
        ("OS_32_BIT", _B, "operating system name, image", "move to a 64-bit system"),
    ),
    *_rows(
        Step.LIMITS, "S11 S26", _MATRIX, "2026-03-26",
        ("PROVISIONING", _W, "provisioning state", "none; it passes"),
        ("POWER_CHANGING", _W, "power state", "none; it passes"),
        ("PROVISIONING_FAILED", _A, "provisioning state, failed extension", "repair the VM or its extension"),
        ("VM_OFF", _A, "power state", "none; backed up crash-consistently"),
    ),
    # --- vault ----------------------------------------------------------------------------------
    *_rows(
        Step.VAULT, "S1", _PREPARE, "2026-03-25",
        ("NO_VAULT_IN_REGION", _B, "vaults the rules choose in the VM's region", "create the vault, or let rules choose one"),
        ("REGION_UNSUPPORTED", _B, "regions of the Recovery Services provider", "move the VM, or back it up otherwise"),
        ("VAULT_NOT_READY", _W, "provisioning state of the vault", "none; it passes"),
        ("VAULT_OTHER_SUBSCRIPTION", _A, "subscriptions of VM and vault", "none; such a vault can no longer be moved"),
    ),
    *_rows(
        Step.VAULT, "F19", "Recovery Services vault limits", "2026-03-25",
        ("VAULT_FULL", _B, "VMs in every candidate vault", "create another vault"),
        ("VAULT_DAY_FULL", _W, "VMs newly protected today per candidate vault", "none; continues tomorrow"),
        ("NAME_TAKEN", _B, "items of the same name from another subscription", "use another vault for one of the two"),
    ),
    *_rows(
        Step.VAULT, "C.1", "Encryption of vaults with customer-managed keys", "2026-03-25",
        ("VAULT_CUSTOMER_KEY", _A, "encryption key of the vault and who reads it", "let the vault's identity use the key"),
    ),
    *_rows(
        Step.VAULT, "F21", "Soft delete and immutability of vaults", "2026-03-25",
        ("VAULT_SOFT_DELETE_OFF", _A, "soft delete setting of the vault", "turn it on"),
    ),
    *_rows(
        Step.REDUNDANCY, "S2", _PREPARE, "2026-03-25",
        ("VAULT_REDUNDANCY", _B, "redundancy of the vault before its first item", "set it before the first item"),
        ("VAULT_REDUNDANCY_LOCKED", _A, "redundancy of a vault in use", "make a new vault"),
    ),
    # --- policy ---------------------------------------------------------------------------------
    *_rows(
        Step.POLICY, "F22 F23 F24", "Rules file", "2026-11-21",
        ("TAG_VALUE_UNKNOWN", _B, "value of the tier tag, values of tags in rules", "correct the tag"),
        ("TAG_NAME_SIMILAR", _A, "names of the VM's tags", "correct the tag's name"),
        ("NO_TIER", _B, "tier tag of VM, group and subscription", "add the tag"),
        ("DEFAULT_TIER_USED", _A, "tier tag of VM, group and subscription", "add the tag to choose another tier"),
        ("NO_RULE", _B, "every rule of the file", "add a rule or a default"),
        ("EXCLUSION_ENDING", _A, "exclusions of the rules and of people", "renew it, or let the VM be enrolled"),
        ("EXCLUSION_EXPIRED", _A, "exclusions of the rules and of people", "renew it, or let the VM be enrolled"),
    ),
    *_rows(
        Step.POLICY, "S6", "Manage VM backup policies", "2026-03-25",
        ("POLICY_MISSING", _B, "policies of the chosen vault", "create the policy in the vault"),
        ("POLICY_FULL", _A, "VMs per policy", "add policies to the tier's spread group"),
        ("POLICY_UNREADABLE", _A, "schedule and retention of the policy", "compare it by hand"),
    ),
    *_rows(
        Step.POLICY, "F14", _MATRIX, "2026-03-26",
        ("POLICY_KIND", _B, "kind of the tier's policies, security type and disks", "add an Enhanced policy to the tier"),
        ("TRUSTED_LAUNCH_STANDARD", _A, "security type, kind of the chosen policy", "add an Enhanced policy to the tier"),
        ("CRASH_CONSISTENT_UNFIT", _B, "size and disks under a crash-consistent policy", "choose another policy"),
        ("CRASH_CONSISTENT_ONLY", _A, "consistency setting of the policy", "choose another policy for databases"),
    ),
    *_rows(
        Step.POLICY, "F34", "Policy changes cut existing points (facts §6.2)", "2026-03-25",
        ("POLICY_WEAKER", _A, "old and new policy of a protected VM", "consent, or put the tag back"),
        ("POLICY_ONE_WAY", _A, "kind of old and new policy", "consent to the move to Enhanced"),
        ("POLICY_DRIFT", _A, "policy of the item and of the rules", "none; it will be changed"),
    ),
    # --- agent and network ----------------------------------------------------------------------
    *_rows(
        Step.AGENT, "S10", _PREPARE, "2026-03-25",
        ("AGENT_NOT_READY", _A, "agent status in the instance view", "none at first; then repair the agent"),
        ("AGENT_DISABLED", _A, "provisionVMAgent, allowExtensionOperations", "allow agent and extensions"),
        ("AGENT_OLD", _A, "agent version", "update the agent"),
        ("AGENT_MIGRATED", _A, "OS profile, image, OS disk's origin", "install the agent, check the network"),
    ),
    *_rows(
        Step.NETWORK, "S16 S17", "Network guidance for Azure VM backup", "2026-03-25",
        ("NETWORK_BLOCKED", _A, "security groups and routes, where a rule or an error asks", "add the rule shown"),
        ("NETWORK_UNKNOWN", _A, "security groups and routes, where a rule or an error asks", "check the firewall"),
    ),
    # --- enable ---------------------------------------------------------------------------------
    *_rows(
        Step.ENABLE, "F16", "Locks and backup (facts §3.4)", "2025-11-12",
        ("LOCK_READ_ONLY", _A, "locks on VM, group and subscription", "use CanNotDelete instead"),
        ("LOCK_SNAPSHOT_GROUP", _A, "locks on the subscription and on Azure Backup's snapshot groups", "create the snapshot group, lock the others"),
    ),
    *_rows(
        Step.ENABLE, "F15 S5", _REST, "2024-06-30",
        ("PROTECTED_ELSEWHERE", _A, "items of all vaults in scope", "none; left alone"),
        ("PROTECTION_STOPPED", _B, "protection state of the item", "resume it, or exclude the VM"),
        ("SOFT_DELETED", _B, "soft-delete state of the item", "undelete it, or wait until it is gone"),
        ("VM_RECREATED", _B, "vmId and creation time against the item", "decide about the old recovery points"),
        ("MOVED", _B, "vmId against what was enrolled under another id", "decide about the old item, or consent"),
        ("PROTECTION_ERROR", _A, "protection state of the item", "look at its last job"),
        ("MANAGED_ELSEWHERE", _B, "our changes that somebody undid", "agree who manages this VM"),
        ("ORPHANED", _A, "items whose VM is gone", "keep or remove the recovery points by hand"),
        ("ENABLE_FAILED", _B, "error code of job, operation or answer", "as the code says"),
        ("PREVALIDATION_FAILED", _B, "Azure's own validation, where a rule asks", "as Azure recommends"),
        ("OUR_RIGHTS", _B, "error code of the answer", "grant the service the right named"),
    ),
    *_rows(
        Step.ENABLE, "F42", "Rules file", "2026-11-21",
        ("OWNER_ADDRESS", _A, "owner tags of VM, group and subscription, recipients in rules", "put an address there"),
    ),
    *_rows(
        Step.FIRST_BACKUP, "S8 F37", "Recovery Services vault limits", "2026-03-25",
        ("FIRST_BACKUP_OVERDUE", _B, "deadline of the first recovery point", "look at the first backup job"),
        ("FIRST_BACKUP_FAILED", _B, "error code of the backup job", "as the code says"),
    ),
    # --- restore --------------------------------------------------------------------------------
    *_rows(
        Step.RESTORE, "S20", _MATRIX, "2026-01-28",
        ("RESTORE_SEVERAL_NICS", _A, "number of network interfaces", "restore disks and build the VM by script"),
        ("RESTORE_DOMAIN_CONTROLLER", _A, "tags that say domain controller", "follow the guide for domain controllers"),
        ("RESTORE_ENCRYPTED", _A, "disk encryption", "no file restore; restore disks"),
        ("RESTORE_DISKS_ONLY", _A, "disks left out of the backup", "restore disks and attach them"),
    ),
    # --- what ARM cannot show -------------------------------------------------------------------
    *_unseen(
        "S14", "The guides of 2016-2018; " + _MATRIX, "2026-01-28",
        ("GUEST_LUKS", Step.LIMITS, "Linux guest encryption", "do not rely on backups of LUKS volumes"),
        ("GUEST_CLUSTER", Step.LIMITS, "cluster volumes, scale-out file servers", "back up inside the guest"),
        ("GUEST_STORAGE", Step.LIMITS, "Storage Spaces, deduplication, ZFS, container volumes, replicas", "test a restore"),
        ("GUEST_MOUNTS", Step.LIMITS, "network drives", "back them up where they live"),
        ("MULTI_VM", Step.LIMITS, "consistency across VMs", "back up inside the guests"),
    ),
    *_unseen(
        "S26", _MATRIX, "2026-01-28",
        ("CONSISTENCY", Step.FIRST_BACKUP, "system and power state", "pre- and post-snapshot scripts on Linux"),
    ),
    *_unseen(
        "S16 S17", _PREPARE, "2026-03-25",
        ("GUEST_FIREWALL", Step.NETWORK, "the guest's way to 168.63.129.16", "leave ports 80, 443 and 32526 open"),
        ("GUEST_PROXY", Step.NETWORK, "proxy settings of the guest", "set the proxy for system and agent"),
    ),
    *_unseen(
        "S20 S27", _MATRIX, "2026-01-28",
        ("RESTORE_NETWORK", Step.RESTORE, "load balancers, reserved addresses", "restore disks and build the VM by script"),
        ("RESTORE_REPLACE", Step.RESTORE, "restoring over an existing VM", "use the option that replaces disks"),
        ("FILE_RESTORE", Step.RESTORE, "systems that allow file restore", "see the list of systems"),
    ),
    *_unseen(
        "S21", _MATRIX, "2026-01-28",
        ("DAYLIGHT_SAVING", Step.POLICY, "time zone of the policy", "change the policy by hand twice a year"),
    ),
)

# fmt: on

CATALOGUE: Mapping[str, Entry] = {entry.code: entry for entry in ENTRIES}


def finding(
    code: str,
    *,
    text: str,
    evidence: str,
    remedies: tuple[Remedy, ...] = (),
    severity: Severity | None = None,
    source: str = "",
    source_date: str = "",
) -> Finding:
    """Make a finding of a catalogued code; severity and source come from the catalogue."""
    entry = CATALOGUE[code]
    return Finding(
        code=code,
        severity=severity or entry.severity,
        text=text,
        evidence=evidence,
        remedies=remedies,
        source=source or entry.source,
        source_date=source_date or entry.date,
    )
