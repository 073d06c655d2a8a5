"""Resource groups, and the lists of resources in them."""

import base64
import json
import re
from datetime import datetime

from simulator.arm import BY_GATEWAY, Call, Refusal, Reply, Route
from simulator.generic import merged
from simulator.paging import paged
from simulator.vm_bodies import checked_tags, plain
from simulator.world import Body, Cause, World

GROUP = "Microsoft.Resources/subscriptions/resourceGroups"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"
GROUPS = "/subscriptions/{s}/resourceGroups"
ONE_GROUP = "/subscriptions/{s}/resourceGroups/{rg}"
#: 1-90 characters, not ending in a period (facts §1.12).
GROUP_NAME = re.compile(r"[\w().-]{0,89}[\w()-]")
DELETE_SECONDS = 60.0


def attach(world: World) -> None:
    world.knobs.declare("resources.page_size", 1000, "rows on one page of resource lists")


def list_groups(world: World, call: Call) -> Reply:
    rows = [body for _, body in world.list(type=GROUP, subscription=call.params["s"])]
    return paged(world, call, rows, int(world.knobs.number("resources.page_size")))


def get_group(world: World, call: Call) -> Reply:
    return Reply(status=200, body=_group(world, call))


def put_group(world: World, call: Call) -> Reply:
    name = call.params["rg"]
    if not GROUP_NAME.fullmatch(name):
        raise Refusal(
            400,
            "InvalidResourceGroup",
            f"The provided resource group name '{name}' has these invalid characters or ends in a "
            "period. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.",
            headers=BY_GATEWAY,
        )
    sent = call.fields()
    before = world.get(call.resource_id)
    location = str(sent.get("location") or "")
    if not location:
        raise Refusal(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
            headers=BY_GATEWAY,
        )
    if before is not None and plain(str(before.get("location"))) != plain(location):
        raise Refusal(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in "
            f"location '{before.get('location')}'.",
            headers=BY_GATEWAY,
        )
    checked_tags(sent.get("tags"))
    group_id = f"/subscriptions/{call.params['s']}/resourceGroups/{name}"
    body: Body = {**sent, "id": group_id, "name": name, "type": GROUP_TYPE}
    body["properties"] = {"provisioningState": "Succeeded"}
    kept = world.put(group_id, body, Cause.of(call))
    return Reply(status=200 if before else 201, body=kept)


def patch_group(world: World, call: Call) -> Reply:
    before = _group(world, call)
    sent = call.fields()
    checked_tags(sent.get("tags"))
    after = merged(before, {name: sent[name] for name in ("tags", "managedBy") if name in sent})
    return Reply(status=200, body=world.put(str(before["id"]), after, Cause.of(call)))


def head_group(world: World, call: Call) -> Reply:
    return Reply(status=204 if world.get(call.resource_id) else 404)


def delete_group(world: World, call: Call) -> Reply:
    """Delete a group and everything in it, each deletion published; 202 with a Location."""
    group_id = str(_group(world, call)["id"])
    cause = Cause.of(call)

    def gone() -> None:
        for rid, _ in list(world.list(below=group_id)):
            world.delete(rid.text, _below(cause, rid.type))
        world.delete(group_id, cause)

    if call.principal.kind == "System":
        gone()
        return Reply(status=200)
    world.schedule.at(world.later(DELETE_SECONDS), gone)
    told = {"jobId": f"RESOURCEGROUPDELETIONJOB-{call.params['rg'].upper()}"}
    job = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    url = world.url(
        f"/subscriptions/{call.params['s']}/operationresults/{job}?api-version={call.api_version}"
    )
    return Reply(status=202, headers={"location": url, "retry-after": "15"})


def operation_result(world: World, call: Call) -> Reply:
    """Tell whether a group is gone, or a move is over; which is in the job's id, as in Azure's."""
    job = call.params["op"]
    try:
        told = json.loads(base64.urlsafe_b64decode(job + "=" * (-len(job) % 4)))
        name = str(told["jobId"]).partition("-")[2]
        if ends := told.get("ends"):
            return Reply(status=202 if world.now() < datetime.fromisoformat(ends) else 204)
    except (ValueError, KeyError, TypeError):
        name = ""
    group = f"/subscriptions/{call.params['s']}/resourceGroups/{name}"
    return Reply(status=202 if world.get(group) else 200)


