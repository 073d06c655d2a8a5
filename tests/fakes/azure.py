"""In-memory Azure: one fake per port, simple but truthful where a decision hangs on it.

Truthful means: a change is a 202 first and a job later; an item appears when its job ends and has
no recovery point until a backup ran; the index is as old as its last load; Resource Graph pages
and hides what the caller may not read. `FakeAzure` wires them to one clock.

    azure = FakeAzure()
    azure.machines.add(vm)
    azure.directory.add(vault, policy)
    azure.backup.fail_job(vm.id, "UserErrorVmNotInDesirableState", "VM is not in a state ...")
    azure.clock.advance(31)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from shared.domain.ids import ArmId, item_of, local_key
from shared.domain.model import (
    DiskFacts,
    Lock,
    Policy,
    ProtectedItem,
    ProtectionState,
    Room,
    Tags,
    Trouble,
    Validation,
    Vault,
    Vm,
)
from shared.domain.network import Network
from shared.domain.records import ChangeKind
from shared.domain.rules import Rules
from shared.domain.rules.declared import Hardening
from shared.domain.sheets import SeenJob
from shared.errors import AzureFault, Disposition
from shared.ports import Accepted, Change, Job, Operation, Page, SeenVm

_ANY_VAULT = ArmId.parse(
    "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/g"
    "/providers/Microsoft.RecoveryServices/vaults/v"
)
REGIONS = (
    "westeurope",
    "northeurope",
    "germanywestcentral",
    "eastus",
    "koreacentral",
    "norwayeast",
)
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def fault(
    code: str = "GatewayTimeout",
    *,
    status: int = 504,
    disposition: Disposition = Disposition.DEFER,
    message: str = "",
    retry_after: float | None = None,
    operation: str = "fake",
) -> AzureFault:
    """Make the failure that a fake is ordered to give."""
    return AzureFault(
        operation,
        status=status,
        code=code,
        message=message or code,
        disposition=disposition,
        retry_after=retry_after,
    )


class FakeClock:
    """Time that moves when told to."""

    def __init__(self, start: datetime = START, *, speed: float = 1.0) -> None:
        self._now = start
        self.speed = speed
        self.synchronized = 0

    def now(self) -> datetime:
        return self._now

    def real_seconds(self, delay: float) -> float:
        return delay / self.speed

    async def synchronize(self) -> None:
        self.synchronized += 1

    def advance(self, seconds: float) -> datetime:
        assert seconds >= 0, "time does not run backwards"
        self._now += timedelta(seconds=seconds)
        return self._now


class FakeMachines:
    """VMs by id. A VM that was never added or was removed answers None, as 404 does."""

    def __init__(self) -> None:
        self.vms: dict[str, Vm] = {}
        self.reads: list[ArmId] = []
        self._faults: dict[str, list[AzureFault]] = {}

    def add(self, *vms: Vm) -> None:
        for vm in vms:
            self.vms[vm.id.key] = vm

    def remove(self, vm: ArmId) -> None:
        del self.vms[vm.key]

    def fail(self, vm: ArmId, error: AzureFault, *, times: int = 1) -> None:
        """Answer the next reads of this VM with a failure."""
        self._faults.setdefault(vm.key, []).extend([error] * times)

    async def machine(self, vm: ArmId) -> Vm | None:
        self.reads.append(vm)
        if ordered := self._faults.get(vm.key):
            raise ordered.pop(0)
        return self.vms.get(vm.key)


@dataclass(kw_only=True)
class _Run:
    """One accepted change and the job that carries it out."""

    change: Change
    number: int
    started: datetime
    ends: datetime
    code: str = ""
    message: str = ""
    recommendations: tuple[str, ...] = ()
    without_job: bool = False
    applied: bool = False

    @property
    def operation(self) -> str:
        return f"operation-{self.number}"

    @property
    def job(self) -> str:
        return f"job-{self.number}"


@dataclass(frozen=True, kw_only=True)
class _Order:
    """How one coming change of a VM shall end."""

    answer: AzureFault | None = None
    lost: bool = False  # Azure takes the change although the answer is a failure
    code: str = ""
    message: str = ""
    recommendations: tuple[str, ...] = ()
    without_job: bool = False


class FakeBackup:
    """Azure Backup. Jobs end ``settle`` seconds after their PUT, when somebody looks."""

    def __init__(self, clock: FakeClock, *, settle: float = 31.0) -> None:
        self._clock = clock
        self.settle = settle
        self.listed_after = 0.0  # seconds until a job shows in the list
        self.page_size = 200
        self.stored: dict[str, ProtectedItem] = {}
        self.sent: list[Change] = []
        self.backups: list[tuple[ArmId, str, datetime]] = []
        self.failed_backups: list[Job] = []
        self.calls: Counter[str] = Counter()
        self._runs: list[_Run] = []
        self._unsettled: list[_Run] = []
        self._orders: dict[str, list[_Order]] = {}
        self._read_faults: dict[str, list[AzureFault]] = {}
        self._denied: dict[str, tuple[str, str, str]] = {}

    # --- orders ---------------------------------------------------------------------------------

    def put(self, *items: ProtectedItem) -> None:
        """Let items exist already."""
        for item in items:
            self.stored[item.id.key] = item

    def refuse(self, vm: ArmId, error: AzureFault, *, times: int = 1) -> None:
        """Answer the next PUTs for this VM with a failure; nothing changes."""
        self._order(vm, _Order(answer=error), times)

    def lose_answer(self, vm: ArmId, error: AzureFault | None = None) -> None:
        """Take the next PUT for this VM, but let the caller see a failure."""
        self._order(vm, _Order(answer=error or fault("", status=0), lost=True), 1)

    def fail_job(
        self,
        vm: ArmId,
        code: str,
        message: str = "",
        recommendations: tuple[str, ...] = (),
        *,
        times: int = 1,
    ) -> None:
        """Let the next accepted changes of this VM end in a failed job."""
        order = _Order(code=code, message=message or code, recommendations=recommendations)
        self._order(vm, order, times)

    def fail_operation(self, vm: ArmId, code: str, message: str = "") -> None:
        """Let the next accepted change fail before any job exists."""
        self._order(vm, _Order(code=code, message=message or code, without_job=True), 1)

    def deny(self, vm: ArmId, code: str, message: str = "", recommendation: str = "") -> None:
        """Let Azure's own validation say no to this VM; "" lets it say yes again."""
        self._denied[vm.key] = (code, message, recommendation)

    def lose_changes(self) -> None:
        """Let no change sent so far have reached Azure."""
        self._runs.clear()
        self._unsettled.clear()

    def fail_reads(self, call: str, error: AzureFault, *, times: int = 1) -> None:
        """Answer the next ``jobs``, ``operation`` or ``item`` calls with a failure."""
        self._read_faults.setdefault(call, []).extend([error] * times)

    def finish_backup(self, item: ArmId) -> ProtectedItem:
        """Let a backup of the item have ended well now."""
        self._settle()
        now = self._clock.now()
        done = replace(
            self.stored[item.key],
            state=ProtectionState.PROTECTED,
            last_backup_status="Completed",
            last_backup=now,
            last_recovery_point=now,
        )
        self.stored[item.key] = done
        return done

    def fail_backup(self, item: ArmId, code: str, message: str, *, shown: bool) -> None:
        """Let a backup of the item have failed now; ``shown`` tells whether its health says why."""
        self._settle()
        now = self._clock.now()
        self.stored[item.key] = replace(
            self.stored[item.key],
            last_backup_status="Failed",
            last_backup=now,
            trouble=Trouble(code=code, message=message) if shown else None,
        )
        self.failed_backups.append(
            Job(
                id=f"backup-{len(self.failed_backups)}",
                operation="Backup",
                status="Failed",
                request_id="",
                vm_name=item.name.rpartition(";")[2],
                container=item.name.partition(";")[2],
                started=now,
                ended=now,
                errors=((code, message, ()),),
            )
        )

    def items(self) -> tuple[ProtectedItem, ...]:
        """Give what exists in Azure now, of all vaults."""
        self._settle()
        return tuple(self.stored.values())

    # --- the port -------------------------------------------------------------------------------

    async def send(self, change: Change) -> Accepted:
        self.calls["send"] += 1
        self._settle()
        orders = self._orders.get(change.vm.key)
        order = orders.pop(0) if orders else _Order()
        if order.answer is not None and not order.lost:
            raise order.answer
        self._refuse_impossible(change)
        self.sent.append(change)
        now = self._clock.now()
        run = _Run(
            change=change,
            number=len(self.sent),
            started=now,
            ends=now + timedelta(seconds=self.settle),
            code=order.code,
            message=order.message,
            recommendations=order.recommendations,
            without_job=order.without_job,
        )
        self._runs.append(run)
        self._unsettled.append(run)
        if order.answer is not None:
            raise order.answer
        return Accepted(operation=run.operation)

    async def jobs(
        self, vault: ArmId, *, since: datetime, operation: str = ""
    ) -> AsyncIterator[Sequence[Job]]:
        self._settle()
        jobs = [
            self._job(run)
            for run in sorted(self._runs, key=lambda run: (run.started, run.number), reverse=True)
            if run.change.vault == vault and run.started >= since and not run.without_job
            if self._clock.now() - run.started >= timedelta(seconds=self.listed_after)
        ]
        jobs += [job for job in self.failed_backups if job.started >= since]
        jobs = [job for job in jobs if operation in {"", job.operation}]
        for start in range(0, max(len(jobs), 1), self.page_size):
            self._count("jobs")
            yield tuple(jobs[start : start + self.page_size])

    async def operation(self, vault: ArmId, operation: str) -> Operation | None:
        self._count("operation")
        self._settle()
        for run in self._runs:
            if run.operation == operation and run.change.vault == vault:
                if not run.applied:
                    return Operation(status="InProgress")
                if run.code:
                    return Operation(status="Failed", code=run.code, message=run.message)
                return Operation(status="Succeeded", job=run.job)
        return None

    async def item(self, item: ArmId) -> ProtectedItem | None:
        self._count("item")
        self._settle()
        return self.stored.get(item.key)

    async def back_up_now(self, item: ArmId, *, request_id: str, keep_until: datetime) -> None:
        self._count("back_up_now")
        self._settle()
        if item.key not in self.stored:
            raise fault("BMSUserErrorDataSourceObjectNotFound", status=404)
        self.backups.append((item, request_id, keep_until))

    async def pre_validate(self, vm: ArmId, region: str, vault: ArmId) -> Validation:
        self._count("pre_validate")
        code, message, recommendation = self._denied.get(vm.key, ("", "", ""))
        return Validation(
            vault=vault,
            at=self._clock.now(),
            code=code,
            message=message,
            recommendation=recommendation,
        )

    # --- inside ---------------------------------------------------------------------------------

    def _order(self, vm: ArmId, order: _Order, times: int) -> None:
        self._orders.setdefault(vm.key, []).extend([order] * times)

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        if ordered := self._read_faults.get(call):
            raise ordered.pop(0)

    def _refuse_impossible(self, change: Change) -> None:
        """Refuse what Azure would; the code is assumed, the refusal is facts §1.10."""
        item = self.stored.get(self._item_id(change).key)
        deleted = item is not None and item.state is ProtectionState.SOFT_DELETED
        if deleted is not (change.kind is ChangeKind.UNDELETE):
            raise fault("BMSUserErrorInvalidInput", status=400, disposition=Disposition.PARK)

    def _item_id(self, change: Change) -> ArmId:
        return change.item or item_of(change.vault, change.vm)

    def _settle(self) -> None:
        now = self._clock.now()
        ended = [run for run in self._unsettled if run.ends <= now]
        for run in ended:
            self._unsettled.remove(run)
            run.applied = True
            if not run.code and self._protected_elsewhere(run.change):
                run.code = "VirtualMachineAlreadyProtected"
                run.message = "Virtual machine is already registered with another vault."
            if not run.code:
                self._apply(run.change)

    def _protected_elsewhere(self, change: Change) -> bool:
        """One VM has one vault; an item stopped elsewhere does not hinder (report §6.19), and one
        that was never configured is assumed not to.
        """
        harmless = {ProtectionState.STOPPED, ProtectionState.FAILED}
        return any(
            item.source == change.vm and item.vault != change.vault and item.state not in harmless
            for item in self.stored.values()
        )

    def _apply(self, change: Change) -> None:
        item_id = self._item_id(change)
        old = self.stored.get(item_id.key) or ProtectedItem(
            id=item_id, source=change.vm, state=ProtectionState.PENDING, policy=None
        )
        if change.kind is ChangeKind.UNDELETE:
            new = replace(
                old,
                state=ProtectionState.STOPPED,
                policy=None,
                policy_name="",
                deferred_delete=None,
            )
        else:
            pointless = old.last_recovery_point is None
            new = replace(
                old,
                source=change.vm,
                state=ProtectionState.PENDING if pointless else ProtectionState.PROTECTED,
                policy=change.policy,
                policy_name=change.policy.name,
                excluded_luns=change.excluded_luns,
            )
        self.stored[item_id.key] = new

    def _job(self, run: _Run) -> Job:
        status = "InProgress"
        if run.applied:
            status = "Failed" if run.code else "Completed"
        container = ";".join(self._item_id(run.change).name.split(";")[1:])
        undelete = run.change.kind is ChangeKind.UNDELETE
        return Job(
            id=run.job,
            operation="Undelete" if undelete else "ConfigureBackup",
            status=status,
            request_id=run.change.request_id,
            vm_name=run.change.vm.name,
            container=container,
            started=run.started,
            ended=run.ends if run.applied else None,
            errors=((run.code, run.message, run.recommendations),)
            if run.applied and run.code
            else (),
        )


