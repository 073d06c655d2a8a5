"""A run names the VMs that are not where they were planned, and why."""

from __future__ import annotations

from ops.backfill import Fate, Run, new_run
from ops.places import said, taken_meanwhile
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

FULL, OTHER = worlds.vault(name="rsv-full"), worlds.vault(name="rsv-other")


def run_of(house: House, *went: tuple[object, object]) -> Run:
    vms = [str(worlds.vm(name=f"vm-{number}").id) for number in range(len(went))]
    planned = {vm: str(place.id) for vm, (place, _) in zip(vms, went, strict=True) if place}
    run = new_run(vms, now=house.clock.now(), by="ann", wave=9, threshold=0.1, vaults=planned)
    for item, (_, got) in zip(run.items, went, strict=True):
        item.fate = Fate.ENROLLED
        item.vault = str(got.id).upper() if got else ""
    return run


async def test_a_run_that_went_as_planned_names_nobody():
    house = House()
    run = run_of(house, (FULL, FULL), (None, OTHER), (FULL, None))

    assert await taken_meanwhile(house.ports, run) == []
    assert said(run) == []


async def test_places_that_others_took_today_are_named_with_where_the_vms_went_instead():
    house = House(PLACE_CAP="2")
    house.region(FULL, OTHER)
    day = house.clock.now().date().isoformat()
    for name in ("theirs-1", "theirs-2"):
        await house.ledger.take_place(FULL.id, day, worlds.vm(name=name).id, 2)
    run = run_of(house, (FULL, OTHER), (FULL, FULL), (OTHER, OTHER), (FULL, OTHER))

    (line,) = await taken_meanwhile(house.ports, run)
    assert line == (
        "2 VMs were planned for rsv-full and are in another vault (RSV-OTHER 2): "
        "its places were taken meanwhile (0 of 1000 VMs, 2 of 2 new today)"
    )
    assert [(line["vm"].rpartition("/")[2], line["said"]) for line in said(run)] == [
        ("vm-0", "in RSV-OTHER, planned for rsv-full"),
        ("vm-3", "in RSV-OTHER, planned for rsv-full"),
    ]


async def test_a_vault_that_has_room_is_not_said_to_be_full():
    house = House()
    house.region(FULL, OTHER)
    (line,) = await taken_meanwhile(house.ports, run_of(house, (FULL, OTHER)))

    assert line.endswith("it has room (0 of 1000 VMs, 0 of 240 new today); ask `explain`")


async def test_a_run_ends_well_though_nobody_can_read_how_full_a_vault_is():
    house = House()

    def unanswered(name: str) -> None:
        if name == "places":
            raise fault("OperationTimedOut")

    house.ledger.on_call = unanswered
    (line,) = await taken_meanwhile(house.ports, run_of(house, (FULL, OTHER)))

    assert line.endswith("how full it is cannot be read now (OperationTimedOut)")
