"""Read protected items and containers of a vault, one or many."""

from simulator.arm import Call, Reply
from simulator.backup import filters, refusals
from simulator.backup.formats import Fields, fields_of, time_text
from simulator.backup.item_bodies import container_body, item_body
from simulator.backup.names import MANAGEMENT, VmName, vault_prefix
from simulator.backup.paging import page
from simulator.backup.records import Item, Vault
from simulator.backup.vault_lookup import vault_of
from simulator.world import World

_EXPAND = frozenset({"expand"})


def name_in_path(call: Call) -> VmName:
    """Read container and item of a path, in the case they were sent."""
    if call.params["fabric"].lower() != "azure":
        raise refusals.bad_protection_request()
    try:
        return VmName.of_path(call.params["container"], call.params["item"])
    except ValueError as error:
        raise refusals.bad_protection_request() from error


def item_of(vault: Vault, call: Call) -> Item:
    """Return a readable item; unreadable names are not found, like any other missing item."""
    try:
        name = VmName.of_path(call.params["container"], call.params["item"])
    except ValueError:
        raise refusals.item_not_found() from None
    item = vault.items.get(name.key)
    if item is None or not item.visible:
        raise refusals.item_not_found()
    return item


def get_item(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    item = item_of(vault, call)
    expanded = filters.read(call.query, _EXPAND).get("expand", "").lower() == "extendedinfo"
    return shown(world, call, vault, item, expanded=expanded)


def shown(world: World, call: Call, vault: Vault, item: Item, *, expanded: bool = False) -> Reply:
    state = world.backup
    body = item_body(state, vault, item, vault_prefix(call.resource_id, vault.vault_id))
    if expanded:
        info: Fields = {
            "recoveryPointCount": len(item.points),
            "policyInconsistent": False,
        }
        if item.points:
            info["oldestRecoveryPoint"] = time_text(min(point.at for point in item.points))
        body["properties"] = {**fields_of(body["properties"]), "extendedInfo": info}
    return Reply(status=200, body=body, content_type=state.era.content_type)


def list_items(world: World, call: Call) -> Reply:
    """List the items of a vault, stopped and soft-deleted ones too (facts §1.1, row 15)."""
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.ITEMS)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    listed = [item for item in by_name(vault) if item.visible and _wanted(item, wanted)]
    body = page(world, call, listed, lambda item: item_body(world.backup, vault, item, prefix))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def by_name(vault: Vault) -> list[Item]:
    """Return the items in the order lists have: by name, in any case (recorded, no exception)."""
    return [vault.items[key] for key in sorted(vault.items)]


def _wanted(item: Item, wanted: dict[str, str]) -> bool:
    container = wanted.get("containerName", item.name.short).lower()
    return (
        filters.fits(wanted, "backupManagementType", MANAGEMENT)
        and filters.fits(wanted, "itemType", "VM")
        and filters.fits(wanted, "policyName", item.policy_name)
        and filters.fits(wanted, "friendlyName", item.friendly_name)
        and filters.fits(wanted, "fabricName", "Azure")
        and filters.fits(wanted, "healthState", item.health_status)
        and container in {item.name.key, item.name.container.lower()}
    )


def list_containers(world: World, call: Call) -> Reply:
    """List containers; a soft-deleted one still counts as registered in the filter (report §6.22)."""
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.CONTAINERS)
    if not wanted.get("backupManagementType"):
        raise refusals.bad_input("backupManagementType")
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    listed = [
        item
        for item in by_name(vault)
        if item.visible
        and filters.fits(wanted, "backupManagementType", MANAGEMENT)
        and filters.fits(wanted, "friendlyName", item.friendly_name)
        and filters.fits(wanted, "status", "Registered")
    ]
    body = page(
        world, call, listed, lambda item: container_body(world.backup.era, vault, item, prefix)
    )
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def list_deleted_containers(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.MANAGEMENT_ONLY)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    listed = [
        item
        for item in by_name(vault)
        if item.soft_deleted and filters.fits(wanted, "backupManagementType", MANAGEMENT)
    ]
    body = page(
        world, call, listed, lambda item: container_body(world.backup.era, vault, item, prefix)
    )
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def get_container(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    try:
        name = VmName.of_container(call.params["container"])
    except ValueError:
        raise refusals.item_not_found() from None
    item = vault.items.get(name.key)
    if item is None or not item.visible:
        raise refusals.item_not_found()
    body = container_body(
        world.backup.era, vault, item, vault_prefix(call.resource_id, vault.vault_id)
    )
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)
