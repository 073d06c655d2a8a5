"""What the service says of itself: wide log lines, spans, counters. It owns the providers.

One wide line per decision, its message constant and its values fields. Lines leave by exactly one
way: through OpenTelemetry when an exporter is set, else through the host's own log relay (which
drops `extra`, so there the fields are part of the text). The worker's flags do not change that;
a test counts lines under every combination.

W3C context travels as text in messages: `span` continues it and gives the one to pass on, with or
without an SDK, so that one trace leads from the event to the notice.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

UNKNOWN_CODES = "enrollment.unknown_codes"  # of Azure, that no table of ours holds

_log = logging.getLogger("enrollment")
_log.setLevel(logging.INFO)
# The SDKs write two lines for each of their requests, a dozen requests for each VM.
logging.getLogger("azure").setLevel(logging.WARNING)


class _Providers:
    """What `configure` has set up; all None until then, and with exporter `none` for good."""

    tracer: Tracer | None = None
    meter: Meter | None = None
    instruments: dict[str, Any] = {}  # noqa: RUF012  # one process, one set of instruments


def wide(event: str, /, **fields: object) -> None:
    """Log one line: a constant name and its fields. Never payloads, secrets or claims."""
    if _Providers.tracer is not None:
        _log.info(event, extra={name: _plain(value) for name, value in fields.items()})
    else:
        _log.info("%s %s", event, _visible(json.dumps(fields, default=str, ensure_ascii=False)))


def count(name: str, amount: int = 1, /, **labels: str) -> None:
    """Add to a counter, e.g. ``enrollment.decisions`` with ``kind=Enroll``."""
    _instrument("create_counter", name, "1", "add", amount, labels)


def measure(name: str, value: float, /, **labels: str) -> None:
    """Record a duration in seconds, e.g. ``enrollment.time_to_enroll``."""
    _instrument("create_histogram", name, "s", "record", value, labels)


def level(name: str, value: float, /, **labels: str) -> None:
    """Set a gauge, e.g. ``enrollment.blocked``."""
    _instrument("create_gauge", name, "1", "set", value, labels)


@contextmanager
def span(name: str, parent: str, /, **fields: object) -> Iterator[str]:
    """Run a step under the trace of ``parent`` (a W3C traceparent or ""); give the one to pass on."""
    tracer = _Providers.tracer
    if tracer is None:
        yield _child(parent)
        return
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent})
    attributes = {key: _plain(value) for key, value in fields.items()}
    with tracer.start_as_current_span(name, context=context, attributes=attributes):
        here = get_current_span().get_span_context()
        yield f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"


def trace_id(traceparent: str) -> str:
    """Give the trace id of a W3C traceparent, "" if it is none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""


def install(*, tracer: Tracer, meter: Meter, handler: logging.Handler) -> None:
    """Send everything through these providers from now on; called once by `bootstrap`."""
    _Providers.tracer, _Providers.meter = tracer, meter
    _log.addHandler(handler)
    _log.propagate = False


def _instrument(
    make: str, name: str, unit: str, verb: str, value: float, labels: dict[str, str]
) -> None:
    meter = _Providers.meter
    if meter is None:
        return
    if name not in _Providers.instruments:
        _Providers.instruments[name] = getattr(meter, make)(name, unit=unit)
    getattr(_Providers.instruments[name], verb)(value, labels)


def _child(parent: str) -> str:
    trace = trace_id(parent) or secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01"


def _plain(value: object) -> str | int | float | bool:
    if isinstance(value, str):
        return _visible(value)
    return value if isinstance(value, (int, float, bool)) else _visible(str(value))


def _visible(text: str) -> str:
    """Write what does not show, or cannot be encoded, as its number: a line stays one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
