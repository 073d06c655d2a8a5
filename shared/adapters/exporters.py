"""The OpenTelemetry SDK behind `shared.telemetry`, imported by `bootstrap` only when an exporter is set."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Tracer

from shared.adapters.late_exporters import LateLogs, LateMetrics, LateSpans
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

SCOPE = "vm-backup-auto-enrollment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Providers ready for use; they flush by themselves when the process ends."""

    tracer: Tracer
    meter: Meter
    handler: logging.Handler


def providers(settings: Settings) -> Made:
    """Build tracer, meter and log handler that export as the setting says."""
    resource = Resource.create({"service.name": SCOPE})
    tracers = TracerProvider(resource=resource)
    spans, metrics, logs = _exporters(settings, tracers)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    meters = MeterProvider(
        resource=resource, metric_readers=[PeriodicExportingMetricReader(metrics)]
    )
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
    return Made(
        tracer=tracers.get_tracer(SCOPE),
        meter=meters.get_meter(SCOPE),
        handler=LoggingHandler(level=logging.INFO, logger_provider=loggers),
    )


def _exporters(
    settings: Settings, tracers: TracerProvider
) -> tuple[SpanExporter, MetricExporter, LogRecordExporter]:
    if settings.exporter == "console":
        return ConsoleSpanExporter(), ConsoleMetricExporter(), ConsoleLogRecordExporter()
    if settings.exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = settings.otlp_endpoint.rstrip("/")
        return (
            OTLPSpanExporter(endpoint=f"{base}/v1/traces"),
            OTLPMetricExporter(endpoint=f"{base}/v1/metrics"),
            OTLPLogExporter(endpoint=f"{base}/v1/logs"),
        )
    return (
        # It asks the process's global provider, if it is told of none; there is none.
        LateSpans(lambda: _monitor("AzureMonitorTraceExporter", settings, tracer_provider=tracers)),
        LateMetrics(lambda: _monitor("AzureMonitorMetricExporter", settings)),
        LateLogs(lambda: _monitor("AzureMonitorLogExporter", settings)),
    )


def _monitor(kind: str, settings: Settings, **more: object) -> Any:
    """Make one of Azure Monitor's exporters."""
    from azure.monitor.opentelemetry import exporter

    return getattr(exporter, kind)(
        connection_string=settings.monitor_connection, credential=_credential(settings), **more
    )


def _credential(settings: Settings) -> TokenCredential | None:
    """Sign in to ingestion: in Azure its local authentication is off (infra/modules/telemetry.bicep)."""
    if not settings.identity_client_id:
        return None
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=settings.identity_client_id)
