"""Every wide line leaves exactly once through the real worker library, whatever its flags say."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from demo import scenario
from simulator.estate import up_running
from tests.e2e.collector import collecting

ROOT = Path(__file__).parents[2]
FLAGS = ("PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY")


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
