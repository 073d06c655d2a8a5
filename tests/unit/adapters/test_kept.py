"""What is kept for a while: loaded by one for all, let go in time, and no heavier for its faults."""

from __future__ import annotations

import asyncio
import gc
import traceback
from weakref import WeakSet

import pytest

from shared.adapters.kept import Kept, KeptBy
from shared.errors import AzureFault, Disposition
from tests.fakes.azure import FakeClock, fault

LIFE, GRACE = 100.0, 50.0


class Value:
    """Something that can be seen to be gone."""


class Loads:
    """Makes values, or fails; knows which of them are still there."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.failing: AzureFault | None = None
        self.count = 0
        self._made: WeakSet[Value] = WeakSet()

    async def load(self) -> Value:
        self.count += 1
        if self.failing is not None:
            raise self.failing
        value = Value()
        self._made.add(value)
        return value

    def kept(self, _key: object = None) -> Kept[Value]:
        return Kept(self.clock, self.load, seconds=LIFE, grace=GRACE)

    @property
    def alive(self) -> int:
        gc.collect()
        return len(self._made)


@pytest.fixture
def loads() -> Loads:
    return Loads(FakeClock())


# --- one value -----------------------------------------------------------------------------------


async def test_many_who_ask_at_once_load_once(loads):
    kept = loads.kept()

    values = await asyncio.gather(*(kept.get() for _ in range(5)))

    assert len(set(values)) == 1
    assert loads.count == 1


async def test_an_old_value_serves_for_its_grace_when_loading_fails(loads):
    kept = loads.kept()
    value = await kept.get()
    loads.failing = fault()

    loads.clock.advance(LIFE)
    assert await kept.get() is value
    loads.clock.advance(GRACE)
    with pytest.raises(AzureFault):
        await kept.get()


@pytest.mark.parametrize(
    "disposition, seconds", [(Disposition.RETRY, 5), (Disposition.PARK, 60)], ids=str
)
async def test_what_failed_is_not_loaded_again_at_once(loads, disposition, seconds):
    kept = loads.kept()
    loads.failing = fault(disposition=disposition)

    for passed in (0, seconds - 1):
        loads.clock.advance(passed)
        with pytest.raises(AzureFault):
            await kept.get()
    assert loads.count == 1

    loads.clock.advance(1)
    with pytest.raises(AzureFault):
        await kept.get()
    assert loads.count == 2


async def test_a_fault_that_many_meet_does_not_grow_nor_hold_what_it_came_from(loads):
    """Each raise of one exception adds the frames it passes, with everything in them."""
    kept = loads.kept()
    loads.failing = fault(disposition=Disposition.PARK)
    loads.failing.__cause__ = ValueError("an answer of a megabyte")
    with pytest.raises(AzureFault) as first:
        await kept.get()

    for _ in range(20):
        with pytest.raises(AzureFault) as later:
            await kept.get()

    assert str(later.value) == str(first.value)
    assert vars(later.value) == vars(first.value)
    assert len(traceback.extract_tb(later.value.__traceback__)) <= 3
    assert later.value.__cause__ is None


# --- a value for each key ------------------------------------------------------------------------


async def test_what_nobody_asks_for_any_more_is_let_go(loads):
    """A subnet an hour, each used for that hour only."""
    subnets = KeptBy(loads.clock, loads.kept)

    for number in range(1000):
        loads.clock.advance(3600)
        await subnets[number].get()

    assert loads.alive == 1
    assert loads.count == 1000


async def test_what_is_asked_for_stays_however_many_there_are(loads):
    subnets = KeptBy(loads.clock, loads.kept)
    for _ in range(3):
        for number in range(1000):
            await subnets[number].get()
        loads.clock.advance(LIFE / 4)

    assert loads.count == 1000
    assert loads.alive == 1000


async def test_a_value_too_old_for_any_use_is_let_go_when_it_is_looked_at(loads):
    listed = KeptBy(loads.clock, loads.kept)
    await listed["vault"].get()

    loads.clock.advance(LIFE + GRACE - 1)
    assert listed.get("vault") is not None
    loads.clock.advance(1)
    assert listed.get("vault") is None
    assert loads.alive == 0


async def test_a_wish_to_load_anew_outlives_the_value_and_is_let_go_too(loads):
    listed = KeptBy(loads.clock, loads.kept)
    await listed["vault"].get()
    loads.clock.advance(LIFE + GRACE - 1)

    listed.forget()
    loads.clock.advance(LIFE)
    listed.forget()  # once wished for, it is no news
    kept = listed.get("vault")
    assert kept is not None
    assert not kept.expired  # whoever asks gets a new one, never the old
    loads.clock.advance(GRACE)
    assert listed.get("vault") is None
