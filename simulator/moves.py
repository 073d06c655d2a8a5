"""Moving resources to another group or subscription: their ids change, what they are does not.

A VM keeps its vmId and its age, and its protected item stays behind under the former id. That both
groups are locked while a move lasts is not simulated.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence

from simulator.arm import BY_GATEWAY, Call, Json, Refusal, Reply, Route, not_found
from simulator.backup.formats import text_of
from simulator.containers import GROUP, ONE_GROUP
from simulator.ids import ResourceId
from simulator.machines import moved as machine_moved
from simulator.world import Body, Cause, World

SECONDS = 60.0  # assumed: most moves end within minutes
_TARGET = re.compile(r"(/subscriptions/[^/]+/resourceGroups/[^/]+)/?", re.IGNORECASE)
_VAULTS = "microsoft.recoveryservices/vaults"


def move_resources(world: World, call: Call) -> Reply:
    """Accept a move and carry it out later; 202 with a Location, as documented."""
    source, target = _group(world, call.resource_id.rpartition("/")[0]), _target(world, call)
    ids = [_movable(world, source, target, one) for one in _asked(call)]
    cause = Cause.of(call)
    ends = world.later(SECONDS)

    def arrive() -> None:
        _move(world, [one for one in ids if world.get(one)], source, target)
        world.publish("action", source, cause)

    world.schedule.at(ends, arrive)
    told = {"jobId": f"MOVERESOURCES-{world.new_guid()}", "ends": ends.isoformat()}
    job = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    url = world.url(
        f"/subscriptions/{call.params['s']}/operationresults/{job}?api-version={call.api_version}"
    )
    return Reply(status=202, headers={"location": url, "retry-after": "15"})


def _asked(call: Call) -> list[str]:
    resources = call.fields().get("resources")
    if not isinstance(resources, list) or not resources:
        raise _invalid("The request names no resources to move.")
    return [str(one) for one in resources]


def _target(world: World, call: Call) -> str:
    """Find the group to move to; whoever moves must be allowed to write there."""
    found = _TARGET.fullmatch(text_of(call.fields().get("targetResourceGroup")))
    if found is None:
        raise _invalid("The target resource group is no id of a resource group.")
    target = _group(world, found[1])
    world.authorize(call.principal, f"{GROUP}/write", target)
    return target


def _group(world: World, group_id: str) -> str:
    body = world.get(group_id)
    if body is None:
        raise Refusal(
            404,
            "ResourceGroupNotFound",
            f"Resource group '{group_id.rpartition('/')[2]}' could not be found.",
            headers=BY_GATEWAY,
        )
    return str(body["id"])


def _movable(world: World, source: str, target: str, resource_id: str) -> str:
    """Refuse what is not there, what would meet a namesake, and a VM that is being backed up."""
    body = world.get(resource_id)
    if body is None or not resource_id.lower().startswith(f"{source.lower()}/providers/"):
        named = ResourceId.parse(resource_id)
        raise not_found(named.type, named.name, named.group)
    present = str(body["id"])
    if ResourceId.parse(present).type.lower() == _VAULTS:
        raise Refusal(501, "NotSimulated", "Moving a vault is not simulated.")
    if world.get(target + present[len(source) :]) is not None:
        raise _conflict(f"'{present}' has a namesake in the target resource group.")
    if any(item.active and item.points for _, item in world.backup.items_of_vm(present)):
        # Its snapshots are in restore point collections, which go only once backups are stopped.
        raise _conflict(f"'{present}' is being backed up by Azure Backup.")
    return present


def _move(world: World, ids: Sequence[str], source: str, target: str) -> None:
    """Give each resource, and what lies below it, its new id, everywhere it is spoken of."""
    below = [rid.text for one in ids for rid, _ in world.list(below=one)]
    names = {one.lower(): target + one[len(source) :] for one in ids}
    for old in (*ids, *below):
        body = world.delete(old, None) or {}
        new = target + old[len(source) :]
        if (orders := world.orders.pop(old.lower(), None)) is not None:
            world.orders[new.lower()] = orders
        world.put(new, {name: _renamed(value, names) for name, value in body.items()}, None)
        machine_moved(world, old, new)


def _renamed(value: Json, names: Mapping[str, str]) -> Json:
    """Replace ids that moved, and those of their children, in whatever a body holds."""
    if isinstance(value, str) and value.startswith("/"):
        for old, new in names.items():
            if f"{value.lower()}/".startswith(f"{old}/"):
                return new + value[len(old) :]
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if isinstance(value, dict):
        renamed: Body = {name: _renamed(one, names) for name, one in value.items()}
        return renamed
    return value


def _invalid(message: str) -> Refusal:
    return Refusal(400, "InvalidRequestContent", message, headers=BY_GATEWAY)


def _conflict(message: str) -> Refusal:
    """The code is one that many have met; that it comes at once is assumed."""
    return Refusal(409, "ResourceMoveProviderValidationFailed", message, headers=BY_GATEWAY)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        template=f"{ONE_GROUP}/moveResources",
        operation="Resources_MoveResources",
        action=f"{GROUP}/moveResources/action",
        handler=move_resources,
        truth="specified",
        source="Microsoft Learn, Resources - Move Resources 2021-04-01; special cases of VMs: stop"
        " the backup, move, and go on",
    ),
)
