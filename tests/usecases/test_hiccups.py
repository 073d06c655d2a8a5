"""A read that fails costs a new VM seconds at first; an outage is asked less and less often."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.states import State
from shared.errors import Disposition
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm()
HICCUP = fault("ServiceResponseTimeoutError", status=0, disposition=Disposition.RETRY)


async def failing(times: int) -> House:
    house = House()
    house.region(worlds.vault())
    house.machines.add(VM)
    house.machines.fail(VM.id, HICCUP, times=times)
    await house.event(VM.id)
    return house


async def test_after_one_hiccup_a_vm_is_enrolled_within_its_minute():
    house = await failing(1)

    await house.play(50)

    assert house.sent(VM.id) == 1


async def test_an_outage_of_an_hour_is_asked_every_two_minutes_and_then_it_goes_on():
    house = await failing(1000)

    await house.play(3600)

    assert 25 < len(house.machines.reads) < 45
    assert (await house.row(VM.id)).state is State.WAITING
    assert house.failures == 0

    house.machines._faults.clear()
    began = house.clock.now()
    while not house.sent(VM.id):
        await house.play(10)
    assert house.clock.now() - began <= timedelta(minutes=2, seconds=10)


async def test_a_sweep_that_cannot_start_yet_is_no_failure_and_starts_a_minute_later():
    house = House()
    house.machines.add(VM)
    house.estate.failing = fault("ResourceRequestsThrottled", status=429)
    await house.play(120)
    assert house.failures == 0
    assert await house.ledger.noted("sweep-started") == ""

    house.estate.failing = None
    await house.play(60)
    assert await house.ledger.noted("sweep-started") != ""
