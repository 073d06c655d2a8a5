"""From an event's delivery to the PUT that protects the VM, with nothing else to do.

The whole service runs with the shipped `host.json` on a real-time clock; every ARM call takes 50 ms.
Counted from the moment the app is handed the event to the moment ARM gets the PUT. Targets: p50 within
0.6 s, p99 within 2 s. The floor is two round trips to ARM, a few to storage, and the listener's
polling: an idle queue is looked at every second at worst. (How an event fares behind another
subscription's burst is the neighbor's column of `burst`.) Scaling from zero comes on top in Azure:
seconds that are the platform's, and `coldstart` for what is ours.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from bench import estates
from bench.figures import percentile
from simulator.estate import Estate, up_running

VMS = 60
APART = 1.0, 4.0  # seconds between two VMs
LATENCY_MS = 50.0
PATIENCE = 60.0


async def run(vms: int = VMS) -> dict[str, Any]:
    """Create VMs one after the other and follow each to its PUT."""
    seed = estates.seed()
    seed["knobs"] = {"wire.latency_ms": LATENCY_MS}
    chance = random.Random(5)
    async with up_running(
        seed=seed,
        rules=estates.RULES,
        workers=2,
        settings={"OPERATORS": "operators@contoso.example"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        for number in range(vms + 1):
            estate.put(estates.machine(number))
            await asyncio.sleep(chance.uniform(*APART))
        await estate.wait_until(lambda: len(_puts(estate)) > vms, PATIENCE, "every VM's PUT")
        puts, delivered = _puts(estate), _delivered(estate)
        names = [f"vm-{number:06d}" for number in range(1, vms + 1)]  # the first one warms up
        seconds = sorted(
            (puts[name] - at).total_seconds()
            for name, at in zip(names, delivered[1:], strict=False)
        )
    return {
        "vms": len(seconds),
        "p50_seconds": round(percentile(seconds, 0.50), 3),
        "p95_seconds": round(percentile(seconds, 0.95), 3),
        "p99_seconds": round(percentile(seconds, 0.99), 3),
        "failed_invocations": len(estate.failed()),
    }


def _puts(estate: Estate) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for call in estate.world.calls.since(0):
        if call.method == "PUT" and "/protectedItems/" in call.path:
            found.setdefault(call.path.rsplit("%3B", 1)[-1].rsplit(";", 1)[-1], call.at)
    return found


def _delivered(estate: Estate) -> list[datetime]:
    """Give when the app was handed each event; they come one at a time, so in the VMs' order."""
    return [one.began for one in estate.invocations("on_vm_event")]


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("VMs", "p50, s", "p95, s", "p99, s")
    yield (
        str(results["vms"]),
        *(f"{results[name]:.2f}" for name in ("p50_seconds", "p95_seconds", "p99_seconds")),
    )
