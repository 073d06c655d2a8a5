"""The state machine of an enable: registering a VM, moving it to a policy, resuming it.

Registering takes 31 or 91 s by the VM's age, everything else a few seconds. What stands against it
(the VM, another vault, a quota, an order) is decided when the operation ends and is told in the
operation, with or without a job.
"""

from dataclasses import dataclass
from datetime import timedelta

from simulator.backup import asynchronous, backups, catalog, eligibility
from simulator.backup.durations import Kind, length
from simulator.backup.formats import Fields, fields_of, read_time, text_of
from simulator.backup.names import VmName
from simulator.backup.orders import Arrival, EnableOrder, order_for
from simulator.backup.records import Failure, Item, JobKind, Operation, Policy, Protection, Vault
from simulator.backup.state import BackupState
from simulator.backup.vault_bodies import first_registration
from simulator.world import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An accepted enable and what is already known to stand against it."""

    vm_id: str
    policy: Policy
    disks: Fields | None
    selects_disks: bool
    api_version: str
    problem: Failure | None
    cause: Cause


def wish_of(policy: Policy, disks: Fields | None) -> str:
    return f"enable {policy.key} {disks}"


def register(state: BackupState, vault: Vault, name: VmName, plan: Plan) -> str:
    """Begin the first enable of a VM in this vault; return the operation's id."""
    vm = fields_of(state.world.get(plan.vm_id))
    item = Item(
        name=name,
        vm_id=plan.vm_id,
        friendly_name=text_of(vm.get("name")) or name.vm,
        data_id=str(state.draw("data-id", vault.key, name.key).randrange(10**13, 10**15)),
        state=Protection.IR_PENDING,
        changed_at=state.now(),
        security=eligibility.security_of(vm),
        visible=state.world.knobs.flag("backup.item.visible_while_enabling"),
        disks=plan.disks,
    )
    problem = plan.problem or eligibility.registration_problem(state, vault, plan.vm_id, name.key)
    day = f"{state.now():%Y-%m-%d}"
    state.add_item(vault, item)
    state.assign_policy(vault, item, plan.policy if item.visible else None)
    if problem is None:
        vault.registered_on[day] += 1
    order = _order(state, plan.vm_id)
    took = _enable_length(state, vault, item, vm, order)

    def finish() -> Failure | None:
        failed = problem or _problem_of_vm(state, plan, order)
        if failed is not None:
            state.drop_item(vault, item)
            if problem is None:
                vault.registered_on[day] -= 1
            return failed
        item.visible = True
        item.busy_with = None
        state.assign_policy(vault, item, plan.policy)
        first_registration(state, vault, selects_disks=plan.selects_disks)
        _enabled(state, vault, item, plan)
        return None

    return _begin(state, vault, item, plan, order, took, finish)


def change(state: BackupState, vault: Vault, item: Item, plan: Plan) -> str:
    """Begin a move to a policy, a disk selection or a resume; return the operation's id.

    The same wish once more is a policy update with a job of its own (facts §1.6).
    """
    took = length(state, Kind.POLICY_CHANGE, vault.key, item.key)
    if item.busy_until is not None:
        took = max(took, item.busy_until - state.now() + timedelta(milliseconds=1))
    order = None if item.active else _order(state, plan.vm_id)

    def finish() -> Failure | None:
        vm = fields_of(state.world.get(plan.vm_id))
        failed = (
            plan.problem
            or eligibility.migration_problem(item, vm)
            or _problem_of_vm(state, plan, order)
        )
        item.busy_with = None
        if failed is not None or item.key not in vault.items:
            return failed or catalog.failure("UserErrorGenericResourceNotFound")
        if plan.selects_disks:
            item.disks = plan.disks
        state.assign_policy(vault, item, plan.policy)
        item.was_deleted = False
        if not item.active:
            item.state = Protection.PROTECTED if item.points else Protection.IR_PENDING
        _enabled(state, vault, item, plan)
        return None

    return _begin(state, vault, item, plan, order, took, finish)


def _begin(
    state: BackupState,
    vault: Vault,
    item: Item,
    plan: Plan,
    order: EnableOrder | None,
    took: timedelta,
    finish: asynchronous.Finish,
) -> str:
    ends = state.now() + took
    item.busy_with = wish_of(plan.policy, plan.disks)
    item.busy_until = ends
    operation: Operation
    if order is not None and order.fails is Arrival.OPERATION:
        operation = asynchronous.begin(
            state, vault, JobKind.CONFIGURE, ends, item=item.key, finish=finish
        )
    else:
        job = asynchronous.new_job(
            state,
            vault,
            item,
            JobKind.CONFIGURE,
            plan.cause.client_request_id,
            took,
            policy_name=plan.policy.name,
        )
        operation = asynchronous.begin(
            state, vault, JobKind.CONFIGURE, ends, job=job, item=item.key, finish=finish
        )
    return operation.operation_id


def _enabled(state: BackupState, vault: Vault, item: Item, plan: Plan) -> None:
    state.touch(vault, item)
    backups.plan(state, vault, plan.policy)
    state.world.publish("write", vault.vault_id + item.name.item_path, plan.cause)


def _order(state: BackupState, vm_id: str) -> EnableOrder | None:
    """Take what was ordered for this attempt, if its times are not used up."""
    order = order_for(state.world, vm_id)
    if order is None or order.fails is Arrival.SYNCHRONOUS:
        return None
    if state.attempts[vm_id.lower()] >= order.times:
        return None
    state.attempts[vm_id.lower()] += 1
    return order


def _problem_of_vm(state: BackupState, plan: Plan, order: EnableOrder | None) -> Failure | None:
    if order is not None:
        return catalog.failure(order.code, order.message)
    vm = state.world.get(plan.vm_id)
    if vm is None:
        leaves_orphan = state.world.knobs.text("backup.deleted_while_enabling") == "orphan"
        return None if leaves_orphan else catalog.failure("UserErrorVmNotFoundV2")
    return eligibility.vm_problem(state, fields_of(vm), plan.policy, plan.api_version)


def _enable_length(
    state: BackupState, vault: Vault, item: Item, vm: Fields, order: EnableOrder | None
) -> timedelta:
    if order is not None and order.seconds is not None:
        return timedelta(seconds=order.seconds)
    created = read_time(text_of(fields_of(vm.get("properties")).get("timeCreated")))
    age = (state.now() - created).total_seconds() if created else 1e9
    return length(state, Kind.ENABLE, vault.key, item.key, age=age)
