"""PUT and DELETE of a protected item: what is checked at once, and what the 202 sets going.

The service never told a caller of the recordings more than 202; everything it finds out about the
VM itself arrives later, in the operation and its job (facts §1.6, §2.2).
"""

from simulator.arm import Call, Refusal, Reply
from simulator.backup import asynchronous, catalog, eligibility, enabling, refusals
from simulator.backup.formats import fields_of, text_of
from simulator.backup.items import name_in_path
from simulator.backup.names import VmName
from simulator.backup.orders import Arrival, order_for
from simulator.backup.records import Failure, Item, Policy, Vault
from simulator.backup.requests import Enable, Stop, Undelete, read_wish
from simulator.backup.schedules import keeps_less
from simulator.backup.state import BackupState
from simulator.backup.stopping import delete_now, stop, undelete
from simulator.backup.vault_lookup import vault_of
from simulator.world import Cause, World

#: The right on the VM that ARM's linked access check asks for; whether reading would do is
#: unverified (facts §8.2).
LINKED_ACTION = "Microsoft.Compute/virtualMachines/write"


def put_item(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    name = name_in_path(call)
    if name.is_classic:
        raise refusals.bad_protection_request()
    wish = read_wish(call, name)
    check_linked_access(world, call, wish.vm_id)
    match wish:
        case Enable():
            operation = _enable(world, call, vault, name, wish)
        case Stop():
            item = _existing(vault, name)
            _check_stop(world, vault, wish)
            _check_free(item, "stop")
            operation = stop(world.backup, vault, item, wish, Cause.of(call))
        case Undelete():
            item = _existing(vault, name)
            if not item.soft_deleted:
                raise refusals.bad_input("isRehydrate of an item that is not deleted")
            _check_free(item, "undelete")
            operation = undelete(world.backup, vault, item, Cause.of(call))
    path = call.resource_id
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{path}/operationsStatus/{operation}",
        result_path=f"{path}/operationResults/{operation}",
    )


def delete_item(world: World, call: Call) -> Reply:
    """Delete an item: soft where the vault keeps deleted items, for good where it does not."""
    vault = vault_of(world, call)
    name = name_in_path(call)
    item = vault.items.get(name.key)
    if item is None or not item.visible:
        return Reply(status=204)
    if is_immutable(vault):
        raise refusals.immutable()
    unlocked = vault.unlocked_until.get(item.key)
    if vault.guards and (unlocked is None or unlocked < world.now()):
        raise refusals.guard_needed(world)
    _check_free(item, "delete")
    operation = delete_now(world.backup, vault, item, Cause.of(call))
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{_vault_path(call)}/backupOperations/{operation}",
        result_path=f"{_vault_path(call)}/backupOperationResults/{operation}",
    )


def _vault_path(call: Call) -> str:
    return "/".join(call.resource_id.split("/")[:9])


def check_linked_access(world: World, call: Call, vm_id: str) -> None:
    """Refuse a VM the caller has no right on, or of a subscription outside the tenant."""
    if not vm_id:
        return
    subscription = vm_id.split("/")[2]
    known = world.subscriptions
    if known and subscription.lower() not in known:
        raise refusals.linked_tenant(call.action, call.resource_id, call.tenant, subscription)
    if not world.allows(call.principal, LINKED_ACTION, vm_id):
        raise refusals.linked_denied(
            caller=call.principal.app_id or call.principal.object_id,
            object_id=call.principal.object_id,
            action=call.action,
            scope=call.resource_id,
            linked=LINKED_ACTION,
            vm=vm_id,
        )


def is_immutable(vault: Vault) -> bool:
    security = fields_of(fields_of(vault.body.get("properties")).get("securitySettings"))
    state = text_of(fields_of(security.get("immutabilitySettings")).get("state"))
    return state.lower() in {"locked", "unlocked"}


def policy_in(vault: Vault, policy_id: str) -> Policy:
    """Find the policy a body names: it must be of this vault, of VMs, and there."""
    head, _, policy_name = policy_id.rpartition("/")
    if head.lower() != f"{vault.key}/backuppolicies":
        raise refusals.bad_protection_request()
    policy = vault.policies.get(policy_name.lower())
    if policy is None:
        raise refusals.bad_protection_request()
    if not policy.for_vms:
        raise refusals.wrong_provider_policy()
    return policy


def _existing(vault: Vault, name: VmName) -> Item:
    item = vault.items.get(name.key)
    if item is None or not item.visible:
        raise refusals.item_not_found()
    return item


def _check_free(item: Item, wish: str) -> None:
    """Let the same wish through while it is carried out (report §6.35), refuse another."""
    if item.busy_with is not None and item.busy_with != wish:
        raise refusals.object_locked()


def _check_stop(world: World, vault: Vault, wish: Stop) -> None:
    immutable = is_immutable(vault)
    if wish.suspend and not immutable:
        raise refusals.mutable_vault()
    if not wish.suspend and immutable:
        raise refusals.immutable()
    if vault.guards and not wish.guarded_by:
        raise refusals.guard_needed(world)


def _enable(world: World, call: Call, vault: Vault, name: VmName, wish: Enable) -> str:
    state = world.backup
    vm = world.get(wish.vm_id)
    if vm is None:
        raise refusals.bad_protection_request()
    policy = policy_in(vault, wish.policy_id)
    problem: Failure | None = None
    if not eligibility.in_region(vault, vm):
        if world.knobs.text("backup.region_mismatch") != Arrival.JOB:
            raise refusals.bad_protection_request()
        problem = catalog.failure("UserErrorVmVaultLocationMismatch")
    item = vault.items.get(name.key)
    if item is not None:
        _check_change(world, vault, item, policy, wish)
    if item is None or not item.active:
        refuse_if_ordered(state, wish.vm_id)
    if eligibility.policy_is_full(state, policy, name.key):
        problem = catalog.failure("UserErrorProtectionQuotaExceeded", "The policy is full.")
    plan = enabling.Plan(
        vm_id=wish.vm_id,
        policy=policy,
        disks=wish.disks,
        selects_disks=wish.selects_disks,
        api_version=call.api_version,
        problem=problem,
        cause=Cause.of(call),
    )
    if item is None:
        return enabling.register(state, vault, name, plan)
    return enabling.change(state, vault, item, plan)


def refuse_if_ordered(state: BackupState, vm_id: str) -> None:
    """Answer 4xx at once if that was ordered for this VM and its times are not used up."""
    order = order_for(state.world, vm_id)
    if order is None or order.fails is not Arrival.SYNCHRONOUS:
        return
    if state.attempts[vm_id.lower()] < order.times:
        state.attempts[vm_id.lower()] += 1
        known = catalog.failure(order.code, order.message)
        raise Refusal(order.status, known.code, known.message, form="arm-nulls")


def _check_change(world: World, vault: Vault, item: Item, policy: Policy, wish: Enable) -> None:
    """Refuse what a protected, stopped or deleted item does not allow."""
    if item.vm_id.lower() != wish.vm_id.lower():
        raise refusals.name_taken()
    if item.soft_deleted:
        raise refusals.bad_protection_request()
    _check_free(item, enabling.wish_of(policy, wish.disks))
    old = vault.policies.get(item.policy)
    if old is None:
        return
    if old.is_enhanced and not policy.is_enhanced:
        raise refusals.enhanced_only()
    if keeps_less(policy.properties, old.properties):
        if is_immutable(vault):
            raise refusals.immutable()
        if vault.guards and not wish.guarded_by:
            raise refusals.guard_needed(world)
