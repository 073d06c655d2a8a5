"""Four processes on the same queues: work spreads evenly, and no subscription waits for another.

After a burst one subscription is throttled and creates more VMs; another creates a few then.

Evenness is Jain's index, (sum)^2 / (n * sum of squares): 1 is perfect, 1/n is one doing all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import pytest

from bench import estates
from simulator.estate import Estate, up_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
WORKERS = 4
BURST, MORE, QUIET = 400, 120, 40  # VMs
EVEN = 0.9
THROTTLED = 12  # seconds, as Azure tells the busy one


def jain(shares: Iterable[int]) -> float:
    found = list(shares)
    return sum(found) ** 2 / (len(found) * sum(one * one for one in found))


def test_the_index_tells_even_from_uneven():
    assert jain([5, 5, 5, 5]) == 1
    assert jain([20, 0, 0, 0]) == 0.25
    assert jain([9, 7, 8, 10]) > EVEN > jain([20, 8, 4, 2])


def puts(estate: Estate, subscription: str) -> list[datetime]:
    """Give when Azure accepted the enrollments of a subscription."""
    return [
        call.at
        for call in estate.world.calls.since(0)
        if call.subscription == subscription
        and call.method == "PUT"
        and "/protectedItems/" in call.path
        and call.status == 202
    ]


@pytest.mark.large
async def test_four_processes_share_the_work_and_subscriptions_share_the_processes(capsys):
    async with up_running(
        seed=estates.seed(vaults=3, groups=10),  # more room than all of them need: 720
        rules=estates.RULES,
        workers=WORKERS,
        settings={"CHANGES_PER_HOUR": "2000", "CHANGES_PER_DAY": "2000"},
    ) as estate:
        for number in range(BURST):
            estate.put(estates.machine(number, groups=10))
        await estate.wait_until(lambda: len(puts(estate, estates.MAIN)) == BURST, 120.0, "PUTs")
        shares = Counter(run.instance for run in estate.invocations("enroll_vm"))

        estate.world.gateway.faults.order(
            {
                "match": {"method": "PUT", "path": f"{estates.MAIN}.*/protectedItems/"},
                "seconds": THROTTLED,
                "fault": {
                    "status": 429,
                    "code": "ResourceRequestsThrottled",
                    "headers": {"Retry-After": str(THROTTLED)},
                },
            }
        )
        for number in range(BURST, BURST + MORE):
            estate.put(estates.machine(number, groups=10))
        await asyncio.sleep(1.0)
        created = estate.now()
        for number in range(QUIET):
            estate.put(estates.machine(number, subscription=estates.NEIGHBOR))
        await estate.wait_until(lambda: len(puts(estate, estates.NEIGHBOR)) == QUIET, 60.0, "quiet")
        waited = [(at - created).total_seconds() for at in puts(estate, estates.NEIGHBOR)]
        held = BURST + MORE - len(puts(estate, estates.MAIN))
        everybody = BURST + MORE
        await estate.wait_until(lambda: len(puts(estate, estates.MAIN)) == everybody, 120.0, "all")
        with capsys.disabled():
            print(
                f"\nshares {sorted(shares.values())}, Jain {jain(shares.values()):.3f}; the quiet"
                f" subscription waited {max(waited):.1f} s while {held} of {MORE} were throttled",
                end="",
            )

        assert len(shares) == WORKERS
        assert jain(shares.values()) >= EVEN
        assert not any("429" in one.error for one in estate.failed())
        assert held > MORE / 2
        assert max(waited) < THROTTLED
