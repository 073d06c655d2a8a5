"""The Event Grid webhook and what its functions see (local-host §4, facts §7.3)."""

from __future__ import annotations

import json

import pytest

from tests.host.rig import Rig

pytestmark = [pytest.mark.host, pytest.mark.asyncio(loop_scope="module")]

NOTIFICATION = {"aeg-event-type": "Notification"}


def event(number: int, **more: object) -> dict[str, object]:
    return {
        "id": f"event-{number}",
        "topic": "/subscriptions/s",
        "subject": f"/subscriptions/s/vm{number}",
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-03-02T08:00:00.0000007Z",
        "data": {"operationName": "Microsoft.Compute/virtualMachines/write"},
        "dataVersion": "2",
        "metadataVersion": "1",
        **more,
    }


def cloud(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"cloud-{number}",
        "source": "/subscriptions/s",
        "type": "Microsoft.Resources.ResourceWriteSuccess",
        "subject": "x",
        "time": "2026-03-02T08:00:00Z",
        "data": {},
    }


async def post(host: Rig, function: str, body: object, **headers: str) -> tuple[int, str]:
    url = host.fleet.webhook(function).removeprefix(host.fleet.url)
    return await host.ask("POST", url, data=json.dumps(body), headers=NOTIFICATION | headers)


async def test_every_event_of_an_array_is_one_run_with_one_json_object(host: Rig):
    assert (await post(host, "on_text", [event(1), event(2), event(3)]))[0] == 202
    told = await host.seen("on_text", 3)
    assert {json.loads(str(one["event"]))["id"] for one in told} == {
        "event-1", "event-2", "event-3",
    }  # fmt: skip
    assert {one["kind"] for one in told} == {"str"}


async def test_one_failing_event_fails_the_whole_batch(host: Rig):
    status, text = await post(host, "on_text", [event(1), event(2, subject="fail")])
    assert (status, "asked to" in text) == (500, True)
    await host.seen("on_text", 1)


async def test_a_cloud_event_is_known_by_its_specversion_not_by_the_annotation(host: Rig):
    await post(host, "on_typed", [event(4)])
    await post(host, "on_typed", cloud(5))
    told = await host.seen("on_typed", 2)
    assert [(one["kind"], one["id"]) for one in told] == [
        ("EventGridEvent", "event-4"),
        ("CloudEvent", "cloud-5"),
    ]


@pytest.mark.parametrize(
    "time", ["2026-03-02T09:00:00+01:00", "2026-03-02T08:00Z", "2026-03-02 08:00:00Z"]
)
async def test_a_typed_parameter_fails_on_legal_times_and_a_text_does_not(host: Rig, time: str):
    assert (await post(host, "on_typed", [event(6, eventTime=time)]))[0] == 500
    assert (await post(host, "on_text", [event(6, eventTime=time)]))[0] == 202
    await host.seen("on_text", 1)


async def test_the_handshake_is_answered_with_the_code(host: Rig):
    body = [event(1, data={"validationCode": "512d38b6", "validationUrl": "https://x"})]
    status, text = await post(host, "on_text", body, **{"aeg-event-type": "SubscriptionValidation"})
    assert (status, json.loads(text)) == (200, {"validationResponse": "512d38b6"})


async def test_options_allows_the_origin_that_asks(host: Rig):
    url = host.fleet.webhook("on_text")
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    async with host.http.options(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"


@pytest.mark.parametrize(
    "kind,status",
    [
        pytest.param("", 400, id="no aeg-event-type"),
        pytest.param("Surprise", 400, id="unknown kind"),
        pytest.param("Unsubscribe", 202, id="unsubscribe"),
    ],
)
async def test_kinds_of_requests(host: Rig, kind: str, status: int):
    assert (await post(host, "on_text", [], **{"aeg-event-type": kind}))[0] == status


async def test_an_unknown_function_is_a_404_that_names_it(host: Rig):
    assert await post(host, "nobody", [event(1)]) == (404, "cannot find function: 'nobody'")


async def test_the_webhook_wants_the_extensions_system_key(host: Rig):
    path = "/runtime/webhooks/EventGrid?functionName=on_text&code="
    for key, status in (("", 401), (host.keys.host, 401), (host.keys.master, 202)):
        got, _ = await host.ask(
            "POST", path + key, data=json.dumps([event(9)]), headers=NOTIFICATION
        )
        assert got == status
    await host.seen("on_text", 1)
