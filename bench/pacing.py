"""The governor alone: a burst over several instances, in made-up time, with many seeds.

One `burst` shows the whole service, once, on whatever the machine has left. Here only the governor
and its meters are real; the queue (hidden for whole seconds, polled as `host.json` says), the
instances (24 messages at once, 12 ms of CPU a VM) and ARM's bucket (50 ms away) are models, and a
loop whose time jumps to the next event plays a burst in a second. So a change of pace can be judged
by its worst case. Targets, for every seed: all accepted within 1.2 times the floor; a VM of another
subscription that comes meanwhile accepted within 5 s (95th percentile, with the four instances that
are shipped: fewer cores need longer to look at a thousand messages); Jain's index of the
instances' shares at least 0.9. ``429`` and ``put off`` (messages hidden again) are means of a burst.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench.figures import percentile
from shared.adapters.governor import Drawn, Governor
from shared.settings import read
from simulator.budgets import Bucket
from simulator.profiles import PROFILES, Rate

TARGET = 1.2
SHIPPED = 4  # instances, as the setting's default
SEEDS = 12
LATENCY, STORAGE, CPU = 0.05, 0.01, 0.004  # seconds of a call to ARM or storage; of a third of a VM
SUBSCRIPTION = "20000000-0000-4000-8000-00000000000a"
NEIGHBOR = "20000000-0000-4000-8000-00000000000b"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
CALLS = (
    ("microsoft.compute/virtualmachines/read", "reads"),
    ("microsoft.recoveryservices/vaults/protecteditems/write", "writes"),
)
HELD_AT_MOST = 2.0  # seconds for which a request is held back in process
AFTER_REFUSAL = 5.0  # seconds for which a refused VM is put off at least
_PLENTY = Rate(capacity=9000, refill=500)
_QUEUES = json.loads(Path(__file__).parents[1].joinpath("host.json").read_text(encoding="utf-8"))
_QUEUES = _QUEUES["extensions"]["queues"]
_POLLED = sum(
    float(part) * unit
    for part, unit in zip(_QUEUES["maxPollingInterval"].split(":"), (3600, 60, 1), strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One burst; ``foreign`` is the share of the writes that another client takes."""

    name: str
    instances: int
    writes: Rate
    reads: Rate = _PLENTY
    size: int = 1000
    foreign: float = 0.0

    @property
    def floor(self) -> float:
        share = 1 - self.foreign
        waits = self.size - self.writes.capacity * share
        return max(0.0, waits / (self.writes.refill * share)) + 2 * LATENCY

    @property
    def bucket(self) -> Bucket:
        """Give what is left of the writes for us."""
        share = 1 - self.foreign
        rate = replace(self.writes, refill=self.writes.refill * share)
        return Bucket(rate, rate.capacity * share, START)


def _of(profile: str, instances: int, foreign: float = 0.0) -> Case:
    arm = PROFILES[profile].arm
    name = f"{profile}, foreign {foreign:.0%}" if foreign else profile
    return Case(
        name=name,
        instances=instances,
        writes=arm["writes"],
        reads=arm["reads"],
        foreign=foreign,
    )


CASES = (
    *(_of(name, instances) for name in ("doc", "seen-2025") for instances in (1, 2, 4)),
    *(_of("doc", instances, foreign=1 / 3) for instances in (2, 4)),
    Case(name="slow refill", writes=Rate(capacity=100, refill=1), instances=2, size=200),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How one burst went."""

    ratio: float
    refused: int
    put_off: int
    neighbor: float  # seconds, 95th percentile
    fairness: float


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
        "neighbor_worst": round(max(one.neighbor for one in played), 1),
        "fairness_worst": round(min(one.fairness for one in played), 2),
    }


def rows(results: list[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield (
        "profile", "instances", "VMs", "floor, s", "ratio, median", "worst", "target",
        "neighbor p95, s, worst", "target", "Jain, worst", "429", "put off",
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
            f"{one['neighbor_worst']:.1f}",
            "5.0",
            f"{one['fairness_worst']:.2f}",
            f"{one['refused']:.1f}",
            f"{one['put_off']:,}",
        )


def play(case: Case, seed: int) -> Played:
    """Play one burst in a loop of its own."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=_Jumping) as runner:
        burst = _Burst(case)
        runner.run(burst.play())
    shares = burst.by_instance
    return Played(
        ratio=burst.last / case.floor,
        refused=burst.refused,
        put_off=burst.put_off,
        neighbor=percentile(burst.waited, 0.95),
        fairness=sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)),
    )


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


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Clock:
    """The clock port on that loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=_now())

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Do nothing: this clock is the only one."""


