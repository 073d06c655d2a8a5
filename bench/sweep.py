"""A sweep of a settled estate: what Resource Graph is asked, and what that costs an instance.

All VMs are protected and in the ledger, so there is nothing to do but look: the usual sweep. The
whole service runs (one instance), as in `burst`. Targets, for 100,000 VMs: at most 230 Resource
Graph queries; memory grows by 30 MB at most, and by at most 5 MB more than at 10,000. The floor is
two streams of pages of 1,000 rows, VMs and items: 200. Seconds are mostly the simulator's, which
looks through all its rows for each page; the instance's own part is its CPU, with the count for the
coverage page that follows.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import estates
from bench.figures import Usage, resident_mb
from bench.storage import instance
from shared.adapters.ledger import TableLedger
from shared.errors import AzureFault
from simulator.estate import Estate, up_running

SIZES = (1_000, 10_000, 100_000)
PER_SUBSCRIPTION = 10_000
PER_VAULT = 1_000
SPEED = 2.0  # a function may take ten simulated minutes
EVERY = 900.0  # simulated seconds between two sweeps, as shipped
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PATIENCE = 900.0  # real seconds for one sweep


async def run(sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Sweep estates of each size twice: the second sweep is the usual one."""
    return {str(size): await _swept(size) for size in sizes}


async def _swept(size: int) -> dict[str, Any]:
    walks = len(_subscriptions(size))
    async with _running(size) as estate:
        connection = estate.azurite.connection_string
        await plant(connection, size)
        stores = instance(connection)
        ledger = TableLedger(stores)
        estate.clock.set_speed(SPEED)
        await _one_sweep(estate, ledger, walks)  # loads what a first sweep loads
        await _counted(estate)
        first = estate.world.calls.total
        (pid,) = [child.program.pid for child in estate.fleet.ready()]
        before, usage, looks = resident_mb(pid), Usage([pid]), len(estate.invocations("enroll_vm"))
        estate.advance(EVERY)
        took = await _one_sweep(estate, ledger, walks)
        await _counted(estate)
        await stores.aclose()
        calls = estate.world.calls.since(first)
        queries = sum("resourcegraph" in call.action.lower() for call in calls)
        return {
            "subscriptions": walks,
            "graph_queries": queries,
            "other_calls": len(calls) - queries,
            "looks": len(estate.invocations("enroll_vm")) - looks,
            "cpu_seconds": round(usage.taken().cpu, 1),
            "grown_mb": round(resident_mb(pid) - before, 1),
            "resident_mb": round(resident_mb(pid), 1),
            "real_seconds": round(took, 1),
            "failed_invocations": len(estate.failed()),
        }


@asynccontextmanager
async def _running(size: int) -> AsyncIterator[Estate]:
    """Run an estate of so many VMs, and keep the simulator from searching them all for garbage."""
    gc.disable()
    try:
        async with up_running(
            seed=seed_of(size),
            rules=estates.RULES,
            speed=0.0,
            settings={"SWEEP_SECONDS": f"{EVERY:g}", "OPERATORS": "operators@contoso.example"},
            start=START,
        ) as estate:
            gc.freeze()
            gc.enable()
            yield estate
    finally:
        gc.enable()
        gc.unfreeze()


async def _counted(estate: Estate) -> None:
    """Wait until what a sweep found was counted for the page, which the next minute's tick does."""
    ends = estate.now() + timedelta(seconds=90)
    await estate.wait_until(lambda: estate.now() > ends, PATIENCE)
    await estate.wait_until(lambda: not estate.fleet.invocations.running, PATIENCE)


async def _one_sweep(estate: Estate, ledger: TableLedger, walks: int) -> float:
    """Wait until every subscription has been walked once more; give the real seconds."""
    began, since = time.monotonic(), estate.now()
    while time.monotonic() - began < PATIENCE:
        with suppress(AzureFault):  # a large answer of the simulator takes our time, too
            marks = await ledger.sweeps()
            if sum((mark.finished_at or since) > since for mark in marks) >= walks:
                return time.monotonic() - began
        await asyncio.sleep(0.5)
    raise TimeoutError(f"no sweep in {PATIENCE} s: {estate.summary()}")


# --- the estate -----------------------------------------------------------------------------------


def _subscription(number: int) -> str:
    return f"40000000-0000-4000-8000-{number:012d}"


def _subscriptions(size: int) -> list[str]:
    return [_subscription(number) for number in range(-(-size // PER_SUBSCRIPTION))]


def seed_of(size: int, *, per_vault: int = PER_VAULT) -> estates.Body:
    """Give an estate in which every VM is protected."""
    subscriptions = _subscriptions(size)
    resources: list[estates.Body] = []
    for one in subscriptions:
        resources += [estates.group("rg-web", one), estates.group("rg-backup", one)]
    for number in range(0, size, per_vault):
        vault = _vault(number, per_vault)
        resources += [vault, *estates.policies(vault)]
    for number in range(size):
        vm = _machine(number)
        resources += [vm, _item(number, vm, per_vault)]
    return {
        "tenantId": estates.TENANT,
        "subscriptions": [
            {"subscriptionId": one, "displayName": f"Sweep {number}", "tags": {}}
            for number, one in enumerate(subscriptions)
        ],
        "resources": resources,
    }


def _vault(number: int, per_vault: int) -> estates.Body:
    of = _subscription(number // PER_SUBSCRIPTION)
    return estates.vault(f"rsv-{number // per_vault:03d}", subscription=of)


def _machine(number: int) -> estates.Body:
    of = _subscription(number // PER_SUBSCRIPTION)
    return estates.machine(number, subscription=of, created=estates.CREATED)


def _item(number: int, vm: estates.Body, per_vault: int) -> estates.Body:
    vault = _vault(number, per_vault)
    return estates.item(vault, vm, deleted=False, policy=f"silver-{number % 3}")


async def plant(connection: str, size: int, *, per_vault: int = PER_VAULT) -> None:
    """Write the ledger of the estate."""
    version = estates.version()
    for first in range(0, size, 5_000):
        numbers = range(first, min(size, first + 5_000))
        vms = [(_machine(number), number) for number in numbers]
        rows = [estates.row(vm, _item(number, vm, per_vault), version, START) for vm, number in vms]
        await estates.plant(connection, rows)


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield (
        "VMs",
        "subscriptions",
        "Graph queries",
        "other calls",
        "looks",
        "memory, MB",
        "of",
        "CPU, s",
        "s",
    )
    for size, one in results.items():
        yield (
            f"{int(size):,}",
            str(one["subscriptions"]),
            str(one["graph_queries"]),
            str(one["other_calls"]),
            str(one["looks"]),
            f"{one['grown_mb']:+.1f}",
            f"{one['resident_mb']:.0f}",
            f"{one['cpu_seconds']:.1f}",
            f"{one['real_seconds']:.0f}",
        )
