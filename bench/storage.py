"""What storage costs: requests, time and CPU of each call, and what loading the SDKs takes.

The emulator answers from memory on this machine and shares its
cores with us, so its milliseconds are not Azure's (2 to 10 ms a request within a region); requests
and our own CPU are the same there. A time is the median of its samples.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport

from shared.adapters.ledger import TableLedger
from shared.adapters.parked import TableParkedMessages
from shared.adapters.queues import StorageQueues
from shared.adapters.stores import Stores
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import ChangeKind, InFlight, Parked, Row, Transition
from shared.domain.states import State
from shared.settings import read
from simulator.azurite import Azurite

SUB = "aaaaaaaa-0000-4000-8000-000000000001"
VAULT = ArmId.of(SUB, "rg-backup", "Microsoft.RecoveryServices", (("vaults", "rsv-weu"),))
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = "2026-03-02"
SAMPLES = 100
IMPORTS = (
    "import shared.adapters.ledger, shared.adapters.queues",
    "import azure.data.tables.aio",
    "import azure.storage.queue.aio",
    "import azure.data.tables.aio, azure.storage.queue.aio",
)


class WallClock:
    """The clock of the bench: real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Nothing to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call takes: milliseconds are medians, requests and CPU are means."""

    requests: float
    wall: float
    cpu: float


class Requests:
    """Counts what leaves the process."""

    def __init__(self) -> None:
        self.sent = 0
        send = AioHttpTransport.send

        async def counted(
            transport: AioHttpTransport, *request: object, **options: object
        ) -> object:
            self.sent += 1
            return await send(transport, *request, **options)

        AioHttpTransport.send = counted


def vm(number: int) -> ArmId:
    return virtual_machine(SUB, "rg-web", f"web-{number:05d}")


def row(of: ArmId) -> Row:
    history = tuple(Transition(at=NOW, state=State.WAITING, why="agent") for _ in range(10))
    tags = {f"tag-{number}": "some value" for number in range(10)}
    return Row(vm=str(of), state=State.WAITING, since=NOW, seen_at=NOW, history=history, tags=tags)


async def measure(
    requests: Requests, call: Callable[[int], Awaitable[object]], samples: int = SAMPLES
) -> Cost:
    walls: list[float] = []
    await call(samples)  # connections, tables and code are warm
    sent, cpu = requests.sent, time.process_time()
    for number in range(samples):
        started = time.perf_counter()
        await call(number)
        walls.append(time.perf_counter() - started)
    return Cost(
        requests=(requests.sent - sent) / samples,
        wall=statistics.median(walls) * 1000,
        cpu=(time.process_time() - cpu) / samples * 1000,
    )


async def calls(stores: Stores) -> AsyncIterator[tuple[str, Cost]]:
    """Measure one instance doing one thing after another."""
    requests = Requests()
    ledger, queues = TableLedger(stores), StorageQueues(stores, WallClock())
    parked = TableParkedMessages(stores)
    etags: dict[int, str] = {}

    async def insert(number: int) -> None:
        etags[number] = await ledger.insert(row(vm(number)))

    async def replace(number: int) -> None:
        etags[number] = await ledger.replace(row(vm(number)), etags[number])

    async def fly(number: int) -> None:
        await ledger.put_in_flight(
            InFlight(
                vm=str(vm(number)),
                vault=str(VAULT),
                request_id="r",
                sent_at=NOW,
                kind=ChangeKind.ENROLL,
            )
        )

    async def walk(_number: int) -> None:
        async for _ in ledger.subscription_rows(SUB):
            pass

    async def park(_number: int) -> None:
        await parked.park(
            Parked(key="k", source="event", reason="shape", raw="x" * 1_000_000, at=NOW)
        )

    yield (
        f"insert a row of {len(msgspec.json.encode(row(vm(0)))):,} bytes",
        await measure(requests, insert),
    )
    yield "read it", await measure(requests, lambda n: ledger.read(vm(n)))
    yield "replace it", await measure(requests, replace)
    yield "walk 101 rows", await measure(requests, walk, 20)
    yield (
        "take a place (to 100 taken)",
        await measure(requests, lambda n: ledger.take_place(VAULT, DAY, vm(n), 240)),
    )
    yield "count places", await measure(requests, lambda _: ledger.places(VAULT, DAY))
    yield "count a change", await measure(requests, lambda _: ledger.count_change(SUB, NOW))
    yield "ask for changes", await measure(requests, lambda _: ledger.changes(SUB, NOW))
    yield "put in flight", await measure(requests, fly)
    yield "list 101 in flight", await measure(requests, lambda _: ledger.in_flight(VAULT), 20)
    yield (
        "drop in flight",
        await measure(requests, lambda n: ledger.drop_in_flight(VAULT, vm(n), "r")),
    )
    yield (
        "put due",
        await measure(requests, lambda n: ledger.put_due(vm(n), NOW + timedelta(seconds=n))),
    )
    yield (
        "due, nothing",
        await measure(requests, lambda _: ledger.due(NOW - timedelta(days=1), 200), 20),
    )
    yield (
        "due, 101 rows",
        await measure(requests, lambda _: ledger.due(NOW + timedelta(days=1), 200), 20),
    )
    yield "park 1 MB", await measure(requests, park, 10)
    work = WorkItem(vm=str(vm(0)), seen_at=NOW, cause=Cause.EVENT)
    yield "send a message", await measure(requests, lambda _: queues.send(work))


async def crowd(instances: Sequence[Stores]) -> tuple[float, int]:
    """Let instances compete for a day's places; give places per second and how many were taken."""
    ledgers = [TableLedger(stores) for stores in instances]
    started = time.perf_counter()
    taken = await asyncio.gather(
        *(
            ledgers[number % len(ledgers)].take_place(VAULT, "2026-03-03", vm(number), 240)
            for number in range(300)
        )
    )
    return 300 / (time.perf_counter() - started), taken.count(True)


