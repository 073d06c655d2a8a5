"""When the world lies or loses its mind: nothing is orphaned, nothing goes beyond the ceiling, and
the operators hear it once.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.domain.ids import item_of
from shared.domain.messages import WorkItem
from shared.domain.states import State
from shared.errors import Disposition
from shared.ports import Page
from shared.reconcile import reconcile
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
MANY = 40
SUSPICIOUS = f"SWEEP_SUSPICIOUS {worlds.SUB}"
DENIED = fault("AuthorizationFailed", status=403, disposition=Disposition.PARK)


async def protected_estate(**settings: str) -> House:
    """Forty VMs, all with a recovery point, known to the ledger for hours."""
    house = House(**settings)
    house.region(VAULT)
    for number in range(MANY):
        vm = worlds.vm(f"vm-{number:02}", uid=f"u{number}", tags={"backup-tier": "bronze"})
        house.machines.add(vm)
        await house.event(vm.id)
    await house.play(120)
    for vm in house.machines.vms.values():
        house.backup.finish_backup(item_of(VAULT.id, vm.id))
    house.index.forget()
    await house.play(4000, step=20)
    assert states(house) == {State.PROTECTED: MANY}
    assert house.notices.operators == []
    return house


def states(house: House) -> dict[State, int]:
    found: dict[State, int] = {}
    for row in house.ledger.all_rows():
        found[row.state] = found.get(row.state, 0) + 1
    return found


async def test_a_removed_role_orphans_nobody_and_the_operators_hear_it_once():
    house = await protected_estate()
    house.estate.hidden.add(worlds.SUB)
    house.estate.in_scope = [worlds.SUB]
    for vm in house.machines.vms.values():
        house.machines.fail(vm.id, DENIED, times=10_000)

    await house.play(6 * 3600, step=60)

    assert {State.ORPHANED, State.GONE} & states(house).keys() == set()
    rights, suspicious = sorted(house.notices.operators)
    assert rights.startswith("OUR_RIGHTS")
    assert suspicious == SUSPICIOUS
    assert house.notices.reported == []
    assert len(house.backup.sent) == MANY


async def test_when_the_role_is_back_everybody_is_as_before():
    house = await protected_estate()
    house.estate.hidden.add(worlds.SUB)
    house.estate.in_scope = [worlds.SUB]
    for vm in house.machines.vms.values():
        house.machines.fail(vm.id, DENIED, times=3)
    await house.play(3600, step=60)

    house.estate.hidden.clear()
    await house.play(6 * 3600, step=60)

    assert states(house) == {State.PROTECTED: MANY}
    assert SUSPICIOUS not in house.notices.operators
    assert len(house.backup.sent) == MANY


@pytest.mark.parametrize(
    "hidden", [MANY, MANY // 2, MANY // 10 + 1], ids=["no rows", "half", "a tenth"]
)
async def test_rows_that_resource_graph_leaves_out_conclude_nothing(hidden):
    house = await protected_estate()
    ids = [vm.id.key for vm in house.machines.vms.values()]
    house.estate.hidden |= set(ids[:hidden])
    house.estate.in_scope = [worlds.SUB]

    await house.play(2 * 3600, step=60)

    assert states(house) == {State.PROTECTED: MANY}
    assert house.notices.operators == [SUSPICIOUS]
    assert len(house.backup.sent) == MANY


async def test_vms_that_are_really_gone_are_found_out_by_asking_arm_itself():
    """A loss of more than a tenth is not believed, but it must not blind the sweep for ever."""
    house = await protected_estate()
    for vm in list(house.machines.vms.values())[: MANY // 2]:
        house.machines.remove(vm.id)  # and no event tells

    await house.play(2 * 3600, step=60)

    assert states(house) == {State.PROTECTED: MANY // 2, State.ORPHANED: MANY // 2}
    assert house.notices.operators == []  # told once, and cleared by a sweep that is believed

    house.machines.add(worlds.vm("new", uid="u-new"))
    await house.play(2000, step=20)

    assert (await house.row(worlds.vm("new").id)).state is State.ENROLLED


@pytest.mark.parametrize("how", ["dropped", "repeated", "never ends well"])
async def test_pages_that_are_wrong_change_nothing(how):
    house = await protected_estate()
    house.estate.page_size = 7
    original = house.estate.vms
    pages = 0

    async def wrong(subscription: str, after: str) -> Page:
        nonlocal pages
        pages += 1
        page = await original(subscription, after)
        match how:
            case "dropped":  # a row in each page is missing
                return replace(page, rows=page.rows[1:])
            case "repeated":
                return replace(page, rows=page.rows + page.rows[:3])
            case _ if pages % 3 == 0:
                raise fault(status=504)
        return page

    house.estate.vms = wrong
    await house.play(3 * 3600, step=60)

    assert states(house) == {State.PROTECTED: MANY}
    assert len(house.backup.sent) == MANY
    assert len(house.notices.operators) <= 1
    assert house.notices.reported == []


async def test_an_index_that_lost_its_items_enrolls_nobody_again():
    house = await protected_estate()
    shown = house.backup.items
    house.backup.items = lambda: ()
    house.index.forget()
    for vm in house.machines.vms.values():
        await house.event(vm.id)
    await house.play(3600, step=60)

    house.backup.items = shown
    assert len(house.backup.sent) == MANY
    assert {State.ORPHANED, State.GONE} & states(house).keys() == set()


async def test_thousands_of_vms_tagged_anew_at_once_stay_below_the_ceiling():
    """Many instances work abreast: the ceiling must hold among them, not only one after another."""
    most = 25
    house = await protected_estate()
    house.settings = replace(house.settings, changes_per_hour=MANY + most, changes_per_day=10_000)
    before = len(house.backup.sent)
    for vm in list(house.machines.vms.values()):
        house.machines.add(replace(vm, tags={"backup-tier": "gold"}))
    house.ledger._changes.clear()
    house.settings = replace(house.settings, changes_per_hour=most)

    messages = [
        WorkItem(vm=str(vm.id), seen_at=house.clock.now(), cause="event")
        for vm in house.machines.vms.values()
    ]
    async with asyncio.TaskGroup() as group:
        for number, work in enumerate(messages):
            group.create_task(reconcile(house.ports, work, f"burst-{number}"))

    assert len(house.backup.sent) - before == most
    assert states(house).get(State.WAITING, 0) == 0
    assert house.notices.operators == ["CEILING_REACHED"]

    await house.play(2 * 3600, step=30)

    assert len(house.backup.sent) - before == MANY
    assert states(house) == {State.PROTECTED: MANY}
    assert house.notices.reported == []


async def test_a_vault_that_disappears_is_named_and_nothing_is_lost():
    house = await protected_estate()
    newcomer = worlds.vm("late", uid="u-late")
    house.directory._vaults.clear()
    house.machines.add(newcomer)
    await house.event(newcomer.id)
    await house.play(1200, step=20)

    assert (await house.row(newcomer.id)).state is State.BLOCKED
    assert ("late", ("NO_VAULT_IN_REGION",)) in house.notices.reported
    assert State.ORPHANED not in states(house)

    house.region(VAULT)
    await house.play(1200, step=20)

    assert (await house.row(newcomer.id)).state is State.ENROLLED


async def test_a_whole_estate_tagged_anew_changes_hour_by_hour_and_is_told_once(request):
    """The events of thousands come in at once, through the queue, for hours."""
    many = 5_000 if request.config.getoption("--all-cells") else 120
    most = 40
    vaults = [worlds.vault(f"rsv-{number}") for number in range(-(-many // 1000))]
    house = House(CHANGES_PER_HOUR=str(most), CHANGES_PER_DAY="10000", SWEEP_SECONDS="86400")
    house.region(*vaults)
    vms = [
        worlds.vm(f"vm-{number:04}", uid=f"u{number}", tags={"backup-tier": "gold"})
        for number in range(many)
    ]
    house.machines.add(*vms)
    for number, vm in enumerate(vms):
        kept = worlds.item(vaults[number // 1000], vm, "bronze", last_recovery_point=worlds.NOW)
        house.backup.put(kept)
        await house.event(vm.id)

    hours = 0
    while hours < 3:
        await house.play(3600, step=60)
        hours += 1
        assert len(house.backup.sent) <= most * (hours + 1)  # the clock's hours, not ours
    assert len(house.backup.sent) >= most * hours or len(house.backup.sent) == many
    await house.play(600, step=60)  # what was just sent ends
    assert house.notices.operators == ["CEILING_REACHED"]
    assert house.notices.reported == []
    assert states(house).keys() <= {State.WAITING, State.ENROLLED}  # never seen before
    assert {change.policy.name for change in house.backup.sent} == {"gold"}
    # who waits for the ceiling costs Azure nothing, however many hours it takes
    assert house.backup.calls["item"] == len(house.backup.sent)
    assert len(house.machines.reads) <= many + 2 * len(house.backup.sent)


async def test_a_wait_for_the_ceiling_is_never_a_message_however_short_it_is():
    house = await protected_estate()
    house.settings = replace(house.settings, changes_per_hour=0)
    house.clock.advance((3600 - house.clock.now().timestamp()) % 3600 - 300)
    for vm in list(house.machines.vms.values()):
        house.machines.add(replace(vm, tags={"backup-tier": "gold"}))
        await house.event(vm.id)

    await house.turn()

    assert house._hidden == []
    assert len(house.ledger.all_due()) == MANY
    assert house.notices.operators == ["CEILING_REACHED"]


async def test_what_waits_for_the_ceiling_is_looked_at_when_there_is_news_of_it():
    house = await protected_estate()
    house.settings = replace(house.settings, changes_per_hour=0)
    vm = worlds.vm("vm-00", uid="u0", tags={"backup-tier": "gold"})
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(2 * 3600, step=60)
    assert (await house.row(vm.id)).waits_for_ceiling

    house.machines.add(replace(vm, tags={"backup-tier": "bronze"}))
    await house.event(vm.id)
    await house.play(60)

    row = await house.row(vm.id)
    assert (row.waits_for_ceiling, row.until) == (False, None)
    assert len(house.backup.sent) == MANY
