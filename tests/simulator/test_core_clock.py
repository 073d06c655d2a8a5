import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from simulator.clock import SimClock
from simulator.schedule import Schedule

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Wall:
    """A monotonic clock the test turns by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_simulated_time_runs_at_its_speed() -> None:
    wall = Wall()
    clock = SimClock(START, 60, monotonic=wall)
    wall.seconds = 2
    assert clock.now() == START + timedelta(minutes=2)
    assert clock.real_seconds(120) == 2


def test_a_speed_change_keeps_the_time_reached() -> None:
    wall = Wall()
    clock = SimClock(START, 10, monotonic=wall)
    wall.seconds = 1
    clock.set_speed(0)
    wall.seconds = 100
    assert clock.now() == START + timedelta(seconds=10)
    assert clock.stepped


def test_a_stepped_clock_moves_only_by_jumps_and_counts_them() -> None:
    wall = Wall()
    clock = SimClock(START, 0, monotonic=wall)
    wall.seconds = 5
    assert clock.advance(3600) == START + timedelta(hours=1)
    assert clock.epoch == 1
    assert clock.real_seconds(1) == float("inf")


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        SimClock(START).advance(-1)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_a_speed_is_a_number_from_zero_up(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        SimClock(START, speed)


async def test_a_jump_past_its_end_wakes_a_sleeper() -> None:
    clock = SimClock(START, 0)
    sleeper = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(3599)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    async with asyncio.timeout(1):
        await sleeper


def test_due_callbacks_run_in_order_and_see_their_own_time() -> None:
    schedule, seen = Schedule(), []
    for seconds in (30, 10, 20):
        when = START + timedelta(seconds=seconds)
        schedule.at(when, lambda: seen.append(schedule.acting_at))
    assert schedule.run(START + timedelta(seconds=25)) == 2
    assert seen == [START + timedelta(seconds=10), START + timedelta(seconds=20)]
    assert schedule.next_due() == START + timedelta(seconds=30)


def test_a_callback_may_schedule_what_is_due_at_once() -> None:
    schedule, seen = Schedule(), []
    schedule.at(START, lambda: schedule.at(START, lambda: seen.append("inner")))
    schedule.run(START)
    assert seen == ["inner"]


def test_scheduling_something_sooner_wakes_whoever_sleeps_on_the_schedule() -> None:
    schedule, woken = Schedule(), []
    schedule.on_sooner = lambda: woken.append(1)
    schedule.at(START + timedelta(seconds=9), lambda: None)
    schedule.at(START + timedelta(seconds=30), lambda: None)
    schedule.at(START + timedelta(seconds=1), lambda: None)
    assert len(woken) == 2
