"""The deployment's half of the doctor, held against the simulator.

Every mistake is made through ARM, as a customer would make it: a role edited, a grant removed, an
event subscription changed, a provider never registered. One that is well has no complaint.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from ops.delivery import EVENT_TYPES, OPERATIONS
from ops.deployment import Deployment, examined
from ops.granted import needed
from shared.web.doctor import Check, Health
from simulator.arm import Json
from simulator.gateway import Incoming
from simulator.server import Simulator, running
from simulator.world import SYSTEM

SUB = "20000000-0000-4000-8000-00000000000a"
APP = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.Web/sites/func-backup"
OPERATOR = "70000000-0000-4000-8000-000000000008"
PRINCIPAL = "40000000-0000-4000-8000-000000000004"
TOPIC = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.EventGrid/systemTopics/t"
EVENTS = f"{TOPIC}/eventSubscriptions/vm-backup"
ROLE_NAME = "50000000-0000-4000-8000-000000000005"
ROLE = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE_NAME}"
KNOCKER = ROLE.replace("/5", "/9")  # may read the addresses of webhooks
GRANT = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleAssignments/6{ROLE_NAME[1:]}"
DEAD = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.Storage/storageAccounts/d"
IDENTITY = (
    f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/service"
)
CONTAINER = {
    "endpointType": "StorageBlob",
    "properties": {"resourceId": DEAD, "blobContainerName": "undelivered"},
}
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
OWNER, CONTRIBUTOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"
DEAF = "http://127.0.0.1:9"  # nobody listens there
EVENT_VERSION, ROLE_VERSION = "2025-02-15", "2022-04-01"


def built_in(role: str) -> str:
    return f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def events(**changes: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {"resourceId": f"{APP}/functions/on_vm_event"},
        },
        "filter": {
            "includedEventTypes": [
                "Microsoft.Resources.ResourceWriteSuccess",
                "Microsoft.Resources.ResourceDeleteSuccess",
            ],
            "advancedFilters": [
                {
                    "operatorType": "StringIn",
                    "key": "data.operationName",
                    "values": [
                        "Microsoft.Compute/virtualMachines/write",
                        "Microsoft.Compute/virtualMachines/delete",
                        "Microsoft.Resources/tags/write",
                    ],
                },
                {
                    "operatorType": "StringContains",
                    "key": "subject",
                    "values": ["/providers/Microsoft.Compute/virtualMachines/"],
                },
            ],
        },
        "deadLetterWithResourceIdentity": {
            "identity": {"type": "UserAssigned", "userAssignedIdentity": IDENTITY},
            "deadLetterDestination": CONTAINER,
        },
        "eventDeliverySchema": "EventGridSchema",
    }
    return {**properties, **changes}


def filtered(**changes: Any) -> dict[str, Any]:
    return events(filter={**events()["filter"], **changes})


def advanced(*filters: dict[str, Any]) -> dict[str, Any]:
    return filtered(advancedFilters=list(filters))


class Door:
    """A webhook of the app's host, as Event Grid meets it: whoever has the key may come in."""

    def __init__(self) -> None:
        self.key, self.shakes, self.url = "first", True, ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.query.get("code") != self.key:
            return web.Response(status=401)
        [event] = await request.json()
        code = event["data"]["validationCode"] if self.shakes else ""
        return web.json_response({"validationResponse": code})

    @property
    def events(self) -> dict[str, Any]:
        """What delivers to it, with the key it has now."""
        url = f"{self.url}/runtime/webhooks/eventgrid?functionName=on_vm_event&code={self.key}"
        return events(destination={"endpointType": "WebHook", "properties": {"endpointUrl": url}})


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    made, app = Door(), web.Application()
    app.router.add_post("/runtime/webhooks/eventgrid", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Place:
    """A subscription that was deployed to, and what a customer may do to it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.session: Any = None

    def arm(self, method: str, path: str, body: Json = None, version: str = "2022-06-15") -> Any:
        reply = self.sim.world.gateway.answer(
            Incoming(
                method=method,
                path=path,
                principal=SYSTEM,
                query={"api-version": version},
                raw=b"" if body is None else json.dumps(body).encode(),
            )
        )
        assert reply.status < 300, (path, reply.status, reply.body)
        return reply.body

    def subscribe(self, properties: dict[str, Any], name: str = EVENTS) -> None:
        self.arm("PUT", name, {"properties": properties}, EVENT_VERSION)

    async def through(self, door: Door, *, ends: str = "Succeeded") -> None:
        """Have events delivered through a webhook, and wait for the end of its handshake."""
        settings = self.session.settings
        self.session.settings = dataclasses.replace(settings, page_url=door.url)
        self.subscribe(door.events)
        await self.settled(ends)

    async def settled(self, ends: str) -> None:
        async with asyncio.timeout(10):
            while self.sim.world.get(EVENTS)["properties"]["provisioningState"] != ends:
                await self.sim.clock.changed_within(0.02)

    def role(self, *actions: str, excepted: tuple[str, ...] = (), name: str = ROLE) -> None:
        body = {
            "properties": {
                "roleName": name[-12:],
                "type": "CustomRole",
                "permissions": [{"actions": list(actions), "notActions": list(excepted)}],
                "assignableScopes": [f"/subscriptions/{SUB}"],
            }
        }
        self.arm("PUT", name, body, ROLE_VERSION)

    def grant(self, role: str = ROLE, name: str = GRANT, to: str = PRINCIPAL) -> None:
        body = {
            "properties": {
                "roleDefinitionId": role,
                "principalId": to,
                "principalType": "ServicePrincipal",
            }
        }
        self.arm("PUT", name, body, ROLE_VERSION)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    from shared.adapters.clients import Clients
    from shared.adapters.clock import clock_of
    from shared.adapters.governor import Governor
    from shared.settings import read

    seed = {"subscriptions": [{"subscriptionId": SUB, "displayName": "one"}]}
    async with running(seed=seed, speed=0.0) as sim:
        settings = read(
            {
                "TENANT_ID": sim.world.tenant_id,
                "SUBSCRIPTIONS": SUB,
                "RULES_URI": "rules.yaml",
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "AZURE_CLOUD": "custom",
                "AZURE_CLOUD_ARM_ENDPOINT": sim.arm_url,
                "AZURE_CLOUD_AUTHORITY": sim.arm_url,
                "AZURE_CLOUD_CA_FILE": str(sim.ca_file),
                "CLOCK": f"{sim.control_url}/_sim/clock",
            }
        )
        clock = clock_of(settings.clock)
        await clock.synchronize()
        clients = Clients(settings, clock, Governor(settings, clock), credential=Operator(sim))
        made = Place(sim)
        made.session = SimpleNamespace(
            settings=settings,
            foundation=SimpleNamespace(clients=clients),
            ports=SimpleNamespace(estate=Scope(), clock=clock),
        )
        for name in ("Microsoft.RecoveryServices", "Microsoft.Compute", "Microsoft.EventGrid"):
            path = f"/subscriptions/{SUB}/providers/{name}/register"
            made.arm("POST", path, version="2021-04-01")
        made.arm("PUT", f"/subscriptions/{SUB}/resourceGroups/rg-app", {"location": "westeurope"})
        topic = {
            "location": "global",
            "properties": {
                "source": f"/subscriptions/{SUB}",
                "topicType": "Microsoft.Resources.Subscriptions",
            },
        }
        made.arm("PUT", TOPIC, topic)
        made.subscribe(events())
        made.role(*needed(()))
        made.grant()
        made.grant(built_in(READER), GRANT.replace("/6", "/8"), to=OPERATOR)
        made.role(
            "Microsoft.EventGrid/eventSubscriptions/getFullUrl/action",
            "Microsoft.EventGrid/systemTopics/eventSubscriptions/getFullUrl/action",
            name=KNOCKER,
        )
        made.grant(KNOCKER, GRANT.replace("/6", "/9"), to=OPERATOR)
        sim.clock.advance(600)
        sim.world.schedule.run(sim.clock.now())
        yield made
        await clients.aclose()
        await clock.aclose()


class Operator:
    """The operator's own login, which may read, and read the addresses of webhooks."""

    def __init__(self, sim: Simulator) -> None:
        from simulator.tokens import Person

        self._sim = sim
        person = Person(app_id="70000000-0000-4000-8000-000000000007", object_id=OPERATOR)
        sim.world.directory.add(person)
        self._person = person

    async def get_token(self, *_: str, **__: Any):
        from azure.core.credentials import AccessToken

        token, expires = self._sim.world.directory.token(self._person, self._sim.arm_url)
        return AccessToken(token, expires)

    async def close(self) -> None:
        """Nothing is open."""


class Scope:
    async def subscriptions(self) -> tuple[str, ...]:
        return (SUB,)


async def wrong(place: Place, **changes: Any) -> list[Check]:
    deployment = Deployment(
        **{"app": APP, "principal": PRINCIPAL, "dead_letter": "identity", **changes}
    )
    found = await examined(place.session, deployment)
    return [one for one in found if one.result is not Health.OK]


async def test_a_good_deployment_has_nothing_to_complain_of(place):
    assert await wrong(place) == []


EVENT_MISTAKES = [
    pytest.param(
        events(
            destination={
                "endpointType": "AzureFunction",
                "properties": {"resourceId": f"{APP}/functions/sweep"},
            }
        ),
        "instead of on_vm_event",
        id="another function",
    ),
    pytest.param(
        events(
            destination={
                "endpointType": "AzureFunction",
                "properties": {"resourceId": f"{APP}-old/functions/on_vm_event"},
            }
        ),
        "no event subscription delivers",
        id="another app",
    ),
    pytest.param(
        filtered(includedEventTypes=["Microsoft.Resources.ResourceDeleteSuccess"]),
        "event types are missing",
        id="writes left out",
    ),
    pytest.param(filtered(subjectBeginsWith="/subscriptions/x"), "lets only", id="a prefix"),
    pytest.param(filtered(subjectEndsWith="prod"), "lets only", id="a suffix"),
    pytest.param(advanced(), "not filtered", id="no filter of operations"),
    pytest.param(
        advanced(
            {
                "operatorType": "StringContains",
                "key": "data.operationName",
                "values": ["virtualMachines"],
            }
        ),
        "storm",
        id="operations by a part of their names",
    ),
    pytest.param(
        advanced(
            {
                "operatorType": "StringIn",
                "key": "data.operationName",
                "values": ["Microsoft.Compute/virtualMachines/write"],
            }
        ),
        "left out",
        id="tag writes left out",
    ),
    pytest.param(
        advanced(
            *events()["filter"]["advancedFilters"],
            {"operatorType": "StringIn", "key": "data.status", "values": ["x"]},
        ),
        "keeps events out",
        id="one filter too many",
    ),
    pytest.param(
        events(deadLetterWithResourceIdentity=None),
        "no dead-letter destination",
        id="no dead-letter",
    ),
    pytest.param(
        events(deadLetterWithResourceIdentity=None, deadLetterDestination=CONTAINER),
        "by sharedKey, although identity",
        id="dead letters by an account key",
    ),
    pytest.param(
        events(retryPolicy={"maxDeliveryAttempts": 1, "eventTimeToLiveInMinutes": 1440}),
        "gives up after 1 attempts",
        id="one attempt",
    ),
    pytest.param(
        events(retryPolicy={"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 5}),
        "gives up after 5 minutes",
        id="five minutes",
    ),
    pytest.param(events(expirationTimeUtc="2026-04-01T00:00:00Z"), "expires", id="it expires"),
]


@pytest.mark.parametrize("properties, says", EVENT_MISTAKES)
async def test_an_event_subscription_that_is_wrong_is_named(place, properties, says):
    place.subscribe(properties)
    found = await wrong(place)

    assert any(says in one.says for one in found), found
    assert all(one.fix for one in found)


async def test_a_removed_system_topic_is_noticed(place):
    place.arm("DELETE", TOPIC)
    found = await wrong(place)

    assert any("nothing listens" in one.says for one in found)


async def test_a_removed_role_is_noticed_with_the_actions_that_are_missing(place):
    place.arm("DELETE", GRANT, version=ROLE_VERSION)
    found = await wrong(place)

    assert any("protectedItems/write" in one.says and "onboard" in one.fix for one in found)


async def test_one_action_taken_out_of_the_role_is_named(place):
    place.role(*(one for one in needed(()) if not one.endswith("disks/read")))
    (found,) = await wrong(place)

    assert found.says == "missing: Microsoft.Compute/disks/read"


async def test_a_feature_without_its_block_is_named(place):
    (found,) = await wrong(place, grants=("locks",))

    assert "Microsoft.Authorization/locks/read" in found.says


async def test_an_action_excepted_from_the_role_is_named(place):
    place.role(*needed(()), excepted=("Microsoft.RecoveryServices/Vaults/*/write",))
    (found,) = await wrong(place)

    assert found.says.startswith("missing: ")
    assert found.says.endswith("protectedItems/write")


async def test_a_role_on_one_group_only_is_not_enough_and_the_line_says_where_it_is(place):
    group = f"/subscriptions/{SUB}/resourceGroups/rg-app"
    place.arm("DELETE", GRANT, version=ROLE_VERSION)
    place.grant(name=GRANT.replace(f"/subscriptions/{SUB}", group))
    (found,) = await wrong(place)

    assert "missing: " in found.says
    assert f"a role on {group} only" in found.says


async def test_a_role_granted_to_an_identity_that_was_replaced_is_noticed(place):
    (found,) = await wrong(place, principal="40000000-0000-4000-8000-0000000000ff")

    assert "protectedItems/write" in found.says


@pytest.mark.parametrize(
    "role", [pytest.param(OWNER, id="owner"), pytest.param(CONTRIBUTOR, id="contributor")]
)
async def test_too_many_rights_are_a_warning(place, role):
    place.grant(built_in(role), GRANT.replace("/6", "/7"))
    (found,) = await wrong(place)

    assert found.result is Health.WARNING
    assert "more than the service needs" in found.says


async def test_a_role_that_may_delete_backups_is_a_warning(place):
    place.role(*needed(()), "Microsoft.RecoveryServices/*")
    (found,) = await wrong(place)

    assert found.says == "more than the service needs: Microsoft.RecoveryServices/*"


async def test_two_event_subscriptions_for_one_app_are_a_warning(place):
    place.subscribe(events(), EVENTS + "-too")
    (found,) = await wrong(place)

    assert found.result is Health.WARNING
    assert "vm-backup, vm-backup-too" in found.says


async def test_a_provider_that_was_never_registered_is_named_with_its_command(place):
    place.sim.world.knobs.turn({"providers.unregistered": [f"{SUB}/microsoft.eventgrid"]})
    (found,) = await wrong(place)

    assert found.says == "NotRegistered"
    assert "az provider register -n Microsoft.EventGrid" in found.fix


async def test_an_operator_who_may_not_look_is_told_what_could_not_be_seen(place):
    place.arm("DELETE", GRANT.replace("/6", "/8"), version=ROLE_VERSION)
    place.arm("DELETE", GRANT.replace("/6", "/9"), version=ROLE_VERSION)
    found = await wrong(place)

    assert {one.what.partition(" ")[0] for one in found} == {"events", "rights", "providers"}
    assert all(
        "AuthorizationFailed" in one.says and one.fix.startswith("get Reader on ") for one in found
    )


# --- webhooks ------------------------------------------------------------------------------------


async def test_a_webhook_that_lets_event_grid_in_is_well(place, door):
    await place.through(door)

    assert await wrong(place) == []


async def test_a_rotated_key_is_noticed_although_the_event_subscription_looks_well(place, door):
    await place.through(door)
    door.key = "second"
    (found,) = await wrong(place)

    assert found.says == "the webhook does not answer: HTTP 401: was its key rotated?"
    assert "onboard" in found.fix


async def test_a_webhook_that_is_gone_is_noticed_and_its_address_is_not_printed(place, door):
    await place.through(door)
    place.session.settings = dataclasses.replace(place.session.settings, page_url=DEAF)
    door.url = DEAF
    place.subscribe(door.events)
    found = await wrong(place)

    assert any("does not answer: ClientConnectorError" in one.says for one in found)
    assert all("first" not in one.says for one in found)


async def test_a_handshake_that_failed_is_noticed(place, door):
    door.key = "second"
    body = door.events
    door.key = "first"
    await place.through(door)
    place.subscribe(body)
    await place.settled("Failed")
    found = await wrong(place)

    assert any("provisioning state is Failed" in one.says for one in found)


async def test_a_handshake_nobody_answered_is_noticed(place, door):
    door.shakes = False
    await place.through(door, ends="AwaitingManualAction")
    found = await wrong(place)

    assert any("AwaitingManualAction" in one.says for one in found)


async def test_who_may_not_read_addresses_is_told_that_it_could_not_be_seen(place, door):
    await place.through(door)
    place.arm("DELETE", GRANT.replace("/6", "/9"), version=ROLE_VERSION)
    (found,) = await wrong(place)

    assert found.result is Health.WARNING
    assert "cannot be seen: AuthorizationFailed" in found.says


def test_what_is_listened_to_is_what_the_app_understands():
    from shared.domain import events as parsing

    assert parsing._LOOKED_AT == OPERATIONS
    assert all(parsing._ARM.fullmatch(one) for one in EVENT_TYPES)
