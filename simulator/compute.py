"""The Compute provider: virtual machines with their instance view, power and operations.

A VM written by a client is provisioned as long as recorded (report §5); one written by a seed or
a timeline is there at once, because its body is what a GET returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from simulator import instance_view
from simulator.arm import Call, Json, PrincipalKind, Refusal, Reply, Route, not_found
from simulator.instance_view import PROVISIONED_AFTER, Life, drawn, ready_at
from simulator.paging import paged
from simulator.vm_bodies import checked_put, merged, new_vm, with_state
from simulator.world import SETTLED, Body, Cause, World

VM = "Microsoft.Compute/virtualMachines"
SUBSCRIPTION = "/subscriptions/{s}/providers/Microsoft.Compute/virtualMachines"
GROUP = "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Compute/virtualMachines"
ONE = GROUP + "/{vm}"
OPERATION = "/subscriptions/{s}/providers/Microsoft.Compute/locations/{location}/operations/{op}"

UPDATE_SECONDS = 10.0
DELETE_SECONDS = 45.0
POWER_SECONDS = 30.0
#: What a power action leads to, through which state.
POWER = {
    "start": ("starting", "running"),
    "powerOff": ("stopping", "stopped"),
    "deallocate": ("deallocating", "deallocated"),
    "restart": ("starting", "running"),
}


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


def attach(world: World) -> None:
    world.compute = Compute()
    world.knobs.declare(
        "compute.events_per_write",
        "completed",
        "when a VM write by a client is published: completed, or both (accepted and completed)",
    )
    world.knobs.declare("compute.page_size", 1000, "VMs on one page of a list")


def load(world: World, body: Body) -> bool:
    """Take a VM of a seed: there for long, unless the body's ``timeCreated`` says otherwise."""
    if str(body.get("type", "")).lower() != VM.lower():
        return False
    _settle(world, str(body["id"]), body, default_created=world.started - SETTLED)
    return True


def _settle(world: World, vm_id: str, body: Body, *, default_created: datetime) -> Body:
    properties = dict(cast("Mapping[str, Json]", body.get("properties") or {}))
    created = default_created
    if text := properties.get("timeCreated"):
        created = datetime.fromisoformat(str(text))
    properties.setdefault("vmId", world.stable_guid(vm_id, str(created)))
    properties.setdefault("provisioningState", "Succeeded")
    properties["timeCreated"] = _written(created)
    world.compute.machines[vm_id.lower()] = Machine(provisioned=created)
    body = {**body, "properties": properties}
    return world.put(vm_id, body, None, at=min(created, world.now()))


def get_vm(world: World, call: Call) -> Reply:
    body = _existing(world, call)
    expand = call.query.get("$expand", "").lower()
    if expand not in {"", "instanceview", "userdata"}:
        raise Refusal(
            400,
            "InvalidParameter",
            f"The value '{call.query['$expand']}' of parameter '$expand' is invalid.",
            target="$expand",
        )
    return Reply(status=200, body=_shown(world, body, with_view=expand == "instanceview"))


def get_instance_view(world: World, call: Call) -> Reply:
    body = _existing(world, call)
    shown = _shown(world, body, with_view=True)
    return Reply(status=200, body=cast("Mapping[str, Json]", shown["properties"])["instanceView"])


def list_in_group(world: World, call: Call) -> Reply:
    found = world.list(type=VM, subscription=call.params["s"], group=call.params["rg"])
    rows = [_shown(world, body, with_view=False) for _, body in found]
    return paged(world, call, rows, int(world.knobs.number("compute.page_size")))


def list_in_subscription(world: World, call: Call) -> Reply:
    found = world.list(type=VM, subscription=call.params["s"])
    with_view = call.query.get("statusOnly", "").lower() == "true"
    rows = [_shown(world, body, with_view=with_view) for _, body in found]
    return paged(world, call, rows, int(world.knobs.number("compute.page_size")))


def put_vm(world: World, call: Call) -> Reply:
    vm_id = call.resource_id
    before = world.get(vm_id)
    sent = checked_put(call, before)
    if call.principal.kind is PrincipalKind.SYSTEM:
        return _put_by_timeline(world, call, sent, before)
    if before is None:
        body = new_vm(world, call, sent)
        seed = f"{world.rng_seed}|{cast('Mapping[str, Json]', body['properties'])['vmId']}"
        done = call.now + timedelta(seconds=drawn(PROVISIONED_AFTER, seed + "|provisioned"))
        cast("Body", body["properties"])["timeCreated"] = _written(call.now)
        world.compute.machines[vm_id.lower()] = Machine(provisioned=done)
        body = with_state(body, "Creating")
        status = 201
    else:
        body = with_state(merged(before, sent), "Updating")
        done = call.now + timedelta(seconds=UPDATE_SECONDS)
        status = 200
    return _written_later(world, call, body, done, status)


