"""Each alert is seen firing on what a real worker exported, taken off the wire.

One service falls ill in all eight ways, one after another. The exports are deltas, as Azure
Monitor's are, and as old as the simulated clock says, so that the windows of the rules count.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from bench import estates
from simulator.estate import Estate, up_running
from tests.e2e.collector import DELTAS, Collector, collecting
from tests.infra.kusto import run

ROOT = Path(__file__).parents[2]
ALERTS = json.loads((ROOT / "infra" / "alerts.json").read_text(encoding="utf-8"))
FAILING, BURST = 7, 60  # VMs: more than five fail; more than fifty are throttled
UNUSABLE = {
    "id": "e1",
    "topic": f"/subscriptions/{estates.MAIN}",
    "subject": "nothing",
    "eventType": "Microsoft.Resources.ResourceWriteSuccess",
    "eventTime": "2026-03-02T09:00:00Z",
    "data": {"operationName": "Microsoft.Compute/virtualMachines/write", "resourceUri": "nothing"},
    "dataVersion": "2",
    "metadataVersion": "1",
}
SETTINGS = {
    "SWEEP_SECONDS": "180",
    "TEAMS_WEBHOOK_URL": "",  # nobody can be told
    "SMTP_URL": "",
    "TELEMETRY_EXPORTER": "otlp",
    "OTEL_METRIC_EXPORT_INTERVAL": "300",
    **DELTAS,
}


EVERY = frozenset(alert["name"] for alert in ALERTS)


def firing(collector: Collector, among: Collection[str] = EVERY) -> set[str]:
    """Name the alerts that fire on what was exported so far."""
    metrics = collector.metrics()
    asked = [alert for alert in ALERTS if alert["name"] in among]
    return {alert["name"] for alert in asked if _fires(alert, run(alert["query"], metrics))}


def _fires(alert: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    (row,) = rows
    if alert["operator"] == "LessThan":
        return bool(row["value"] < alert["threshold"])
    return bool(row["value"] > alert["threshold"])


def ill() -> dict[str, Any]:
    """Give an estate with VMs that no event told of: enrolling fails, one has no vault."""
    seed = estates.seed(vaults=1, groups=2)
    order = {"fails": "job", "code": "UserErrorGuestAgentStatusUnavailable"}
    seed["resources"] += [estates.machine(n, groups=2, **order) for n in range(FAILING)]
    seed["resources"].append(estates.machine(FAILING, groups=2) | {"location": "northeurope"})
    return seed


def refuse(estate: Estate, path: str, status: int, code: str, **headers: str) -> None:
    """Have Azure answer so from now on."""
    estate.world.gateway.faults.order(
        {"match": {"path": path}, "fault": {"status": status, "code": code, "headers": headers}}
    )


@pytest.mark.e2e
@pytest.mark.timeout(150)
async def test_every_alert_fires_on_what_a_worker_exports_when_the_service_falls_ill():
    async with collecting() as (collector, url):
        settings = {**SETTINGS, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        async with up_running(
            seed=ill(), rules=estates.RULES, speed=60, settings=settings
        ) as estate:
            collector.now = estate.now

            async def seen(*names: str, stride: float = 20) -> None:
                """Let time pass, faster than by itself, until these fire; the timeout ends it."""
                while firing(collector, names) < {*names}:
                    estate.advance(stride)
                    await asyncio.sleep(0.2)

            assert firing(collector) == {"no-sweep"}, "nothing has come yet"
            await seen("no-events")  # a sweep finds what no event told of
            assert "no-sweep" not in firing(collector)
            await seen("enables-failing", "notices-parked")
            async with estate.http.post(
                estate.fleet.webhook("on_vm_event"),
                json=[UNUSABLE],
                headers={"aeg-event-type": "Notification"},
            ) as answer:
                assert answer.status == 202
            await seen("messages-parked")

            refuse(estate, "/virtualMachines/vm-000100$", 403, "AuthorizationFailed")
            estate.put(estates.machine(100, groups=2))
            await estate.wait_until(
                lambda: not firing(collector, ["no-events"]), what="an event is counted"
            )
            await seen("vms-stuck")

            refuse(estate, "/virtualMachines/", 429, "TooManyRequests", **{"Retry-After": "5"})
            for number in range(200, 200 + BURST):
                estate.put(estates.machine(number, groups=2))
            await seen("throttled", "event-lag", stride=60)  # what Azure refused is tried again

            refuse(estate, "/Microsoft.ResourceGraph/resources$", 503, "ServiceUnavailable")
            estate.advance(3700)
            await seen("no-sweep")
