"""Writing, deleting and switching VMs: what a client does takes as long as recorded.

A VM written by a client is provisioned as long as recorded (report §5); one written by a timeline
is there at once, because its body is what a GET returns.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from simulator.arm import Call, Json, PrincipalKind, Reply
from simulator.backup.formats import signature
from simulator.instance_view import PROVISIONED_AFTER, drawn
from simulator.machines import (
    VM,
    Machine,
    Operation,
    disks_as_told,
    existing,
    machine_of,
    settle,
    shown,
    state_of,
    vm_id_of,
    written,
)
from simulator.vm_bodies import checked_put, merged, new_vm, with_disk_ids, with_state
from simulator.world import Body, Cause, World

#: Assumed seconds, unless the knob ``compute.durations`` says otherwise.
DURATIONS: Mapping[str, float] = {"update": 10.0, "delete": 45.0, "power": 30.0}
#: Compute's own spelling of a region in the URLs it gives, where one was recorded.
SPELLED: Mapping[str, str] = {"eastus2euap": "EastUS2EUAP", "centraluseuap": "CentralUSEUAP"}
#: What a power action leads to, through which state.
POWER = {
    "start": ("starting", "running"),
    "powerOff": ("stopping", "stopped"),
    "deallocate": ("deallocating", "deallocated"),
    "restart": ("starting", "running"),
}


def _length(world: World, kind: str) -> timedelta:
    ordered = world.knobs.value("compute.durations")
    told = ordered.get(kind) if isinstance(ordered, dict) else None
    return timedelta(seconds=float(told) if isinstance(told, (int, float)) else DURATIONS[kind])


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
        cast("Body", body["properties"])["timeCreated"] = written(call.now)
        world.compute.machines[vm_id.lower()] = Machine(provisioned=done)
        body = with_state(body, "Creating")
        status = 201
    else:
        body = with_state(merged(before, sent), "Updating")
        done = call.now + _length(world, "update")
        status = 200
    return _written_later(world, call, body, done, status)


def patch_vm(world: World, call: Call) -> Reply:
    before = existing(world, call)
    sent = call.fields()
    after = merged(before, sent)
    if sent.keys() <= {"tags"}:
        body = world.put(str(before["id"]), after, Cause.of(call))
        return Reply(status=200, body=shown(world, body, call.api_version, with_view=False))
    done = call.now + _length(world, "update")
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
    ends = call.now + _length(world, "delete")
    world.schedule.at(ends, lambda: _gone(world, vm_id, before, cause))
    return Reply(status=202, headers=_operation(world, call, before, ends, with_location=True))


def power_vm(world: World, call: Call) -> Reply:
    body = existing(world, call)
    word = call.resource_id.rsplit("/", 1)[-1]
    through, to = next(way for name, way in POWER.items() if name.lower() == word.lower())
    machine = machine_of(world, str(body["id"]))
    machine.power = through
    ends = call.now + _length(world, "power")
    cause = Cause.of(call)

    def arrive() -> None:
        machine.power = to
        world.publish("action", str(body["id"]), cause)

    world.schedule.at(ends, arrive)
    return Reply(status=202, headers=_operation(world, call, body, ends, with_location=True))


def _put_by_timeline(world: World, call: Call, sent: Body, before: Body | None) -> Reply:
    """Write what a GET is to return from now on; a new VM is created now, whatever it says."""
    vm_id = call.resource_id
    properties = dict(cast("Mapping[str, Json]", sent["properties"]))
    if before is None:
        orders = sent.get("_sim")
        told = orders.get("timeCreated") if isinstance(orders, dict) else None
        properties["timeCreated"] = told or written(call.now)
        body = {"name": call.params["vm"], "type": VM, **sent, "properties": properties}
        after = settle(world, vm_id, body, default_created=call.now)
    else:
        kept = cast("Mapping[str, Json]", before["properties"])
        for member in ("vmId", "timeCreated"):
            properties[member] = kept.get(member)
        properties.setdefault("provisioningState", "Succeeded")
        if isinstance(storage := properties.get("storageProfile"), dict):
            properties["storageProfile"] = disks_as_told(storage)
        after = world.put(vm_id, {**before, **sent, "properties": properties}, None)
    world.publish("write", str(after["id"]), Cause.of(call), after)
    return Reply(
        status=200 if before else 201, body=shown(world, after, call.api_version, with_view=False)
    )


def _written_later(world: World, call: Call, body: Body, done: datetime, status: int) -> Reply:
    vm_id = str(body["id"])
    cause = Cause.of(call)
    both = world.knobs.text("compute.events_per_write") == "both"
    world.put(vm_id, body, cause if both else None)

    def finish() -> None:
        present = world.get(vm_id)
        if present is not None and state_of(present) in {"Creating", "Updating"}:
            world.put(vm_id, with_state(with_disk_ids(present), "Succeeded"), cause)

    world.schedule.at(done, finish)
    return Reply(
        status=status,
        body=shown(world, body, call.api_version, with_view=False),
        headers=_operation(world, call, body, done, with_location=False),
    )


def _gone(world: World, vm_id: str, before: Body, cause: Cause) -> None:
    present = world.get(vm_id)
    if present is not None and vm_id_of(present) == vm_id_of(before):
        world.compute.machines.pop(vm_id.lower(), None)
        world.compute.extensions.pop(vm_id.lower(), None)
        world.delete(vm_id, cause)


def _operation(
    world: World, call: Call, body: Body, ends: datetime, *, with_location: bool
) -> dict[str, str]:
    name = world.new_guid()
    world.compute.operations[name] = Operation(started=call.now, ends=ends)
    region = str(body["location"])
    shown = SPELLED.get(region, region)
    path = f"/subscriptions/{call.params['s']}/providers/Microsoft.Compute/locations/{shown}"
    tail = signature(world.now(), name) if world.knobs.flag("compute.signed_urls") else ""
    url = world.url(f"{path}/operations/{name}")
    version = f"api-version={call.api_version}"
    partition = world.stable_guid("partition", call.params["s"], region)
    headers = {
        "azure-asyncnotification": "Enabled",
        "azure-asyncoperation": f"{url}?p={partition}&{version}{tail}",
    }
    if with_location:
        headers["location"] = f"{url}?p={partition}&monitor=true&{version}{tail}"
    return headers
