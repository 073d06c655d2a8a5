"""A collector of OpenTelemetry over HTTP: what a running app exports, taken off the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.infra.kusto import Metric

#: Each export tells what is new, as Azure Monitor's exporter does.
DELTAS = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number that came, and when on the collector's clock."""

    at: datetime
    name: str
    amount: float
    labels: dict[str, str]


@dataclass(slots=True)
class Collector:
    """Keeps the bodies and attributes of log records, and the points of metrics."""

    now: Callable[[], datetime] = datetime.now
    lines: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def metrics(self) -> list[Metric]:
        """Give all points as rows of AppMetrics, as old as they are now."""
        now = self.now()
        return [
            Metric(
                name=point.name,
                amount=point.amount,
                age=(now - point.at).total_seconds(),
                labels=point.labels,
            )
            for point in self.points
        ]

    async def taken(self, request: web.Request) -> web.Response:
        body = await request.read()
        match request.path:
            case "/v1/metrics":
                self.points += self._points(ExportMetricsServiceRequest.FromString(body))
            case "/v1/logs":
                self.lines += _lines(ExportLogsServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")

    def _points(self, sent: ExportMetricsServiceRequest) -> Iterator[Point]:
        at = self.now()
        for resource in sent.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        yield Point(
                            at=at,
                            name=metric.name,
                            amount=point.max
                            if kind == "histogram"
                            else point.as_int or point.as_double,
                            labels={one.key: one.value.string_value for one in point.attributes},
                        )


def _lines(sent: ExportLogsServiceRequest) -> Iterator[tuple[str, dict[str, str]]]:
    for resource in sent.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                fields = {one.key: one.value.string_value for one in record.attributes}
                yield record.body.string_value, fields


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Listen until the block ends; gives the collector and its address."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/{rest:.*}", collector.taken)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
