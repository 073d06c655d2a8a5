"""Event Grid: shapes, filters, handshakes, retries, dead letters (facts §5). Truth: specified."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from simulator.arm import Refusal
from simulator.azurite import Azurite
from simulator.eventgrid import filters
from simulator.eventgrid.delivery import Answer, Delivery, given_up, next_wait
from simulator.eventgrid.events import Published
from simulator.eventgrid.grid import grid_of
from simulator.gateway import Incoming
from simulator.host.connections import connection
from simulator.host.storage import Storage
from simulator.server import Simulator, running
from simulator.world import SYSTEM

pytestmark = pytest.mark.host
S = "11111111-1111-4111-8111-111111111111"
SCOPE = f"/subscriptions/{S}"
GROUP = f"{SCOPE}/resourceGroups/rg1"
NAME = "/providers/Microsoft.EventGrid/eventSubscriptions/subscription1"
DISK = f"{GROUP}/providers/Microsoft.Compute/disks/disk1"
SEED = {"subscriptions": [{"subscriptionId": S}]}


@dataclass
class Receiver:
    """A subscriber: it answers the handshake and takes events as it is told to."""

    url: str = ""
    validates: bool = True
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], object]] = field(default_factory=list)
    codes: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            origin = request.headers["WebHook-Request-Origin"]
            headers = {"WebHook-Allowed-Origin": origin} if self.validates else {}
            return web.Response(headers=headers)
        body = await request.json()
        if request.headers["aeg-event-type"] == "SubscriptionValidation":
            self.codes.append(body[0]["data"])
            code = body[0]["data"]["validationCode"]
            said = {"validationResponse": code} if self.validates else {}
            return web.json_response(said)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 202)

    def events(self) -> list[dict[str, object]]:
        return [one for _, body in self.got for one in (body if isinstance(body, list) else [body])]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/hook", receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?code=secret"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def azure() -> AsyncIterator[tuple[Simulator, Receiver]]:
    async with receiving() as receiver, running(seed=SEED, speed=0) as sim:
        yield sim, receiver


def arm(sim: Simulator, method: str, path: str, body: object = None):
    gateway = sim.world.gateway
    raw = b"" if body is None else json.dumps(body).encode()
    version = gateway.default_version(method, path)
    return gateway.answer(
        Incoming(
            method=method, path=path, principal=SYSTEM, query={"api-version": version}, raw=raw
        )
    )


async def until(condition, what: str = "") -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not in time: {what}")


def state(sim: Simulator, path: str = SCOPE + NAME) -> str:
    body = sim.world.get(path)
    return body["properties"]["provisioningState"] if body else ""


def body_of(receiver: Receiver, **properties: object) -> dict[str, object]:
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": receiver.url}}
    return {"properties": {"destination": destination, **properties}}


async def subscribed(sim: Simulator, receiver: Receiver, **properties: object) -> None:
    reply = arm(sim, "PUT", SCOPE + NAME, body_of(receiver, **properties))
    assert reply.status == 201, reply.body
    await until(lambda: state(sim) == "Succeeded", "the handshake")


def write(sim: Simulator, disk: str = DISK) -> None:
    body = {"location": "westeurope", "tags": {"a": "b"}, "properties": {"diskSizeGB": 4}}
    assert arm(sim, "PUT", disk, body).status in {200, 201}


async def settled(sim: Simulator) -> None:
    """Let what is due now be sent, then jump over the delivery's delay."""
    sim.clock.advance(2)
    grid = grid_of(sim.world)
    await asyncio.sleep(0.02)
    await until(lambda: not grid.sending, "deliveries")


async def test_a_write_in_the_event_grid_schema():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver)
        write(sim)
        await settled(sim)
        headers, [event] = receiver.got[-1]
        assert headers["aeg-event-type"] == "Notification"
        assert headers["aeg-subscription-name"] == "SUBSCRIPTION1"
        assert headers["aeg-delivery-count"] == "0"
        assert set(event) == {
            "topic", "subject", "id", "eventType", "eventTime", "data", "dataVersion",
            "metadataVersion",
        }  # fmt: skip
        assert event["topic"] == SCOPE
        assert event["subject"].lower() == DISK.lower()
        assert event["eventType"] == "Microsoft.Resources.ResourceWriteSuccess"
        assert re.fullmatch(r"2026-03-02T08:00:\d\d\.\d{7}Z", event["eventTime"])
        data = event["data"]
        assert set(data) == {
            "authorization", "claims", "correlationId", "resourceProvider", "resourceUri",
            "operationName", "status", "subscriptionId", "tenantId",
        }  # fmt: skip
        assert data["operationName"] == "Microsoft.Compute/disks/write"
        assert data["resourceProvider"] == "Microsoft.Compute"
        assert data["claims"]["appid"] is not None
        assert "tags" not in json.dumps(event)


