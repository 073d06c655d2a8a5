"""``host.json`` as this host understands it: what it honors, what has no effect here, what is unknown.

An unknown key is reported and does not stop an app, as in Azure; a value of a known key that
cannot be meant is refused with its path.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Known to Azure and without effect on one laptop: reported once, as such.
INERT = (
    "aggregator", "applicationInsights", "concurrency", "customHandler", "extensionBundle",
    "extensions.blobs", "extensions.cosmosDB", "extensions.durableTask", "extensions.eventHubs",
    "extensions.http.dynamicThrottlesEnabled", "extensions.http.hsts",
    "extensions.http.customHeaders", "extensions.kafka", "extensions.sendGrid",
    "extensions.serviceBus", "extensions.signalR", "functions", "healthMonitor", "id", "logging",
    "managedDependency", "retry", "singleton", "telemetryMode", "watchDirectories", "watchFiles",
)  # fmt: skip
HONORED = (
    "version", "functionTimeout", "extensions.http.routePrefix",
    "extensions.http.maxConcurrentRequests", "extensions.http.maxOutstandingRequests",
    "extensions.queues.batchSize", "extensions.queues.newBatchThreshold",
    "extensions.queues.maxDequeueCount", "extensions.queues.visibilityTimeout",
    "extensions.queues.maxPollingInterval", "extensions.queues.messageEncoding",
)  # fmt: skip
DEFAULT_TIMEOUT = 1800.0


class UnusableHostFile(ValueError):
    """``host.json`` cannot be read, or a value in it cannot be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """``extensions.queues`` with Azure's defaults (facts §7.1)."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0
    base64: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    route_prefix: str = "api"
    max_concurrent: int | None = None
    max_outstanding: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    function_timeout: float = DEFAULT_TIMEOUT
    queues: QueueOptions = field(default_factory=QueueOptions)
    http: HttpOptions = field(default_factory=HttpOptions)
    unknown: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()


def read(folder: Path) -> HostFile:
    """Read an app's ``host.json``."""
    try:
        content = json.loads((folder / "host.json").read_text(encoding="utf-8"))
    except OSError as missing:
        raise UnusableHostFile(f"host.json: {missing.strerror}") from missing
    except ValueError as broken:
        raise UnusableHostFile(f"host.json is not JSON: {broken}") from broken
    if not isinstance(content, dict):
        raise UnusableHostFile("host.json is not a JSON object")
    return parse(content)


def parse(content: dict[str, object]) -> HostFile:
    values = dict(_flat(content))
    if values.get("version") != "2.0":
        raise UnusableHostFile(f"host.json: version must be '2.0', not {values.get('version')!r}")
    known = {*HONORED, *INERT}
    batch = _whole(values, "extensions.queues.batchSize", 16, 1, 32)
    encoding = values.get("extensions.queues.messageEncoding", "base64")
    if encoding not in {"base64", "none"}:
        raise UnusableHostFile(f"host.json: extensions.queues.messageEncoding {encoding!r}")
    prefix = values.get("extensions.http.routePrefix", "api")
    return HostFile(
        function_timeout=_timeout(values),
        queues=QueueOptions(
            batch_size=batch,
            new_batch_threshold=_whole(
                values, "extensions.queues.newBatchThreshold", batch // 2, 0, 1000
            ),
            max_dequeue_count=_whole(values, "extensions.queues.maxDequeueCount", 5, 1, 1000),
            visibility_timeout=_span(values, "extensions.queues.visibilityTimeout", 0.0),
            max_polling_interval=_span(values, "extensions.queues.maxPollingInterval", 60.0),
            base64=encoding == "base64",
        ),
        http=HttpOptions(
            route_prefix=str(prefix).strip("/"),
            max_concurrent=_limit(values, "extensions.http.maxConcurrentRequests"),
            max_outstanding=_limit(values, "extensions.http.maxOutstandingRequests"),
        ),
        unknown=tuple(sorted(key for key in values if not _below(key, known))),
        inert=tuple(sorted({name for name in INERT if any(_below(key, {name}) for key in values)})),
    )


def _flat(content: dict[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value and path not in INERT:
            yield from _flat(value, path + ".")
        else:
            yield path, value


def _below(key: str, names: set[str]) -> bool:
    return any(key == name or key.startswith(name + ".") for name in names)


def _whole(values: dict[str, object], key: str, default: int, low: int, high: int) -> int:
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnusableHostFile(f"host.json: {key} is a number from {low} to {high}, not {value!r}")
    return value


def _limit(values: dict[str, object], key: str) -> int | None:
    value = _whole(values, key, -1, -1, 1_000_000)
    return None if value < 0 else value


def _timeout(values: dict[str, object]) -> float:
    if values.get("functionTimeout") in {"-1", -1}:
        return math.inf
    return _span(values, "functionTimeout", DEFAULT_TIMEOUT)


def _span(values: dict[str, object], key: str, default: float) -> float:
    value = values.get(key)
    if value is None:
        return default
    match = re.fullmatch(
        r"(?:(\d+)\.)?(\d{1,2}):([0-5]?\d)(?::([0-5]?\d)(?:\.(\d{1,7}))?)?", str(value)
    )
    if match is None:
        raise UnusableHostFile(f"host.json: {key} is a time span like 00:05:00, not {value!r}")
    days, hours, minutes, seconds, fraction = match.groups()
    whole = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)
    return whole + (float(f"0.{fraction}") if fraction else 0.0)
