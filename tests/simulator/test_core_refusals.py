"""What the front door and the core providers refuse, each with the words it is refused in.

Ids say where the truth comes from: recorded, specified or assumed.
"""

from collections.abc import Callable

import pytest

from simulator.arm import Reply
from tests.simulator.core import COMPUTE, GROUP, SUB, Azure, azure, code_of, vm_body, vm_id

LOCKED = vm_id("locked")
LOCK = "/providers/Microsoft.Authorization/locks/keep"
TAGS = "/providers/Microsoft.Resources/tags/default"
ROLE = "/providers/Microsoft.Authorization/roleAssignments/x"


def without(body: dict, *path: str) -> dict:
    body = dict(body)
    if len(path) == 1:
        body.pop(path[0])
    else:
        body[path[0]] = without(body[path[0]], *path[1:])
    return body


def twice_the_same_lun() -> dict:
    body = vm_body("new")
    storage = body["properties"]["storageProfile"]
    storage["dataDisks"] = [{"lun": 0, "name": "a"}, {"lun": 0, "name": "b"}]
    return body


def lock(level: str, at: str) -> dict:
    return {"id": at + LOCK, "properties": {"level": level}}


def assignment(role: str) -> dict:
    return {"properties": {"roleDefinitionId": role, "principalId": "someone"}}


def graph(query: str, **options: object) -> Callable[[Azure], Reply]:
    return lambda a: a.graph(query, options=options)


REFUSALS = [
    pytest.param(
        lambda a: a.get(vm_id("absent")),
        404,
        "ResourceNotFound",
        "The Resource 'Microsoft.Compute/virtualMachines/absent' under resource group 'rg-Web' "
        "was not found.",
        id="recorded: a VM that is not there",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1", group="gone")),
        404,
        "ResourceGroupNotFound",
        "Resource group 'gone' could not be found.",
        id="specified: a group that is not there",
    ),
    pytest.param(
        lambda a: a.get(f"/subscriptions/{'9' * 8}-9999-4999-8999-{'9' * 12}/resourceGroups"),
        404,
        "SubscriptionNotFound",
        "could not be found",
        id="specified: a subscription that is not there",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1"), version=None),
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
        id="assumed: no api-version",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1"), version="latest"),
        400,
        "InvalidApiVersionParameter",
        "The api-version 'latest' is invalid.",
        id="assumed: an api-version that is no date",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1"), version="2009-01-01"),
        400,
        "NoRegisteredProviderFound",
        "API version '2009-01-01' for type 'virtualMachines'",
        id="assumed: an api-version from before",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1") + "/assessPatches"),
        501,
        "NotSimulated",
        "see simulator/COVERAGE.md",
        id="the simulator's own: an operation it does not have",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), raw=b"{"),
        400,
        "InvalidRequestContent",
        "could not be deserialized",
        id="assumed: a body that is no JSON",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), ["x"]),
        400,
        "InvalidRequestContent",
        "a JSON object is expected",
        id="assumed: a body that is a list",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new")),
        400,
        "InvalidRequestContent",
        "no body was sent",
        id="assumed: no body",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), without(vm_body("new"), "location")),
        400,
        "LocationRequired",
        "location property is required",
        id="assumed: a VM without a location",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("vm1"), vm_body("vm1", location="eastus")),
        409,
        "InvalidResourceLocation",
        "already exists in location 'westeurope'",
        id="assumed: a VM moved by PUT",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), without(vm_body("new"), "properties")),
        400,
        "InvalidParameter",
        "'vm.properties' is missing",
        id="assumed: a VM without properties",
    ),
    pytest.param(
        lambda a: a.ask(
            "PUT", vm_id("new"), without(vm_body("new"), "properties", "storageProfile")
        ),
        400,
        "InvalidParameter",
        "'storageProfile' is missing",
        id="assumed: a VM without disks",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), twice_the_same_lun()),
        400,
        "InvalidParameter",
        "same LUN",
        id="assumed: two disks at one LUN",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("a b"), vm_body("new")),
        400,
        "InvalidParameter",
        "'a b'",
        id="assumed: a VM name with a blank",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), vm_body("new", tags={"a": 1})),
        400,
        "InvalidRequestContent",
        "tags",
        id="assumed: a tag that is a number",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("new"), vm_body("new", tags={str(n): "" for n in range(51)})),
        400,
        "TooManyTags",
        "'51'",
        id="assumed: 51 tags",
    ),
    pytest.param(
        lambda a: a.get(vm_id("vm1"), __expand="everything"),
        400,
        "InvalidParameter",
        "'$expand'",
        id="specified: an unknown $expand",
    ),
    pytest.param(
        lambda a: a.get(COMPUTE, **{"$skiptoken": "%%%"}),
        400,
        "InvalidSkipToken",
        "is invalid",
        id="assumed: a skip token nobody gave",
    ),
    pytest.param(
        lambda a: a.ask("PATCH", LOCKED, {"tags": {}}),
        409,
        "ScopeLocked",
        "cannot perform write operation because following scope(s) are locked",
        id="assumed: a write below a ReadOnly lock",
    ),
    pytest.param(
        lambda a: a.ask("DELETE", vm_id("kept")),
        409,
        "ScopeLocked",
        "cannot perform delete operation",
        id="assumed: a delete below a CanNotDelete lock",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("vm1") + LOCK, {"properties": {"level": "Shut"}}),
        400,
        "LockLevelInvalid",
        "'Shut'",
        id="assumed: a lock level nobody knows",
    ),
    pytest.param(
        lambda a: a.ask("PUT", GROUP + ROLE, assignment("/x/y/not-a-role")),
        404,
        "RoleDefinitionDoesNotExist",
        "not-a-role",
        id="assumed: a role that does not exist",
    ),
    pytest.param(
        lambda a: a.ask(
            "PATCH", vm_id("vm1") + TAGS, {"operation": "Add", "properties": {"tags": {}}}
        ),
        400,
        "InvalidTagsOperation",
        "Merge, Replace or Delete",
        id="assumed: an unknown tags operation",
    ),
    pytest.param(
        lambda a: a.ask("PUT", vm_id("absent") + TAGS, {"properties": {"tags": {}}}),
        404,
        "ResourceNotFound",
        "absent",
        id="assumed: tags of a VM that is not there",
    ),
    pytest.param(
        lambda a: a.ask("PUT", f"/subscriptions/{SUB}/resourceGroups/dot.", {"location": "x"}),
        400,
        "InvalidResourceGroup",
        "ends in a period",
        id="specified: a group name that ends in a period",
    ),
    pytest.param(
        lambda a: a.ask("PUT", GROUP, {"location": "eastus"}),
        409,
        "InvalidResourceGroupLocation",
        "already exists in location",
        id="assumed: a group moved by PUT",
    ),
    pytest.param(
        lambda a: a.get(f"/subscriptions/{SUB}/resources", **{"$filter": "tagName eq 'x'"}),
        400,
        "InvalidFilterInQueryString",
        "tagName",
        id="assumed: a filter the resource list does not have",
    ),
    pytest.param(
        lambda a: a.get(f"/subscriptions/{SUB}/providers/Microsoft.Nothing"),
        404,
        "InvalidResourceNamespace",
        "'Microsoft.Nothing'",
        id="assumed: a provider nobody knows",
    ),
    pytest.param(
        graph("Resources | join kind=inner (x) on id"),
        400,
        "BadRequest",
        "Please provide below info",
        id="assumed: a Graph operator outside the subset",
    ),
    pytest.param(
        graph("Resources", **{"$top": 1001}),
        400,
        "BadRequest",
        "Please provide below info",
        id="specified: a page of more than 1,000 rows",
    ),
]


