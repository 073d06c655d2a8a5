"""A burst against token buckets, instances and a queue, in virtual time: how near to the floor."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest

from shared.adapters.governor import Drawn, Governor
from tests.fakes.azure import START
from tests.fakes.wire import SUB, settings_for

TRIP = 0.05  # seconds to ARM and back
STEP = 0.02  # seconds of our own before and after
SLOTS = 24  # messages an instance runs at once
OTHER = "33333333-3333-4333-8333-333333333333"
CALLS = (
    ("microsoft.compute/virtualmachines/read", "reads"),
    ("microsoft.recoveryservices/vaults/x/write", "writes"),
)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer instead of waiting for it."""

    virtual = 0.0

    def time(self) -> float:
        return self.virtual

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.virtual = max(self.virtual, self._scheduled[0].when())
        super()._run_once()


class LoopClock:
    """The clock port over a virtual loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None: ...


class Bucket:
    """ARM's side: tokens that come back, and what a foreign client takes of them."""

    def __init__(self, capacity: float, refill: float, foreign: float = 0.0) -> None:
        self.capacity, self.refill = capacity, refill * (1 - foreign)
        self.tokens, self.at = capacity * (1 - foreign), 0.0
        self.refused = 0

    def take(self) -> int | None:
        """Give what is left after this request; None if it is refused."""
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.refill)
        self.at = now
        if self.tokens < 1:
            self.refused += 1
            return None
        self.tokens -= 1
        return int(self.tokens)


class Burst:
    """N instances on one queue; each message is one VM to enroll."""

    def __init__(self, vms: int, instances: int, writes: Bucket, reads: Bucket) -> None:
        settings = settings_for(INSTANCES=str(instances))
        self.paces = [Governor(settings, LoopClock()) for _ in range(instances)]
        self.writes, self.reads = writes, reads
        self.left = vms
        self.turns = 0
        self.by_instance = [0] * instances
        self.neighbor: list[float] = []  # seconds the other subscription's VMs took
        self._names = count()
        self._queue = [(0.0, next(self._names), SUB, 0.0) for _ in range(vms)]
        self._buckets = {(SUB, "reads"): reads, (SUB, "writes"): writes}
        for kind in ("reads", "writes"):
            self._buckets[OTHER, kind] = Bucket(9000, 100)
        self._over = asyncio.Event()

    async def run(self) -> float:
        """Play until Azure has accepted all; give the seconds."""
        loop = asyncio.get_running_loop()
        hosts = [
            loop.create_task(self._slot(number))
            for number in range(len(self.paces))
            for _ in range(SLOTS)
        ]
        hosts.append(loop.create_task(self._other()))
        await self._over.wait()
        ended = loop.time()
        for host in hosts:
            host.cancel()
        await asyncio.gather(*hosts, return_exceptions=True)
        return ended

    async def _other(self) -> None:
        """The other subscription gets a VM now and then."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 3))
            now = asyncio.get_running_loop().time()
            heapq.heappush(self._queue, (now, next(self._names), OTHER, now))

    async def _slot(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue or self._queue[0][0] > loop.time():
                await asyncio.sleep(random.uniform(0.05, 0.2))
                continue
            _, _, subscription, born = heapq.heappop(self._queue)
            await self._message(number, subscription, born)

    async def _message(self, number: int, subscription: str, born: float) -> None:
        pace = self.paces[number]
        self.turns += 1
        await asyncio.sleep(STEP)
        if wait := await pace.slot(subscription, urgent=True):
            self._again(wait, subscription, born)
            return
        try:
            for action, kind in CALLS:
                drawn = Drawn(subscription, action, kind)
                if hold := pace.hold(drawn):
                    self._again(hold, subscription, born)
                    return
                pace.sent(drawn)
                await asyncio.sleep(TRIP / 2)
                left = self._buckets[subscription, kind].take()
                await asyncio.sleep(TRIP / 2)
                if left is None:
                    pace.refused(drawn, "SubscriptionRequestsThrottled", "", 1.0)
                    self._again(1.0, subscription, born)
                    return
                remaining = {f"x-ms-ratelimit-remaining-subscription-{kind}": str(left)}
                pace.answered(drawn, remaining)
                await asyncio.sleep(STEP)
        finally:
            pace.done(subscription)
        if subscription == OTHER:
            self.neighbor.append(asyncio.get_running_loop().time() - born)
            return
        self.by_instance[number] += 1
        self.left -= 1
        if not self.left:
            self._over.set()

    def _again(self, wait: float, subscription: str, born: float) -> None:
        at = asyncio.get_running_loop().time() + math.ceil(wait)
        heapq.heappush(self._queue, (at, next(self._names), subscription, born))


def played(make: Callable[[], Burst]) -> tuple[float, Burst]:
    random.seed(9)

    async def main() -> tuple[float, Burst]:
        burst = make()
        return await burst.run(), burst

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("instances", [1, 2, 4])
@pytest.mark.parametrize(
    "capacity, refill, reads, foreign",
    [
        pytest.param(200, 10, (250, 25), 0.0, id="few at once"),
        pytest.param(800, 10, (1100, 25), 0.0, id="many at once"),
        pytest.param(200, 10, (250, 25), 1 / 3, id="a foreign client takes a third"),
        pytest.param(50, 20, (9000, 500), 0.0, id="hardly any at once, fast to come back"),
    ],
)
def test_a_burst_is_over_within_a_fifth_of_the_floor(instances, capacity, refill, reads, foreign):
    seconds, burst = played(
        lambda: Burst(1000, instances, Bucket(capacity, refill, foreign), Bucket(*reads))
    )
    share = 1 - foreign
    floor = (1000 - capacity * share) / (refill * share)
    told = (
        f"{seconds:.1f} s, floor {floor:.1f}, {burst.writes.refused} refused, {burst.turns} turns"
    )

    assert seconds <= 1.2 * floor + 1, told
    assert burst.writes.refused + burst.reads.refused <= 8, told
    assert burst.turns <= 10 * 1000, told
    assert jain(burst.by_instance) >= 0.9, burst.by_instance
    assert sorted(burst.neighbor)[int(0.95 * len(burst.neighbor))] <= 5, burst.neighbor


def jain(shares: list[int]) -> float:
    """Jain's index: 1 if all have the same, 1/n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
