"""Alerts ask for metrics that a running app really exports: names are taken off the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from demo import scenario
from simulator.estate import up_running
from tests.infra.kusto import Metric, run

ROOT = Path(__file__).parents[2]
ALERTS = json.loads((ROOT / "infra" / "alerts.json").read_text(encoding="utf-8"))
UNUSABLE = {
    "id": "e1",
    "topic": f"/subscriptions/{scenario.MAIN}",
    "subject": "nothing",
    "eventType": "Microsoft.Resources.ResourceWriteSuccess",
    "eventTime": scenario.START,
    "data": {"operationName": "Microsoft.Compute/virtualMachines/write", "resourceUri": "nothing"},
    "dataVersion": "2",
    "metadataVersion": "1",
}
# Azure throttles nobody in a quiet run; tests/infra/test_alerts.py sees that alert fire.
NOT_HERE = {"enrollment.throttled"}


class Collector:
    """Takes OTLP metrics over HTTP."""

    def __init__(self) -> None:
        self.metrics: dict[tuple[str, str], Metric] = {}

    def names(self) -> set[str]:
        return {name for name, _ in self.metrics}

    def firing(self) -> set[str]:
        """Name the alerts that fire on what was exported so far."""
        return {alert["name"] for alert in ALERTS if self._fires(alert)}

    def _fires(self, alert) -> bool:
        (row,) = run(alert["query"], list(self.metrics.values()))
        if alert["operator"] == "LessThan":
            return row["value"] < alert["threshold"]
        return row["value"] > alert["threshold"]

    async def taken(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/v1/metrics":
            self._read(ExportMetricsServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")

    def _read(self, sent: ExportMetricsServiceRequest) -> None:
        for resource in sent.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        labels = {one.key: one.value.string_value for one in point.attributes}
                        amount = (
                            point.max if kind == "histogram" else point.as_int or point.as_double
                        )
                        self.metrics[metric.name, json.dumps(labels, sort_keys=True)] = Metric(
                            name=metric.name, amount=amount, labels=labels
                        )


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/{rest:.*}", collector.taken)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.e2e
@pytest.mark.timeout(150)
async def test_every_metric_an_alert_names_is_exported_by_a_run_and_parked_messages_fire(tmp_path):
    seed = scenario.seed()
    wanted = {name for alert in ALERTS for name in alert["metrics"]} - NOT_HERE
    async with (
        collecting() as (collector, url),
        up_running(
            seed=seed,
            rules=ROOT / "demo" / "rules.yaml",
            speed=60,
            start=datetime.fromisoformat(scenario.START),
            settings={
                "SWEEP_SECONDS": "180",
                "DIRECTORY_SECONDS": "120",
                "TEAMS_WEBHOOK_URL": "",
                "SMTP_URL": "",
                "TELEMETRY_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
            },
        ) as estate,
    ):
        assert "no-sweep" in collector.firing(), "before the first sweep it is silent"
        async with estate.http.post(
            estate.fleet.webhook("on_vm_event"),
            json=[UNUSABLE],
            headers={"aeg-event-type": "Notification"},
        ) as answer:
            assert answer.status == 202
        await estate.wait_until(lambda: wanted <= collector.names(), 110, f"{wanted} exported")

    assert {"messages-parked", "notices-parked"} <= collector.firing()
    assert collector.firing() & {"no-sweep", "no-events"} == set()
