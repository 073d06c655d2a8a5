"""What Compute knows of its VMs beyond their bodies: their life, power and running operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from simulator import instance_view
from simulator.arm import Call, Json, not_found
from simulator.instance_view import Life, ready_at
from simulator.world import Body, World

VM = "Microsoft.Compute/virtualMachines"


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


def settle(world: World, vm_id: str, body: Body, *, default_created: datetime) -> Body:
    """Keep a VM that is simply there, as a seed or a timeline gives it."""
    properties = dict(cast("Mapping[str, Json]", body.get("properties") or {}))
    created = default_created
    if text := properties.get("timeCreated"):
        created = datetime.fromisoformat(str(text))
    properties.setdefault("vmId", world.stable_guid(vm_id, str(created)))
    properties.setdefault("provisioningState", "Succeeded")
    properties.setdefault("timeCreated", written(created))
    world.compute.machines[vm_id.lower()] = Machine(provisioned=created)
    body = {**body, "properties": properties}
    return world.put(vm_id, body, None, at=min(created, world.now()))


def existing(world: World, call: Call) -> Body:
    params = call.params
    group = f"/subscriptions/{params['s']}/resourceGroups/{params['rg']}"
    body = world.get(f"{group}/providers/{VM}/{params['vm']}")
    if body is None:
        raise not_found(VM, params["vm"], params["rg"])
    return body


def shown(world: World, body: Body, *, with_view: bool) -> Body:
    properties = dict(cast("Mapping[str, Json]", body["properties"]))
    pinned = properties.pop("instanceView", None)
    if with_view:
        properties["instanceView"] = pinned or _view(world, body)
    return {**body, "properties": properties}


def _view(world: World, body: Body) -> Body:
    vm_id = str(body["id"])
    machine = machine_of(world, vm_id)
    properties = cast("Mapping[str, Json]", body["properties"])
    life = Life(
        created=datetime.fromisoformat(str(properties["timeCreated"])),
        provisioned=machine.provisioned,
        ready=ready_at(
            machine.provisioned, f"{world.rng_seed}|{vm_id_of(body)}", world.orders_for(vm_id)
        ),
        power=machine.power,
    )
    return instance_view.view(body, life, world.now())


def machine_of(world: World, vm_id: str) -> Machine:
    return world.compute.machines[vm_id.lower()]


def state_of(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("provisioningState"))


def vm_id_of(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("vmId"))


def written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