async def test_a_delete_says_how_it_was_asked():
    async with azure() as (sim, receiver):
        write(sim)
        await subscribed(sim, receiver)
        arm(sim, "DELETE", DISK)
        await settled(sim)
        await until(receiver.events, "the event")
        [event] = receiver.events()
        assert event["eventType"] == "Microsoft.Resources.ResourceDeleteSuccess"
        assert event["data"]["httpRequest"]["method"] == "DELETE"


async def test_cloud_events_are_one_object_and_are_asked_for_by_options():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver, eventDeliverySchema="CloudEventSchemaV1_0")
        write(sim)
        await settled(sim)
        headers, event = receiver.got[0]
        assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert set(event) == {"source", "subject", "type", "time", "id", "data", "specversion"}
        assert event["specversion"] == "1.0"


async def test_resource_notifications_carry_tags_and_location():
    async with azure() as (sim, receiver):
        topic = f"{GROUP}/providers/Microsoft.EventGrid/systemTopics/notifications"
        arm(
            sim,
            "PUT",
            topic,
            {
                "location": "global",
                "properties": {
                    "source": SCOPE,
                    "topicType": "Microsoft.ResourceNotifications.Resources",
                },
            },
        )
        path = f"{topic}/eventSubscriptions/one"
        wanted = {
            "includedEventTypes": ["Microsoft.ResourceNotifications.Resources.CreatedOrUpdated"]
        }
        assert arm(sim, "PUT", path, body_of(receiver, filter=wanted)).status == 201
        await until(lambda: state(sim, path) == "Succeeded", "the handshake")
        write(sim)
        arm(sim, "DELETE", DISK)
        await settled(sim)
        [event] = receiver.events()
        info = event["data"]["resourceInfo"]
        assert (info["tags"], info["location"]) == ({"a": "b"}, "westeurope")
        assert info["type"] == "Microsoft.Compute/disks"
        assert event["data"]["operationalInfo"]["resourceEventTime"].endswith("Z")


async def test_filters_keep_the_extension_storm_out():
    async with azure() as (sim, receiver):
        await subscribed(
            sim,
            receiver,
            filter={
                "includedEventTypes": ["Microsoft.Resources.ResourceWriteSuccess"],
                "advancedFilters": [
                    {
                        "operatorType": "StringIn",
                        "key": "data.operationName",
                        "values": ["microsoft.compute/DISKS/write"],
                    }
                ],
            },
        )
        write(sim)
        arm(sim, "PUT", f"{GROUP}/providers/Microsoft.Compute/snapshots/s", {"location": "x"})
        arm(sim, "DELETE", DISK)
        await settled(sim)
        assert [one["data"]["operationName"] for one in receiver.events()] == [
            "Microsoft.Compute/disks/write"
        ]


async def test_a_get_shows_the_base_of_the_address_and_only_the_full_url_call_the_rest():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver)
        shown = arm(sim, "GET", SCOPE + NAME)
        assert "secret" not in json.dumps(shown.body)
        full = arm(sim, "POST", f"{SCOPE}{NAME}/getFullUrl", {})
        assert full.body == {"endpointUrl": receiver.url}


async def test_a_webhook_that_does_not_echo_waits_for_a_validation_by_hand():
    async with azure() as (sim, receiver):
        receiver.validates = False
        arm(sim, "PUT", SCOPE + NAME, body_of(receiver))
        await until(lambda: state(sim) == "AwaitingManualAction", "the state")
        write(sim)
        await settled(sim)
        assert receiver.got == []
        import aiohttp

        async with aiohttp.ClientSession() as http:
            async with http.get(receiver.codes[0]["validationUrl"]) as answer:
                assert answer.status == 200
            async with http.get(receiver.codes[0]["validationUrl"]) as answer:
                assert answer.status == 400
        assert state(sim) == "Succeeded"


async def test_a_validation_by_hand_comes_too_late_after_five_minutes():
    async with azure() as (sim, receiver):
        receiver.validates = False
        arm(sim, "PUT", SCOPE + NAME, body_of(receiver))
        await until(lambda: state(sim) == "AwaitingManualAction", "the state")
        sim.clock.advance(301)
        await until(lambda: state(sim) == "Failed", "the state")


async def test_a_cloud_events_webhook_that_does_not_allow_us_fails():
    async with azure() as (sim, receiver):
        receiver.validates = False
        body = body_of(receiver, eventDeliverySchema="CloudEventSchemaV1_0")
        arm(sim, "PUT", SCOPE + NAME, body)
        await until(lambda: state(sim) == "Failed", "the state")


