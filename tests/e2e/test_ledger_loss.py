"""The ledger is lost while the service runs: the next sweep rebuilds it, and Azure sees only reads.

What people decided and what people were told are not part of it (docs/runbook.md): those tables
stay. If the latter are lost as well, what is open is told once more. With --all-cells the estate has
1,000 VMs and the time of the rebuild is printed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from azure.data.tables.aio import TableServiceClient

from bench import estates
from bench.storage import instance
from shared.adapters.ledger import TableLedger
from shared.adapters.people import TablePeople
from shared.adapters.stores import TableName
from shared.domain.ids import ArmId
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.states import State
from simulator.estate import Estate, up_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
TOLD = {TableName.NOTICES, TableName.OUTBOX}
PROJECTION = set(TableName) - TOLD - {TableName.DECISIONS, TableName.PARKED}
SPEED, MEASURED = 60.0, 4.0  # the latter while the rebuild is timed
TICK = 60.0  # seconds until the timer sees that no sweep is known of
PATIENCE = 60.0  # real seconds
BLOCKED, EXCLUDED, NEW = (0, 1), 2, 8
WRONG = {"fails": "4xx", "code": "UserErrorUnsupportedStorageType", "message": "not supported"}
SETTLED = {State.ENROLLED, State.PROTECTED, State.BLOCKED, State.EXCLUDED}
Known = dict[str, tuple[str, str, str]]  # VM -> state, vault, policy


class Service:
    """The running service, its storage, and what Azure and people saw of it."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.stores = instance(estate.azurite.connection_string)
        self.ledger = TableLedger(self.stores)

    async def known(self) -> Known:
        """Give what the ledger says of the VMs that nobody works on."""
        return {
            ArmId.parse(row.vm).name: (row.state, row.vault.lower(), row.policy.lower())
            async for page in self.ledger.subscription_rows(estates.MAIN)
            for row in page
            if row.claim is None
        }

    async def settled(self, count: int) -> Known:
        """Wait until so many VMs are known and stand somewhere."""
        loop, known = asyncio.get_running_loop(), Known()
        ends = loop.time() + PATIENCE + count / 5
        while loop.time() < ends:
            known = await self.known()
            if len(known) == count and all(state in SETTLED for state, _, _ in known.values()):
                return known
            await asyncio.sleep(0.2)
        states = Counter(state for state, _, _ in known.values())
        pytest.fail(f"of {count}: {states} {self.estate.summary()}")

    async def lose(self, tables: Collection[TableName]) -> None:
        connection = self.estate.azurite.connection_string
        async with TableServiceClient.from_connection_string(connection) as storage:
            for table in tables:
                await storage.delete_table(table)

    def accepted(self) -> int:
        """Count the changes that Azure has accepted from the service."""
        return sum(
            call.method == "PUT" and call.status in {200, 201, 202}
            for call in self.estate.world.calls.since(0)
            if call.caller == self.estate.world.directory.managed_identity.object_id
        )

    def told(self) -> Counter[str]:
        """Count the mails about each blocked VM."""
        texts = [json.dumps(mail) for mail in self.estate.inbox("mail")]
        names = [estates.machine(number)["name"] for number in BLOCKED]
        return Counter({name: sum(name in text for text in texts) for name in names})


@asynccontextmanager
async def serving(size: int) -> AsyncIterator[Service]:
    """Run the service for VMs that have been protected for long, and a few of today."""
    async with up_running(
        seed=estates.seed(vaults=2, groups=5, filled=size // 2),
        rules=estates.RULES,
        speed=SPEED,
        settings={"SWEEP_SECONDS": "900"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        service = Service(estate)
        await TablePeople(service.stores).append(
            PersonDecision(
                vm=str(estates.machine(EXCLUDED, groups=5)["id"]),
                kind=DecisionKind.EXCLUDE,
                by="somebody",
                at=estate.now(),
                reason="a laboratory",
            )
        )
        for number in range(NEW):
            order = WRONG if number in BLOCKED else {}
            estate.put(estates.machine(number, groups=5, **order))
        try:
            yield service
        finally:
            await service.stores.aclose()


async def test_a_lost_ledger_is_rebuilt_by_a_sweep_and_nothing_is_repeated(pytestconfig, capsys):
    large = bool(pytestconfig.getoption("--all-cells"))
    size = 1000 if large else 16
    async with serving(size) as service:
        estate = service.estate
        before = await service.settled(size + NEW)
        await estate.wait_until(lambda: min(service.told().values()) > 0, PATIENCE, "told")
        accepted, told = service.accepted(), service.told()

        await service.lose(PROJECTION)
        estate.clock.set_speed(MEASURED)
        estate.advance(TICK)
        began = estate.now()
        rebuilt = await service.settled(size + NEW)
        took = (estate.now() - began).total_seconds()
        estate.clock.set_speed(SPEED)
        estate.advance(TICK)  # the timer of notices has run as well
        await estate.wait_until(lambda: not estate.fleet.invocations.running, PATIENCE, "quiet")

        assert _without_proof(rebuilt) == _without_proof(before)
        assert (service.accepted(), service.told()) == (accepted, told)

        await service.lose(PROJECTION | TOLD)
        estate.advance(TICK)
        await service.settled(size + NEW)
        again = Counter({name: 2 * times for name, times in told.items()})
        await estate.wait_until(lambda: service.told() >= again, PATIENCE, "told again")
        assert service.told() == again
        assert service.accepted() == accepted
    if large:
        with capsys.disabled():
            print(f"\n{size + NEW} VMs known again after {took:.0f} s")


def _without_proof(known: Known) -> Known:
    """Leave out whether a recovery point was seen: it may have come meanwhile."""
    return {
        vm: (State.ENROLLED if state == State.PROTECTED else state, vault, policy)
        for vm, (state, vault, policy) in known.items()
    }