@pytest.mark.parametrize("asked,status,code,text", REFUSALS)
def test_what_is_wrong_is_refused_by_name(
    asked: Callable[[Azure], Reply], status: int, code: str, text: str
) -> None:
    a = azure(
        vm_body("vm1"),
        vm_body("locked"),
        vm_body("kept"),
        lock("ReadOnly", LOCKED),
        lock("CanNotDelete", vm_id("kept")),
    )
    reply = asked(a)
    assert (reply.status, code_of(reply)) == (status, code)
    assert text in reply.body["error"]["message"]
    assert a.changes == []


def test_there_are_enough_of_them() -> None:
    assert len(REFUSALS) >= 15


def test_a_provider_that_is_not_registered_refuses_a_put_until_it_is() -> None:
    """Recorded: 409 MissingSubscriptionRegistration, register, and the same PUT works."""
    a = azure(knobs={"providers.unregistered": ["Microsoft.Compute"]})
    refused = a.ask("PUT", vm_id("new"), vm_body("new"))
    assert (refused.status, code_of(refused)) == (409, "MissingSubscriptionRegistration")
    assert refused.body["error"]["details"][0]["target"] == "Microsoft.Compute"
    state = a.ask("POST", f"/subscriptions/{SUB}/providers/Microsoft.Compute/register")
    assert state.body["registrationState"] == "Registering"
    a.wait(70)
    assert a.get(f"/subscriptions/{SUB}/providers/Microsoft.Compute").body["registrationState"] == (
        "Registered"
    )
    assert a.ask("PUT", vm_id("new"), vm_body("new")).status == 201


def test_arms_own_refusals_say_so_in_a_header() -> None:
    """Recorded: x-ms-failure-cause sorts the three kinds of errors (report §6.31)."""
    refused = azure().get(vm_id("absent"))
    assert refused.headers["x-ms-failure-cause"] == "gateway"
    assert refused.content_type == "application/json; charset=utf-8"
