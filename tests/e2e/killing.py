"""What brings each function of the real service to work in the real host, and kills it there.

A new VM, or a tick of a timer, brings a function to its n-th await, found by the host's probe; its
process dies by SIGKILL, another starts, and storage hands the message out again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import pytest

from bench import estates
from simulator.estate import Estate, up_running

PATIENCE = 60.0  # real seconds for one thing to happen
LOOK = 0.1
REDELIVERY = 601.0
GRAPH_LAG = 900.0
ROUNDS = 6  # undisturbed, to learn where a function waits
TRIES = 2  # to get a function to die at one await: a run can be shorter than the one before
ENROLLING = ("enroll_vm", "watch_enrollments", "enroll_backlog")
OTHERS = ("sweep", "sweep_subscription", "send_notice")
UNANNOUNCED = frozenset({"enroll_backlog", "sweep", "sweep_subscription"})  # no event may help out


class Scene:
    """The estate, and what brings each function to work."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.ready_vms: list[dict[str, Any]] = []
        self.blocked_vms: list[dict[str, Any]] = []
        self.deaths: list[str] = []
        self.died_at: Counter[str] = Counter()  # deaths, by function

    def new_vm(self, region: str = estates.REGION) -> dict[str, Any]:
        number = len(self.ready_vms) + len(self.blocked_vms)
        body = estates.machine(number, groups=5) | {"location": region}
        (self.ready_vms if region == estates.REGION else self.blocked_vms).append(body)
        assert self.estate.put(body).status in {200, 201}
        return body

    async def stimulate(self, function: str) -> None:
        """Do what makes the function run, all its ways."""
        estate = self.estate
        self.turn("eventgrid.hold", function in UNANNOUNCED)
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
            case "sweep" | "sweep_subscription" | "enroll_backlog":
                vm = self.new_vm()
                estate.advance(GRAPH_LAG)
                await self.minutes(6, until=lambda: self.accepted(vm))
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
            await asyncio.sleep(LOOK)

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

    async def awaits(self, function: str) -> list[str]:
        """Give the awaits of its longest run, once two rounds wait at the same places.

        What is done only once, as creating a table, is over by then.
        """
        before: list[str] = []
        found = await self._longest(function)
        for _ in range(ROUNDS):
            if set(found) == set(before):
                break
            before, found = found, await self._longest(function)
        return found

    async def _longest(self, function: str) -> list[str]:
        before = len(self.estate.invocations(function))
        await self.stimulate(function)
        runs = self.estate.invocations(function)[before:]
        return max((list(run.awaits or ()) for run in runs), key=len, default=[])

    async def die(self, function: str, at: int | str) -> bool:
        """Let the process die after that await, if it gets there; wait for the next process.

        ``at`` is how many awaits have ended, or the place of the await.
        """
        self.deaths = list(self.estate.fleet.deaths)
        order = f"{function}@{at}" if isinstance(at, str) else f"{function}:{at}:after"
        self.estate.fleet.aim(order)
        await self.stimulate(function)
        self.estate.fleet.aim("")
        if not self.died:
            return False
        self.died_at[function] += 1
        self.deaths = list(self.estate.fleet.deaths)
        await self.until(self.estate.fleet.ready, "another instance")
        self.estate.advance(REDELIVERY)
        await self.settle()
        return True

    async def die_everywhere(self, function: str) -> str:
        """Die at entry and at every await of a run; give what was reached, as a line."""
        places = await self.awaits(function)
        reached = 0
        for nth in range(len(places), -1, -1):
            for _ in range(TRIES):
                if await self.die(function, nth):
                    reached += 1
                    break
        for place in dict.fromkeys(places):  # what moved meanwhile is aimed at by its name
            for _ in range(TRIES):
                if place in self.killed_at or await self.die(function, place):
                    break
        left = set(places) - self.killed_at
        if function != "send_notice":  # later letters wait for a digest, so that mail is not sent
            assert not left, f"{function} never died at {left}"
        assert reached > len(places) / 2
        line = f"{function}: {len(places)} awaits at {len(set(places))} places, died at {reached}"
        return f"{line}, but not at {sorted(left)}" if left else line

    def figures(self) -> str:
        """Say what the deaths did, once `check` has passed."""
        puts, names = self.puts(), {vm["name"] for vm in self.ready_vms}
        letters = sum(self.told().values()) - len(self.told())
        return (
            f"{self.died_at.total()} kills; of {len(names)} VMs {len(names - self.items().keys())} "
            f"lost, {len(puts) - len(set(puts))} PUTs repeated, {letters} letters repeated"
        )

    @property
    def killed_at(self) -> set[str]:
        return set(self.estate.fleet.killed_at)

    async def check(self) -> None:
        """Nothing is lost, no PUT came twice, owners heard; a letter may come twice per death."""
        names = {vm["name"] for vm in self.ready_vms}
        for _ in range(20):
            if self.items().keys() >= names:
                break
            await self.minutes(2)
        assert self.items() == dict.fromkeys(names, 1), self.estate.summary()
        puts = Counter(self.puts())
        assert len(puts) == len(names), puts  # one vault each
        assert sum(puts.values()) == len(puts), puts  # and no PUT twice
        blocked = {vm["name"] for vm in self.blocked_vms}
        for _ in range(12):  # so many notices at once are gathered in a digest of the hour
            if self.told().keys() >= blocked:
                break
            self.estate.advance(600)
            await self.settle()
        told = self.told()
        assert told.keys() == blocked, told
        assert sum(told.values()) - len(told) <= self.died_at["send_notice"], told
        failed = [one for one in self.estate.failed() if one.state != "lost"]
        assert failed == [], failed


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with up_running(
        seed=estates.seed(vaults=2, groups=5),
        rules=estates.RULES,
        speed=0.0,
        probe=True,
        settings={"OPERATORS": "operators@contoso.example", "SWEEP_SECONDS": "120"},
    ) as estate:
        found = Scene(estate)
        found.turn("eventgrid.delay", 0)
        yield found


async def killed_everywhere(function: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Let a function die at entry and at every await, and say what became of it."""
    async with scene() as found:
        line = await found.die_everywhere(function)
        await found.check()
        with capsys.disabled():
            print(f"\n{line}; {found.figures()}", end="")
