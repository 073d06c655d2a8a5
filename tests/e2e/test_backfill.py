"""A backfill of VMs that were there before, against the whole service: real worker, storage, ARM.

What `plan` says is what happens, and where others fill a vault meanwhile the run names who went
elsewhere; paused, killed and resumed, each VM is enrolled once; a rule that became wrong stops it at
the threshold. 2,000 VMs with --all-cells, else enough to have waves.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench import estates
from ops.backfill import ENDED, Fate, StateFile
from ops.printing import Exit
from shared.adapters.ledger import TableLedger
from shared.adapters.stores import Stores
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.states import State
from shared.settings import read
from simulator.estate import Estate, up_running
from simulator.seeds import plant
from tests.e2e.terminal import ended, started

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="module")]
# VMs, of which every so many belong to the second backfill, and vaults: one takes 240 a day
FULL, SMALL = (2100, 21, 10), (64, 3, 2)
LONG = 1500.0  # real seconds
# Speeds. While it plans, what is remembered for a moment is kept in simulated time; at 1 the budget
# of ARM reads would take minutes. With so many VMs at work that this machine is what they wait for,
# faster time only means more ticks of the timers.
PLANNING, WORKING, CROWDED = 8.0, 60.0, 20.0
CROWD = 100  # VMs in a wave
SWEEPS = 4 * 3600  # simulated seconds: a real backfill meets one or two, hours of it would not
FILLED, VAULT_VMS = "rsv-0", 1000  # the vault that others fill meanwhile, and how
UNFIT = 3  # VMs that Azure Backup cannot take
MAIN, LATER = "main", "later"  # values of the tag that chooses what a backfill takes


@dataclass(frozen=True, kw_only=True)
class Place:
    """An estate of old VMs, and the rules file that the app reads."""

    estate: Estate
    rules: Path
    names: dict[str, frozenset[str]]  # value of the tag -> VMs
    plan: dict[str, dict[str, Any]]  # what `plan` said of each VM before anything was done

    async def rows(self) -> dict[str, Row]:
        """Read the ledger as it stands in storage, by name of the VM."""
        stores = Stores(read(dict(self.estate.settings)), credential=_nobody)
        try:
            pages = TableLedger(stores).subscription_rows(estates.MAIN)
            return {ArmId.parse(row.vm).name: row async for page in pages for row in page}
        finally:
            await stores.aclose()

    def enables(self) -> Counter[str]:
        """Count the enrollments that Azure accepted, by VM."""
        accepted = Counter[str]()
        for call in self.estate.calls():
            path = str(call["path"])
            if call["method"] == "PUT" and "/protectedItems/" in path and call["status"] < 300:
                accepted[path.rpartition(";")[2].lower()] += 1
        return accepted


def _nobody() -> Any:
    raise AssertionError("the emulator's connection string needs no credential")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(request, tmp_path_factory) -> AsyncIterator[Place]:
    size, every, vaults = FULL if request.config.getoption("--all-cells") else SMALL
    seed = estates.seed(vaults=vaults, groups=10)
    names: dict[str, set[str]] = {MAIN: set(), LATER: set()}
    for number in range(size + UNFIT):
        vm = estates.machine(number, groups=10, created=estates.CREATED)
        batch = LATER if number % every == 0 else MAIN
        vm["tags"]["batch"] = batch
        if number >= size:
            vm["properties"]["storageProfile"]["osDisk"]["diffDiskSettings"] = {"option": "Local"}
        else:
            names[batch].add(vm["name"])
        seed["resources"].append(vm)
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(estates.RULES.read_text(encoding="utf-8"), encoding="utf-8")
    async with up_running(
        seed=seed,
        rules=rules,
        speed=PLANNING,
        settings={
            "ENROLL_SINCE": "2026-02-01T00:00:00Z",
            "CHANGES_PER_HOUR": "100000",
            "CHANGES_PER_DAY": "100000",
            "RULES_CHECK_SECONDS": "5",
            "SUBSCRIPTIONS": estates.MAIN,
            "SWEEP_SECONDS": str(SWEEPS),
        },
    ) as estate:
        plan = await started(estate, "plan", "--backfill", "-o", "json")
        code, out, err = await ended(plan, LONG)
        assert code in {Exit.DONE, Exit.FOUND}, err
        yield Place(
            estate=estate,
            rules=rules,
            names={batch: frozenset(some) for batch, some in names.items()},
            plan={ArmId.parse(line["vm"]).name: line for line in json.loads(out)},
        )


async def begun(
    place: Place, file: Path, *words: str, speed: float = WORKING
) -> asyncio.subprocess.Process:
    """Begin a backfill or go on with one, and let time run once it is at work."""

    def written() -> int:
        return file.stat().st_mtime_ns if file.exists() else 0

    before = written()
    if "--resume" not in words:
        place.estate.clock.set_speed(PLANNING)
    process = await started(place.estate, "backfill", "--yes", "--state", str(file), *words)
    await place.estate.wait_until(lambda: written() != before, LONG, "it is at work")
    place.estate.clock.set_speed(speed)
    return process


def group_of(policy: str) -> str:
    """Give the group of a policy: its name without the number that a VM's place decides."""
    return (
        ArmId.parse(policy).name.rpartition("-")[0]
        if policy.startswith("/")
        else (policy.rpartition("-")[0])
    )