class FakeDirectory:
    """Vaults and policies in scope; ``forgotten`` tells what was asked to be read anew."""

    def __init__(self) -> None:
        self.region_list: frozenset[str] = frozenset(REGIONS)
        self.regions_asked = 0
        self._vaults: dict[str, Vault] = {}
        self._policies: dict[str, dict[str, Policy]] = {}
        self.forgotten: list[ArmId | None] = []
        self.failing: AzureFault | None = None

    def add(self, vault: Vault, *policies: Policy) -> None:
        self._vaults[vault.id.key] = vault
        kept = self._policies.setdefault(vault.id.key, {})
        for policy in policies:
            assert policy.vault == vault.id, "a policy lies in its vault"
            kept[policy.id.key] = policy

    async def vaults(self) -> tuple[Vault, ...]:
        if self.failing is not None:
            raise self.failing
        return tuple(self._vaults.values())

    async def policies(self, vault: ArmId) -> tuple[Policy, ...]:
        if self.failing is not None:
            raise self.failing
        return tuple(self._policies.get(vault.key, {}).values())

    async def regions(self, subscription: str) -> frozenset[str]:
        self.regions_asked += 1
        if self.failing is not None:
            raise self.failing
        return self.region_list

    def forget(self, vault: ArmId | None = None) -> None:
        self.forgotten.append(vault)


