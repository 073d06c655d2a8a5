"""Exporters that are made when there is something to export, on the thread that exports.

Azure Monitor's take longer to import than all that a first event needs. Records wait in the
processors' queues as they do anyway; what never exported needs no flush and no end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared.loading import loading

# What Azure Monitor's own exporter asks for; the reader wants to know before there is one.
TEMPORALITY: dict[type, AggregationTemporality] = dict.fromkeys(
    (Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA
)
_one_at_a_time = Lock()  # three threads import the same package


class _Late[E]:
    """Makes an exporter at its first use."""

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self.made: E | None = None

    def __call__(self) -> E:
        with _one_at_a_time:
            if self.made is None:
                with loading():
                    self.made = self._make()
            return self.made


class LateSpans(SpanExporter):
    """A span exporter that is made at the first batch."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._exporter = _Late(make)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter().export(spans)

    def shutdown(self) -> None:
        if self._exporter.made is not None:
            self._exporter.made.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.made is None or self._exporter.made.force_flush(timeout_millis)


class LateLogs(LogRecordExporter):
    """An exporter of log records that is made at the first batch."""

    def __init__(self, make: Callable[[], LogRecordExporter]) -> None:
        self._exporter = _Late(make)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return self._exporter().export(batch)

    def shutdown(self) -> None:
        if self._exporter.made is not None:
            self._exporter.made.shutdown()  # type: ignore[no-untyped-call]  # of the library's

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.made is None or self._exporter.made.force_flush(timeout_millis)


class LateMetrics(MetricExporter):
    """A metric exporter that is made at the first collection."""

    def __init__(self, make: Callable[[], MetricExporter]) -> None:
        super().__init__(preferred_temporality=TEMPORALITY)
        self._exporter = _Late(make)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        return self._exporter().export(metrics_data, timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        if self._exporter.made is not None:
            self._exporter.made.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.made is None or self._exporter.made.force_flush(timeout_millis)
