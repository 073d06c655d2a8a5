"""Timer triggers on the simulated clock (local-host §4, facts §7.4)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from simulator.host.ncrontab import Schedule, UnusableSchedule
from simulator.host.timers import CONTAINER, host_id
from tests.host.rig import SAMPLE, Rig, rig

pytestmark = pytest.mark.host


async def started(host: Rig, function: str) -> dict[str, str]:
    """Wait until a monitored timer knows its next time, and return what it wrote of it."""
    blob = f"timers/{host_id(str(SAMPLE))}/Host.Functions.{function}/status"
    for _ in range(300):
        if (content := await host.storage.read_blob(CONTAINER, blob)) is not None:
            return json.loads(content)
        await asyncio.sleep(0.05)
    raise AssertionError(f"{function} never started; {host.told()}")


async def test_seconds_in_a_schedule_are_kept_on_a_fast_clock():
    async with rig(tick="*/20 * * * * *", speed=30) as host:
        told = await host.seen("tick", 3, queue="ticks")
        runs = host.runs("tick")
        assert all(run.began.second % 20 < 5 for run in runs)
        assert [one["past_due"] for one in told] == [False] * 3
        assert told[0]["schedule"] == {"AdjustForDST": True}
        assert told[0]["status"] == {}


async def test_a_jump_over_many_ticks_is_one_run_and_past_due():
    async with rig(tick="0 */5 * * * *", speed=0) as host:
        await started(host, "tick")
        assert host.runs("tick") == []
        host.advance(3600 * 1.5)
        [told] = await host.seen("tick", queue="ticks")
        assert told["past_due"] is True
        host.advance(300)
        later = await host.seen("tick", queue="ticks")
        status = later[-1]["status"]
        assert datetime.fromisoformat(status["Last"]) >= datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        assert status["Next"].startswith("2026-03-02T09:35:00")


async def test_the_first_start_writes_the_next_time_without_running():
    async with rig(tick="0 */5 * * * *", speed=0) as host:
        status = await started(host, "tick")
        assert status["Next"] == "2026-03-02T08:05:00+00:00"
        assert status["Last"] == "0001-01-01T00:00:00+00:00"
        assert host.runs("tick") == []


async def test_a_missed_time_runs_once_as_past_due_after_a_restart():
    async with rig(tick="0 */5 * * * *", speed=0) as host:
        await started(host, "tick")
        host.fleet.kill(0)
        await host.until(lambda: host.fleet.deaths, "the death")
        host.advance(1200)  # past the lease too
        [told] = await host.seen("tick", queue="ticks")
        assert told["past_due"] is True
        assert len(host.runs("tick")) == 1


async def test_a_timer_runs_again_as_its_own_retry_policy_says():
    async with rig(speed=20) as host:
        await started(host, "nightly")
        host.advance(19 * 3600)
        [told] = await host.seen("nightly", queue="nights")
        assert (told["attempt"], told["past_due"]) == (2, True)
        assert "attempt 1" in str(told["error"])
        assert [run.state for run in host.runs("nightly")] == ["failed", "failed", "ok"]


async def test_one_instance_runs_all_timers_and_another_takes_over_when_it_dies():
    async with rig(tick="*/10 * * * * *", speed=30, workers=2) as host:
        await host.seen("tick", 2, queue="ticks")
        [first] = {run.instance for run in host.runs("tick")}
        slot = int(first.split(".")[0])
        killed_at = host.sim.clock.now()
        host.fleet.kill(slot)
        await host.until(
            lambda: any(run.instance != first for run in host.runs("tick")), "the other instance"
        )
        taken = [run for run in host.runs("tick") if run.instance != first]
        assert {run.instance.split(".")[0] for run in taken} == {str(1 - slot)}
        assert taken[0].began - killed_at > timedelta(seconds=55)  # the dead one's lease


EVERY = [
    pytest.param("*/20 * * * * *", "08:00:00", "08:00:20", id="every 20 s"),
    pytest.param("0 */5 * * * *", "08:00:00", "08:05:00", id="every 5 min"),
    pytest.param("0 30 9-17/2 * * *", "09:30:00", "11:30:00", id="range with a step"),
    pytest.param("5,35 * * * * *", "08:00:05", "08:00:35", id="list"),
    pytest.param("*/5 * * * *", "08:00:00", "08:05:00", id="five fields"),
]


@pytest.mark.parametrize("text,after,following", EVERY)
def test_the_next_time_of_a_schedule(text: str, after: str, following: str):
    def at(clock: str) -> datetime:
        return datetime.fromisoformat(f"2026-03-02T{clock}+00:00")

    assert Schedule.parse(text).next_after(at(after)) == at(following)


def test_days_months_and_names():
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
    assert Schedule.parse("0 0 3 * * sun").next_after(start) == datetime(2026, 3, 8, 3, tzinfo=UTC)
    assert Schedule.parse("0 0 0 29 FEB *").next_after(start) == datetime(2028, 2, 29, tzinfo=UTC)
    assert Schedule.parse("0 0 0 1 * 1-5").next_after(start) == datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "* * *", "61 * * * * *", "* * * * * 8", "*/0 * * * * *", "a * * * * *", "00:01:00"]
)
def test_a_schedule_that_is_none_is_refused(text: str):
    with pytest.raises(UnusableSchedule):
        Schedule.parse(text)


def test_a_day_that_never_comes_is_refused():
    with pytest.raises(UnusableSchedule, match="never comes"):
        Schedule.parse("0 0 0 31 2 *").next_after(datetime(2026, 3, 2, tzinfo=UTC))
