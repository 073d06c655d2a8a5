"""The coverage page with 100,000 VMs in 50 subscriptions: first byte, size, and how soon a
change shows.

Targets: first byte within 300 ms, 150 kB, 2 minutes. Rows lie in the storage emulator, which shares this machine's cores;
the page is answered in this process, so the Functions host's own milliseconds come on top.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bench import estates
from shared.adapters.coverage import TableCoverage
from shared.adapters.ledger import TableLedger
from shared.adapters.parked import TableParkedMessages
from shared.adapters.people import TablePeople
from shared.adapters.queues import StorageQueues
from shared.adapters.stores import Stores
from shared.coverage import recount
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.records import Row, SweepMark
from shared.domain.states import State
from shared.ports import Ports
from shared.settings import read
from shared.web.desk import Desk
from shared.web.http import Request
from shared.web.routes import respond
from simulator.azurite import Azurite
from tests.fakes.azure import FakeAzure
from tests.fakes.notices import FakeNoticeStore
from tests.unit.domain import worlds
from tests.unit.web.counter import Quiet
from tests.usecases.house import FakeNotices, FakeRules

VMS = int(os.environ.get("PAGE_VMS", "100000"))
SUBSCRIPTIONS = 50
SAMPLES = 9
PASSWORD = "bench"
TICK = 60  # seconds between two counts at most
STATES = (
    *(State.PROTECTED,) * 70,
    *(State.BLOCKED,) * 12,
    *(State.ENROLLED,) * 8,
    *(State.EXCLUDED,) * 5,
    *(State.WAITING,) * 5,
)
CODES = [f"CAUSE_{number:02d}" for number in range(40)]
REGIONS = ("westeurope", "northeurope", "eastus", "eastus2", "southeastasia", "koreacentral")
VIEWS = {
    "overview": "coverage",
    "one cause": "coverage?cause=CAUSE_07",
    "its last page": "coverage?cause=CAUSE_07&page=999",
    "one subscription": "coverage?subscription=aaaaaaaa-0000-4000-8000-000000000003",
    "by region and standing": "coverage?region=eastus&standing=blocked",
    "search by name": "coverage?q=vm-0123",
    "search by tag": "coverage?tag=team%3Dteam-7",
}


def subscription(number: int) -> str:
    return f"aaaaaaaa-0000-4000-8000-{number:012d}"


def row(number: int, chance: random.Random, now: datetime) -> Row:
    """Make one VM as a real estate has it: some tags, a vault, a history of its own."""
    state = chance.choice(STATES)
    region = chance.choice(REGIONS)
    vault = worlds.vault(name=f"rsv-{region}-{chance.randrange(2)}").id
    enrolled = now - timedelta(days=chance.random() * 60)
    settled = state in {State.PROTECTED, State.ENROLLED}
    finding = Finding(
        code=chance.choice(CODES),
        severity=Severity.BLOCKER,
        text="Something stands in the way of this VM's backup.",
        evidence="what was seen",
    )
    vm = virtual_machine(
        subscription(number % SUBSCRIPTIONS), f"rg-{number % 97:03d}", f"vm-{number:06d}"
    )
    return Row(
        vm=str(vm),
        state=state,
        since=enrolled,
        seen_at=now,
        uid=f"{number:032x}",
        region=region,
        tags={"env": chance.choice(("prod", "test")), "team": f"team-{number % 53}", "owner": "x"},
        rule="production",
        vault=str(vault) if settled else "",
        policy=f"{vault}/backupPolicies/gold-{number % 3}" if settled else "",
        findings=(finding,) if state is State.BLOCKED else (),
        first_seen=enrolled - timedelta(seconds=chance.expovariate(1 / 60)),
        enrolled_at=enrolled if settled else None,
        protected_at=enrolled + timedelta(hours=12) if state is State.PROTECTED else None,
    )


async def run() -> dict[str, Any]:
    """Plant the ledger, count it, ask for each view."""
    now = datetime.now(UTC)
    chance = random.Random(7)
    async with Azurite() as running:
        rows = [row(number, chance, now) for number in range(VMS)]
        await estates.plant(running.connection_string, rows)
        desk, stores = await desk_on(running.connection_string)
        try:
            return await measure(desk, rows)
        finally:
            await stores.aclose()


async def desk_on(connection: str) -> tuple[Desk, Stores]:
    settings = read(
        {
            "TENANT_ID": subscription(0),
            "RULES_URI": "rules.yaml",
            "AzureWebJobsStorage": connection,
            "AZURE_CLOUD": "custom",
            "AZURE_CLOUD_ARM_ENDPOINT": "https://127.0.0.1:1",
            "LOCAL_SIGN_IN": PASSWORD,
        }
    )
    stores = Stores(settings, credential=_nobody)
    azure = FakeAzure()
    clock = WallClock()
    ports = Ports(
        settings=settings,
        clock=clock,
        machines=azure.machines,
        backup=azure.backup,
        directory=azure.directory,
        networks=azure.networks,
        setup=azure.setup,
        index=azure.index,
        estate=azure.estate,
        pace=azure.pace,
        ledger=TableLedger(stores),
        coverage=TableCoverage(stores),
        people=TablePeople(stores),
        parked=TableParkedMessages(stores),
        queues=StorageQueues(stores, clock),
        rules=FakeRules(worlds.rules()),
        notices=FakeNotices(),
    )
    now = clock.now()
    for number in range(SUBSCRIPTIONS):
        name = subscription(number)
        vms = len(range(number, VMS, SUBSCRIPTIONS))
        mark = SweepMark(subscription=name, sweep="s", started_at=now, finished_at=now, vms=vms)
        await ports.ledger.put_sweep(mark)
    desk = Desk(
        ports=ports, keys=_NoKeys(), notices=FakeNoticeStore(), hush=_Hush(), soundings=Quiet()
    )
    return desk, stores


async def measure(desk: Desk, rows: Sequence[Row]) -> dict[str, Any]:
    started = time.perf_counter()
    counted = await recount(desk.ports)
    took = time.perf_counter() - started
    views: dict[str, Any] = {}
    for name, path in VIEWS.items():
        first, *others = [await ask(desk, path) for _ in range(SAMPLES)]
        times = [seconds * 1000 for seconds, _ in others]
        views[name] = {
            "first_ms": round(first[0] * 1000),
            "median_ms": round(statistics.median(times)),
            "worst_ms": round(max(times)),
            "kb": round(first[1] / 1000),
        }
    return {
        "vms": VMS,
        "subscriptions": counted,
        "counted_seconds": round(took, 1),
        "change_shows_seconds": round(await change_shows(desk, rows) + TICK, 1),
        "views": views,
    }


async def change_shows(desk: Desk, rows: Sequence[Row]) -> float:
    """Block a protected VM and give the seconds until a page counts it, without the timer's wait."""
    before = await blocked(desk)
    protected = next(one for one in rows if one.state is State.PROTECTED)
    found = await desk.ports.ledger.read(ArmId.parse(protected.vm))
    assert found is not None
    changed = msgspec.structs.replace(found[0], state=State.BLOCKED)
    started = time.perf_counter()
    await desk.ports.ledger.replace(changed, found[1])
    await recount(desk.ports)
    after = await blocked(desk)
    assert after == before + 1, (before, after)
    return time.perf_counter() - started


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("view", "first, ms", "median, ms", "worst, ms", "kB")
    for name, one in results["views"].items():
        yield (name, *(str(one[key]) for key in ("first_ms", "median_ms", "worst_ms", "kb")))
    yield ("a change shows after", f"{results['change_shows_seconds']:.0f} s at most", "", "", "")


