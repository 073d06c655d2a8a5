"""What Compute knows of its VMs beyond their bodies: their life, power and running operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from simulator import instance_view
from simulator.arm import Call, Json, not_found
from simulator.instance_view import Life, ready_at
from simulator.world import Body, World

VM = "Microsoft.Compute/virtualMachines"
EXTENSION = VM + "/extensions"
#: Bodies of 2020-06-01 lack it, those of 2022-11-01 have it (recorded); the version between: spec.
TIME_CREATED_SINCE = "2021-11-01"


@dataclass(slots=True)
class Machine:
    """What a VM's body does not say: when it was provisioned and whether it runs."""

    provisioned: datetime
    power: str = "running"


@dataclass(slots=True, kw_only=True)
class Operation:
    started: datetime
    ends: datetime


@dataclass(slots=True)
class Compute:
    machines: dict[str, Machine] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    extensions: dict[str, dict[str, Body]] = field(default_factory=dict)


def settle(world: World, vm_id: str, body: Body, *, default_created: datetime) -> Body:
    """Keep a VM that is simply there, as a seed or a timeline gives it."""
    properties = dict(cast("Mapping[str, Json]", body.get("properties") or {}))
    created = default_created
    if text := properties.get("timeCreated"):
        created = datetime.fromisoformat(str(text))
    properties.setdefault("vmId", world.stable_guid(vm_id, str(created)))
    properties.setdefault("provisioningState", "Succeeded")
    properties.setdefault("timeCreated", written(created))
    if isinstance(storage := properties.get("storageProfile"), dict):
        properties["storageProfile"] = disks_as_told(storage)
    body = {**body, "properties": properties}
    kept = world.put(vm_id, body, None, at=min(created, world.now()))
    orders = world.orders_for(vm_id)
    after = orders.get("provisionedAfter")
    world.compute.machines[vm_id.lower()] = Machine(
        provisioned=created + timedelta(seconds=after if isinstance(after, (int, float)) else 0),
        power=str(orders.get("power") or "running"),
    )
    return kept


def disks_as_told(storage: Body) -> Body:
    """Complete the disks of a seed with the one member that no real disk is without."""
    told = dict(storage)
    if isinstance(disk := told.get("osDisk"), dict):
        told["osDisk"] = {"createOption": "FromImage", **disk}
    if isinstance(disks := told.get("dataDisks"), list):
        told["dataDisks"] = [{"createOption": "Empty", **disk} for disk in disks]
    return told


def existing(world: World, call: Call) -> Body:
    params = call.params
    group = f"/subscriptions/{params['s']}/resourceGroups/{params['rg']}"
    body = world.get(f"{group}/providers/{VM}/{params['vm']}")
    if body is None:
        raise not_found(VM, params["vm"], params["rg"])
    return body


def shown(world: World, body: Body, version: str, *, with_view: bool) -> Body:
    """Write a VM as a GET of an api-version returns it; ``with_view`` adds the instance view."""
    properties = dict(cast("Mapping[str, Json]", body["properties"]))
    pinned = properties.pop("instanceView", None)
    if version < TIME_CREATED_SINCE:
        properties.pop("timeCreated", None)
    extended = with_extensions(world, body)
    if with_view:
        properties["instanceView"] = pinned or _view(world, extended)
    return {**extended, "properties": properties}


def with_extensions(world: World, body: Body) -> Body:
    """Add ``resources``: the extensions written below a VM, beside those of its own body."""
    written_below = world.compute.extensions.get(str(body["id"]).lower())
    if not written_below:
        return body
    own = body.get("resources")
    kept = [
        one
        for one in (own if isinstance(own, list) else [])
        if str(one.get("name", "")).lower() not in written_below
    ]
    return {**body, "resources": [*kept, *written_below.values()]}


def _view(world: World, body: Body) -> Body:
    vm_id = str(body["id"])
    machine = machine_of(world, vm_id)
    properties = cast("Mapping[str, Json]", body["properties"])
    orders = world.orders_for(vm_id)
    inside = orders.get("inside")
    life = Life(
        created=datetime.fromisoformat(str(properties["timeCreated"])),
        provisioned=machine.provisioned,
        ready=ready_at(machine.provisioned, f"{world.rng_seed}|{vm_id_of(body)}", orders),
        power=machine.power,
        inside=inside if isinstance(inside, dict) else {},
    )
    return instance_view.view(body, life, world.now())


def moved(world: World, old: str, new: str) -> None:
    """Follow a VM to its new id: it runs on as it did."""
    compute = world.compute
    if (machine := compute.machines.pop(old.lower(), None)) is not None:
        compute.machines[new.lower()] = machine
    if (below := compute.extensions.pop(old.lower(), None)) is not None:
        compute.extensions[new.lower()] = {
            name: {**body, "id": f"{new}/extensions/{body.get('name', name)}"}
            for name, body in below.items()
        }


def machine_of(world: World, vm_id: str) -> Machine:
    return world.compute.machines[vm_id.lower()]


def state_of(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("provisioningState"))


def vm_id_of(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("vmId"))


def written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