async def test_a_refused_delivery_comes_again_after_the_ladders_first_step():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver)
        receiver.statuses = [500, 500]
        write(sim)
        await settled(sim)
        assert len(receiver.got) == 1
        sim.clock.advance(12)
        await until(lambda: len(receiver.got) == 2, "the second attempt")
        assert receiver.got[1][0]["aeg-delivery-count"] == "1"
        await asyncio.sleep(0.05)
        assert len(receiver.got) == 2
        sim.clock.advance(34)
        await until(lambda: len(receiver.got) == 3, "the third attempt")
        assert len({event["id"] for event in receiver.events()}) == 1


async def test_what_nobody_takes_is_written_to_the_container_five_minutes_later():
    async with Azurite() as azurite, azure() as (sim, receiver):
        import aiohttp

        async with aiohttp.ClientSession() as http:
            told = {"AzureWebJobsStorage": azurite.connection_string}
            storage = Storage(connection("", told), http)
            grid_of(sim.world).storage = storage
            place = {"endpointType": "StorageBlob", "properties": {"blobContainerName": "dead"}}
            await subscribed(sim, receiver, deadLetterDestination=place)
            receiver.statuses = [413]
            write(sim)
            await settled(sim)
            [delivery] = grid_of(sim.world).deliveries
            assert delivery.state == "pending"
            sim.clock.advance(301)
            await until(lambda: delivery.state == "dead-lettered", "the dead letter")
            at = sim.clock.now()
            name = f"subscription1/{at:%Y/%-m/%-d/%-H}/{delivery.event.id}.json"
            [dead] = json.loads(await storage.read_blob("dead", name))
            assert dead["deliveryAttempts"] == 1
            assert dead["lastDeliveryOutcome"] == "PayloadTooLarge"
            assert {"deadLetterReason", "publishTime", "lastDeliveryAttemptTime"} <= set(dead)


async def test_batches_are_delivered_whole():
    async with azure() as (sim, receiver):
        destination = {
            "endpointType": "WebHook",
            "properties": {"endpointUrl": receiver.url, "maxEventsPerBatch": 2},
        }
        await subscribed(sim, receiver, destination=destination)
        for number in range(3):
            write(sim, f"{DISK}{number}")
        await settled(sim)
        assert sorted(len(body) for _, body in receiver.got) == [1, 2]


async def test_duplicates_disorder_and_echoes_in_the_other_schema_on_request():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver)
        sim.world.knobs.turn(
            {
                "eventgrid.duplicates": 1,
                "eventgrid.reorder": 30,
                "eventgrid.echoes": [{"resource": "disk1", "times": 4}],
            }
        )
        write(sim)
        write(sim, f"{GROUP}/providers/Microsoft.Compute/disks/other")
        await settled(sim)
        sim.clock.advance(120)
        await settled(sim)
        mine = [one for one in receiver.events() if one["subject"].endswith("disk1")]
        others = [one for one in receiver.events() if one["subject"].endswith("other")]
        assert (len(mine), len(others)) == (5, 2)
        assert len({one["id"] for one in mine}) == 1
        assert {"specversion" in one for one in mine} == {True, False}


async def test_held_events_wait_until_they_are_let_go():
    async with azure() as (sim, receiver):
        await subscribed(sim, receiver)
        sim.world.knobs.turn({"eventgrid.hold": True})
        write(sim)
        await settled(sim)
        assert receiver.got == []
        sim.world.knobs.turn({"eventgrid.hold": False})
        await until(lambda: receiver.got, "the delivery")


@pytest.mark.parametrize(
    "properties,said",
    [
        pytest.param({"eventDeliverySchema": "Custom"}, "schema", id="schema"),
        pytest.param({"retryPolicy": {"maxDeliveryAttempts": 31}}, "30", id="attempts"),
        pytest.param({"retryPolicy": {"eventTimeToLiveInMinutes": 0}}, "1440", id="life"),
        pytest.param({"destination": {"endpointType": "ServiceBusQueue"}}, "Bus", id="place"),
        pytest.param({"destination": {"endpointType": "WebHook"}}, "endpointUrl", id="address"),
        pytest.param(
            {"filter": {"advancedFilters": [{"operatorType": "Like", "key": "x"}]}},
            "Like",
            id="operator",
        ),
        pytest.param(
            {
                "filter": {
                    "advancedFilters": [
                        {"operatorType": "StringIn", "key": "x", "values": ["v"] * 26}
                    ]
                }
            },
            "25",
            id="too many values",
        ),
    ],
)
async def test_a_subscription_that_event_grid_refuses(properties: dict[str, object], said: str):
    async with running(seed=SEED, speed=0) as sim:
        body = body_of(Receiver(url="http://127.0.0.1:1/hook"), **properties)
        reply = arm(sim, "PUT", SCOPE + NAME, body)
        assert reply.status == 400
        assert said in json.dumps(reply.body)


