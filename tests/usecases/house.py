"""The whole service over fakes and one stepped clock: queues, timers, kills and redeliveries.

`House.play(seconds)` does what the Functions host does: delivers due messages (the same message
again, ten minutes later, if the run was killed), and fires the timers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from shared.domain.findings import Finding
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, Message, SweepPage, WorkItem, encode
from shared.domain.records import Row
from shared.domain.rules import Rules
from shared.errors import AzureFault, EnrollmentError, Problem
from shared.poison import park_poisoned
from shared.ports import Ports, Subject
from shared.reconcile import reconcile
from shared.settings import Settings, read
from shared.sweep import sweep, tick
from shared.watch import watch
from tests.fakes.azure import (
    FakeBackup,
    FakeClock,
    FakeDirectory,
    FakeEstate,
    FakeIndex,
    FakeMachines,
    FakeNetworks,
    FakePace,
    FakeSetup,
)
from tests.fakes.storage import FakeCoverage, FakeLedger, FakeParkedMessages, FakePeople, FakeQueues
from tests.unit.domain import worlds

LEASE = timedelta(minutes=10)
AGAIN = timedelta(seconds=30)  # `visibilityTimeout`: a failed message waits so long
DEQUEUES = 5  # then it is poison
ENVIRONMENT = {
    "TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "RULES_URI": "rules.yaml",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MODE": "enforce",
    "ENROLL_SINCE": "2020-01-01T00:00:00Z",
}


class Killed(BaseException):
    """The process dies here: nothing may catch it."""


@dataclass
class FakeNotices:
    """Remembers what people would have heard."""

    open: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    reported: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # to operators, by code
    evidence: dict[str, str] = field(default_factory=dict)
    nobody: set[str] = field(default_factory=set)
    announced: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)

    async def report(self, subject: Subject, findings: tuple[Finding, ...], now: datetime) -> None:
        codes = tuple(one.code for one in findings)
        known = self.open.get(subject.vm.key)
        if known is None or {one.code for one in known} != set(codes):
            self.reported.append((subject.vm.name, codes))
        self.open[subject.vm.key] = findings

    async def clear(self, vm: ArmId, how: str, now: datetime, trace: str) -> None:
        if self.open.pop(vm.key, None) is not None:
            self.cleared.append(vm.name)

    async def tell_operators(self, code: str, text: str, evidence: str, now: datetime) -> None:
        if code not in self.operators:
            self.operators.append(code)
        self.said[code], self.evidence[code] = text, evidence

    async def operators_clear(self, code: str, now: datetime) -> None:
        if code in self.operators:
            self.operators.remove(code)

    async def announce(self, what, vm, now, trace, *, episode="", **details) -> None:
        self.announced.setdefault((vm.name, what, episode), details)

    def unreachable(self, words: Iterable[str]) -> tuple[str, ...]:
        return tuple(word for word in words if word in self.nobody)


@dataclass
class FakeRules:
    """The rules in force, and what is wrong with a newer copy."""

    rules: Rules
    problems: tuple[Problem, ...] = ()
    failing: EnrollmentError | None = None

    async def current(self) -> Rules:
        if self.failing is not None:
            raise self.failing
        return self.rules


@dataclass
class _Hidden:
    message: Message
    queue: str
    name: str
    at: datetime
    tries: int = 0
    poison: bool = False


class House:
    """Fakes, ports and a host in one."""

    listened = ("enrollments", "enrollments-backlog", "sweeps")

    def __init__(self, *, clock: FakeClock | None = None, **environment: str) -> None:
        self.clock = clock or FakeClock(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
        self.machines = FakeMachines()
        self.backup = FakeBackup(self.clock)
        self.directory = FakeDirectory()
        self.networks = FakeNetworks()
        self.setup = FakeSetup(self.directory)
        self.index = FakeIndex(self.backup)
        self.estate = FakeEstate(self.machines, self.backup)
        self.pace = FakePace()
        self.ledger = FakeLedger()
        self.coverage = FakeCoverage()
        self.people = FakePeople()
        self.parked = FakeParkedMessages()
        self.queues = FakeQueues()
        self.notices = FakeNotices()
        self.rules = FakeRules(worlds.rules())
        self.settings: Settings = read({**ENVIRONMENT, **environment})
        self.outcomes: list[str] = []
        self.kills = 0
        self.failures = 0  # invocations that failed
        self._hidden: list[_Hidden] = []
        self._names = count(1)
        self._next_watch = self._next_tick = self.clock.now()

    @property
    def ports(self) -> Ports:
        return Ports(
            settings=self.settings,
            clock=self.clock,
            machines=self.machines,
            backup=self.backup,
            directory=self.directory,
            networks=self.networks,
            setup=self.setup,
            index=self.index,
            estate=self.estate,
            pace=self.pace,
            ledger=self.ledger,
            coverage=self.coverage,
            people=self.people,
            parked=self.parked,
            queues=self.queues,
            rules=self.rules,
            notices=self.notices,
        )

    def region(self, *vaults) -> None:
        for vault in vaults or (worlds.vault(),):
            self.directory.add(vault, *worlds.policies(vault))

    def restart(self) -> None:
        """A new process: everything that was only in memory is gone."""
        self.index = FakeIndex(self.backup)

    async def event(self, vm: ArmId, *, late: float = 0.0, cause: Cause = Cause.EVENT) -> None:
        seen = self.clock.now() - timedelta(seconds=late)
        await self.queues.send(WorkItem(vm=str(vm), seen_at=seen, cause=cause))

    async def play(self, seconds: float, step: float = 5.0) -> None:
        """Let so much time pass, in steps."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while True:
            await self.turn()
            if self.clock.now() >= end:
                return
            self.clock.advance(step)

    async def turn(self) -> None:
        """Deliver and fire everything that is due now."""
        now = self.clock.now()
        if now >= self._next_tick:
            self._next_tick = now + timedelta(seconds=60)
            for name, timer in self.timers():
                await self._run(name, timer)
        if now >= self._next_watch:
            self._next_watch = now + timedelta(seconds=20)
            await self._run("watch", lambda: watch(self.ports))
        while True:
            self._take()
            now = self.clock.now()
            due = [one for one in self._hidden if one.at <= now]
            if not due:
                return
            self._hidden = [one for one in self._hidden if one.at > now]
            for one in due:
                await self._deliver(one)

    async def row(self, vm: ArmId) -> Row:
        found = await self.ledger.read(vm)
        assert found is not None, f"no row for {vm}"
        return found[0]

    def timers(self) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        """Give what fires once a minute."""
        return [("sweep", lambda: tick(self.ports))]

    async def invoke(self, function: str, work: Awaitable[object]) -> object:
        """Run one invocation of a function to its end."""
        return await work

    def sent(self, vm: ArmId) -> int:
        """PUTs that reached Azure for this VM."""
        return sum(change.vm == vm for change in self.backup.sent)

    def _take(self) -> None:
        for sent in self.queues.take(*self.listened):
            at = self.clock.now() + timedelta(seconds=sent.delay)
            self._hidden.append(_Hidden(sent.message, sent.queue, f"m{next(self._names)}", at))

    async def _deliver(self, one: _Hidden) -> None:
        try:
            await self._handled(one)
        except Killed:
            self.kills += 1
            self.restart()
            one.at = self.clock.now() + LEASE
            self._hidden.append(one)
        except AzureFault:
            self.failures += 1
            one.tries += 1
            if one.poison:  # what fails in the poison queue stays hidden, and comes again
                one.at = self.clock.now() + LEASE
            elif one.tries < DEQUEUES:
                one.at = self.clock.now() + AGAIN
            else:
                one.poison = True
            self._hidden.append(one)

    async def _handled(self, one: _Hidden) -> None:
        message = one.message
        if one.poison:
            body = encode(message)
            await self.invoke("park", park_poisoned(self.ports, one.queue, body))
        elif isinstance(message, WorkItem):
            backlog = one.queue == "enrollments-backlog"
            look = reconcile(self.ports, message, one.name, backlog=backlog)
            self.outcomes.append(str(await self.invoke("enroll_vm", look)))
        elif isinstance(message, SweepPage):
            await self.invoke("sweep_subscription", sweep(self.ports, message))

    async def _run(self, function: str, timer: Callable[[], Awaitable[object]]) -> None:
        try:
            await self.invoke(function, timer())
        except* Killed:
            self.kills += 1
            self.restart()
        except* AzureFault:
            self.failures += 1  # the next tick does it
