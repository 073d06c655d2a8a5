"""Gather: read everything `decide` may look at, as cheaply as it can be read.

One GET of the VM is the only call made per VM; vaults, policies, items, tags and disks come from
caches and batches behind their ports (DESIGN §3.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.ids import ArmId, item_of
from shared.domain.model import (
    DiskFacts,
    Failure,
    Past,
    Policy,
    ProtectedItem,
    ProtectionState,
    Room,
    Snapshot,
    Tags,
    Vault,
    Vm,
)
from shared.domain.records import Row
from shared.errors import AzureFault, BadArmId
from shared.ports import Ports

_NO_VAULT = frozenset({"ResourceNotFound", "ResourceGroupNotFound"})
INDEX_LAG = timedelta(minutes=45)  # Resource Graph's lag and the index's own age, with room


async def gather(ports: Ports, vm_id: ArmId, row: Row | None, now: datetime) -> Snapshot:
    """Observe one VM.

    Raises:
        AzureFault: something could not be found out; nothing may be concluded from it.

    """
    past = past_of(row)
    vm = await ports.machines.machine(vm_id)
    items = await _items(ports, vm_id, row, now)
    if vm is None:
        return Snapshot(id=vm_id, at=now, vm=None, items=items, past=past)
    vaults = await ports.directory.vaults()
    policies: dict[str, tuple[Policy, ...]] = {}
    room: dict[str, Room] = {}
    near = {vault.id.key for vault in vaults if vault.location == vm.location}
    for vault in vaults:
        if vault.id.key in near or any(item.vault == vault.id for item in items):
            policies[vault.id.key] = await ports.directory.policies(vault.id)
            taken = await ports.index.room(vault.id)
            today = await ports.ledger.places(vault.id, now.date().isoformat())
            room[vault.id.key] = Room(
                items=taken.items, today=today, per_policy=dict(taken.per_policy)
            )
    group_tags, managed_by, subscription_tags = await _inherited(ports, vm_id)
    return Snapshot(
        id=vm_id,
        at=now,
        vm=vm,
        group_tags=group_tags,
        group_managed_by=managed_by,
        subscription_tags=subscription_tags,
        vaults=vaults,
        policies=policies,
        items=items,
        room=room,
        disks=await _disks(ports, vm),
        tenants=await _tenants(ports, vm_id, vaults),
        past=past,
    )


async def _items(
    ports: Ports, vm_id: ArmId, row: Row | None, now: datetime
) -> tuple[ProtectedItem, ...]:
    """Give the items of this name, where the ledger knows better than an index that lags.

    An item that we enrolled a short while ago and the index does not show is taken from the
    ledger; one that the index should show by now is asked for by itself, since a list that lacks
    something is no evidence (DESIGN §3.13). So is one under another policy than the ledger's:
    either another instance changed it, and the index is old, or somebody else did.
    """
    items = await ports.index.named(vm_id)
    past = past_of(row)
    if row is None or past.vault is None:
        return items
    shown = next((item for item in items if item.vault == past.vault), None)
    if shown is not None:
        doubted = None not in {shown.policy, past.policy} and shown.policy != past.policy
        return await asked_anew(ports, items, shown) if doubted else items
    if past.enrolled_at is None:
        return items
    if now - past.enrolled_at < INDEX_LAG:
        mine = ProtectedItem(
            id=item_of(past.vault, vm_id),
            source=vm_id,
            state=ProtectionState.PROTECTED if row.protected_at else ProtectionState.PENDING,
            policy=past.policy,
            last_recovery_point=row.last_recovery_point,
        )
        return (*items, mine)
    asked = await _item(ports, item_of(past.vault, vm_id))
    if asked is None:
        return items
    ports.index.learn(asked)
    return (*items, asked)


async def read_anew(ports: Ports, snapshot: Snapshot, doubted: ProtectedItem) -> Snapshot:
    """Give the snapshot with an item that is to be changed, and its vault's policies, as they are.

    An edit that made the wanted policy weaker, or the present one stronger, must be seen before the
    PUT that would cut recovery points (DESIGN §3.12). Policies are listed at most once a minute,
    however many VMs of the vault are to be changed.
    """
    ports.directory.forget(doubted.vault)
    listed = await ports.directory.policies(doubted.vault)
    items = await asked_anew(ports, snapshot.items, doubted)
    return replace(snapshot, items=items, policies={**snapshot.policies, doubted.vault.key: listed})


async def asked_anew(
    ports: Ports, items: tuple[ProtectedItem, ...], doubted: ProtectedItem
) -> tuple[ProtectedItem, ...]:
    """Give the items with one of them as Azure has it now; an index may be an hour behind."""
    fresh = await _item(ports, doubted.id)
    others = tuple(item for item in items if item.id != doubted.id)
    if fresh is None:
        return others
    ports.index.learn(fresh)
    return (*others, fresh)


async def _item(ports: Ports, item: ArmId) -> ProtectedItem | None:
    """Ask for one item; a vault that is gone has none, and its VMs must not wait for it for ever."""
    try:
        return await ports.backup.item(item)
    except AzureFault as fault:
        if not vault_is_gone(fault):
            raise
        return None


def vault_is_gone(fault: AzureFault) -> bool:
    """Tell whether ARM itself says that there is no such vault."""
    return fault.status == 404 and fault.code in _NO_VAULT


async def _inherited(ports: Ports, vm: ArmId) -> tuple[Tags | None, str | None, Tags | None]:
    """Give group tags, the group's managedBy and subscription tags; None where not known.

    Inherited tags refine a decision and never enable one by themselves, so a Graph that does not
    answer leaves them unknown instead of stopping the enrollment.
    """
    key = (vm.subscription.lower(), vm.group.lower())
    try:
        groups = await ports.estate.group_tags([key])
        subscriptions = await ports.estate.subscription_tags([key[0]])
    except AzureFault:
        return None, None, None
    tags, managed_by = groups.get(key, (None, None))
    return tags, managed_by, subscriptions.get(key[0])


async def _tenants(ports: Ports, vm: ArmId, vaults: Iterable[Vault]) -> Mapping[str, str]:
    """Give the tenants of subscriptions, if a vault lies in another one than the VM."""
    if all(vault.id.subscription.lower() == vm.subscription.lower() for vault in vaults):
        return {}
    try:
        return await ports.estate.tenants()
    except AzureFault:
        return {}


async def _disks(ports: Ports, vm: Vm) -> Mapping[str, DiskFacts] | None:
    """Give the facts that only a disk's own body shows; None where there is nothing to ask.

    Of a data disk that is more than its size; the OS disk alone is worth a query only where the
    VM's body lacks its size, which is so while it is deallocated.
    """
    if not vm.data_disks and vm.os_disk.size_gb is not None:
        return None
    wanted = [disk.id for disk in (vm.os_disk, *vm.data_disks) if disk.id is not None]
    if not wanted:
        return None
    try:
        return await ports.estate.disks(wanted)
    except AzureFault:
        return None


def past_of(row: Row | None) -> Past:
    """Give what the ledger remembers, in the words of the domain."""
    if row is None:
        return Past()
    failure = row.failure
    return Past(
        state=row.state,
        vault=_id(row.vault),
        policy=_id(row.policy),
        uid=row.enrolled_uid,
        failure=None
        if failure is None
        else Failure(
            code=failure.code,
            message=failure.message,
            at=failure.at,
            count=failure.count,
            recommendations=failure.recommendations,
            policy=_id(failure.policy),
        ),
        first_seen=row.first_seen,
        enrolled_at=row.enrolled_at,
        deadline=row.deadline,
        undone_by_others=row.undone,
        tag_excluded_since=row.tag_excluded_since,
        passing_since=row.passing_since,
    )


def _id(text: str) -> ArmId | None:
    try:
        return ArmId.parse(text) if text else None
    except BadArmId:
        return None
