"""host.json: honored, without effect here, or unknown and reported (issue: the Functions host)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulator.host.fleet import UnstartableApp
from simulator.host.hostfile import QueueOptions, UnusableHostFile, parse, read
from tests.host.rig import rig, variant

pytestmark = pytest.mark.host


def with_queues(**options: object) -> dict[str, object]:
    return {"version": "2.0", "extensions": {"queues": options}}


def test_defaults_are_azures():
    host = parse({"version": "2.0"})
    assert host.queues == QueueOptions(
        batch_size=16,
        new_batch_threshold=8,
        max_dequeue_count=5,
        visibility_timeout=0,
        max_polling_interval=60,
        base64=True,
    )
    assert (host.function_timeout, host.http.route_prefix) == (1800, "api")


def test_the_refill_threshold_defaults_to_half_the_batch():
    assert parse(with_queues(batchSize=32)).queues.new_batch_threshold == 16


@pytest.mark.parametrize(
    "span,seconds",
    [("00:00:00.500", 0.5), ("00:05:00", 300), ("1.02:00:00", 93600)],
)
def test_time_spans(span: str, seconds: float):
    assert parse(with_queues(visibilityTimeout=span)).queues.visibility_timeout == seconds


def test_no_timeout_at_all():
    assert parse({"version": "2.0", "functionTimeout": "-1"}).function_timeout == math.inf


@pytest.mark.parametrize(
    "content,said",
    [
        pytest.param({}, "version", id="no version"),
        pytest.param({"version": "3.0"}, "version", id="another version"),
        pytest.param(with_queues(batchSize=33), "batchSize", id="over 32"),
        pytest.param(with_queues(batchSize="16"), "batchSize", id="a text"),
        pytest.param(with_queues(maxPollingInterval="2 s"), "maxPollingInterval", id="no span"),
        pytest.param(with_queues(messageEncoding="utf8"), "messageEncoding", id="encoding"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_path(content: dict[str, object], said: str):
    with pytest.raises(UnusableHostFile, match=said):
        parse(content)


def test_unknown_keys_and_keys_without_effect_are_told_apart():
    host = parse(
        {
            "version": "2.0",
            "telemetryMode": "OpenTelemetry",
            "logging": {"logLevel": {"default": "Warning"}},
            "extensions": {"queues": {"batchsize": 4}, "http": {"hsts": {"isEnabled": True}}},
            "functionTimeOut": "00:01:00",
        }
    )
    assert host.unknown == ("extensions.queues.batchsize", "functionTimeOut")
    assert host.inert == ("extensions.http.hsts", "logging", "telemetryMode")


@pytest.mark.parametrize("text,said", [(None, "host.json"), ("{", "not JSON"), ("[]", "object")])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, text: str | None, said: str):
    if text is not None:
        (tmp_path / "host.json").write_text(text)
    with pytest.raises(UnusableHostFile, match=said):
        read(tmp_path)


async def test_what_is_unknown_is_reported_and_what_is_known_is_honored(tmp_path: Path):
    app = variant(
        tmp_path,
        {
            "extensions": {"http": {"routePrefix": ""}, "queues": {"messageEncoding": "none"}},
            "x": 1,
        },
    )
    async with rig(app=app) as host:
        assert host.fleet.reported() == ["x is unknown"]
        assert (await host.ask("GET", "/things/7"))[1] == "thing 7"
        await host.storage.create_queue("text-work")
        await host.storage.put("text-work", "plain <text>")
        await host.until(lambda: host.runs("text_work", state="ok"), "the run")
        assert [text for text in await host.raw_messages("seen") if "plain <text>" in text]


async def test_requests_beyond_the_outstanding_limit_are_429(tmp_path: Path):
    app = variant(tmp_path, {"extensions": {"http": {"maxOutstandingRequests": 1}}})
    async with rig(app=app) as host:
        import asyncio

        first = asyncio.create_task(host.ask("GET", "/api/slow?seconds=0.5"))
        await host.until(lambda: host.runs("slow"), "the run")
        assert (await host.ask("GET", "/api/things/1"))[0] == 429
        assert (await first)[0] == 200


async def test_a_broken_host_file_stops_the_start(tmp_path: Path):
    with pytest.raises(UnstartableApp, match="batchSize"):
        async with rig(app=variant(tmp_path, {"extensions": {"queues": {"batchSize": 0}}})):
            pass