async def others_fill(place: Place) -> None:
    """Let somebody else fill a vault, once nothing of ours is under way, so that time may jump."""
    estate = place.estate

    async def settled() -> bool:
        if await estate.queued("enrollments-backlog"):
            return False
        rows = (await place.rows()).values()
        return not any(row.claim or row.intent or row.state is State.ENROLLING for row in rows)

    for _ in range(5 * int(LONG)):
        if await settled():
            break
        await asyncio.sleep(0.2)
    theirs = [estates.machine(estates.FIRST_OTHER + n, groups=10) for n in range(VAULT_VMS)]
    held = [estates.item(estates.vault(FILLED), vm, deleted=False) for vm in theirs]
    plant(estate.world, {"resources": held})
    estate.advance(1000)  # the app looks at what the vaults hold every 15 minutes


async def test_paused_killed_and_resumed_each_vm_becomes_once_what_was_planned(place, tmp_path):
    file = StateFile(tmp_path / "backfill.json")
    wave = max(len(place.names[MAIN]) // 4, 10)
    speed = CROWDED if wave > CROWD else WORKING
    words = ("--wave", str(wave), "--tag", f"batch={MAIN}")

    def done() -> int:
        return sum(item.fate in ENDED for item in file.read().items) if file.path.exists() else 0

    first = await begun(place, file.path, *words, speed=speed)
    await place.estate.wait_until(lambda: done() >= wave, LONG, "a wave has ended")
    first.send_signal(signal.SIGINT)
    code, _, err = await ended(first)
    assert (code, file.read().stopped) == (Exit.STOPPED, "paused"), err
    paused = done()
    await others_fill(place)

    second = await begun(place, file.path, "--resume", speed=speed)
    await place.estate.wait_until(lambda: done() >= paused + wave, LONG, "another wave has ended")
    second.kill()
    await ended(second)
    killed = done()
    assert wave <= paused < killed < len(place.names[MAIN])

    third = await begun(place, file.path, "--resume", "-o", "json", speed=speed)
    code, out, err = await ended(third, LONG)
    items = file.read().items
    rows = await place.rows()

    assert [(item.vm, item.said) for item in items if item.fate is not Fate.ENROLLED] == []
    assert code == Exit.DONE, err
    assert {ArmId.parse(item.vm).name for item in items} == place.names[MAIN]
    assert {item.fate for item in items} == {Fate.ENROLLED}
    assert place.enables() == dict.fromkeys(place.names[MAIN], 1)
    for name in place.names[MAIN]:
        assert place.plan[name]["decision"] == "Enroll"
        assert group_of(rows[name].policy) == group_of(place.plan[name]["policy"])
    named = {ArmId.parse(line["vm"]).name: line["said"] for line in json.loads(out)}
    otherwise = {
        name: f"in {vault}, planned for {planned}"
        for name in place.names[MAIN]
        if (vault := ArmId.parse(rows[name].vault).name) != (planned := place.plan[name]["vault"])
    }
    assert named == otherwise  # ties go by a hash of the VM's id, not by the order
    assert {place.plan[name]["vault"] for name in named} == {FILLED}
    told = " ".join(err.split())
    assert f"{len(named)} VMs were planned for {FILLED} and are in another vault" in told
    assert "its places were taken meanwhile" in told
    for name, line in place.plan.items():
        if line["decision"] == "Block":
            assert rows[name].state is State.BLOCKED
            codes = {finding.code for finding in rows[name].findings}
            assert set(line["findings"]) <= codes
    assert sum(line["decision"] == "Block" for line in place.plan.values()) == UNFIT


@pytest.mark.large
async def test_a_rule_that_became_wrong_stops_it_at_the_threshold_and_it_says_where(
    place, tmp_path
):
    file = tmp_path / "later.json"
    good = place.rules.read_text(encoding="utf-8")
    words = ("--wave", "10", "--tag", f"batch={LATER}", "--threshold", "0.1")
    before = place.enables()
    process = await begun(place, file, *words)
    place.rules.write_text(good.replace("silver-", "silber-"), encoding="utf-8")
    code, _, err = await ended(process, LONG)
    stopped = StateFile(file).read()

    assert code == Exit.STOPPED
    assert "POLICY_MISSING" in stopped.stopped
    assert "(allowed: 10%)" in stopped.stopped
    assert ArmId.parse(stopped.stopped.rpartition(" ")[2]).name in place.names[LATER]
    assert stopped.stopped in " ".join(err.split())
    assert any(item.fate is not Fate.ENROLLED for item in stopped.items)

    place.rules.write_text(good, encoding="utf-8")
    place.estate.advance(60)  # the app looks for newer rules
    code, _, err = await ended(await begun(place, file, "--resume"), LONG)

    assert code == Exit.DONE, err
    assert place.enables() == before + Counter(place.names[LATER])


async def test_nothing_failed_meanwhile(place):
    """But for letters that met each other at their digest: their queue brings them again."""
    failed = [f"{one.function}: {one.error}" for one in place.estate.failed()]
    assert [one for one in failed if "send_notice" not in one or "Contention" not in one] == []
