"""The doctor finds each thing that is set up wrongly, and nothing where all is well.

The deployment half is held against the simulator: every mistake is made through ARM, as a
customer would make it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from ops.deployment import EVENT_TYPES, OPERATIONS, Deployment, examined, needed
from ops.remote import _read
from shared.domain.findings import Finding, Severity
from shared.domain.notices import OPERATORS, Notice
from shared.domain.records import Parked, SweepMark
from shared.errors import BadRules, Problem
from shared.web.doctor import Check, Health, checks
from simulator.arm import Json
from simulator.gateway import Incoming
from simulator.server import Simulator, running
from simulator.world import SYSTEM
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.unit.web.counter import Counter
from tests.usecases.house import House

# --- the app's half ------------------------------------------------------------------------------

WELL = {
    "TEAMS_WEBHOOK_URL": "https://example.webhook.office.com/x",
    "OPERATORS": "ops@contoso.example",
    "AUTH_CLIENT_ID": "99999999-0000-4000-8000-000000000009",
}


async def healthy(**environment: str) -> Counter:
    """A service in which everything works."""
    counter = Counter()
    counter.house = House(**{**WELL, **environment})
    house = counter.house
    house.region()
    house.machines.add(worlds.vm())
    now = house.clock.now()
    for timer in ("sweep", "watch", "notices"):
        await house.ledger.note(f"ran-{timer}", now.isoformat())
    await house.ledger.put_sweep(
        SweepMark(subscription=worlds.SUB, sweep="s", started_at=now, finished_at=now, vms=1)
    )
    return counter


async def bad(counter: Counter) -> dict[str, Check]:
    found = [one async for one in checks(await counter.desk())]
    return {one.what: one for one in found if one.result is not Health.OK}


async def test_a_healthy_service_has_nothing_to_complain_of():
    assert await bad(await healthy()) == {}


async def late_timer(counter: Counter) -> None:
    before = counter.house.clock.now() - timedelta(hours=1)
    await counter.house.ledger.note("ran-watch", before.isoformat())


async def never_ran(counter: Counter) -> None:
    counter.house.ledger._notes.pop("ran-notices")


async def storage_down(counter: Counter) -> None:
    counter.house.ledger.on_call = lambda name: (_ for _ in ()).throw(
        fault("AuthorizationPermissionMismatch", status=403)
    )


async def no_vaults(counter: Counter) -> None:
    counter.house.directory = type(counter.house.directory)()


async def no_policies(counter: Counter) -> None:
    counter.house.directory.add(worlds.vault(name="empty"))


async def suspicious(counter: Counter) -> None:
    now = counter.house.clock.now()
    await counter.house.ledger.put_sweep(
        SweepMark(
            subscription=worlds.SUB,
            sweep="s",
            started_at=now,
            finished_at=now,
            suspicious="3 VMs where 9 were known",
        )
    )


async def not_swept(counter: Counter) -> None:
    counter.house.ledger._sweeps.clear()


async def parked(counter: Counter) -> None:
    now = counter.house.clock.now()
    await counter.house.parked.park(
        Parked(key="k", source="event", reason="shape", raw="x", at=now)
    )


async def bad_rules(counter: Counter) -> None:
    async def failing():
        raise BadRules((Problem(file="rules.yaml", line=3, column=1, message="no such key"),))

    counter.house.rules.current = failing


async def trouble(counter: Counter) -> None:
    finding = Finding(code="CHANNEL_TEAMS", severity=Severity.BLOCKER, text="refused", evidence="x")
    notice = Notice(
        key=f"{OPERATORS}CHANNEL_TEAMS",
        id="1",
        opened_at=counter.house.clock.now(),
        findings=(finding,),
    )
    await counter.notices.write(notice, "")


async def azure_refuses(counter: Counter) -> None:
    counter.house.estate.failing = fault("AuthorizationFailed", status=403)


async def nothing(_counter: Counter) -> None:
    """The mistake is in the settings."""


MISTAKES = [
    pytest.param({}, late_timer, "timer watch", "runbook", id="a timer is late"),
    pytest.param({}, never_ran, "timer notices", "runbook", id="a timer never ran"),
    pytest.param({}, storage_down, "storage", "azd provision", id="no rights on tables"),
    pytest.param({}, no_vaults, "vaults", "vault", id="no vault is seen"),
    pytest.param({}, no_policies, "vault empty", "grant", id="a vault without policies"),
    pytest.param({}, suspicious, f"sweep of {worlds.SUB}", "role", id="a sweep is not believed"),
    pytest.param({}, not_swept, f"sweep of {worlds.SUB}", "role", id="nobody swept"),
    pytest.param({}, parked, "parked messages", "replay", id="something is parked"),
    pytest.param({}, bad_rules, "rules", "lint", id="rules cannot be used"),
    pytest.param({}, trouble, "CHANNEL_TEAMS", "runbook", id="a channel refuses"),
    pytest.param({}, azure_refuses, "estate", "onboard", id="Resource Graph refuses"),
    pytest.param({"TEAMS_WEBHOOK_URL": ""}, nothing, "channels", "set", id="no channel"),
    pytest.param({"OPERATORS": ""}, nothing, "operators", "set", id="no operators"),
    pytest.param({"AUTH_CLIENT_ID": ""}, nothing, "sign-in", "AUTH_CLIENT_ID", id="no sign-in"),
]


@pytest.mark.parametrize("environment, mistake, what, fix", MISTAKES)
async def test_the_app_tells_what_is_wrong_with_it(environment, mistake, what, fix):
    counter = await healthy(**environment)
    await mistake(counter)
    found = await bad(counter)

    assert what in found
    assert fix in found[what].fix


@pytest.mark.parametrize(
    "status, body, says",
    [
        pytest.param(401, b'{"message":"the token has expired"}', "expired", id="not let in"),
        pytest.param(403, b'{"message":"no app role"}', "no app role", id="not allowed"),
        pytest.param(404, b"", "no doctor", id="an old version"),
        pytest.param(500, b"<html>", "HTTP 500", id="broken"),
        pytest.param(200, b"<html>", "cannot be read", id="somebody else answers"),
    ],
)
def test_an_app_that_does_not_answer_is_a_finding(status, body, says):
    (found,) = _read(status, body)

    assert found.result is Health.FAILURE
    assert says in found.says
    assert found.fix


# --- the deployment's half -----------------------------------------------------------------------

SUB = "20000000-0000-4000-8000-00000000000a"
APP = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.Web/sites/func-backup"
OPERATOR = "70000000-0000-4000-8000-000000000008"
PRINCIPAL = "40000000-0000-4000-8000-000000000004"
TOPIC = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.EventGrid/systemTopics/t"
EVENTS = f"{TOPIC}/eventSubscriptions/vm-backup"
ROLE_NAME = "50000000-0000-4000-8000-000000000005"
ROLE = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE_NAME}"
GRANT = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleAssignments/6{ROLE_NAME[1:]}"
DEAD = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.Storage/storageAccounts/d"


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
        "deadLetterDestination": {
            "endpointType": "StorageBlob",
            "properties": {"resourceId": DEAD, "blobContainerName": "undelivered"},
        },
        "eventDeliverySchema": "EventGridSchema",
        "provisioningState": "Succeeded",
    }
    return {**properties, **changes}


def filtered(**changes: Any) -> dict[str, Any]:
    return events(filter={**events()["filter"], **changes})


def advanced(*filters: dict[str, Any]) -> dict[str, Any]:
    return filtered(advancedFilters=list(filters))


class Place:
    """A subscription that was deployed to, and what a customer may do to it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.session: Any = None
        self.properties = events()

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

    def role(self, *actions: str) -> None:
        body = {
            "properties": {
                "roleName": "backup",
                "type": "CustomRole",
                "permissions": [{"actions": list(actions), "notActions": []}],
                "assignableScopes": [f"/subscriptions/{SUB}"],
            }
        }
        self.arm("PUT", ROLE, body, "2022-04-01")

    def grant(self, role: str = ROLE, name: str = GRANT, to: str = PRINCIPAL) -> None:
        body = {
            "properties": {
                "roleDefinitionId": role,
                "principalId": to,
                "principalType": "ServicePrincipal",
            }
        }
        self.arm("PUT", name, body, "2022-04-01")


