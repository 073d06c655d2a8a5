"""The seams: what the use cases ask of the world, in our words.

Each port has one adapter (`shared/adapters/`) and one in-memory fake (`tests/fakes.py`); one
contract suite runs against both. SDK models never cross a port. Every method may raise
`AzureFault`; what else it raises is said.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.domain.coverage import Entry, Summary
from shared.domain.findings import Finding
from shared.domain.ids import ArmId
from shared.domain.letters import Happened
from shared.domain.messages import Message, Newer
from shared.domain.model import (
    DiskFacts,
    Lock,
    Policy,
    ProtectedItem,
    Room,
    Tags,
    Validation,
    Vault,
    Vm,
)
from shared.domain.records import (
    ChangeKind,
    InFlight,
    Look,
    Parked,
    PersonDecision,
    Row,
    SweepMark,
)
from shared.domain.sheets import SeenJob, Sheet
from shared.errors import Problem

if TYPE_CHECKING:  # intake must not pay for what it does not use, such as a YAML parser
    from shared.domain.network import Network
    from shared.domain.rules import Rules
    from shared.domain.rules.declared import Hardening
    from shared.settings import Settings


class Clock(Protocol):
    """The one source of time. ``real_seconds`` turns a wait into what storage and asyncio count."""

    def now(self) -> datetime: ...
    def real_seconds(self, delay: float) -> float: ...
    async def synchronize(self) -> None:
        """Read a simulated clock anew (once per invocation); nothing for the system clock."""


# --- Azure ---------------------------------------------------------------------------------------


class Machines(Protocol):
    """Virtual machines, by ARM."""

    async def machine(self, vm: ArmId) -> Vm | None:
        """Read one VM with its instance view; None only for 404 ResourceNotFound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One PUT of a protected item. There is no way to express a stop or a delete."""

    kind: ChangeKind
    vm: ArmId
    vault: ArmId
    policy: ArmId
    request_id: str
    excluded_luns: tuple[int, ...] = ()
    item: ArmId | None = None  # the existing item, if it is not named after the VM's present case


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Azure's 202: the operation's id, from its headers."""

    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One backup job. ``request_id`` is the activityId. Times UTC; ``ended`` None while running."""

    id: str
    operation: str  # ConfigureBackup, Backup, Undelete, DisableBackup ...
    status: str  # InProgress, Completed, CompletedWithWarnings, Failed, Cancelled ...
    request_id: str
    vm_name: str
    container: str
    started: datetime
    ended: datetime | None
    errors: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # code, text, recommendations


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Status of one operation: InProgress, Succeeded, Failed, Canceled; gone = 404."""

    status: str
    job: str = ""
    code: str = ""
    message: str = ""


class Backup(Protocol):
    """Azure Backup, by ARM: the scarce budget. Callers say why they spend it."""

    async def send(self, change: Change) -> Accepted: ...

    def jobs(
        self, vault: ArmId, *, since: datetime, operation: str = ""
    ) -> AsyncIterator[Sequence[Job]]:
        """Page through VM jobs started since, newest first, optionally of one operation."""
        ...

    async def operation(self, vault: ArmId, operation: str) -> Operation | None:
        """Ask for one operation; None if Azure does not know it (any more)."""

    async def item(self, item: ArmId) -> ProtectedItem | None:
        """Read one item; None only for a 404 that says the item does not exist."""

    async def back_up_now(self, item: ArmId, *, request_id: str, keep_until: datetime) -> None: ...

    async def pre_validate(self, vm: ArmId, region: str, vault: ArmId) -> Validation:
        """Ask Azure whether it would take this VM into this vault; draws on the ARM writes."""
        ...


class Directory(Protocol):
    """Vaults and policies in scope, cached for minutes; learned anew after `forget`."""

    async def vaults(self) -> tuple[Vault, ...]: ...
    async def policies(self, vault: ArmId) -> tuple[Policy, ...]: ...
    async def regions(self, subscription: str) -> frozenset[str]:
        """Give the regions where vaults can be made at all; kept for a day."""

    def forget(self, vault: ArmId | None = None) -> None: ...