OPEN = Network(subnet="default", private_address="10.0.0.4")


class FakeNetworks:
    """Networks by VM; one that nothing is said of has an interface without any security group."""

    def __init__(self) -> None:
        self.connected: dict[str, tuple[Network, ...]] = {}
        self.asked: list[ArmId] = []
        self.failing: AzureFault | None = None

    async def interfaces(self, vm: Vm) -> tuple[Network, ...]:
        self.asked.append(vm.id)
        if self.failing is not None:
            raise self.failing
        return self.connected.get(vm.id.key, (OPEN,))


class FakeSetup:
    """Policies and vaults as bodies. What is written here is in the directory at once."""

    def __init__(self, directory: FakeDirectory) -> None:
        self._directory = directory
        self.bodies: dict[str, Mapping[str, Any]] = {}
        self.puts: list[ArmId] = []
        self._refusals: dict[str, AzureFault] = {}

    def refuse(self, resource: ArmId, error: AzureFault) -> None:
        """Answer every PUT of this vault or policy with a failure."""
        self._refusals[resource.key] = error

    async def policy(self, policy: ArmId) -> Mapping[str, Any] | None:
        return self.bodies.get(policy.key)

    async def put_policy(self, policy: ArmId, properties: Mapping[str, Any]) -> None:
        self._put(policy)
        self.bodies[policy.key] = dict(properties)

    async def vault(self, vault: ArmId) -> Vault | None:
        return next((one for one in await self._directory.vaults() if one.id == vault), None)

    async def put_vault(self, vault: ArmId, region: str, hardening: Hardening) -> None:
        self._put(vault)
        made = Vault(
            id=vault,
            location=region,
            tags=dict(hardening.tags),
            redundancy=hardening.redundancy.value,
            immutability=hardening.immutability.value,
            public_access=hardening.public_access,
        )
        self._directory.add(made)

    def _put(self, resource: ArmId) -> None:
        if error := self._refusals.get(resource.key):
            raise error
        self.puts.append(resource)


