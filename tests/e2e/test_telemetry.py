"""Every wide line leaves exactly once through the real worker library, whatever its flags say."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from demo import scenario
from simulator.estate import up_running

ROOT = Path(__file__).parents[2]
FLAGS = ("PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY")


class Collector:
    """Takes OTLP over HTTP; keeps the bodies and attributes of log records."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, str]]] = []

    async def logs(self, request: web.Request) -> web.Response:
        sent = ExportLogsServiceRequest.FromString(await request.read())
        for resource in sent.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    fields = {one.key: one.value.string_value for one in record.attributes}
                    self.lines.append((record.body.string_value, fields))
        return web.Response(content_type="application/x-protobuf")

    async def other(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collecting():
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/logs", collector.logs)
    app.router.add_post("/{rest:.*}", collector.other)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.e2e
@pytest.mark.timeout(120)
@pytest.mark.parametrize("flags", [*itertools.product(["true", "false"], repeat=2)], ids=str)
async def test_a_line_is_exported_once_and_one_trace_leads_from_event_to_put(flags):
    seed = scenario.seed()
    seed["timeline"] = [one for one in seed["timeline"] if one["at"] == 5]
    seed["knobs"] = {}
    async with (
        collecting() as (collector, url),
        up_running(
            seed=seed,
            rules=ROOT / "demo" / "rules.yaml",
            speed=60,
            start=datetime.fromisoformat(scenario.START),
            settings={
                **dict(zip(FLAGS, flags, strict=True)),
                "TELEMETRY_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_BLRP_SCHEDULE_DELAY": "100",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            },
        ) as estate,
    ):
        await estate.wait_until(
            lambda: any(name == "change.sent" for name, _ in collector.lines), timeout=60
        )
        relayed = [line for line in logged(estate) if "change.sent" in line]
        puts = [call for call in estate.calls() if "/protectedItems/" in str(call["path"])]

    counted = Counter(name for name, _ in collector.lines)
    assert counted["event.taken"] == 1
    assert counted["change.sent"] == 1
    assert relayed == []
    taken = next(fields for name, fields in collector.lines if name == "event.taken")
    sent = next(fields for name, fields in collector.lines if name == "change.sent")
    assert taken["trace"].split("-")[1] == sent["trace"].split("-")[1]
    assert sent["request"] in {str(put["client_request_id"]) for put in puts}


def logged(estate) -> list[str]:
    return [str(getattr(line, "text", line)) for line in estate.fleet.logs]