EVENT = {"type": "T", "subject": "/A/b", "data": {"operationName": "X/write", "n": 3, "on": True}}


@pytest.mark.parametrize(
    "operator,key,values,matches",
    [
        pytest.param("StringIn", "data.operationName", ["x/WRITE"], True, id="in, any case"),
        pytest.param("StringIn", "data.operationName", ["x"], False, id="in is exact"),
        pytest.param("StringContains", "data.operationName", ["x"], True, id="contains"),
        pytest.param("StringBeginsWith", "subject", ["/a"], True, id="begins"),
        pytest.param("StringEndsWith", "subject", ["/a"], False, id="ends"),
        pytest.param("StringNotIn", "data.gone", ["x"], True, id="missing key, negative"),
        pytest.param("StringIn", "data.gone", ["x"], False, id="missing key, positive"),
        pytest.param("NumberGreaterThan", "data.n", [2], True, id="number"),
        pytest.param("NumberInRange", "data.n", [[4, 9]], False, id="range"),
        pytest.param("BoolEquals", "data.on", [True], True, id="bool"),
        pytest.param("IsNullOrUndefined", "data.gone", [], True, id="undefined"),
        pytest.param("IsNotNull", "data.n", [], True, id="not null"),
    ],
)
def test_advanced_filters(operator: str, key: str, values: list[object], matches: bool):
    parsed = filters.parse(
        {"advancedFilters": [{"operatorType": operator, "key": key, "values": values}]}
    )
    assert parsed.matches(EVENT) is matches


def test_several_filters_must_all_match():
    one = {"operatorType": "NumberIn", "key": "data.n", "values": [3]}
    two = {"operatorType": "NumberIn", "key": "data.n", "values": [4]}
    assert not filters.parse({"advancedFilters": [one, two]}).matches(EVENT)


def test_a_value_over_512_characters_is_refused():
    with pytest.raises(Refusal, match="512"):
        filters.parse(
            {"advancedFilters": [{"operatorType": "StringIn", "key": "x", "values": ["v" * 513]}]}
        )


@pytest.mark.parametrize(
    "attempts,status,least,most",
    [
        pytest.param(1, 500, 10, 11, id="first: 10 s"),
        pytest.param(2, 500, 27, 33, id="second: 30 s"),
        pytest.param(4, 500, 270, 330, id="fourth: 5 min"),
        pytest.param(1, 404, 300, 300, id="404: at least 5 min"),
        pytest.param(1, 503, 30, 30, id="503: at least 30 s"),
        pytest.param(25, 0, 38880, 47520, id="at the end: 12 h"),
    ],
)
def test_waits_between_attempts(attempts: int, status: int, least: float, most: float):
    made = delivery(attempts)
    waits = [
        next_wait(made, Answer(status=status, outcome=""), random.Random(n)).total_seconds()
        for n in range(30)
    ]
    assert least <= min(waits) <= max(waits) <= most


@dataclass
class Limits:
    destination: str = "WebHook"
    attempts: int = 30
    life_minutes: int = 1440


@pytest.mark.parametrize(
    "attempts,status,hours,limits,reason",
    [
        pytest.param(1, 500, 1, Limits(), "", id="goes on"),
        pytest.param(1, 400, 1, Limits(), "NonRetryableError", id="400 is final"),
        pytest.param(1, 401, 1, Limits(), "NonRetryableError", id="401 is final for a webhook"),
        pytest.param(1, 401, 1, Limits("AzureFunction"), "", id="401 is not for Azure's own"),
        pytest.param(3, 500, 1, Limits(attempts=3), "MaxDeliveryAttemptsExceeded", id="attempts"),
        pytest.param(5, 500, 25, Limits(), "TimeToLiveExceeded", id="a day"),
    ],
)
def test_when_delivery_is_given_up(
    attempts: int, status: int, hours: int, limits: Limits, reason: str
):
    made = delivery(attempts)
    again = made.published + timedelta(hours=hours)
    assert given_up(made, Answer(status=status, outcome=""), limits, again) == reason


def delivery(attempts: int) -> Delivery:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    event = Published(id="1", type="T", subject="s", at=at, data={}, notification=False)
    return Delivery(
        event=event,
        schema="EventGridSchema",
        topic="/t",
        subscription="x",
        published=at,
        attempts=attempts,
    )
