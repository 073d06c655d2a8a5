"""How many events a second one instance takes in, and what one costs, through the worker library.

Batches of ten events each, as Event Grid would deliver them under load, are posted to the webhook of
the whole service; half are VM writes that become messages, half are other writes that are ignored.
CPU is the instance's own. The floor is the host's and the worker library's share of an invocation:
a function that does nothing costs most of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from bench import estates
from bench.figures import Usage
from simulator.estate import FUNCTION, up_running

EVENTS = 4_000
BATCH = 10
AT_ONCE = 16
PATIENCE = 120.0


async def run(events: int = EVENTS) -> dict[str, Any]:
    """Post the events and wait until each was taken in."""
    async with up_running(
        seed=estates.seed(),
        rules=estates.RULES,
        speed=0.0,
        settings={"OPERATORS": "operators@contoso.example"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        url = estate.fleet.webhook(FUNCTION)
        limit = asyncio.Semaphore(AT_ONCE)

        async def post(first: int) -> None:
            batch = [_event(number) for number in range(first, first + BATCH)]
            async with (
                limit,
                estate.http.post(
                    url, json=batch, headers={"aeg-event-type": "Notification"}
                ) as answer,
            ):
                answer.raise_for_status()

        await post(10_000_000)
        (pid,) = [child.program.pid for child in estate.fleet.ready()]
        usage, began = Usage([pid]), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for first in range(0, events, BATCH):
                group.create_task(post(first))
        seconds, cpu = time.monotonic() - began, usage.taken().cpu
        return {
            "events": events,
            "events_per_second": round(events / seconds),
            "cpu_us_per_event": round(cpu / events * 1e6),
            "failed_invocations": len(estate.failed()),
        }


def _event(number: int) -> dict[str, Any]:
    vm = estates.machine(number)["id"] + ("" if number % 2 else "/extensions/agent")
    kind = "virtualMachines" if number % 2 else "virtualMachines/extensions"
    return {
        "id": f"{number:032x}",
        "topic": f"/subscriptions/{estates.MAIN}",
        "subject": vm,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-03-02T09:00:00.0000000Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "resourceUri": vm,
            "resourceProvider": "Microsoft.Compute",
            "operationName": f"Microsoft.Compute/{kind}/write",
            "status": "Succeeded",
            "subscriptionId": estates.MAIN,
            "tenantId": estates.TENANT,
        },
    }


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("events", "events/s", "CPU, µs/event")
    yield (
        f"{results['events']:,}",
        str(results["events_per_second"]),
        str(results["cpu_us_per_event"]),
    )
