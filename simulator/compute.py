"""The Compute provider: virtual machines with their instance view, power and operations.

A VM written by a client is provisioned as long as recorded (report §5); one written by a seed or
a timeline is there at once, because its body is what a GET returns.
"""

from collections.abc import Mapping
from typing import cast

from simulator.arm import Call, Json, Refusal, Reply, Route, not_found
from simulator.machines import EXTENSION, VM, Compute, existing, settle, shown
from simulator.paging import paged
from simulator.vm_writes import POWER, delete_vm, patch_vm, power_vm, put_vm
from simulator.world import SETTLED, Body, Change, World

SUBSCRIPTION = "/subscriptions/{s}/providers/Microsoft.Compute/virtualMachines"
GROUP = "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Compute/virtualMachines"
ONE = GROUP + "/{vm}"
OPERATION = "/subscriptions/{s}/providers/Microsoft.Compute/locations/{location}/operations/{op}"


def attach(world: World) -> None:
    world.compute = Compute()
    world.changes.append(lambda change: _follow(world, change))
    world.knobs.declare(
        "compute.events_per_write",
        "completed",
        "when a VM write by a client is published: completed, or both (accepted and completed)",
        choices=("completed", "both"),
    )
    world.knobs.declare(
        "compute.signed_urls", True, "polling URLs end in t, c, s and h, as since 2024"
    )
    world.knobs.declare(
        "compute.durations", {}, "simulated seconds of update, delete and power, which are assumed"
    )
    world.knobs.declare("compute.page_size", 1000, "VMs on one page of a list")


def load(world: World, body: Body) -> bool:
    """Take a VM of a seed: there for long, unless the body's ``timeCreated`` says otherwise."""
    kind = str(body.get("type", "")).lower()
    if kind == EXTENSION.lower():
        _extend(world, world.put(str(body["id"]), body, None))
        return True
    if kind != VM.lower():
        return False
    settle(world, str(body["id"]), body, default_created=world.started - SETTLED)
    return True


def _follow(world: World, change: Change) -> None:
    """Keep the extensions of each VM beside it, however they are written."""
    vm_key, word, name = change.resource_id.lower().rpartition("/extensions/")
    if not word or f"/{VM.lower()}/" not in vm_key:
        return
    if change.kind == "delete":
        world.compute.extensions.get(vm_key, {}).pop(name, None)
    elif change.body is not None and change.body.get("name"):
        _extend(world, dict(change.body))


def _extend(world: World, body: Body) -> None:
    vm_key, _, name = str(body["id"]).lower().rpartition("/extensions/")
    world.compute.extensions.setdefault(vm_key, {})[name] = body


def get_vm(world: World, call: Call) -> Reply:
    body = existing(world, call)
    expand = set(call.query.get("$expand", "").lower().split(",")) - {""}
    if not expand <= {"instanceview", "userdata"}:
        raise Refusal(
            400,
            "InvalidParameter",
            f"The value '{call.query['$expand']}' of parameter '$expand' is invalid.",
            target="$expand",
        )
    return Reply(
        status=200, body=shown(world, body, call.api_version, with_view="instanceview" in expand)
    )


def get_instance_view(world: World, call: Call) -> Reply:
    body = existing(world, call)
    properties = shown(world, body, call.api_version, with_view=True)["properties"]
    return Reply(status=200, body=cast("Mapping[str, Json]", properties)["instanceView"])


def list_in_group(world: World, call: Call) -> Reply:
    found = world.list(type=VM, subscription=call.params["s"], group=call.params["rg"])
    rows = [shown(world, body, call.api_version, with_view=False) for _, body in found]
    return paged(world, call, rows, int(world.knobs.number("compute.page_size")))


def list_in_subscription(world: World, call: Call) -> Reply:
    found = world.list(type=VM, subscription=call.params["s"])
    with_view = call.query.get("statusOnly", "").lower() == "true"
    rows = [shown(world, body, call.api_version, with_view=with_view) for _, body in found]
    return paged(world, call, rows, int(world.knobs.number("compute.page_size")))


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
