"""Ten thousand VMs wait for the next UTC day, when their vaults take new ones again.

The whole service runs (two instances) on a clock that is four times as fast as real time: a VM takes
some 65 ms of CPU in all, two thirds of it in the instances, so that two cores bear twice that pace.
Targets: never more than 200 messages outstanding; all of them sent within an hour of the reset; no
429. The floor is the release: at most 200 a minute, so 49 minutes; ARM's write bucket alone would
take 16.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import estates
from bench.storage import instance
from shared.abreast import abreast
from shared.adapters.ledger import TableLedger
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.states import State
from simulator.estate import Estate, up_running

VMS = 10_000
PER_VAULT = 200  # below the day's share of a vault
SPEED = 4.0
RESET = datetime(2026, 3, 3, tzinfo=UTC)
EARLIER = timedelta(minutes=2)
PATIENCE = timedelta(minutes=90)
SETTINGS = {
    "CHANGES_PER_HOUR": "20000",
    "CHANGES_PER_DAY": "20000",
    "SWEEP_SECONDS": "86400",  # a bench of its own
    "OPERATORS": "operators@contoso.example",
}


async def run(vms: int = VMS) -> dict[str, Any]:
    """Let the VMs wait for midnight, and count."""
    seed = estates.seed(vaults=-(-vms // PER_VAULT))
    seed["resources"] += [estates.machine(n, created=estates.CREATED) for n in range(vms)]
    async with up_running(
        seed=seed,
        rules=estates.RULES,
        workers=2,
        speed=0.0,
        settings=SETTINGS,
        start=RESET - EARLIER,
    ) as estate:
        await _plant(estate, vms)
        first = estate.world.calls.total
        estate.clock.set_speed(SPEED)
        most, sent = 0, 0
        while sent < vms and estate.now() < RESET + PATIENCE:
            await asyncio.sleep(0.5)
            depths = [await estate.queued(name) for name in ("enrollments", "enrollments-backlog")]
            most = max(most, sum(depths))
            sent = len(_puts(estate, first))
        puts = _puts(estate, first)
        calls = estate.world.calls.since(first)
        return {
            "vms": vms,
            "sent": len(puts),
            "minutes": round((max(puts, default=RESET) - RESET).total_seconds() / 60, 1),
            "most_outstanding": most,
            "met_429": sum(call.status == 429 for call in calls),
            "arm_calls_per_vm": round(len(calls) / vms, 3),
            "failed_invocations": len(estate.failed()),
        }


def _puts(estate: Estate, first: int) -> list[datetime]:
    return [
        call.at
        for call in estate.world.calls.since(first)
        if call.method == "PUT" and "/protectedItems/" in call.path and call.status == 202
    ]


async def _plant(estate: Estate, vms: int) -> None:
    """Write the rows as the day before left them, and the index of what is due."""
    connection, version = estate.azurite.connection_string, estates.version()
    rows = [_row(number, version) for number in range(vms)]
    await estates.plant(connection, rows)
    stores = instance(connection)
    ledger = TableLedger(stores)
    for start in range(0, vms, 500):
        await abreast(
            ledger.put_due(ArmId.parse(row.vm), RESET) for row in rows[start : start + 500]
        )
    await stores.aclose()


def _row(number: int, version: str) -> Row:
    vm = estates.machine(number)
    at = RESET - timedelta(hours=6)
    return Row(
        vm=vm["id"],
        state=State.WAITING,
        why="VAULT_DAY_FULL",
        since=at,
        seen_at=at,
        until=RESET,
        uid=vm["properties"]["vmId"],
        region=estates.REGION,
        tags=vm["tags"],
        rules_version=version,
        first_seen=at,
    )


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("VMs", "sent", "minutes", "target", "most outstanding", "target", "429s", "ARM calls/VM")
    yield (
        f"{results['vms']:,}",
        f"{results['sent']:,}",
        f"{results['minutes']:.0f}",
        "60",
        str(results["most_outstanding"]),
        "200",
        str(results["met_429"]),
        f"{results['arm_calls_per_vm']:.2f}",
    )
