"""The deployment package is swapped while the queue is full, forward and back; nothing is lost.

The next version is this one with the number of its messages raised: each side meets messages of the
other in the queue. Instances are replaced as a crash would, which is worse than Azure's drain: what
they held is hidden for ten minutes.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bench import estates
from packaging_tools.build import build
from simulator.estate import Estate, up_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
WORKERS = 2
SPEED = 60.0
LATENCY_MS = 100.0  # real ones, so that a kill meets runs at every step
HIDDEN = 1000.0  # simulated: what the dead held shows again, what nobody knows is parked
PATIENCE = 40.0  # real seconds
BACK = {"SWEEP_SECONDS": "120"}
QUEUES = ("enrollments", "enrollments-backlog")


@pytest.fixture
def packages(tmp_path) -> tuple[Path, Path]:
    """This version and the next, unpacked; they take few messages at once: a burst is a queue."""
    package = build(tmp_path, bytecode=False)  # sources that may be edited
    for name in ("now", "next"):
        with zipfile.ZipFile(package) as archive:
            archive.extractall(tmp_path / name)
        _edit(tmp_path / name / "host.json", '"batchSize": 16', '"batchSize": 4')
        _edit(tmp_path / name / "host.json", '"newBatchThreshold": 8', '"newBatchThreshold": 2')
    messages = tmp_path / "next" / "shared" / "domain" / "messages.py"
    _edit(messages, "\nVERSION = 1\n", "\nVERSION = 2\n")
    return tmp_path / "now", tmp_path / "next"


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


class Deployment:
    """The running service, and what is done to it."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.made: list[str] = []

    def create(self, count: int) -> None:
        """Create VMs, all at once."""
        for number in range(len(self.made), len(self.made) + count):
            machine = estates.machine(number, groups=5)
            self.made.append(str(machine["name"]))
            assert self.estate.put(machine).status in {200, 201}

    async def until_busy(self) -> None:
        """Wait until every instance works on VMs, some of them are enrolled and more are queued."""
        begun = self.accepted().total()
        await self.estate.wait_until(
            lambda: self.accepted().total() > begun and self.working() == WORKERS,
            PATIENCE,
            "in mid-burst",
        )
        assert await self.estate.queued("enrollments") > 0

    def working(self) -> int:
        """Count the instances that are at it now."""
        runs = self.estate.invocations("enroll_vm")
        return len({one.instance for one in runs if one.state == "running"})

    async def deploy(self, app: Path, slot: int, **settings: str) -> None:
        """Replace one instance, and wait for its successor to listen."""
        fleet = self.estate.fleet
        gone = fleet.children[slot]
        told = {**fleet.options.settings, **settings}
        fleet.options = replace(fleet.options, app=app, settings=told)
        self.estate.kill(slot)
        await self.estate.wait_until(
            lambda: fleet.children[slot] is not gone and fleet.children[slot].port, PATIENCE, "up"
        )

    def accepted(self) -> Counter[str]:
        """Count the changes that Azure accepted, per VM."""
        return Counter(
            call.path.rpartition(";")[2]
            for call in self.estate.world.calls.since(0)
            if call.method == "PUT" and "/protectedItems/" in call.path and call.status == 202
        )

    async def settled(self) -> None:
        """Let what was hidden come back, and wait until every VM is enrolled and nothing queued."""
        self.estate.advance(HIDDEN)
        await self.estate.wait_until(
            lambda: self.accepted().keys() >= {*self.made}, PATIENCE, "every VM enrolled"
        )

    async def mixed(self) -> None:
        """Create VMs until an instance of this version has met a message of the next."""

        def met() -> bool:
            self.create(1)
            return self.lines("message.newer") > 0

        await self.estate.wait_until(met, PATIENCE, "both versions write and read")

    def lines(self, message: str) -> int:
        return sum(message in str(line) for line in self.estate.fleet.logs)


@asynccontextmanager
async def deployed(app: Path) -> AsyncIterator[Deployment]:
    seed = estates.seed(vaults=2, groups=5)
    seed["knobs"] = {"wire.latency_ms": LATENCY_MS}
    async with up_running(
        seed=seed,
        app=app,
        rules=estates.RULES,
        workers=WORKERS,
        speed=SPEED,
        settings={"SWEEP_SECONDS": "86400"},  # no sweep mends here what a deployment lost
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        yield Deployment(estate)


async def test_packages_swapped_in_mid_burst_lose_and_repeat_nothing(packages):
    now, following = packages
    async with deployed(now) as service:
        service.create(14)
        await service.until_busy()
        await service.deploy(following, 0)
        await service.mixed()
        await service.deploy(following, 1)
        await service.settled()
        assert service.lines("message.parked") == 0

        service.create(14)
        await service.until_busy()
        await service.deploy(now, 0, **BACK)
        await service.deploy(now, 1, **BACK)  # the queue holds messages that nobody knows any more
        await service.settled()

    assert service.accepted() == dict.fromkeys(service.made, 1)
    assert {one.state for one in service.estate.failed()} == {"lost"}