def loading(statement: str) -> tuple[float, float]:
    """Give the median milliseconds and megabytes that an import takes in a fresh interpreter."""
    code = (
        "import time\n"
        "used = lambda: int(open('/proc/self/statm').read().split()[1]) / 256\n"
        "before, start = used(), time.perf_counter()\n"
        f"{statement}\n"
        "print((time.perf_counter() - start) * 1000, used() - before)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    return statistics.median(ms for ms, _ in pairs), statistics.median(mb for _, mb in pairs)


def instance(connection: str) -> Stores:
    settings = read({"TENANT_ID": SUB, "RULES_URI": "-", "AzureWebJobsStorage": connection})
    return Stores(settings, no_credential)


def no_credential() -> AsyncTokenCredential:
    raise AssertionError("the emulator needs no credential")


async def run() -> dict[str, Any]:
    """Load, call, compete."""
    loads = {statement: loading(statement) for statement in IMPORTS}
    async with Azurite() as azurite:
        instances = [instance(azurite.connection_string) for _ in range(4)]
        costs = {name: cost async for name, cost in calls(instances[0])}
        rate, taken = await crowd(instances)
        for stores in instances:
            await stores.aclose()
    return {
        "loading": {
            name: {"ms": round(ms), "mb": round(mb, 1)} for name, (ms, mb) in loads.items()
        },
        "calls": {name: asdict(cost) for name, cost in costs.items()},
        "crowd": {"places_a_second": round(rate), "taken": taken},
    }


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("what", "requests", "ms", "CPU, ms", "MB")
    for name, one in results["loading"].items():
        yield (name, "", str(one["ms"]), "", f"{one['mb']:.1f}")
    for name, one in results["calls"].items():
        yield (name, f"{one['requests']:.1f}", f"{one['wall']:.1f}", f"{one['cpu']:.2f}", "")
    yield (
        "4 instances compete for 240 places, a second",
        str(results["crowd"]["places_a_second"]),
        "",
        "",
        "",
    )
