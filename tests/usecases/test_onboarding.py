"""Subscriptions that nobody onboarded: no role, or no events; the operators hear of both once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domain import worlds
from tests.usecases.house import House

MISSING = f"SUBSCRIPTION_NOT_ONBOARDED {worlds.OTHER_SUB}"
SILENT = f"EVENTS_MISSING {worlds.SUB}"


@pytest.fixture
def house():
    made = House(SUBSCRIPTIONS=f"{worlds.SUB},{worlds.OTHER_SUB}")
    made.estate.in_scope = [worlds.SUB, worlds.OTHER_SUB]
    made.estate.tags |= {worlds.SUB: {}, worlds.OTHER_SUB: {}}
    made.region()
    return made


async def test_a_subscription_that_cannot_be_seen_is_told_until_it_is_onboarded(house):
    del house.estate.tags[worlds.OTHER_SUB]
    await house.play(3600, step=60)
    assert MISSING in house.notices.operators
    assert worlds.OTHER_SUB in house.notices.said[MISSING]

    house.estate.tags[worlds.OTHER_SUB] = {}
    await house.play(2 * 3600, step=600)
    assert MISSING not in house.notices.operators


async def test_it_is_looked_for_once_a_day(house):
    await house.play(3600, step=60)
    looks = house.estate.calls["subscription_tags"]
    await house.play(3 * 3600, step=60)
    assert house.estate.calls["subscription_tags"] == looks


async def created(house: House, *names: str) -> None:
    """VMs appear and no event says so; a sweep passes by."""
    for name in names:
        house.machines.add(replace(worlds.vm(name=name), created=house.clock.now()))
    await house.play(1000, step=20)


async def test_vms_that_only_sweeps_find_mean_that_events_do_not_come(house):
    await created(house, "old-1", "old-2")
    await created(house)
    assert SILENT not in house.notices.operators

    await created(house, "new-1")
    assert SILENT not in house.notices.operators  # one event may be late or lost
    await created(house, "new-2")
    assert SILENT in house.notices.operators

    await created(house)
    await created(house)
    assert SILENT not in house.notices.operators


async def test_vms_that_wait_for_their_look_from_sweep_to_sweep_are_no_missing_events(house):
    await created(house, "old-1", "old-2")
    await created(house)
    house.listened = tuple(one for one in house.listened if not one.startswith("enrollments"))

    await created(house, "new-1", "new-2")
    await created(house)
    await created(house)

    assert SILENT not in house.notices.operators