@cache
def _name(vm: ArmId) -> str:
    """Give the name that an item of this VM has in any vault (facts §1.12)."""
    return item_of(_ANY_VAULT, vm).name.lower()


class FakeIndex:
    """Items as of the last load; what was learned since wins over what a load tells.

    It is asked for every VM, so what is known of a name and of a vault is not looked for twice.
    """

    def __init__(self, backup: FakeBackup) -> None:
        self._backup = backup
        self._loaded: dict[str, ProtectedItem] | None = None
        self.learned: dict[str, ProtectedItem] = {}
        self.loads = 0
        self._names: dict[str, dict[str, ProtectedItem]] | None = None
        self._rooms: dict[str, Room] = {}

    async def named(self, vm: ArmId) -> tuple[ProtectedItem, ...]:
        return tuple(self._known().get(_name(vm), {}).values())

    async def room(self, vault: ArmId) -> Room:
        known = self._known()
        if vault.key not in self._rooms:
            self._rooms[vault.key] = self._room(vault, known)
        return self._rooms[vault.key]

    def _room(self, vault: ArmId, known: dict[str, dict[str, ProtectedItem]]) -> Room:
        held = [
            item
            for named in known.values()
            for item in named.values()
            if item.vault == vault and item.state is not ProtectionState.SOFT_DELETED
        ]
        return Room(
            items=len(held),
            today=0,
            per_policy=Counter(item.policy.key for item in held if item.policy is not None),
        )

    def learn(self, item: ProtectedItem) -> None:
        self.learned[item.id.key] = item
        if self._names is None:
            return
        named = self._names.setdefault(item.id.name.lower(), {})
        if named.get(item.id.key) != item:
            named[item.id.key] = item
            self._rooms.pop(item.vault.key, None)

    def forget(self, vault: ArmId | None = None) -> None:
        self._loaded = self._names = None
        self.learned = {
            key: item
            for key, item in self.learned.items()
            if vault is not None and item.vault != vault
        }

    def unlearn(self) -> None:
        """Know only what was loaded, as another process does."""
        self.learned.clear()
        self._names = None

    def _known(self) -> dict[str, dict[str, ProtectedItem]]:
        if self._loaded is None:
            self._loaded = {item.id.key: item for item in self._backup.items()}
            self.loads += 1
        if self._names is None:
            self._names, self._rooms = {}, {}
            for key, item in (self._loaded | self.learned).items():
                self._names.setdefault(item.id.name.lower(), {})[key] = item
        return self._names