def patch_vm(world: World, call: Call) -> Reply:
    before = _existing(world, call)
    sent = call.fields()
    after = merged(before, sent)
    if sent.keys() <= {"tags"}:
        body = world.put(str(before["id"]), after, Cause.of(call))
        return Reply(status=200, body=_shown(world, body, with_view=False))
    done = call.now + timedelta(seconds=UPDATE_SECONDS)
    return _written_later(world, call, with_state(after, "Updating"), done, 200)


def delete_vm(world: World, call: Call) -> Reply:
    before = world.get(call.resource_id)
    if before is None:
        return Reply(status=204)
    vm_id = str(before["id"])
    cause = Cause.of(call)
    if call.principal.kind is PrincipalKind.SYSTEM:
        world.delete(vm_id, cause)
        return Reply(status=200)
    world.put(vm_id, with_state(before, "Deleting"), None)
    ends = call.now + timedelta(seconds=DELETE_SECONDS)
    world.schedule.at(ends, lambda: _gone(world, vm_id, before, cause))
    return Reply(status=202, headers=_operation(world, call, before, ends, with_location=True))


def power_vm(world: World, call: Call) -> Reply:
    body = _existing(world, call)
    word = call.resource_id.rsplit("/", 1)[-1]
    through, to = next(way for name, way in POWER.items() if name.lower() == word.lower())
    machine = _machine(world, str(body["id"]))
    machine.power = through
    ends = call.now + timedelta(seconds=POWER_SECONDS)
    cause = Cause.of(call)

    def arrive() -> None:
        machine.power = to
        world.publish("action", str(body["id"]), cause)

    world.schedule.at(ends, arrive)
    return Reply(status=202, headers=_operation(world, call, body, ends, with_location=True))


def get_operation(world: World, call: Call) -> Reply:
    operation = world.compute.operations.get(call.params["op"].lower())
    if operation is None:
        raise not_found("Microsoft.Compute/locations/operations", call.params["op"], "")
    done = call.now >= operation.ends
    if call.query.get("monitor") == "true":
        return Reply(status=200 if done else 202)
    body: Body = {"startTime": operation.started.isoformat()}
    if done:
        body["endTime"] = operation.ends.isoformat()
    body |= {"status": "Succeeded" if done else "InProgress", "name": call.params["op"]}
    return Reply(status=200, body=body)


def _put_by_timeline(world: World, call: Call, sent: Body, before: Body | None) -> Reply:
    """Write what a GET is to return from now on; a new VM is created now, whatever it says."""
    vm_id = call.resource_id
    properties = dict(cast("Mapping[str, Json]", sent["properties"]))
    if before is None:
        orders = sent.get("_sim")
        told = orders.get("timeCreated") if isinstance(orders, dict) else None
        properties["timeCreated"] = told or _written(call.now)
        body = {"name": call.params["vm"], "type": VM, **sent, "properties": properties}
        after = _settle(world, vm_id, body, default_created=call.now)
    else:
        kept = cast("Mapping[str, Json]", before["properties"])
        for member in ("vmId", "timeCreated"):
            properties[member] = kept.get(member)
        properties.setdefault("provisioningState", "Succeeded")
        after = world.put(vm_id, {**before, **sent, "properties": properties}, None)
    world.publish("write", str(after["id"]), Cause.of(call), after)
    return Reply(status=200 if before else 201, body=_shown(world, after, with_view=False))


def _written_later(world: World, call: Call, body: Body, done: datetime, status: int) -> Reply:
    vm_id = str(body["id"])
    cause = Cause.of(call)
    both = world.knobs.text("compute.events_per_write") == "both"
    world.put(vm_id, body, cause if both else None)

    def finish() -> None:
        present = world.get(vm_id)
        if present is not None and _state(present) in {"Creating", "Updating"}:
            world.put(vm_id, with_state(present, "Succeeded"), cause)

    world.schedule.at(done, finish)
    return Reply(
        status=status,
        body=_shown(world, body, with_view=False),
        headers=_operation(world, call, body, done, with_location=False),
    )


def _gone(world: World, vm_id: str, before: Body, cause: Cause) -> None:
    present = world.get(vm_id)
    if present is not None and _vm_id(present) == _vm_id(before):
        world.compute.machines.pop(vm_id.lower(), None)
        world.delete(vm_id, cause)