@dataclass(frozen=True, slots=True, order=True)
class _Message:
    """One VM to enroll; seen from ``visible`` on, born at ``born``."""

    visible: float
    number: int
    subscription: str
    born: float


class _Burst:
    """All there is beside the governor: a queue, and ARM's buckets."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = _Clock()
        born = [0.3 + number / 2000 for number in range(case.size)]
        self.queue = [_Message(at, number, SUBSCRIPTION, at) for number, at in enumerate(born)]
        self.buckets = {
            (SUBSCRIPTION, "writes"): case.bucket,
            (SUBSCRIPTION, "reads"): Bucket(case.reads, case.reads.capacity, START),
            (NEIGHBOR, "writes"): Bucket(_PLENTY, _PLENTY.capacity, START),
            (NEIGHBOR, "reads"): Bucket(_PLENTY, _PLENTY.capacity, START),
        }
        self.by_instance = [0] * case.instances
        self.refused = self.put_off = 0
        self.last = 0.0
        self.waited: list[float] = []
        self.over = asyncio.Event()

    async def play(self) -> None:
        instances = [_Instance(self, number) for number in range(self.case.instances)]
        tasks = [asyncio.create_task(one.listen()) for one in instances]
        tasks.append(asyncio.create_task(self._neighbors()))
        await self.over.wait()
        for task in tasks:
            task.cancel()

    async def _neighbors(self) -> None:
        """Let the other subscription have a VM now and then."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 3))
            heapq.heappush(self.queue, _Message(_now(), 0, NEIGHBOR, _now()))

    def take(self, most: int) -> list[_Message]:
        """Give the messages that can be seen, the oldest first."""
        found: list[_Message] = []
        while self.queue and self.queue[0].visible <= _now() and len(found) < most:
            found.append(heapq.heappop(self.queue))
        return found

    def hide(self, message: _Message, seconds: float) -> None:
        self.put_off += 1
        heapq.heappush(self.queue, replace(message, visible=_now() + math.ceil(seconds)))

    def done(self, message: _Message, instance: int) -> None:
        if message.subscription == NEIGHBOR:
            self.waited.append(_now() - message.born)
            return
        self.by_instance[instance] += 1
        self.last = _now()
        if sum(self.by_instance) == self.case.size:
            self.over.set()

    async def ask(self, pace: Governor, drawn: Drawn) -> float:
        """Ask ARM once; give the seconds it says to wait, 0.0 if it accepted."""
        bucket, now = self.buckets[drawn.subscription, drawn.kind], self.clock.now()
        wait = bucket.wait(now)
        if not wait:
            bucket.tokens -= 1
        left = int(bucket.tokens)
        await asyncio.sleep(LATENCY)
        if wait:
            self.refused += 1
            pace.refused(drawn, "SubscriptionRequestsThrottled", "", math.ceil(wait))
            return max(wait, AFTER_REFUSAL)
        pace.answered(drawn, {f"x-ms-ratelimit-remaining-subscription-{drawn.kind}": str(left)})
        return 0.0


class _Instance:
    """One instance of the app: a listener, one core, a governor."""

    def __init__(self, burst: _Burst, number: int) -> None:
        self._burst = burst
        self._number = number
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
                found = self._burst.take(batch)
                for message in found:
                    task = group.create_task(self._enroll(message))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if found:
                    pause = 0.1
                    continue
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(2 * pause, _POLLED)

    async def _work(self) -> None:
        """Compute a little, and write or read a row."""
        async with self._core:
            await asyncio.sleep(CPU)
        await asyncio.sleep(STORAGE)

    async def _enroll(self, message: _Message) -> None:
        await self._work()
        if seconds := await self._pace.slot(message.subscription, urgent=True):
            self._burst.hide(message, seconds)
            return
        try:
            for action, kind in CALLS:
                drawn = Drawn(message.subscription, action, kind)
                held = self._pace.hold(drawn)
                if held <= HELD_AT_MOST:
                    await asyncio.sleep(held)
                    self._pace.sent(drawn)
                    held = await self._burst.ask(self._pace, drawn)
                if held:
                    self._burst.hide(message, max(held, AFTER_REFUSAL))
                    return
                await self._work()
            self._burst.done(message, self._number)
        finally:
            self._pace.done(message.subscription)
