"""The coverage page with 100,000 VMs in 50 subscriptions: first byte, size, and how soon a
change shows.

Targets: first byte within 300 ms, 150 kB, 2 minutes. `first` is the first request that a fresh
process answers, with all it loads for it after the functions are indexed; the others are its next
ones. The app is the deployment package, which nothing may write to, as where it is mounted (ADR 7).
Each view is asked of three processes of its own: medians, and the worst of all but the firsts. Rows
lie in the storage emulator, which shares this machine's cores; the Functions host's own
milliseconds come on top.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench import estates
from packaging_tools.build import build
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
from simulator.azurite import Azurite
from tests.fakes.azure import FakeAzure
from tests.unit.domain import worlds
from tests.usecases.house import FakeNotices, FakeRules

VMS = int(os.environ.get("PAGE_VMS", "100000"))
SUBSCRIPTIONS = 50
FRESH = 3  # processes for each view, each of which answers it so often:
SAMPLES = 8
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
_PROGRAM = """
import asyncio, base64, json, os, sys, time
from urllib.parse import parse_qsl, urlsplit
import function_app
function_app.app.get_functions()
url = "http://127.0.0.1/api/" + sys.argv[1]
given = base64.b64encode(b"x:" + os.environ["LOCAL_SIGN_IN"].encode()).decode()
headers = {"Authorization": "Basic " + given, "Accept": "text/html"}
async def live():
    from shared import bootstrap
    found = []
    for _ in range(int(sys.argv[2])):
        begun = time.perf_counter()
        answer = await bootstrap.answer(
            sys.argv[1].partition("?")[0], method="GET", url=url,
            params=dict(parse_qsl(urlsplit(url).query)), headers=headers, body=b"",
        )
        found.append([1000 * (time.perf_counter() - begun), len(answer.body)])
        assert answer.status == 200, answer.body
    await (await bootstrap._foundation()).aclose()
    print(json.dumps(found))
asyncio.run(live())
"""


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
    """Build the app, plant the ledger, count it, ask for each view."""
    with tempfile.TemporaryDirectory(prefix="page-") as scratch:
        return await _measured(_unpacked(Path(scratch)))


def _unpacked(scratch: Path) -> Path:
    app = scratch / "app"
    with zipfile.ZipFile(build(scratch)) as package:
        package.extractall(app)
    return app


async def _measured(app: Path) -> dict[str, Any]:
    now = datetime.now(UTC)
    chance = random.Random(7)
    async with Azurite() as running:
        rows = [row(number, chance, now) for number in range(VMS)]
        await estates.plant(running.connection_string, rows)
        given = environment(running.connection_string)
        stores = Stores(read(given), credential=_nobody)
        try:
            ports = await ports_on(given, stores)
            started = time.perf_counter()
            counted = await recount(ports)
            took = time.perf_counter() - started
            return {
                "vms": VMS,
                "subscriptions": counted,
                "counted_seconds": round(took, 1),
                "views": {name: await view(app, given, path) for name, path in VIEWS.items()},
                "change_shows_seconds": round(await change_shows(ports, rows) + TICK, 1),
            }
        finally:
            await stores.aclose()


def environment(connection: str) -> dict[str, str]:
    """Give the app's settings."""
    return {
        "TENANT_ID": subscription(0),
        "RULES_URI": str(estates.RULES),
        "AzureWebJobsStorage": connection,
        "AZURE_CLOUD": "custom",
        "AZURE_CLOUD_ARM_ENDPOINT": "https://127.0.0.1:1",
        "LOCAL_SIGN_IN": PASSWORD,
    }


async def view(app: Path, given: Mapping[str, str], path: str) -> dict[str, int]:
    """Have fresh processes answer one view again and again."""
    told = [await _answered(app, given, path) for _ in range(FRESH)]
    others = [milliseconds for one in told for milliseconds, _ in one[1:]]
    return {
        "first_ms": round(statistics.median(one[0][0] for one in told)),
        "median_ms": round(statistics.median(others)),
        "worst_ms": round(max(others)),
        "kb": round(told[0][0][1] / 1000),
    }


async def _answered(app: Path, given: Mapping[str, str], path: str) -> list[tuple[float, int]]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, path, str(SAMPLES)),
        cwd=app,
        env={**os.environ, **given, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, f"{path} was not answered"
    found: list[tuple[float, int]] = json.loads(out)
    return found


async def ports_on(given: Mapping[str, str], stores: Stores) -> Ports:
    """Give what counts: real storage, and no Azure that anything would be asked of."""
    azure = FakeAzure()
    clock = WallClock()
    ports = Ports(
        settings=read(given),
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
    return ports


async def change_shows(ports: Ports, rows: Sequence[Row]) -> float:
    """Block a protected VM and give the seconds until a page counts it, without the timer's wait."""
    before = await blocked(ports)
    protected = next(one for one in rows if one.state is State.PROTECTED)
    found = await ports.ledger.read(ArmId.parse(protected.vm))
    assert found is not None
    changed = msgspec.structs.replace(found[0], state=State.BLOCKED)
    started = time.perf_counter()
    await ports.ledger.replace(changed, found[1])
    await recount(ports)
    after = await blocked(ports)
    assert after == before + 1, (before, after)
    return time.perf_counter() - started


async def blocked(ports: Ports) -> int:
    summaries = await ports.coverage.summaries()
    return sum(
        cell.count for one in summaries for cell in one.cells if cell.standing.value == "blocked"
    )


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("view", "first, ms", "median, ms", "worst, ms", "kB")
    for name, one in results["views"].items():
        yield (name, *(str(one[key]) for key in ("first_ms", "median_ms", "worst_ms", "kb")))
    yield ("a change shows after", f"{results['change_shows_seconds']:.0f} s at most", "", "", "")


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Nothing to read."""


def _nobody() -> Any:
    raise AssertionError("the emulator's connection string needs no credential")
