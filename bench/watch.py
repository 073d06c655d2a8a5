"""What an estate at rest costs in reads of the backup provider, per hour.

Everything is protected; the clock plays on at 60x while timers, watch and sweeps do what they
always do. Target: at most 60 reads an hour per subscription and action, whatever the number of
vaults and VMs. The floor is none: at rest there is nothing to learn that Resource Graph does not
show.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bench import estates
from bench.sweep import START, plant, seed_of
from simulator.estate import up_running

SIZES = ((20, 200), (200, 2_000))  # vaults, VMs
HOURS = 2
SPEED = 60.0
_BACKUP = "microsoft.recoveryservices/"


async def run(sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Any]:
    """Let estates of some sizes rest."""
    return {f"{vaults} vaults": await _rested(vaults, vms) for vaults, vms in sizes}


async def _rested(vaults: int, vms: int) -> dict[str, Any]:
    async with up_running(
        seed=seed_of(vms, per_vault=vms // vaults),
        rules=estates.RULES,
        workers=2,
        speed=0.0,
        settings={"OPERATORS": "operators@contoso.example"},
        start=START,
    ) as estate:
        await plant(estate.azurite.connection_string, vms, per_vault=vms // vaults)
        estate.clock.set_speed(SPEED)
        await estate.clock.sleep(900)  # what starts, starts
        first = estate.world.calls.total
        service = estate.world.directory.managed_identity.object_id
        await asyncio.sleep(HOURS * 3600 / SPEED)
        reads: Counter[tuple[str, str]] = Counter(
            (call.subscription, call.action)
            for call in estate.world.calls.since(first)
            if call.method == "GET"
            and call.caller == service
            and call.action.lower().startswith(_BACKUP)
        )
        return {
            "vaults": vaults,
            "vms": vms,
            "hours": HOURS,
            "reads_per_hour": {action: count / HOURS for (_, action), count in reads.items()},
            "most_per_hour": max(reads.values(), default=0) / HOURS,
            "arm_calls_per_hour": round(
                sum(call.caller == service for call in estate.world.calls.since(first)) / HOURS
            ),
            "failed_invocations": len(estate.failed()),
        }


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("vaults", "VMs", "reads/h of the busiest action", "target", "all ARM calls/h")
    for one in results.values():
        yield (
            str(one["vaults"]),
            f"{one['vms']:,}",
            f"{one['most_per_hour']:.1f}",
            "60",
            str(one["arm_calls_per_hour"]),
        )