class FakeEstate:
    """Resource Graph. What is in ``hidden`` (ids, groups, subscriptions) is left out silently."""

    def __init__(self, machines: FakeMachines, backup: FakeBackup) -> None:
        self._machines = machines
        self._backup = backup
        self.page_size = 1000
        self.hidden: set[str] = set()
        self.groups: dict[tuple[str, str], tuple[Tags, str]] = {}
        self.in_scope: list[str] = []  # empty: every subscription that has a VM
        self.tags: dict[str, Tags] = {}  # of subscriptions, by lower-case id
        self.disk_facts: dict[str, DiskFacts] = {}
        self.lock_list: list[Lock] = []
        self.tenant_of: dict[str, str] = {}
        self.job_list: list[SeenJob] = []
        self.failing: AzureFault | None = None
        self.calls: Counter[str] = Counter()

    async def subscriptions(self) -> tuple[str, ...]:
        self._count("subscriptions")
        seen = {vm.id.subscription.lower() for vm in self._machines.vms.values()}
        return tuple(self.in_scope or sorted(seen - self.hidden))

    async def vms(self, subscription: str, after: str) -> Page[SeenVm]:
        self._count("vms")
        rows = [
            SeenVm(id=vm.id, uid=vm.uid, location=vm.location, tags=vm.tags, created=vm.created)
            for vm in self._machines.vms.values()
            if vm.id.subscription.lower() == subscription.lower() and self._visible(vm.id)
        ]
        later = sorted((row for row in rows if local_key(row.id) > after), key=_by_place)
        page = tuple(later[: self.page_size])
        cursor = local_key(page[-1].id) if len(later) > len(page) else ""
        return Page(rows=page, cursor=cursor, left=len(later))

    async def items_of(
        self, subscription: str, after: str, through: str
    ) -> tuple[ProtectedItem, ...]:
        self._count("items_of")
        return tuple(
            item
            for item in self._backup.items()
            if item.source is not None
            and item.source.subscription.lower() == subscription.lower()
            and after < local_key(item.source)
            and (not through or local_key(item.source) <= through)
            and self._visible(item.id)
        )

    async def items(self, subscriptions: Sequence[str], after: str) -> Page[ProtectedItem]:
        self._count("items")
        wanted = {subscription.lower() for subscription in subscriptions}
        rows = [
            item
            for item in self._backup.items()
            if item.id.subscription.lower() in wanted and self._visible(item.id)
        ]
        return self._page(rows, after)

    async def held(self, subscriptions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        self._count("held")
        wanted = {subscription.lower() for subscription in subscriptions}
        held: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for item in self._backup.items():
            seen = item.id.subscription.lower() in wanted and self._visible(item.id)
            if seen and item.state is not ProtectionState.SOFT_DELETED:
                held[item.vault.key][item.policy.key if item.policy else ""] += 1
        return held

    async def group_tags(
        self, groups: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], tuple[Tags, str]]:
        self._count("group_tags")
        keys = {(subscription.lower(), group.lower()) for subscription, group in groups}
        return {key: self.groups[key] for key in keys if key in self.groups}

    async def subscription_tags(self, subscriptions: Iterable[str]) -> Mapping[str, Tags]:
        self._count("subscription_tags")
        keys = {subscription.lower() for subscription in subscriptions}
        return {key: self.tags[key] for key in keys if key in self.tags}

    async def tenants(self) -> Mapping[str, str]:
        self._count("tenants")
        return self.tenant_of

    async def disks(self, disks: Iterable[ArmId]) -> Mapping[str, DiskFacts]:
        self._count("disks")
        return {
            disk.key: self.disk_facts[disk.key] for disk in disks if disk.key in self.disk_facts
        }

    async def locks(self, vm: ArmId) -> tuple[Lock, ...]:
        self._count("locks")
        return tuple(
            lock
            for lock in self.lock_list
            if f"{vm.key}/".startswith(f"{lock.scope.lower()}/")
            or "/resourcegroups/azurebackuprg_" in lock.scope.lower()
        )

    async def jobs(
        self, subscriptions: Sequence[str], since: datetime, after: str
    ) -> Page[SeenJob]:
        self._count("jobs")
        wanted = {subscription.lower() for subscription in subscriptions}
        rows = sorted(
            (job for job in self.job_list if job.id.split("/")[2].lower() in wanted),
            key=lambda job: job.id.lower(),
        )
        later = [job for job in rows if job.started >= since and job.id.lower() > after]
        page = tuple(later[: self.page_size])
        return Page(rows=page, cursor=page[-1].id.lower() if len(later) > len(page) else "")

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        if self.failing is not None:
            raise self.failing

    def _visible(self, resource: ArmId) -> bool:
        group = f"{resource.subscription}/{resource.group}".lower()
        return not self.hidden & {resource.key, group, resource.subscription.lower()}

    def _page(self, rows: list[ProtectedItem], after: str) -> Page[ProtectedItem]:
        later = sorted((row for row in rows if row.id.key > after), key=lambda row: row.id.key)
        page = tuple(later[: self.page_size])
        return Page(rows=page, cursor=page[-1].id.key if len(later) > len(page) else "")