def list_resources(world: World, call: Call) -> Reply:
    """List a subscription's or a group's top-level resources, without their properties."""
    group = call.params.get("rg")
    found = world.list(subscription=call.params["s"], group=group)
    wanted = _type_filter(call.query.get("$filter", ""))
    rows = [
        {name: value for name, value in body.items() if name != "properties"}
        for rid, body in found
        if rid.type.count("/") == 1 and rid.group and (not wanted or rid.type.lower() == wanted)
    ]
    return paged(world, call, rows, int(world.knobs.number("resources.page_size")))


def _type_filter(text: str) -> str:
    if not text:
        return ""
    found = re.fullmatch(r"\s*resourceType\s+eq\s+'([^']+)'\s*", text, re.IGNORECASE)
    if found is None:
        raise Refusal(
            400,
            "InvalidFilterInQueryString",
            f"Invalid $filter '{text}' specified in the query string.",
            headers=BY_GATEWAY,
        )
    return found[1].lower()


def _below(cause: Cause, kind: str) -> Cause:
    return Cause(
        principal=cause.principal,
        correlation_id=cause.correlation_id,
        operation_name=f"{kind}/delete",
        method="DELETE",
        url=cause.url,
        client_request_id=cause.client_request_id,
    )


def _group(world: World, call: Call) -> Body:
    body = world.get(f"/subscriptions/{call.params['s']}/resourceGroups/{call.params['rg']}")
    if body is None:
        raise Refusal(
            404,
            "ResourceGroupNotFound",
            f"Resource group '{call.params['rg']}' could not be found.",
            headers=BY_GATEWAY,
        )
    return body


_READ_GROUP = "Microsoft.Resources/subscriptions/resourceGroups/read"
_TABLE = (
    ("GET", GROUPS, "ResourceGroups_List", _READ_GROUP, list_groups),
    ("GET", ONE_GROUP, "ResourceGroups_Get", _READ_GROUP, get_group),
    ("HEAD", ONE_GROUP, "ResourceGroups_CheckExistence", _READ_GROUP, head_group),
    (
        "PUT",
        ONE_GROUP,
        "ResourceGroups_CreateOrUpdate",
        "Microsoft.Resources/subscriptions/resourceGroups/write",
        put_group,
    ),
    (
        "PATCH",
        ONE_GROUP,
        "ResourceGroups_Update",
        "Microsoft.Resources/subscriptions/resourceGroups/write",
        patch_group,
    ),
    (
        "DELETE",
        ONE_GROUP,
        "ResourceGroups_Delete",
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        delete_group,
    ),
    (
        "GET",
        "/subscriptions/{s}/operationresults/{op}",
        "Operations_Result",
        "Microsoft.Resources/subscriptions/operationresults/read",
        operation_result,
    ),
    (
        "GET",
        "/subscriptions/{s}/resources",
        "Resources_List",
        "Microsoft.Resources/subscriptions/resources/read",
        list_resources,
    ),
    (
        "GET",
        ONE_GROUP + "/resources",
        "Resources_ListByResourceGroup",
        "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
        list_resources,
    ),
)

#: What recordings show, in their present shape.
RECORDED = {
    "ResourceGroups_Get": "recordings of every year",
    "ResourceGroups_CreateOrUpdate": "2018-03-08_test_backup_container",
    "ResourceGroups_Delete": "2018-03-08_test_backup_container",
}

ROUTES: tuple[Route, ...] = tuple(
    Route(
        method=method,
        template=template,
        operation=operation,
        action=action,
        handler=handler,
        truth="recorded" if operation in RECORDED else "assumed",
        source=RECORDED.get(operation, "common ARM knowledge; az-peer §1 says which az needs"),
    )
    for method, template, operation, action, handler in _TABLE
)
