"""Azure Monitor's exporters are made late, and then take everything that waited for them."""

from __future__ import annotations

import gzip
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import run
from threading import Thread

import pytest
from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter

from shared.adapters.late_exporters import LateLogs, LateMetrics, LateSpans

KEY = "InstrumentationKey=00000000-0000-4000-8000-000000000000"
GIVEN = {
    "TENANT_ID": "00000000-0000-4000-8000-000000000000",
    "RULES_URI": "rules.yaml",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "TELEMETRY_EXPORTER": "azuremonitor",
}


@pytest.fixture
def ingestion(monkeypatch):
    """Take what Azure Monitor would take; gives its address and what came."""
    came: list[str] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            came.append((gzip.decompress(body) if packed else body).decode())
            items = came[-1].count('"iKey"')
            answer = b'{"itemsReceived": %d, "itemsAccepted": %d, "errors": []}' % (items, items)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    yield f"http://127.0.0.1:{server.server_port}/", came
    server.shutdown()
    server.server_close()
    thread.join()


_SAYING = """
import logging, sys
from shared.adapters.exporters import providers
from shared.settings import from_environment
made = providers(from_environment())
with made.tracer.start_as_current_span("a step"):
    made.meter.create_counter("enrollment.some").add(1)
    made.handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "a line", None, None))
"""


def test_all_that_waited_arrives_at_the_end_of_the_process_and_nothing_complains(ingestion):
    address, came = ingestion
    setting = f"{KEY};IngestionEndpoint={address}"
    given = {**os.environ, **GIVEN, "APPLICATIONINSIGHTS_CONNECTION_STRING": setting}

    done = run(
        [sys.executable, "-c", _SAYING], env=given, capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    said = "".join(came)
    assert all(word in said for word in ("a step", "enrollment.some", "a line"))


def test_building_the_providers_loads_no_exporter():
    given = {**GIVEN, "APPLICATIONINSIGHTS_CONNECTION_STRING": KEY}
    code = (
        "import sys; from shared.adapters.exporters import providers; "
        "from shared.settings import read; "
        f"providers(read({given!r})); "
        "print([m for m in sys.modules if m.startswith(('azure', 'msal', 'requests'))])"
    )

    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_the_reader_is_told_what_the_real_exporter_would_tell_it(monkeypatch):
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    real = AzureMonitorMetricExporter(connection_string=KEY)
    late = LateMetrics(lambda: real)
    try:
        deltas = {kind for kind, how in real._preferred_temporality.items() if how.name == "DELTA"}
        assert set(late._preferred_temporality) == deltas
        assert set(late._preferred_temporality.values()) == {
            real._preferred_temporality[kind] for kind in deltas
        }
        assert real._preferred_aggregation is late._preferred_aggregation is None
    finally:
        real.shutdown()


@pytest.mark.parametrize("late", [LateSpans, LateLogs, LateMetrics])
def test_what_never_exported_is_not_made_to_be_flushed_or_shut_down(late):
    made: list[str] = []
    exporter = late(lambda: made.append("made"))

    assert exporter.force_flush()
    exporter.shutdown()

    assert made == []
