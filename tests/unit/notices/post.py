"""A post office for tests: the real `Notifier` over fakes and a stepped clock.

`Post.play(seconds)` does what the host does: it delivers due queue messages (again, if the run
was killed) and fires the timer every minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from types import SimpleNamespace

from shared.domain.digests import Crowding
from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.ids import virtual_machine
from shared.domain.letters import Links
from shared.domain.notices import Cadence
from shared.domain.routing import Routing
from shared.errors import AzureFault
from shared.notify import Notifier
from shared.outbox import Channel
from shared.ports import Subject
from shared.postman import Postman
from tests.fakes.azure import START, FakeClock
from tests.fakes.notices import FakeChannel, FakeNoticeStore, Killed
from tests.fakes.storage import FakeQueues

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
ROUTING = Routing(operators=("ops@contoso.com",), mail=("smtp",), teams=("default",))
REDELIVERY = 600.0  # seconds after which the host hands out the message of a killed run again


def finding(
    code: str = "NO_VAULT_IN_REGION",
    severity: Severity = Severity.BLOCKER,
    *,
    text: str = "No vault of the rules lies in this VM's region.",
    evidence: str = "region koreacentral; vaults in eastus, westeurope",
    remedies: tuple[Remedy, ...] | None = None,
) -> Finding:
    default = Remedy(
        text="Create vault rsv-kr in koreacentral; its redundancy can only be set while it is empty."
        " It takes a minute or two; afterwards everything waiting is enrolled by itself.",
        az="az backup vault create --name rsv-kr --resource-group backup --location koreacentral",
        powershell="New-AzRecoveryServicesVault -Name 'rsv-kr' -ResourceGroupName 'backup' -Location 'koreacentral'",
        link="https://learn.microsoft.com/azure/backup/backup-create-recovery-services-vault",
    )
    return Finding(
        code=code,
        severity=severity,
        text=text,
        evidence=evidence,
        remedies=(default,) if remedies is None else remedies,
        source="Azure Backup support matrix",
        source_date="2026-01-15",
    )


def subject(
    name: str = "vm-1",
    *,
    tags: Mapping[str, str] | None = None,
    since: datetime = START,
    **fields: object,
) -> Subject:
    values: dict[str, object] = {
        "vm": virtual_machine(SUBSCRIPTION, "rg-app", name),
        "region": "koreacentral",
        "tags": {"owner": "kim@contoso.com"} if tags is None else tags,
        "group_tags": {},
        "subscription_tags": {},
        "rule": "production",
        "routes": (),
        "since": since,
        "next_step": "We look again with every sweep and whenever the VM changes.",
        "trace": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    return Subject(**{**values, **fields})  # type: ignore[arg-type]


@dataclass
class FakeRoutes:
    """Rules of which only the notice routes matter."""

    routes: tuple[object, ...] = ()
    fallback: tuple[str, ...] = ()

    async def current(self) -> object:
        notices = SimpleNamespace(routes=self.routes, fallback=self.fallback)
        return SimpleNamespace(content=SimpleNamespace(notices=notices))


@dataclass
class Post:
    """Everything between a finding and an inbox."""

    routing: Routing = ROUTING
    rules: FakeRoutes = field(default_factory=FakeRoutes)
    cadence: Cadence = field(default_factory=Cadence)
    crowding: Crowding = field(default_factory=Crowding)
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeNoticeStore = field(default_factory=FakeNoticeStore)
    queues: FakeQueues = field(default_factory=FakeQueues)
    mail: FakeChannel = field(default_factory=FakeChannel)
    teams: FakeChannel = field(default_factory=FakeChannel)
    topic: FakeChannel | None = None
    kills: int = 0
    faults: list[AzureFault] = field(default_factory=list)
    more: Mapping[str, Channel] = field(default_factory=dict)
    _pending: list[tuple[datetime, int, object]] = field(default_factory=list)  # a heap
    _number: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a new process: nothing in memory survives."""
        found: dict[str, Channel] = {"smtp": self.mail, "teams": self.teams, **self.more}
        if self.topic is not None:
            found["topic"] = self.topic
        self.notifier = Notifier(
            self.store,
            self.queues,
            self.clock,
            Postman(channels=found, clock=self.clock),
            routing=self.routing,
            rules=self.rules,  # type: ignore[arg-type]
            links=Links(
                portal="https://portal.azure.com", tenant="t", page="https://b.contoso.com"
            ),
            cadence=self.cadence,
            crowding=self.crowding,
        )

    @property
    def now(self) -> datetime:
        return self.clock.now()

    async def report(self, name: str = "vm-1", *findings: Finding, **fields: object) -> None:
        found = findings or (finding(),)
        await self.notifier.report(subject(name, **fields), found, self.now)  # type: ignore[arg-type]

    async def clear(self, name: str = "vm-1", how: str = "enrolled") -> None:
        await self.notifier.clear(subject(name).vm, how, self.now, "")

    def notice(self, name: str = "vm-1"):
        return self.store.notice(subject(name).vm.key)

    async def play(self, seconds: float, *, every: float = 60) -> None:
        """Let time pass; the timer fires every minute, or less often where that changes nothing."""
        end = self.now + timedelta(seconds=seconds)
        tick = self.now + timedelta(seconds=every)
        while True:
            self._collect()
            due = min(tick, self._pending[0][0]) if self._pending else tick
            if due > end:
                break
            if due > self.now:
                self.clock.advance((due - self.now).total_seconds())
            if due == tick:
                tick += timedelta(seconds=every)
                await self._run(None)
            while self._pending and self._pending[0][0] <= self.now:
                await self._run(heappop(self._pending)[2])
        self.clock.advance((end - self.now).total_seconds())

    def _collect(self) -> None:
        for sent in self.queues.take("notices"):
            self._later(sent.delay, sent.message)

    def _later(self, seconds: float, message: object) -> None:
        self._number += 1
        heappush(self._pending, (self.now + timedelta(seconds=seconds), self._number, message))

    async def _run(self, message: object) -> None:
        """One invocation; a killed or failed one is handed out again, as the host does."""
        try:
            if message is None:
                await self.notifier.tick(self.now)
            else:
                await self.notifier.deliver(message)  # type: ignore[arg-type]
        except* (Killed, AzureFault) as group:
            self.kills += bool(group.subgroup(Killed))
            self.restart()
            if message is not None:
                self._later(REDELIVERY, message)