def _by_place(vm: SeenVm) -> str:
    return local_key(vm.id)


@dataclass
class FakePace:
    """Budgets that never run out unless told; enables in flight per vault are counted."""

    slot_wait: float = 0.0
    read_wait: float = 0.0
    vault_cap: int = 100
    vault_wait: float = 30.0
    in_flight: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    async def slot(self, subscription: str, *, urgent: bool) -> float:
        self.asked.append((subscription, urgent))
        return self.slot_wait

    def done(self, subscription: str) -> None:
        self.finished.append(subscription)

    def may_read(self, subscription: str, action: str) -> float:
        return self.read_wait

    async def vault_slot(self, vault: ArmId) -> float:
        if self.in_flight[vault.key] >= self.vault_cap:
            return self.vault_wait
        self.in_flight[vault.key] += 1
        return 0.0

    def settled(self, vault: ArmId) -> None:
        self.in_flight[vault.key] = max(0, self.in_flight[vault.key] - 1)


@dataclass
class FakeRulesSource:
    """The rules a test hands in; ``failing`` if there never was a good copy."""

    rules: Rules
    failing: Exception | None = None

    async def current(self) -> Rules:
        if self.failing is not None:
            raise self.failing
        return self.rules


class FakeAzure:
    """All of it on one clock."""

    def __init__(self, start: datetime = START) -> None:
        self.clock = FakeClock(start)
        self.machines = FakeMachines()
        self.backup = FakeBackup(self.clock)
        self.directory = FakeDirectory()
        self.networks = FakeNetworks()
        self.setup = FakeSetup(self.directory)
        self.index = FakeIndex(self.backup)
        self.estate = FakeEstate(self.machines, self.backup)
        self.pace = FakePace()
