"""Counting for the page: what changed is counted again, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from shared.coverage import recount
from shared.domain.coverage import Standing
from shared.domain.ids import virtual_machine
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import Row, SweepMark
from shared.domain.sheets import (
    QUEUED,
    QUEUES,
    JobSheet,
    QueueSheet,
    SeenJob,
    TrendSheet,
    VaultSheet,
)
from shared.domain.states import State
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

OTHER = worlds.OTHER_SUB


def row(name: str, state: State, house: House, subscription: str = worlds.SUB, **changes) -> Row:
    base = Row(
        vm=str(virtual_machine(subscription, "rg", name)),
        state=state,
        since=house.clock.now(),
        seen_at=house.clock.now(),
    )
    return msgspec.structs.replace(base, **changes)


async def standings(house: House) -> dict[str, dict[Standing, int]]:
    return {
        one.subscription: {cell.standing: cell.count for cell in one.cells}
        for one in await house.coverage.summaries()
    }


async def test_only_the_subscription_that_changed_is_counted_again():
    house = House()
    await house.ledger.insert(row("a", State.BLOCKED, house))
    await house.ledger.insert(row("b", State.PROTECTED, house, OTHER))
    assert await recount(house.ports) == 2
    house.ledger.calls.clear()

    await house.ledger.insert(row("c", State.BLOCKED, house))
    counted = await recount(house.ports)

    assert counted == 1
    assert house.ledger.calls.count("subscription_rows") == 1
    assert await standings(house) == {
        worlds.SUB: {Standing.BLOCKED: 2},
        OTHER: {Standing.PROTECTED: 1},
    }


async def test_an_estate_at_rest_is_not_counted():
    house = House()
    await house.ledger.insert(row("a", State.BLOCKED, house))
    await recount(house.ports)

    assert await recount(house.ports) == 0


async def test_an_outcome_during_the_count_is_counted_next_time():
    house = House()
    await house.ledger.insert(row("a", State.BLOCKED, house))

    original = house.coverage.put

    async def put(summary, entries):
        house.coverage.put = original
        await house.ledger.insert(row("b", State.BLOCKED, house))
        return await original(summary, entries)

    house.coverage.put = put
    await recount(house.ports)
    assert await recount(house.ports) == 1
    assert (await standings(house))[worlds.SUB] == {Standing.BLOCKED: 2}


async def test_a_finished_sweep_counts_its_subscription_even_without_a_mark():
    house = House()
    await house.ledger.insert(row("a", State.BLOCKED, house))
    await recount(house.ports)
    house.clock.advance(60)
    now = house.clock.now()
    mark = SweepMark(subscription=worlds.SUB, sweep="s", started_at=now, finished_at=now, vms=1)
    await house.ledger.put_sweep(mark)

    assert await recount(house.ports) == 1


async def test_one_subscription_that_cannot_be_read_does_not_stop_the_others():
    house = House()
    await house.ledger.insert(row("a", State.BLOCKED, house))
    await house.ledger.insert(row("b", State.PROTECTED, house, OTHER))
    original = house.ledger.subscription_rows

    async def rows(subscription):
        if subscription == worlds.SUB:
            raise fault()
        async for page in original(subscription):
            yield page

    house.ledger.subscription_rows = rows
    await recount(house.ports)

    assert set(await standings(house)) == {OTHER}


async def test_sheets_are_read_with_every_sweep_and_kept_when_azure_does_not_answer():
    house = House()
    vault = worlds.vault()
    house.region(vault)
    house.estate.in_scope = [worlds.SUB]
    job = SeenJob(
        id=f"{vault.id}/backupJobs/1",
        vm="web-1",
        operation="Backup",
        status="Failed",
        started=house.clock.now() - timedelta(hours=1),
    )
    house.estate.job_list = [job]
    await recount(house.ports)
    first = await house.coverage.sheets()
    house.estate.failing = fault()
    house.clock.advance(1000)
    await recount(house.ports)

    jobs = next(one for one in await house.coverage.sheets() if isinstance(one, JobSheet))
    rooms = next(one for one in first if isinstance(one, VaultSheet))
    assert jobs.jobs == (job,)
    assert jobs.read_at == house.clock.now() - timedelta(seconds=1000)
    assert [room.vault for room in rooms.vaults] == [str(vault.id)]


def unanswered(_call: str) -> None:
    raise fault()


async def test_queues_are_noted_every_time_and_the_old_note_stays_when_storage_does_not_answer():
    house = House()
    mark = WorkItem(vm=str(worlds.vm().id), seen_at=house.clock.now(), cause=Cause.SWEEP)
    await house.queues.send(mark, backlog=True)
    await recount(house.ports)
    first = await house.ledger.noted(QUEUED)
    house.clock.advance(60)
    house.queues.on_call = unanswered
    await recount(house.ports)

    noted = msgspec.json.decode(first, type=QueueSheet)
    assert noted.depths == dict.fromkeys(QUEUES, 0) | {"enrollments-backlog": 1}
    assert noted.read_at == house.clock.now() - timedelta(seconds=60)
    assert await house.ledger.noted(QUEUED) == first


async def test_the_trend_does_not_believe_a_subscription_nobody_swept():
    house = House()
    await house.ledger.insert(row("a", State.PROTECTED, house))
    await recount(house.ports)
    trend = next(one for one in await house.coverage.sheets() if isinstance(one, TrendSheet))

    assert [(day.protected, day.of) for day in trend.days] == [(0, 1)]


async def test_a_whole_enrollment_shows_within_two_minutes_of_its_event():
    house = House()
    house.region()
    vm = worlds.vm(created=house.clock.now())
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(120)
    await recount(house.ports)

    assert (await standings(house))[worlds.SUB] == {Standing.FIRST_BACKUP: 1}
