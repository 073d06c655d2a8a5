"""The governor alone: a burst over several instances, in made-up time, with many seeds.

One `burst` shows the whole service, once, on whatever the machine has left. Here only the governor
and its meters are real; the queue (hidden for whole seconds, polled as `host.json` says), the
instances (24 messages at once, 12 ms of CPU a VM) and ARM's bucket (50 ms away) are models, and a
loop whose time jumps to the next event plays a burst in a second. So a change of pace can be judged
by its worst case. Target: all accepted within 1.2 times the floor, for every seed; ``429`` and
``put off`` (messages hidden again) are means of a burst.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean, median
from typing import Any

from shared.adapters.governor import Drawn, Governor
from shared.settings import read
from simulator.budgets import Bucket
from simulator.profiles import PROFILES, Rate

TARGET = 1.2
SEEDS = 12
LATENCY, STORAGE, CPU = 0.05, 0.01, 0.004  # seconds of a call to ARM or storage; of a third of a VM
SUBSCRIPTION = "20000000-0000-4000-8000-00000000000a"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUT = Drawn(SUBSCRIPTION, "microsoft.recoveryservices/vaults/protecteditems/write", "writes")
HELD_AT_MOST = 2.0  # seconds for which a PUT is held back in process
AFTER_REFUSAL = 5.0  # seconds for which a refused VM is put off at least
_QUEUES = json.loads(Path(__file__).parents[1].joinpath("host.json").read_text(encoding="utf-8"))
_QUEUES = _QUEUES["extensions"]["queues"]
_POLLED = sum(
    float(part) * unit
    for part, unit in zip(_QUEUES["maxPollingInterval"].split(":"), (3600, 60, 1), strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One burst; ``rate`` is the bucket of writes."""

    name: str
    rate: Rate
    instances: int
    size: int = 1000

    @property
    def floor(self) -> float:
        return max(0.0, (self.size - self.rate.capacity) / self.rate.refill) + 2 * LATENCY


