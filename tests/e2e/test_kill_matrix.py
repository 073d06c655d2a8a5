"""SIGKILL at awaits of the real service in the real host, found by its probe: nothing is lost.

A new VM, or a tick of a timer, brings a function to its n-th await; its process dies by SIGKILL,
another starts, and storage hands the message out again. `tests/usecases/test_kill_matrix.py` does
the same over fakes, for every path; here are real tables, queues, HTTP and SMTP. With `--all-cells`
an undisturbed round counts the awaits of each function, and it dies at every one of them; an
ordinary run takes one of the first few.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest

from bench import estates
from simulator.estate import Estate, up_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PATIENCE = 30.0  # real seconds for one thing to happen
REDELIVERY = 601.0
GRAPH_LAG = 900.0
FEW = 5
FUNCTIONS = (
    "enroll_vm",
    "watch_enrollments",
    "sweep",
    "sweep_subscription",
    "enroll_backlog",
    "send_notice",
)


class Scene:
    """The estate, and what brings each function to work."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.ready_vms: list[dict[str, Any]] = []
        self.blocked_vms: list[dict[str, Any]] = []
        self.deaths: list[str] = []

    def new_vm(self, region: str = estates.REGION) -> dict[str, Any]:
        number = len(self.ready_vms) + len(self.blocked_vms)
        body = estates.machine(number, groups=5) | {"location": region}
        (self.ready_vms if region == estates.REGION else self.blocked_vms).append(body)
        assert self.estate.put(body).status in {200, 201}
        return body

    async def stimulate(self, function: str) -> None:
        """Do what makes the function run, all its ways."""
        estate = self.estate
        match function:
            case "enroll_vm":
                vm = self.new_vm()
                await self.until(lambda: self.accepted(vm) or self.died, "a PUT")
                await self.settle()
            case "watch_enrollments":
                vm = self.new_vm()
                await self.until(lambda: self.accepted(vm), "a PUT")
                for seconds in (45, 60, 60):
                    estate.advance(seconds)
                    await self.settle()
            case "sweep" | "sweep_subscription":
                await self.minutes(3)
            case "enroll_backlog":  # a sweep finds a VM that no event announced
                self.turn("eventgrid.hold", True)
                vm = self.new_vm()
                estate.advance(GRAPH_LAG)
                await self.minutes(6, until=lambda: self.accepted(vm))
                self.turn("eventgrid.hold", False)
            case "send_notice":
                self.new_vm("koreacentral")
                await self.settle()
                await self.minutes(2)

    @property
    def died(self) -> bool:
        return len(self.estate.fleet.deaths) > len(self.deaths)

    def turn(self, knob: str, value: object) -> None:
        self.estate.world.knobs.turn({knob: value})

    async def minutes(self, count: int, until: Callable[[], object] = lambda: False) -> None:
        for _ in range(count):
            self.estate.advance(60)
            await self.settle()
            if self.died or until():
                return

    async def settle(self) -> None:
        """Give the host time to do what is due now."""
        ends, calm = time.monotonic() + PATIENCE, 0
        while calm < 4 and time.monotonic() < ends and not self.died:
            grid = self.estate.grid
            coming = grid.pending and not self.estate.world.knobs.flag("eventgrid.hold")
            busy = self.estate.fleet.invocations.running or grid.sending or coming
            calm = 0 if busy else calm + 1
            await asyncio.sleep(0.15)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await self.estate.wait_until(condition, timeout=PATIENCE, what=what)

    def accepted(self, vm: dict[str, Any]) -> int:
        """Count the PUTs of its item that Azure took."""
        return sum(path.endswith(f";{vm['name']}") for path in self.puts())

    def puts(self) -> list[str]:
        return [
            unquote(call.path)
            for call in self.estate.world.calls.since(0)
            if call.method == "PUT" and "/protectedItems/" in call.path and call.status == 202
        ]

    def items(self) -> Counter[str]:
        """Count the items of each VM, in all vaults."""
        vaults = self.estate.world.backup.vaults.values()
        return Counter(item.friendly_name for vault in vaults for item in vault.items.values())

    def told(self) -> Counter[str]:
        """Count the mails that name each VM."""
        mails = [str(mail) for mail in self.estate.inbox("mail")]
        names = [vm["name"] for vm in self.blocked_vms]
        return Counter(name for name in names for mail in mails if name in mail)

    async def awaits(self, function: str) -> int:
        """Count the awaits of its longest run in a process that has done it before."""
        await self.stimulate(function)
        before = len(self.estate.invocations(function))
        await self.stimulate(function)
        runs = self.estate.invocations(function)[before:]
        return max(len(run.awaits or ()) for run in runs)

    async def die(self, function: str, nth: int) -> bool:
        """Let the process die after that await, if it gets there; wait for the next process."""
        self.deaths = list(self.estate.fleet.deaths)
        self.estate.fleet.aim(f"{function}:{nth}:after")
        await self.stimulate(function)
        self.estate.fleet.aim("")
        if not self.died:
            return False
        self.deaths = list(self.estate.fleet.deaths)
        await self.until(self.estate.fleet.ready, "another instance")
        self.estate.advance(REDELIVERY)
        await self.settle()
        return True


async def test_wherever_it_is_killed_nothing_is_lost(request, capsys):
    every = request.config.getoption("--all-cells")
    async with up_running(
        seed=estates.seed(vaults=2, groups=5),
        rules=estates.RULES,
        speed=0.0,
        probe=True,
        settings={"OPERATORS": "operators@contoso.example", "SWEEP_SECONDS": "120"},
    ) as estate:
        scene = Scene(estate)
        scene.turn("eventgrid.delay", 0)
        died: Counter[str] = Counter()
        for function in FUNCTIONS:
            first = Random(function).randint(1, FEW)
            most = await scene.awaits(function) if every else first
            for nth in range(most, 0, -1):
                died[function] += await scene.die(function, nth)
                if died[function] and not every:
                    break
            with capsys.disabled():
                print(f"\n{function}: died at {died[function]} of {most} awaits", end="")
        assert all(died[function] for function in FUNCTIONS)

        names = {vm["name"] for vm in scene.ready_vms}
        for _ in range(20):
            if scene.items().keys() >= names:
                break
            await scene.minutes(2)
        assert scene.items() == dict.fromkeys(names, 1), estate.summary()
        puts = Counter(scene.puts())
        assert len(puts) == len(names)  # one vault each
        assert sum(puts.values()) == len(puts)  # and no PUT twice
        for _ in range(12):  # so many notices at once are gathered in a digest of the hour
            told = scene.told()
            if told.keys() >= {vm["name"] for vm in scene.blocked_vms}:
                break
            estate.advance(600)
            await scene.settle()
        assert told.keys() == {vm["name"] for vm in scene.blocked_vms}
        assert sum(told.values()) - len(told) <= died["send_notice"]
        assert [one for one in estate.failed() if one.state != "lost"] == []
