"""Storage stops in the middle of a burst and is gone for an hour; then it is back, and so is all.

The storage emulator is really ended and started again on its data: connections are refused, as
where a network rule or a failover is in the way. (One that hangs ends a call after the SDK's own
limit; `tests/usecases/test_outages.py` has what storage answers while it is merely unwell.) Event
Grid keeps what the app cannot take, by its own ladder of retries. That no sweep ends is what
operators hear of, by the alert `no-sweep` and the health probe: neither needs our storage.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from bench import estates
from simulator.estate import Estate, up_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BEFORE, DURING = 30, 5  # VMs
HOUR, STEP, FIRST_STEP = 3600, 600, 60
LATER = 4 * HOUR  # simulated; by then everything must have come right
PATIENCE = 60.0  # real seconds


def vm(number: int, **changes: Any) -> dict[str, Any]:
    body = estates.machine(number, groups=3)
    return body | {"tags": {**body["tags"], "owner": "kim@contoso.example"}, **changes}


def puts(estate: Estate) -> Counter[str]:
    """Count the enrollments that Azure accepted, by VM."""
    return Counter(
        unquote(call.path).rpartition(";")[2]
        for call in estate.world.calls.since(0)
        if call.method == "PUT" and "/protectedItems/" in call.path and call.status == 202
    )


async def health(estate: Estate) -> int:
    async with estate.http.get(f"{estate.url}/api/health") as answer:
        return answer.status


async def let(estate: Estate, seconds: float, step: float = STEP, until=lambda: False) -> None:
    """Let simulated time pass, and the host do what is due at each step."""
    passed = 0.0
    while passed < seconds and not until():
        estate.advance(step)
        passed += step
        ends, calm = time.monotonic() + PATIENCE, 0
        while calm < 4 and time.monotonic() < ends:
            calm = 0 if estate.fleet.invocations.running or estate.grid.sending else calm + 1
            await asyncio.sleep(0.1)


@pytest.mark.large
async def test_an_hour_without_storage_in_mid_burst_loses_nothing(tmp_path: Path):
    async with up_running(
        seed=estates.seed(vaults=2, groups=3),
        rules=estates.RULES,
        speed=0.0,
        storage_folder=tmp_path,
        settings={"OPERATORS": "operators@contoso.example", "SWEEP_SECONDS": "900"},
    ) as estate:
        estate.world.knobs.turn({"eventgrid.delay": 0})
        assert await health(estate) == 200
        before = [vm(number) for number in range(BEFORE)]
        for body in before:
            estate.put(body)
        await estate.wait_until(lambda: puts(estate), PATIENCE, "the burst is under way")

        await estate.azurite.stop()
        accepted = puts(estate)
        assert len(accepted) < BEFORE  # in mid-burst
        during = [vm(number) for number in range(BEFORE, BEFORE + DURING)]
        blocked = vm(BEFORE + DURING, location="koreacentral")
        for body in (*during, blocked):
            estate.put(body)
        await let(estate, HOUR)
        assert await health(estate) == 503
        late = puts(estate) - accepted
        assert not late.keys() & {body["name"] for body in during}  # nothing new begins

        await estate.azurite.start()
        names = {body["name"] for body in (*before, *during)}

        def told() -> int:
            return sum(blocked["name"] in str(mail) for mail in estate.inbox("mail"))

        def right() -> bool:
            return puts(estate).keys() >= names and told() > 0

        await let(estate, LATER, FIRST_STEP, until=right)
        await let(estate, HOUR)

        assert puts(estate) == dict.fromkeys(names, 1), estate.summary()
        vaults = estate.world.backup.vaults.values()
        items = Counter(item.friendly_name for vault in vaults for item in vault.items.values())
        assert items == dict.fromkeys(names, 1)
        assert told() == 1
        assert await health(estate) == 200
        for queue in ("enrollments-poison", "sweeps-poison", "notices-poison"):
            assert await estate.queued(queue) == 0, queue
