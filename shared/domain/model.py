"""What we observe, in our words: VMs, vaults, policies, protected items, and the snapshot.

Adapters parse Azure's bodies into these once (STYLE 7); `None` means Azure did not say, which is
never the same as "no". Regions are lower case without blanks; tags keep their case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from shared.domain.ids import ArmId

Tags = Mapping[str, str]


def region_of(text: str) -> str:
    """Normalise a region: `East US 2` and `eastus2` are one place."""
    return text.replace(" ", "").lower()


# --- virtual machines ---------------------------------------------------------------------------


class OsType(StrEnum):
    WINDOWS = "Windows"
    LINUX = "Linux"


class SecurityType(StrEnum):
    STANDARD = "Standard"
    TRUSTED_LAUNCH = "TrustedLaunch"
    CONFIDENTIAL = "ConfidentialVM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image a VM was made from: marketplace words, or the id of a gallery or custom image."""

    publisher: str = ""
    offer: str = ""
    sku: str = ""
    version: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The VM agent as the instance view reports it (facts §1.2)."""

    version: str  # "Unknown" before it reported
    code: str  # e.g. ProvisioningState/succeeded, ProvisioningState/Unavailable
    status: str  # e.g. Ready, Not Ready
    message: str

    @property
    def ready(self) -> bool:
        return self.code.lower() == "provisioningstate/succeeded" and self.version != "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk as the VM's body shows it; `DiskFacts` holds what only the disk's own body shows."""

    name: str
    id: ArmId | None  # None for unmanaged and ephemeral disks, or an id we could not read
    lun: int | None  # None for the OS disk
    size_gb: int | None  # unknown while deallocated
    storage_type: str | None  # Premium_LRS, UltraSSD_LRS, PremiumV2_LRS, ...
    unmanaged: bool
    ephemeral: bool = False
    write_accelerator: bool = False
    create_option: str = ""  # FromImage, Attach, Empty, Restore ...
    security_type: str | None = None
    encryption_set: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One ARM virtual machine with its instance view."""

    id: ArmId
    uid: str  # vmId: differs when a VM is re-created under the same name
    location: str
    tags: Tags
    provisioning: str  # Succeeded, Creating, Updating, Deleting, Failed
    power: str | None  # running, stopped, deallocated, starting, ... ; None: no instance view
    agent: Agent | None  # None: not reported (deallocated, or no view)
    os: OsType | None
    os_name: str | None
    os_version: str | None
    size: str
    image: Image
    security: SecurityType
    os_disk: Disk
    data_disks: tuple[Disk, ...]
    created: datetime | None
    managed_by: str | None
    scale_set: str | None
    priority: str | None  # Regular, Spot, Low
    plan: str | None
    has_os_profile: bool
    provision_agent: bool | None
    allow_extensions: bool | None
    encryption_at_host: bool | None
    disk_encryption: bool  # Azure Disk Encryption seen in settings or extensions
    hibernated: bool
    extended_location: str | None
    nics: tuple[str, ...]
    zones: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()  # publisher.type of each reported extension
    failure: str | None = None  # message of a failed provisioning state
    computer_name: str | None = None
    can_hibernate: bool = False
    key_vault: str | None = None  # id of the key vault that Azure Disk Encryption uses, if shown

    @property
    def name(self) -> str:
        return self.id.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """What a managed disk's own body shows (Resource Graph, one query per batch)."""

    id: ArmId
    size_gb: int | None
    storage_type: str | None
    max_shares: int | None
    network_access: str | None  # AllowAll, AllowPrivate, DenyAll
    data_access_auth: str | None  # AzureActiveDirectory or None
    security_type: str | None = None
    encryption_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A management lock that covers the VM, or a group of snapshots of Azure Backup's."""

    scope: str
    level: str  # CanNotDelete, ReadOnly
    name: str


class Reachability(StrEnum):
    """Answer of the network path check (advisory only; facts §3.6)."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPath:
    """Whether the VM reaches Azure Backup, storage and sign-in, and what decides it.

    ``decided_by`` names the rule, group and priority, or why it is unknown.
    """

    answer: Reachability
    decided_by: str
    remedy_az: str = ""
    remedy_powershell: str = ""
    nsg: str = ""
    lost: tuple[str, ...] = ()  # settings of the interfaces that a restore does not bring back


# --- vaults, policies, items ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """One Recovery Services vault (facts §1.3)."""

    id: ArmId
    location: str
    tags: Tags
    redundancy: str | None = None  # LocallyRedundant, GeoRedundant, ZoneRedundant
    cross_region_restore: bool | None = None
    soft_delete: str | None = None  # Enabled, Disabled, AlwaysON
    immutability: str | None = None  # Disabled, Unlocked, Locked; None: not set
    multi_user_authorization: bool = False
    private_endpoints: bool = False
    public_access: bool | None = None
    provisioning: str = "Succeeded"
    storage_version: str | None = None  # Unassigned until the first item: redundancy not locked
    key: str | None = None  # address of the customer's key that the vault is encrypted with
    key_reader: str | None = None  # the identity that reads it: object id, or id of the resource

    @property
    def name(self) -> str:
        return self.id.name


class PolicyKind(StrEnum):
    STANDARD = "Standard"  # V1: the body has no policyType
    ENHANCED = "Enhanced"  # V2


class Frequency(StrEnum):
    HOURLY = "Hourly"
    DAILY = "Daily"
    WEEKLY = "Weekly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a policy backs up. Times are in the policy's own time zone, without daylight saving."""

    frequency: Frequency
    times: tuple[time, ...]  # start of the window when hourly
    days: tuple[str, ...] = ()  # weekly: Sunday ...
    interval_hours: int | None = None
    window_hours: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long points of each tier are kept; None: the tier does not exist."""

    daily_days: int | None = None
    weekly_weeks: int | None = None
    monthly_months: int | None = None
    yearly_years: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One backup policy for VMs. ``schedule`` or ``retention`` None: we could not read it."""

    id: ArmId
    kind: PolicyKind
    schedule: Schedule | None
    retention: Retention | None
    instant_restore_days: int | None
    time_zone: str  # Windows time-zone id
    crash_consistent_only: bool = False
    archive: str | None = None  # tiering mode

    @property
    def name(self) -> str:
        return self.id.name

    @property
    def vault(self) -> ArmId:
        parent = self.id.parent
        assert parent is not None, "a policy lies in a vault"
        return parent


