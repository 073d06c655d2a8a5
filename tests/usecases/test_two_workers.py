"""Several processes look at the same VM at once, and their clocks differ: one PUT, no wish lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from shared.claims import FOLD
from shared.domain.messages import Cause, WorkItem
from shared.domain.states import State
from shared.reconcile import reconcile
from tests.fakes.azure import FakeClock
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm(tags={"backup-tier": "bronze"})
SEEDS = range(25)


class SkewedClock(FakeClock):
    """Another instance's clock: it runs as ours does, and is some seconds off."""

    def __init__(self, real: FakeClock, seconds: float) -> None:
        self._real = real
        self._off = timedelta(seconds=seconds)
        self.speed = 1.0

    def now(self) -> datetime:
        return self._real.now() + self._off

    async def synchronize(self) -> None:
        """Nothing corrects it."""


def worker(house: House, off: float = 0.0):
    """Give the ports of another process, whose clock is off."""
    return replace(house.ports, clock=SkewedClock(house.clock, off))


@pytest.mark.parametrize("seed", SEEDS)
async def test_however_their_steps_interleave_one_change_is_sent(seed):
    """The storage fakes yield at every call; a random number of yields mixes the order further."""
    chance = Random(seed)
    house = House()
    house.region(worlds.vault())
    house.machines.add(VM)

    async def one(name: str) -> None:
        for _ in range(chance.randint(0, 12)):
            await asyncio.sleep(0)
        work = WorkItem(vm=str(VM.id), seen_at=house.clock.now(), cause=Cause.EVENT)
        await reconcile(worker(house, chance.uniform(-2, 2)), work, name)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(one(f"message-{number}"))
    await house.play(400)

    assert house.sent(VM.id) == 1
    row = await house.row(VM.id)
    assert (row.state, row.claim, row.intent) == (State.ENROLLED, None, None)


@pytest.mark.parametrize("ahead", [-4.0, -1.0, 1.0, 4.0])
@pytest.mark.parametrize("later", [0.0, 0.5, 2.0, 6.0, 30.0])
async def test_a_change_of_tags_is_not_folded_away_by_a_clock_that_is_off(ahead, later):
    """One instance looks; then the owner changes the tag, and another takes the event."""
    assert timedelta(seconds=abs(ahead)) < FOLD
    house = House(SWEEP_SECONDS="86400")  # no sweep helps
    house.region(worlds.vault())
    house.machines.add(VM)
    await house.event(VM.id)
    await house.play(300)
    first = WorkItem(vm=str(VM.id), seen_at=house.clock.now(), cause=Cause.EVENT)
    await reconcile(worker(house, ahead), first, "first")

    house.clock.advance(later)
    house.machines.add(replace(VM, tags={"backup-tier": "gold"}))
    await house.event(VM.id)  # seen by a clock that is right
    await house.play(300)

    assert (await house.row(VM.id)).policy.endswith("/gold")


@pytest.mark.parametrize("ahead", [-4.0, 4.0])
async def test_a_wait_that_one_clock_begins_and_another_ends_is_not_lost(ahead):
    house = House(SWEEP_SECONDS="86400")
    house.region(worlds.vault())
    house.machines.add(replace(VM, provisioning="Creating"))
    work = WorkItem(vm=str(VM.id), seen_at=house.clock.now(), cause=Cause.EVENT)
    await reconcile(worker(house, ahead), work, "first")
    assert (await house.row(VM.id)).state is State.WAITING

    house.machines.add(VM)
    await house.play(600)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.sent(VM.id) == 1


async def test_a_message_that_comes_early_by_a_slow_clock_stays_the_owner_of_its_wait():
    """The wait ends at a fixed time; to the one who gets its message that time is yet to come."""
    house = House(SWEEP_SECONDS="86400")
    house.region(worlds.vault())
    house.rules.rules = worlds.rules(worlds.RULES + "options: {minimum_age_minutes: 70}\n")
    house.machines.add(VM)  # an hour old
    await house.event(VM.id)
    await house.turn()
    row = await house.row(VM.id)
    assert row.state is State.WAITING

    [message] = [one for one in house._hidden if isinstance(one.message, WorkItem)]
    house._hidden.remove(message)
    house.clock.advance((row.until - house.clock.now()).total_seconds())
    await reconcile(worker(house, -4.0), message.message, message.name)
    await house.play(120)

    assert (await house.row(VM.id)).state is State.ENROLLED