async def blocked(desk: Desk) -> int:
    summaries = await desk.ports.coverage.summaries()
    return sum(
        cell.count for one in summaries for cell in one.cells if cell.standing.value == "blocked"
    )


async def ask(desk: Desk, path: str) -> tuple[float, int]:
    """Ask for a page; give seconds until the answer stands and its size."""
    import base64
    from urllib.parse import parse_qsl, urlsplit

    given = base64.b64encode(f"x:{PASSWORD}".encode()).decode()
    request = Request(
        method="GET",
        url=f"http://127.0.0.1/api/{path}",
        params=dict(parse_qsl(urlsplit(path).query)),
        headers={"authorization": f"Basic {given}", "accept": "text/html"},
        body=b"",
    )

    async def opened() -> Desk:
        return desk

    started = time.perf_counter()
    answer = await respond(path.partition("?")[0], request, opened)
    took = time.perf_counter() - started
    assert answer.status == 200, answer.body
    return took, len(answer.body)


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Nothing to read."""


class _NoKeys:
    async def key(self, kid: str) -> None:
        raise AssertionError(f"the bench sends no token, so nobody asks for {kid}")


class _Hush:
    async def snooze(self, vm: ArmId, until: datetime, by: str, now: datetime) -> None:
        raise AssertionError(f"the bench snoozes nothing: {vm} {until} {by} {now}")


def _nobody() -> Any:
    raise AssertionError("the emulator's connection string needs no credential")