class ProtectionState(StrEnum):
    """Azure's field of the protected item (facts §1.7), with soft delete folded in."""

    PENDING = "IRPending"  # a policy is attached, there is no recovery point yet
    PROTECTED = "Protected"
    ERROR = "ProtectionError"
    STOPPED = "ProtectionStopped"
    PAUSED = "ProtectionPaused"
    SUSPENDED = "BackupsSuspended"
    SOFT_DELETED = "SoftDeleted"  # isScheduledForDeferredDelete, whatever the field says
    CONFIGURING = "ConfiguringProtection"  # Resource Graph only
    FAILED = "ConfiguringProtectionFailed"  # Resource Graph only
    INVALID = "Invalid"  # and every word we do not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What Azure Backup says is wrong with an item: the error of its last backup, as a rule."""

    code: str
    message: str = ""
    recommendations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedItem:
    """A VM in a vault, alive or not."""

    id: ArmId
    source: ArmId | None  # the VM; None if Azure gave none we can read (classic)
    state: ProtectionState
    policy: ArmId | None
    last_backup_status: str = ""
    last_backup: datetime | None = None  # None instead of 2001-01-01
    last_recovery_point: datetime | None = None
    deferred_delete: datetime | None = None  # when a soft-deleted item vanishes for good
    health: str = ""
    trouble: Trouble | None = None
    policy_name: str = ""
    excluded_luns: tuple[int, ...] = ()

    @property
    def vault(self) -> ArmId:
        return ArmId.of(self.id.subscription, self.id.group, self.id.provider, self.id.chain[:1])

    @property
    def has_recovery_point(self) -> bool:
        return self.last_recovery_point is not None or self.state is ProtectionState.PROTECTED


# --- the snapshot --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is taken in one vault: counted from the item index and our own places (facts §4.1)."""

    items: int  # active and stopped VMs in the vault
    today: int  # places we took in (vault, UTC day)
    per_policy: Mapping[str, int] = field(default_factory=dict)  # policy key -> VMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How the last attempt to change protection ended badly."""

    code: str
    message: str
    at: datetime
    count: int  # attempts in a row that ended so
    recommendations: tuple[str, ...] = ()
    policy: ArmId | None = None  # that the change was to attach; None for an undelete


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What Azure's own pre-validation said of the VM in one vault. ``code`` "" means yes."""

    vault: ArmId
    at: datetime
    code: str = ""
    message: str = ""
    recommendation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the ledger remembers of this VM and `decide` may use. Losing it loses no truth."""

    state: str = ""
    vault: ArmId | None = None
    policy: ArmId | None = None
    uid: str = ""
    failure: Failure | None = None
    first_seen: datetime | None = None
    enrolled_at: datetime | None = None
    deadline: datetime | None = None
    undone_by_others: tuple[datetime, ...] = ()  # our changes that somebody changed back
    tag_excluded_since: datetime | None = None  # first time a tag excluded this VM (same uid)
    passing_since: datetime | None = None  # since when something is there that passes by itself
    moved: ProtectedItem | None = None  # of this very VM, under the id that it had before


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything observed about one VM at one time. `decide` looks at nothing else."""

    id: ArmId
    at: datetime
    vm: Vm | None  # None: Azure answered 404 ResourceNotFound
    group_tags: Tags | None = None  # None: not known
    subscription_tags: Tags | None = None
    group_managed_by: str | None = None
    vaults: tuple[Vault, ...] = ()
    policies: Mapping[str, tuple[Policy, ...]] = field(default_factory=dict)  # vault key ->
    items: tuple[ProtectedItem, ...] = ()  # of every vault in scope, by this group and VM name
    room: Mapping[str, Room] = field(default_factory=dict)  # vault key ->
    disks: Mapping[str, DiskFacts] | None = None  # disk key -> ; None: not asked
    locks: tuple[Lock, ...] | None = None
    network: NetworkPath | None = None
    tenants: Mapping[str, str] = field(default_factory=dict)  # subscription -> , as far as known
    past: Past = field(default_factory=Past)
    validation: Validation | None = None  # Azure's own; None: not asked
    backup_regions: frozenset[str] | None = None  # where Azure Backup exists; None: not asked