def _operation(
    world: World, call: Call, body: Body, ends: datetime, *, with_location: bool
) -> dict[str, str]:
    name = world.new_guid()
    world.compute.operations[name] = Operation(started=call.now, ends=ends)
    path = f"/subscriptions/{call.params['s']}/providers/Microsoft.Compute/locations/{body['location']}"
    url = world.url(f"{path}/operations/{name}")
    version = f"api-version={call.api_version}"
    headers = {
        "azure-asyncnotification": "Enabled",
        "azure-asyncoperation": f"{url}?p={world.stable_guid(name)}&{version}",
    }
    if with_location:
        headers["location"] = f"{url}?p={world.stable_guid(name)}&monitor=true&{version}"
    return headers


def _existing(world: World, call: Call) -> Body:
    params = call.params
    group = f"/subscriptions/{params['s']}/resourceGroups/{params['rg']}"
    body = world.get(f"{group}/providers/{VM}/{params['vm']}")
    if body is None:
        raise not_found(VM, params["vm"], params["rg"])
    return body


def _shown(world: World, body: Body, *, with_view: bool) -> Body:
    properties = dict(cast("Mapping[str, Json]", body["properties"]))
    pinned = properties.pop("instanceView", None)
    if with_view:
        properties["instanceView"] = pinned or _view(world, body)
    return {**body, "properties": properties}


def _view(world: World, body: Body) -> Body:
    vm_id = str(body["id"])
    machine = _machine(world, vm_id)
    properties = cast("Mapping[str, Json]", body["properties"])
    life = Life(
        created=datetime.fromisoformat(str(properties["timeCreated"])),
        provisioned=machine.provisioned,
        ready=ready_at(
            machine.provisioned, f"{world.rng_seed}|{_vm_id(body)}", world.orders_for(vm_id)
        ),
        power=machine.power,
    )
    return instance_view.view(body, life, world.now())


def _machine(world: World, vm_id: str) -> Machine:
    return world.compute.machines[vm_id.lower()]


def _state(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("provisioningState"))


def _vm_id(body: Body) -> str:
    return str(cast("Mapping[str, Json]", body["properties"]).get("vmId"))


def _written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


RECORDED = "vm-instanceview recordings"
SPEC = "OpenAPI compute 2024-03-01"

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        template=ONE,
        operation="VirtualMachines_Get",
        action="Microsoft.Compute/virtualMachines/read",
        handler=get_vm,
        truth="recorded",
        source=RECORDED,
    ),
    Route(
        method="GET",
        template=ONE + "/instanceView",
        operation="VirtualMachines_InstanceView",
        action="Microsoft.Compute/virtualMachines/instanceView/read",
        handler=get_instance_view,
        truth="specified",
        source=SPEC,
    ),
    Route(
        method="GET",
        template=GROUP,
        operation="VirtualMachines_List",
        action="Microsoft.Compute/virtualMachines/read",
        handler=list_in_group,
        truth="specified",
        source=SPEC,
    ),
    Route(
        method="GET",
        template=SUBSCRIPTION,
        operation="VirtualMachines_ListAll",
        action="Microsoft.Compute/virtualMachines/read",
        handler=list_in_subscription,
        truth="specified",
        source=SPEC,
    ),
    Route(
        method="PUT",
        template=ONE,
        operation="VirtualMachines_CreateOrUpdate",
        action="Microsoft.Compute/virtualMachines/write",
        handler=put_vm,
        truth="recorded",
        source="2025/test_backup_disk_exclusion (update); creation: report §5",
    ),
    Route(
        method="PATCH",
        template=ONE,
        operation="VirtualMachines_Update",
        action="Microsoft.Compute/virtualMachines/write",
        handler=patch_vm,
        truth="specified",
        source=SPEC,
    ),
    Route(
        method="DELETE",
        template=ONE,
        operation="VirtualMachines_Delete",
        action="Microsoft.Compute/virtualMachines/delete",
        handler=delete_vm,
        truth="recorded",
        source="2025/test_backup_diskaccess_restore; its duration is assumed",
    ),
    Route(
        method="GET",
        template=OPERATION,
        operation="Operations_Get",
        action="Microsoft.Compute/locations/operations/read",
        handler=get_operation,
        truth="recorded",
        source="2025/test_backup_disk_exclusion",
    ),
    *(
        Route(
            method="POST",
            template=f"{ONE}/{word}",
            operation=f"VirtualMachines_{word[0].upper()}{word[1:]}",
            action=f"Microsoft.Compute/virtualMachines/{word}/action",
            handler=power_vm,
            truth="specified",
            source=SPEC,
        )
        for word in POWER
    ),
)