class Listed:
    """Event subscriptions as ARM lists them; the rest of ARM is the simulator's.

    A provisioned subscription needs a running function to answer its handshake, which the
    whole-app tests have; here its properties are given.
    """

    def __init__(self, clients: Any, place: Place) -> None:
        self._clients = clients
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)

    async def listed(self, path: str, **how: Any) -> AsyncIterator[list[dict[str, Any]]]:
        if path.lower() == f"{TOPIC}/eventSubscriptions".lower():
            yield [{"id": EVENTS, "name": "vm-backup", "properties": self._place.properties}]
            return
        async for page in self._clients.listed(path, **how):
            yield page


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
            foundation=SimpleNamespace(clients=Listed(clients, made)),
            ports=SimpleNamespace(estate=Scope()),
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
        made.role(*needed(()))
        made.grant()
        reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        made.grant(
            f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{reader}",
            GRANT.replace("/6", "/8"),
            to=OPERATOR,
        )
        sim.clock.advance(600)
        sim.world.schedule.run(sim.clock.now())
        yield made
        await clients.aclose()
        await clock.aclose()


class Operator:
    """The operator's own login: an owner of the subscription."""

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
    pytest.param(events(provisioningState="Failed"), "provisioning state", id="not provisioned"),
    pytest.param(
        events(provisioningState="AwaitingManualAction"), "AwaitingManual", id="not validated"
    ),
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
    pytest.param(events(deadLetterDestination=None), "dead-letter", id="no dead-letter"),
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
    place.properties = properties
    found = await wrong(place)

    assert any(says in one.says for one in found), found
    assert all(one.fix for one in found)


async def test_a_removed_system_topic_is_noticed(place):
    place.arm("DELETE", TOPIC)
    found = await wrong(place)

    assert any("nothing listens" in one.says for one in found)


async def test_a_removed_role_is_noticed_with_the_actions_that_are_missing(place):
    place.arm("DELETE", GRANT, version="2022-04-01")
    found = await wrong(place)

    assert any("protectedItems/write" in one.says and "onboard" in one.fix for one in found)


async def test_one_action_taken_out_of_the_role_is_named(place):
    place.role(*(one for one in needed(()) if not one.endswith("disks/read")))
    (found,) = await wrong(place)

    assert found.says == "missing: Microsoft.Compute/disks/read"


async def test_a_feature_without_its_block_is_named(place):
    (found,) = await wrong(place, grants=("locks",))

    assert "Microsoft.Authorization/locks/read" in found.says


@pytest.mark.parametrize(
    "role",
    [
        pytest.param("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", id="owner"),
        pytest.param("b24988ac-6180-42a0-ab88-20f7382dd24c", id="contributor"),
    ],
)
async def test_too_many_rights_are_a_warning(place, role):
    path = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    place.grant(path, GRANT.replace("/6", "/7"))
    (found,) = await wrong(place)

    assert found.result is Health.WARNING
    assert "more than the service needs" in found.says


def test_what_is_listened_to_is_what_the_app_understands():
    from shared.domain import events as parsing

    assert parsing._LOOKED_AT == OPERATIONS
    assert all(parsing._ARM.fullmatch(one) for one in EVENT_TYPES)
