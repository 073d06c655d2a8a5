"""A plan writes nothing, and says what the real run then does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from ops.rehearsal import Planned, rehearse
from shared.domain.messages import Cause
from shared.domain.model import Room
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.states import State
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House


async def planned(house: House, **how) -> list[Planned]:
    return [one.planned async for one in rehearse(house.ports, **how)]


def estate(house: House, count: int = 60) -> None:
    """Two vaults, all tiers, some VMs that cannot be."""
    vaults = (worlds.vault(), worlds.vault(name="rsv-we-2"))
    house.region(*vaults)
    tiers = ("gold", "silver", "bronze", "nonsense")
    for number in range(count):
        changes = {
            "uid": f"aaaaaaaa-0000-4000-8000-{number:012d}",
            "tags": {"backup-tier": tiers[number % 4]},
            "created": house.clock.now() - timedelta(minutes=5),
        }
        if number % 7 == 0:
            changes["os_disk"] = worlds.disk(ephemeral=True)
        if number % 11 == 0:
            changes["provisioning"] = "Creating"
        house.machines.add(worlds.vm(name=f"vm-{number:03d}", **changes))


async def test_a_plan_writes_nothing_and_sends_nothing():
    house = House()
    estate(house)
    await planned(house)

    reading = {"subscription_rows", "places", "read"}
    assert set(house.ledger.calls) <= reading
    assert house.queues.sent == []
    assert house.backup.sent == []
    assert house.people.calls == ["all"]


async def test_every_turn_that_was_given_is_given_back():
    """Kept, they would be counted as under way for minutes: a large plan would stand still."""
    house = House()
    estate(house)
    found = await planned(house)

    assert len(house.pace.asked) == len(found)
    assert house.pace.finished == [subscription for subscription, _ in house.pace.asked]


async def test_the_real_run_does_what_was_planned():
    house = House()
    estate(house)
    plan = {one.vm: one for one in await planned(house)}
    for vm in plan:
        await house.event(house.machines.vms[vm.lower()].id)
    await house.play(60)

    really = {str(change.vm): change for change in house.backup.sent}
    assert set(really) == {vm for vm, one in plan.items() if one.decision == "Enroll"}
    for vm, change in really.items():
        tier = plan[vm].policy.partition("-")[0]
        assert change.policy.name.partition("-")[0] == tier
    counts = Counter(change.vault.name for change in really.values())
    assert counts == Counter(one.vault for one in plan.values() if one.changes)
    for vm, one in plan.items():
        if one.decision == "Block":
            row = await house.row(house.machines.vms[vm.lower()].id)
            assert row.state is State.BLOCKED
            assert set(one.findings) <= {finding.code for finding in row.findings}


async def test_the_order_of_the_list_has_no_part_in_who_gets_what():
    first, second = House(), House()
    estate(first)
    estate(second)
    second.machines.vms = dict(reversed(second.machines.vms.items()))

    one = {(plan.vm, plan.vault, plan.policy) for plan in await planned(first)}
    other = {(plan.vm, plan.vault, plan.policy) for plan in await planned(second)}

    assert one == other


async def test_places_given_away_count_for_the_next_vm():
    house = House()
    vaults = (worlds.vault(), worlds.vault(name="rsv-we-2"))
    house.region(*vaults)
    full = Room(items=1000 - 3, today=0)
    house.index.rooms = {vaults[0].id.key: full}
    for number in range(10):
        house.machines.add(worlds.vm(name=f"vm-{number}", created=house.clock.now()))
    original = house.index.room

    async def room(vault):
        return full if vault == vaults[0].id else await original(vault)

    house.index.room = room
    counts = Counter(one.vault for one in await planned(house))

    assert counts["rsv-we"] <= 3
    assert sum(counts.values()) == 10


@pytest.mark.parametrize(
    "environment, cause, held",
    [
        pytest.param({"MODE": "observe"}, Cause.SWEEP, "observing", id="observe mode"),
        pytest.param(
            {"ENROLL_SINCE": "2999-01-01T00:00:00Z"},
            Cause.SWEEP,
            "created-before-enroll-since",
            id="an old VM",
        ),
        pytest.param(
            {"ENROLL_SINCE": "2999-01-01T00:00:00Z"}, Cause.BACKFILL, "", id="by backfill"
        ),
        pytest.param({}, Cause.SWEEP, "", id="enforced"),
    ],
)
async def test_a_plan_says_what_holds_a_change_back(environment, cause, held):
    house = House(**environment)
    house.region()
    house.machines.add(worlds.vm())
    (one,) = await planned(house, cause=cause)

    assert one.would.startswith("enroll in vault")
    assert one.held == held


async def test_what_could_not_be_found_out_is_said():
    house = House()
    house.region()
    house.machines.add(worlds.vm())
    house.machines.fail(worlds.vm().id, fault("GatewayTimeout"), times=5)
    (one,) = await planned(house)

    assert (one.decision, one.changes) == ("NotFoundOut", False)
    assert "GatewayTimeout" in one.why


async def test_decisions_of_people_count_in_a_plan():
    house = House()
    house.region()
    house.machines.add(worlds.vm())
    await house.people.append(
        PersonDecision(
            vm=str(worlds.vm().id),
            kind=DecisionKind.EXCLUDE,
            by="ann",
            at=house.clock.now(),
            reason="because",
        )
    )
    (one,) = await planned(house)

    assert one.decision == "Exclude"


async def test_only_what_is_wanted_is_planned():
    house = House()
    house.region()
    house.machines.add(worlds.vm(name="a"), replace(worlds.vm(name="b"), tags={"x": "1"}))

    found = await planned(house, wanted=lambda vm: "x" in vm.tags)

    assert [one.vm.rpartition("/")[2] for one in found] == ["b"]