CASES = (
    *(
        Case(name=name, rate=PROFILES[name].arm["writes"], instances=instances)
        for name in ("doc", "seen-2025")
        for instances in (1, 2, 4)
    ),
    Case(name="slow refill", rate=Rate(capacity=100, refill=1), instances=2, size=200),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How one burst went."""

    ratio: float
    refused: int
    put_off: int


async def run(seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Play every case with every seed."""
    return [
        await asyncio.to_thread(_summed, case, seeds)  # a loop of its own needs a thread of its own
        for case in CASES
    ]


def _summed(case: Case, seeds: int) -> dict[str, Any]:
    played = [play(case, seed) for seed in range(seeds)]
    ratios = [one.ratio for one in played]
    return {
        "case": case.name,
        "instances": case.instances,
        "vms": case.size,
        "seeds": len(played),
        "floor_seconds": round(case.floor, 1),
        "ratio_median": round(median(ratios), 3),
        "ratio_worst": round(max(ratios), 3),
        "refused": round(mean(one.refused for one in played), 1),
        "put_off": round(mean(one.put_off for one in played)),
    }


def rows(results: list[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield (
        "profile", "instances", "VMs", "floor, s", "ratio, median", "worst", "target", "429",
        "put off",
    )  # fmt: skip
    for one in results:
        yield (
            one["case"],
            str(one["instances"]),
            f"{one['vms']:,}",
            f"{one['floor_seconds']:.1f}",
            f"{one['ratio_median']:.2f}",
            f"{one['ratio_worst']:.2f}",
            f"{TARGET:.2f}",
            f"{one['refused']:.1f}",
            f"{one['put_off']:,}",
        )


def play(case: Case, seed: int) -> Played:
    """Play one burst in a loop of its own."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=_Jumping) as runner:
        burst = _Burst(case)
        runner.run(burst.play())
    return Played(ratio=burst.last / case.floor, refused=burst.refused, put_off=burst.queue.hidden)


class _Jumping(asyncio.SelectorEventLoop):
    """A loop that does not wait for what is due later: its time jumps there."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0
        look = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None) -> Any:
            self._passed += timeout or 0.0
            return look(0)

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._passed


class _Clock:
    """The clock port on that loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Do nothing: this clock is the only one."""


@dataclass(slots=True)
class _Queue:
    """Messages by the moment at which they can be seen."""

    heap: list[tuple[float, int]] = field(default_factory=list)
    hidden: int = 0

    def hide(self, vm: int, seconds: float) -> None:
        self.hidden += 1
        heapq.heappush(self.heap, (asyncio.get_running_loop().time() + math.ceil(seconds), vm))

    def take(self, most: int) -> list[int]:
        now, found = asyncio.get_running_loop().time(), list[int]()
        while self.heap and self.heap[0][0] <= now and len(found) < most:
            found.append(heapq.heappop(self.heap)[1])
        return found


class _Burst:
    """All there is beside the governor."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = _Clock()
        self.queue = _Queue([(0.3 + number / 2000, number) for number in range(case.size)])
        self.bucket = Bucket(case.rate, case.rate.capacity, START)
        self.accepted = self.refused = 0
        self.last = 0.0
        self.over = asyncio.Event()

    async def play(self) -> None:
        tasks = [asyncio.create_task(_Instance(self).listen()) for _ in range(self.case.instances)]
        await self.over.wait()
        for task in tasks:
            task.cancel()

    async def put(self, pace: Governor) -> float:
        """Ask ARM once; give the seconds it says to wait, 0.0 if it accepted."""
        now = self.clock.now()
        if wait := self.bucket.wait(now):
            await asyncio.sleep(LATENCY)
            self.refused += 1
            pace.refused(PUT, "SubscriptionRequestsThrottled", "", math.ceil(wait))
            return wait
        self.bucket.tokens -= 1
        left = int(self.bucket.tokens)
        self.accepted, self.last = self.accepted + 1, asyncio.get_running_loop().time()
        if self.accepted == self.case.size:
            self.over.set()
        await asyncio.sleep(LATENCY)
        pace.answered(PUT, {"x-ms-ratelimit-remaining-subscription-writes": str(left)})
        return 0.0


class _Instance:
    """One instance of the app: a listener, one core, a governor."""

    def __init__(self, burst: _Burst) -> None:
        self._burst = burst
        settings = read(
            {
                "TENANT_ID": SUBSCRIPTION,
                "RULES_URI": "rules.yaml",
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "INSTANCES": str(burst.case.instances),
            }
        )
        self._pace = Governor(settings, burst.clock)
        self._core = asyncio.Lock()

    async def listen(self) -> None:
        threshold, batch = int(_QUEUES["newBatchThreshold"]), int(_QUEUES["batchSize"])
        pause = 0.1
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                while len(running) > threshold:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(STORAGE)
                found = self._burst.queue.take(batch)
                for vm in found:
                    task = group.create_task(self._enroll(vm))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if found:
                    pause = 0.1
                    continue
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(2 * pause, _POLLED)

    async def _compute(self) -> None:
        async with self._core:
            await asyncio.sleep(CPU)

    async def _enroll(self, vm: int) -> None:
        await self._compute()
        await asyncio.sleep(STORAGE)
        if seconds := await self._pace.slot(SUBSCRIPTION, urgent=True):
            self._burst.queue.hide(vm, seconds)
            return
        try:
            await asyncio.sleep(STORAGE + LATENCY)
            await self._compute()
            await asyncio.sleep(2 * STORAGE)
            if (held := self._pace.hold(PUT)) <= HELD_AT_MOST:
                await asyncio.sleep(held)
                held = await self._burst.put(self._pace)
            if held:
                self._burst.queue.hide(vm, max(held, AFTER_REFUSAL))
            await self._compute()
            await asyncio.sleep(2 * STORAGE)
        finally:
            self._pace.done(SUBSCRIPTION)
