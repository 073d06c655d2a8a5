"""Other people in the recorded subscription: their vaults, items and VMs come and go.

What is not the session's own is set to what the recorded answer shows, just before it is asked for;
what the session itself writes is never touched.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from simulator.backup.discovery import area
from simulator.backup.names import VmName
from simulator.backup.vaults import remove
from simulator.seeds import plant
from simulator.world import World
from tests.conformance import origin
from tests.conformance.machines import Machine
from tests.conformance.recordings import Exchange, bodies

VM_TYPE = "Microsoft.Compute/virtualMachines"


def items(world: World, one: Exchange, written: dict[str, int]) -> None:
    """Let a vault that is somebody else's hold the items its list shows."""
    state = world.backup
    vault = state.vaults.get(origin.vault_of(one.path))
    if vault is None or "policyname" in one.target.lower():
        return
    shown = {row["id"].lower() for row in bodies(one.body)}
    for item in list(vault.items.values()):
        key = vault.key + item.name.item_path.lower()
        if key not in shown and key not in written:
            state.drop_item(vault, item)
    new = [
        row
        for row in bodies(one.body)
        if row["id"].lower() not in written and _key(row) not in vault.items
    ]
    plant(world, {"resources": new})


def source(world: World, one: Exchange) -> None:
    """Let the VM be there that Azure took to protect, though nothing else shows it."""
    asked = one.sent.get("properties") if isinstance(one.sent, dict) else None
    vm_id = str((asked or {}).get("sourceResourceId") or "")
    vault = world.backup.vaults.get(origin.vault_of(one.path))
    if one.method != "PUT" or one.status >= 300 or vault is None or world.get(vm_id or "-"):
        return
    if VM_TYPE.lower() in vm_id.lower():
        body = {"id": vm_id, "type": VM_TYPE, "name": vm_id.rsplit("/", 1)[-1]}
        plant(world, {"resources": [{**body, "location": vault.location, "properties": {}}]})


def _key(row: dict[str, Any]) -> str:
    words = row["id"].split("/")
    return VmName.of_path(words[-3], words[-1]).key


def vaults(world: World, pages: list[Exchange], made: dict[str, int]) -> None:
    """Let the vaults be those of a list's pages, in their order, on pages of their length."""
    first = pages[0]
    if "skiptoken" not in first.target.lower():
        shown = {row["id"].lower(): row for page in pages for row in bodies(page.body)}
        state = world.backup
        for vault in list(state.vaults.values()):
            if vault.key not in shown and vault.key not in made:
                remove(state, vault, None)
        new = [row for key, row in shown.items() if key not in state.vaults and key not in made]
        plant(world, {"resources": new})
        order = {key: place for place, key in enumerate(shown)}
        kept = sorted(state.vaults.items(), key=lambda pair: order.get(pair[0], len(order)))
        state.vaults.clear()
        state.vaults.update(kept)
    size = len(first.body["value"]) if "nextLink" in first.body else 10_000
    world.knobs.turn({"resources.page_size": size})


def discover(
    world: World,
    one: Exchange,
    own: dict[str, list[Machine]],
    start: datetime,
    is_hidden: origin.Hidden,
) -> int:
    """Let other people's VMs and refreshes be as a list of protectable VMs shows them.

    Returns in how many of the service's units, each sorted by itself, they are.
    """
    listed = bodies(one.body)
    shown = {str(row["properties"]["virtualMachineId"]).lower(): row for row in listed}
    vault = world.backup.vaults.get(origin.vault_of(one.path))
    if vault is None:
        return 0
    units = origin.units(listed, is_hidden)
    new = [
        {
            "id": row["properties"]["virtualMachineId"],
            "type": VM_TYPE,
            "name": row["properties"]["friendlyName"],
            "location": vault.location,
            "properties": {},
        }
        for key, row in shown.items()
        if world.get(key) is None and key not in own
    ]
    plant(world, {"resources": new})
    for key, unit in zip(shown, units, strict=True):
        world.orders[key] = {**world.orders_for(key), "unit": unit}
    for vm_id, _ in list(world.list(type=VM_TYPE)):
        if vm_id.key not in shown and vm_id.key not in own:
            world.delete(vm_id.text, None)
    if found := shown.keys() & own.keys():
        seen = world.backup.discovered.get(area(vault), start)
        world.backup.discovered[area(vault)] = max(seen, *(own[key][0].created for key in found))
    return len(set(units))
