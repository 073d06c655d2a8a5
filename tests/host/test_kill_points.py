"""Finding the awaits of a function, and dying at one of them (simulator.host.probe)."""

from __future__ import annotations

import pytest

from simulator.host.probe import KillPoint, UnusableKillPoint
from tests.host.rig import rig

pytestmark = pytest.mark.host


async def test_a_probe_lists_the_places_where_a_function_awaited():
    async with rig(probe=True) as host:
        await host.send("walk", "x")
        await host.seen("walk")
        [run] = host.runs("walk")
        assert [place.split(" ")[1] for place in run.awaits] == ["walk", "_stride", "_stride"]
        assert all(place.startswith("function_app.py:") for place in run.awaits)


async def test_without_a_probe_nothing_is_watched():
    async with rig() as host:
        await host.send("walk", "x")
        await host.seen("walk")
        assert host.runs("walk")[0].awaits is None


async def test_a_kill_can_be_ordered_while_the_app_runs():
    async with rig(probe=True, speed=0) as host:
        await host.send("walk", "x")
        await host.seen("walk")
        host.fleet.aim("walk:2:after")
        await host.send("walk", "y")
        await host.until(lambda: host.runs("walk", state="lost"), "the death")
        host.advance(601)
        await host.seen("walk")
        assert [run.state for run in host.runs("walk")] == ["ok", "lost", "ok"]


async def test_a_kill_can_be_ordered_at_a_place_wherever_it_comes():
    async with rig(probe=True, speed=0) as host:
        await host.send("walk", "x")
        await host.seen("walk")
        place = host.runs("walk")[0].awaits[-1]
        host.fleet.aim(f"walk@{place}")
        await host.send("walk", "y")
        await host.until(lambda: host.runs("walk", state="lost"), "the death")
        assert host.fleet.killed_at == [place]


@pytest.mark.parametrize("point", ["walk:1", "walk:1:after", "walk:3:after"])
async def test_an_instance_dies_at_the_ordered_point_once_and_the_message_comes_again(point: str):
    async with rig(kill_at=point, speed=0) as host:
        await host.send("walk", "x")
        await host.until(lambda: host.runs("walk", state="lost"), "the death")
        host.advance(601)
        [told] = await host.seen("walk")
        assert told["dequeue_count"] == 2
        assert [run.state for run in host.runs("walk")] == ["lost", "ok"]
        assert [death.split(": ")[1] for death in host.fleet.deaths] == ["-9"]


async def test_settings_order_it_too():
    settings = {"HOST_KILL_AT": "walk:2", "HOST_PROBE": "1"}
    async with rig(settings=settings, speed=0) as host:
        await host.send("walk", "x")
        await host.until(lambda: host.runs("walk", state="lost"), "the death")


@pytest.mark.parametrize(
    "text,after",
    [
        pytest.param("f:1", 0, id="before the first"),
        pytest.param("f:2:before", 1, id="before the second"),
        pytest.param("f:2:after", 2, id="after the second"),
    ],
)
def test_kill_points_are_counted_in_awaits_that_have_ended(text: str, after: int):
    assert KillPoint.parse(text) == KillPoint(function="f", after_awaits=after)


def test_a_kill_point_may_name_its_place():
    point = KillPoint.parse("f@shared/reconcile.py:88 claim")

    assert point == KillPoint(function="f", place="shared/reconcile.py:88 claim")


@pytest.mark.parametrize("text", ["f", "f:", "f@", "@x", "f:x", ":1", "f:1:during", "f:0"])
def test_a_kill_point_that_is_none_is_refused(text: str):
    with pytest.raises(UnusableKillPoint):
        KillPoint.parse(text)
