"""What the simulated backup service remembers: vaults and everything below them.

Plain mutable records; what may happen to them is in the modules named after the operations.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from simulator.backup.formats import Fields
from simulator.backup.names import MANAGEMENT, VmName

if TYPE_CHECKING:
    from simulator.backup.restores import Restore


class Protection(StrEnum):
    """``protectionState``: IRPending has a policy and no recovery point (facts §1.7)."""

    IR_PENDING = "IRPending"
    PROTECTED = "Protected"
    ERROR = "ProtectionError"
    STOPPED = "ProtectionStopped"
    SUSPENDED = "BackupsSuspended"
    PAUSED = "ProtectionPaused"


class JobKind(StrEnum):
    CONFIGURE = "ConfigureBackup"
    DISABLE = "DisableBackup"
    DELETE = "DeleteBackupData"
    UNDELETE = "Undelete"
    BACKUP = "Backup"
    RESTORE = "Restore"


class Status(StrEnum):
    """The words of operations (Succeeded) and of jobs (Completed) in one enumeration."""

    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    COMPLETED = "Completed"
    WARNINGS = "CompletedWithWarnings"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an asynchronous step failed, as an operation's error and a job's errorDetails tell it."""

    code: str
    number: int
    message: str
    recommendations: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Policy:
    name: str
    properties: Fields
    changed_at: datetime
    members: set[str] = field(default_factory=set)
    next_run: datetime | None = None

    @property
    def key(self) -> str:
        return self.name.lower()

    @property
    def management(self) -> str:
        return str(self.properties.get("backupManagementType", ""))

    @property
    def is_enhanced(self) -> bool:
        return self.properties.get("policyType") == "V2"

    @property
    def for_vms(self) -> bool:
        return self.management.lower() == MANAGEMENT.lower()


@dataclass(slots=True, kw_only=True)
class Point:
    """One recovery point; only the snapshot exists until its job is over."""

    name: str
    at: datetime
    policy_type: str
    expires_at: datetime
    rule: str
    in_vault: bool = False
    machine: Fields = field(default_factory=dict)
    disks: Fields | None = None
    #: made up for a seeded item that came without points
    made_up: bool = False
    #: properties of a seed, shown as they are
    given: Fields = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Task:
    name: str
    starts_at: datetime
    ends_at: datetime
    fails: bool = False
    cancelled: bool = False
    #: shown as not started until then, although it had begun
    seen_from: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Job:
    """A job; ``ends_at`` is planned when it starts and its outcome is known only then."""

    job_id: str
    kind: JobKind
    name: VmName
    friendly_name: str
    policy_name: str
    started_at: datetime
    ends_at: datetime
    activity_id: str
    status: Status = Status.IN_PROGRESS
    failure: Failure | None = None
    tasks: list[Task] = field(default_factory=list)
    bag: dict[str, str] = field(default_factory=dict)
    disk_bag: dict[str, str] = field(default_factory=dict)
    restore: "Restore | None" = None

    def over(self, now: datetime) -> bool:
        return self.status is not Status.IN_PROGRESS and self.ends_at <= now


@dataclass(slots=True, kw_only=True)
class Operation:
    """One asynchronous request, the same under all its polling URLs (report §6.9)."""

    operation_id: str
    kind: str
    started_at: datetime
    ends_at: datetime
    status: Status = Status.IN_PROGRESS
    job_id: str | None = None
    failure: Failure | None = None
    item: str | None = None
    polled: int = 0
    #: a vault's own operation answers 404 to its first look (facts §1.3)
    hidden_at_first: bool = False


@dataclass(slots=True, kw_only=True)
class Item:
    name: VmName
    vm_id: str
    friendly_name: str
    data_id: str
    state: Protection
    changed_at: datetime
    #: securityType of the VM when it was registered: Trusted Launch cannot be left (TSHOOT23)
    security: str = ""
    #: virtualMachineId where it is spelled another way than sourceResourceId (report §6.3)
    machine_id: str = ""
    policy: str = ""
    policy_name: str = ""
    visible: bool = True
    last_status: str = ""
    last_backup: datetime | None = None
    last_point: datetime | None = None
    health: list[Fields] = field(default_factory=list)
    #: kpisHealths, shown until 2022
    kpis: Fields = field(default_factory=dict)
    #: extendedProperties of a seed
    extended: Fields | None = None
    protection_status: str = "Healthy"
    health_status: str = "Passed"
    deleted_at: datetime | None = None
    #: its container says so even after an undelete (report §6.22)
    was_deleted: bool = False
    purge_at: datetime | None = None
    retention_days: int = 0
    disks: Fields | None = None
    #: the wish a running operation carries out; another wish meanwhile is refused
    busy_with: str | None = None
    busy_until: datetime | None = None
    backups: int = 0
    #: failed ones in a row
    failures: int = 0
    backup_job: str | None = None
    asked_at: deque[datetime] = field(default_factory=deque)
    points: list[Point] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.name.key

    @property
    def soft_deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def active(self) -> bool:
        """Tell whether backups run for it: not stopped, suspended or deleted."""
        return not self.soft_deleted and self.state in {
            Protection.IR_PENDING,
            Protection.PROTECTED,
            Protection.ERROR,
        }


@dataclass(slots=True, kw_only=True)
class Config:
    """``backupconfig/vaultconfig``; the vault's securitySettings show the same switches."""

    soft_delete: str = "Enabled"
    days: int = 14
    enhanced: str = "Enabled"
    editable: bool = True

    @property
    def keeps_deleted(self) -> bool:
        return self.soft_delete.lower() in {"enabled", "alwayson"}


@dataclass(slots=True, kw_only=True)
class Vault:
    vault_id: str
    body: Fields
    created_at: datetime
    policies: dict[str, Policy] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    config: Config = field(default_factory=Config)
    storage: Fields = field(default_factory=dict)
    guards: dict[str, Fields] = field(default_factory=dict)
    unlocked_until: dict[str, datetime] = field(default_factory=dict)
    registered_on: Counter[str] = field(default_factory=Counter)
    ever_registered: bool = False
    storage_version: str = "Unassigned"
    #: whether the backup service has learned of it: a new one shows less for a moment
    known: bool = False
    #: whether its soft-delete settings were ever written
    configured: bool = False
    #: how a container of a seed spells its VM's id, where its item spells it another way
    container_ids: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.vault_id.lower()

    @property
    def name(self) -> str:
        return self.vault_id.rsplit("/", 1)[1]

    @property
    def subscription(self) -> str:
        return self.vault_id.split("/")[2]

    @property
    def group(self) -> str:
        return self.vault_id.split("/")[4]

    @property
    def location(self) -> str:
        return str(self.body.get("location", ""))
