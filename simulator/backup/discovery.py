"""Discovery: which VMs a vault may protect, and the refresh that finds new ones (facts §1.5).

A refresh finds the VMs of the vault's subscription and region, for every vault there: in 23 of 59
recorded enables somebody else's refresh had found the VM already.
"""

from urllib.parse import quote

from simulator.arm import Call, Reply
from simulator.backup import asynchronous, filters
from simulator.backup.durations import Kind, length
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, read_time, text_of
from simulator.backup.names import CONTAINER_TYPE, MANAGEMENT, VM_TYPE, VmName, region, vault_prefix
from simulator.backup.paging import page
from simulator.backup.records import Failure, Vault
from simulator.backup.state import BackupState
from simulator.backup.vault_lookup import vault_of
from simulator.ids import ResourceId
from simulator.world import World

#: Other characters of a name are percent-encoded in ids, and only there (recorded: a group in Chinese).
ASCII = "".join(map(chr, range(33, 127)))


def refresh(world: World, call: Call) -> Reply:
    """Begin to look for VMs; the result is 202 until it is 204."""
    vault = vault_of(world, call)
    filters.read(call.query, filters.MANAGEMENT_ONLY)
    state = world.backup
    asked_at = state.now()

    def finish() -> Failure | None:
        state.discovered[area(vault)] = asked_at
        return None

    took = length(state, Kind.REFRESH, vault.key)
    operation = asynchronous.begin(state, vault, "refresh", asked_at + took, finish=finish)
    base = "/".join(call.resource_id.split("/")[:-1])
    reply = asynchronous.accepted(
        world,
        call,
        status_path=f"{base}/operationsStatus/{operation.operation_id}",
        result_path=f"{base}/operationResults/{operation.operation_id}",
        status_version="2019-05-13-preview",
    )
    if state.era <= Era.Y2019:  # recorded in 7 of 8: only a Location
        del reply.headers["Azure-AsyncOperation"]
    return reply


def area(vault: Vault) -> tuple[str, str]:
    return vault.subscription.lower(), region(vault.location)


def list_protectable(world: World, call: Call) -> Reply:
    """List the discovered VMs of subscription and region that are not protected."""
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.PROTECTABLE)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    found = (
        (vm_id, body)
        for vm_id, body in world.list(type=VM_TYPE, subscription=vault.subscription)
        if filters.fits(wanted, "backupManagementType", MANAGEMENT)
        and filters.fits(wanted, "friendlyName", vm_id.name)
        and filters.fits(wanted, "status", "NotProtected")
        and filters.fits(wanted, "workloadType", "VM")
        and _offered(world.backup, vault, vm_id, fields_of(body))
    )
    # By name, in any case, as recorded.
    listed = sorted(found, key=lambda entry: _place(world, entry[0]))
    body = page(world, call, listed, lambda found: _body(*found, prefix))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def _place(world: World, vm_id: ResourceId) -> tuple[int, str, str]:
    """Sort by name within one of the service's units; a seed says which (``_sim.unit``)."""
    unit = world.orders_for(vm_id.text).get("unit")
    return unit if isinstance(unit, int) else 0, vm_id.group.lower(), vm_id.name.lower()


def _offered(state: BackupState, vault: Vault, vm_id: ResourceId, vm: Fields) -> bool:
    if region(text_of(vm.get("location"))) != region(vault.location):
        return False
    created = read_time(text_of(fields_of(vm.get("properties")).get("timeCreated")))
    seen = state.discovered.get(area(vault), state.world.started)
    if created is not None and created > seen:
        return False
    # A stopped item of another vault does not hide its VM (report §6.19, recorded).
    return not any(
        item.active or item.soft_deleted or holder.key == vault.key
        for holder, item in state.items_of_vm(vm_id.text)
    )


def _body(vm_id: ResourceId, vm: Fields, prefix: str) -> Fields:
    name = VmName(group=vm_id.group.lower(), vm=vm_id.name.lower())
    friendly = text_of(vm.get("name")) or vm_id.name
    return {
        "id": f"{prefix}/backupFabrics/Azure/protectionContainers/{quote(name.container, safe=ASCII)}"
        f"/protectableItems/{quote(name.protectable, safe=ASCII)}",
        "name": name.short,
        "type": f"{CONTAINER_TYPE}/protectableItems",
        "properties": {
            "virtualMachineId": vm_id.text,
            "virtualMachineVersion": "Compute",
            "resourceGroup": vm_id.group,
            "backupManagementType": MANAGEMENT,
            "protectableItemType": VM_TYPE,
            "friendlyName": friendly,
            "protectionState": "NotProtected",
        },
    }