class Networks(Protocol):
    """What a VM's interfaces are connected to. Optional reads: many deployments have no right."""

    async def interfaces(self, vm: Vm) -> tuple[Network, ...]:
        """Read the network of each interface that has an address."""


class ItemIndex(Protocol):
    """Every protected item of every vault in scope, at most 15 min old (DESIGN §3.8)."""

    async def named(self, vm: ArmId) -> tuple[ProtectedItem, ...]:
        """Items whose name is this group and VM name, in any vault and of any subscription."""

    async def room(self, vault: ArmId) -> Room:
        """What is taken in a vault; ``today`` is left 0 (places know it)."""

    def learn(self, item: ProtectedItem) -> None:
        """Take in what the service itself saw or did; newer than what Resource Graph tells."""

    def forget(self, vault: ArmId | None = None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenVm:
    """One VM as a sweep sees it; enough to notice that it needs a reconcile."""

    id: ArmId
    uid: str
    location: str
    tags: Tags
    created: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """One page of a walk. ``cursor`` "" means the walk is finished.

    ``left`` is how many rows there are from this page on, with it; 0 where nobody counts them.
    """

    rows: tuple[T, ...]
    cursor: str
    left: int = 0


class Estate(Protocol):
    """Resource Graph: many rows for one call, some minutes stale, silently filtered by rights."""

    async def subscriptions(self) -> tuple[str, ...]:
        """Subscriptions in scope: those of the settings, else every one the identity can read."""

    async def vms(self, subscription: str, after: str) -> Page[SeenVm]:
        """Walk VMs sorted by `local_key`, those after the cursor, which is such a key."""

    async def items(self, subscriptions: Sequence[str], after: str) -> Page[ProtectedItem]:
        """Walk protected items (VM workloads) of all vaults in these subscriptions, by id."""

    async def items_of(
        self, subscription: str, after: str, through: str
    ) -> Sequence[ProtectedItem]:
        """Give the items, in any vault, of a subscription's VMs between two keys of its walk.

        ``after`` is left out, ``through`` is in; "" is the beginning, or the end.
        """
        ...

    async def held(self, subscriptions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Count the items (VM workloads, not the soft-deleted) by vault key and policy key.

        "" stands for no policy. One query for a thousand pairs, where `items` reads every row.
        """

    async def group_tags(
        self, groups: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], tuple[Tags, str]]:
        """Tags and managedBy of (subscription, group) pairs, keys lower case; absent: not seen."""

    async def subscription_tags(self, subscriptions: Iterable[str]) -> Mapping[str, Tags]: ...

    async def tenants(self) -> Mapping[str, str]:
        """Give the tenant of each subscription in sight, ids in lower case."""

    async def disks(self, disks: Iterable[ArmId]) -> Mapping[str, DiskFacts]:
        """Facts of disks by id key, one query per batch."""

    async def locks(self, vm: ArmId) -> tuple[Lock, ...]: ...

    async def jobs(
        self, subscriptions: Sequence[str], since: datetime, after: str
    ) -> Page[SeenJob]:
        """Walk the VM backup jobs of all vaults in these subscriptions, by id."""


class Pace(Protocol):
    """The governor as use cases see it."""

    async def slot(self, subscription: str, *, urgent: bool) -> float:
        """Wait up to 2 s for a token of this subscription's budget; then give the seconds to wait.

        0.0 means go, and `done` must be said afterwards, however it went. A positive answer
        means: put the work off by that much.
        """

    def done(self, subscription: str) -> None:
        """Say that the work is over for which `slot` gave 0.0."""

    def may_read(self, subscription: str, action: str) -> float:
        """Seconds until a Backup read of this action fits our share; 0.0: now."""

    async def vault_slot(self, vault: ArmId) -> float:
        """Like `slot`, for the enables in flight in one vault; `settled` gives it back."""

    def settled(self, vault: ArmId) -> None: ...


class Setup(Protocol):
    """Policies and vaults as code: for operators who ask for it, never for a reconcile.

    Bodies are Azure's own (`properties`), since `policycode` compares and makes them.
    """

    async def policy(self, policy: ArmId) -> Mapping[str, Any] | None:
        """Read a policy's properties; None if there is no such policy."""

    async def put_policy(self, policy: ArmId, properties: Mapping[str, Any]) -> None:
        """Create or change a policy and follow that to its end."""

    async def vault(self, vault: ArmId) -> Vault | None:
        """Read a vault as Azure has it now, with its redundancy; None if there is none."""

    async def put_vault(self, vault: ArmId, region: str, hardening: Hardening) -> None:
        """Create a vault, and its group if there is none, and follow that to its end."""


# --- storage -------------------------------------------------------------------------------------

type Etag = str
NO_CEILING = sys.maxsize


class Ledger(Protocol):
    """Rows by VM. Every write names the etag it read; `Conflict` if somebody was faster.

    A row written without a claim is an outcome, and changes its subscription's mark.
    """

    async def read(self, vm: ArmId) -> tuple[Row, Etag] | None: ...
    async def insert(self, row: Row) -> Etag:
        """Raises `Conflict` if the VM has a row."""

    async def replace(self, row: Row, etag: Etag) -> Etag:
        """Raises `Conflict` if the row changed or vanished since."""

    def subscription_rows(
        self, subscription: str, *, after: str = "", through: str = ""
    ) -> AsyncIterator[Sequence[Row]]:
        """Walk one subscription's rows by `local_key`, if wished between two; not for screens."""
        ...

    async def marks(self) -> Mapping[str, str]:
        """Give every subscription's mark: another text after each outcome (ADR 6)."""

    # long waits: an index of `until`, in slices, so that no timer scans the ledger
    async def put_due(self, vm: ArmId, at: datetime) -> None: ...
    async def due(self, now: datetime, limit: int) -> tuple[tuple[ArmId, datetime], ...]: ...
    async def drop_due(self, vm: ArmId, at: datetime) -> None: ...

    # what is in flight, a partition per vault
    async def put_in_flight(self, entry: InFlight) -> None: ...
    async def in_flight(self, vault: ArmId) -> tuple[InFlight, ...]: ...
    async def drop_in_flight(self, vault: ArmId, vm: ArmId, request_id: str) -> None:
        """Remove the entry if it is still the one of this request."""

    async def looks(self) -> tuple[Look, ...]: ...
    async def look(self, vault: ArmId) -> Look | None: ...
    async def put_look(self, look: Look) -> None: ...
    async def drop_look(self, vault: ArmId) -> None: ...

    # places in (vault, UTC day); taking one twice takes one
    async def take_place(self, vault: ArmId, day: str, vm: ArmId, cap: int) -> bool:
        """Take a place unless ``cap`` are taken by others; True also if it was ours already."""

    async def give_place(self, vault: ArmId, day: str, vm: ArmId) -> None: ...
    async def places(self, vault: ArmId, day: str) -> int: ...

    # changes per subscription and hour/day, for the ceiling
    async def count_change(
        self,
        subscription: str,
        at: datetime,
        *,
        per_hour: int = NO_CEILING,
        per_day: int = NO_CEILING,
    ) -> bool:
        """Count one change, or none and give False, if a ceiling is reached."""

    async def changes(self, subscription: str, at: datetime) -> tuple[int, int]:
        """Changes counted in this hour and in this UTC day."""

    # sweeps
    async def put_sweep(self, mark: SweepMark) -> None: ...
    async def sweeps(self) -> tuple[SweepMark, ...]: ...

    # small named facts of the service itself (last run of a timer, told once ...)
    async def note(self, name: str, value: str) -> None: ...
    async def noted(self, name: str) -> str: ...


class Coverage(Protocol):
    """What the page reads instead of the ledger. Written by one timer only."""

    async def put(self, summary: Summary, entries: Sequence[Entry]) -> Summary:
        """Replace one subscription; gives the summary with the generation of its entries."""

    async def summaries(self) -> tuple[Summary, ...]: ...
    def entries(self, summary: Summary, having: str = "") -> AsyncIterator[Sequence[Entry]]:
        """Walk the entries that belong to a summary, by group and name.

        Those that do not have ``having`` (lower case) in any of their texts may be left out.

        Raises:
            Conflict: the subscription was counted anew meanwhile; read its summary again.

        """
        ...

    async def put_sheet(self, sheet: Sheet) -> None: ...
    async def sheets(self) -> tuple[Sheet, ...]: ...


class People(Protocol):
    """Decisions of people: append-only, never expired by us."""

    async def of(self, vm: ArmId) -> tuple[PersonDecision, ...]: ...
    async def append(self, decision: PersonDecision) -> str:
        """Give the decision's key."""

    def all(self) -> AsyncIterator[Sequence[PersonDecision]]: ...


class ParkedMessages(Protocol):
    """Messages nobody could use, until an operator replays them."""

    async def park(self, parked: Parked) -> None: ...
    async def read(self, key: str) -> Parked | None: ...
    def all(self) -> AsyncIterator[Sequence[Parked]]: ...
    async def mark_replayed(self, key: str, at: datetime) -> None: ...


class Queues(Protocol):
    """Queue storage. ``delay`` in seconds of our clock; messages never expire."""

    async def send(
        self, message: Message | Newer, *, delay: float = 0.0, backlog: bool = False
    ) -> None:
        """Route by kind: VMs to enrollments (or its backlog), sweeps and notices to their own.

        What was put back for a newer version goes where it came from.
        """

    async def depth(self, queue: str) -> int: ...


class RulesSource(Protocol):
    """The rules in force: last good copy, version, and what is wrong with a newer one."""

    async def current(self) -> Rules:
        """Give the rules; raises `BadRules` if there never was a good copy."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the newest copy, as of the latest `current`; empty: it is in force."""


# --- people --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The VM a notice is about, with everything routing and texts need."""

    vm: ArmId
    region: str
    tags: Tags
    group_tags: Tags
    subscription_tags: Tags
    rule: str
    routes: tuple[str, ...]  # as the matching rule names them
    since: datetime  # when the VM came into its present trouble
    next_step: str  # what happens next by itself, in words
    trace: str
    late: bool = False  # it waits longer than it should, rather than being blocked


class Notices(Protocol):
    """Someone hears, once (DESIGN §3.16). Answered by `shared.notify`."""

    async def report(self, subject: Subject, findings: tuple[Finding, ...], now: datetime) -> None:
        """Open or update the VM's notice with all its findings that a person must act on."""

    async def clear(self, vm: ArmId, how: str, now: datetime, trace: str) -> None:
        """Resolve the VM's notice, if one is open; ``how`` says in words what cleared it."""

    async def tell_operators(self, code: str, text: str, evidence: str, now: datetime) -> None:
        """Tell the operators of the service's own trouble, once per code until `operators_clear`."""

    async def operators_clear(self, code: str, now: datetime) -> None: ...

    async def announce(
        self,
        what: Happened,
        vm: ArmId,
        now: datetime,
        trace: str,
        *,
        episode: str = "",
        **details: str,
    ) -> None:
        """Tell machines of an outcome; the same ``episode`` told twice is one event to them."""

    def unreachable(self, words: Iterable[str]) -> tuple[str, ...]:
        """Give the recipients, as rules write them, that no channel of this deployment reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a use case may reach. Built by `bootstrap`; tests build it of fakes."""

    settings: Settings
    clock: Clock
    machines: Machines
    backup: Backup
    directory: Directory
    networks: Networks
    setup: Setup
    index: ItemIndex
    estate: Estate
    pace: Pace
    ledger: Ledger
    coverage: Coverage
    people: People
    parked: ParkedMessages
    queues: Queues
    rules: RulesSource
    notices: Notices
