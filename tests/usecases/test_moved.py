"""A VM that moves to another group or subscription keeps its vmId, and its item stays behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.ids import item_of
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
VM = worlds.vm(uid="u-moving", created=worlds.NOW.replace(hour=1))
PLACES = [
    pytest.param(worlds.vm(group="rg-new", uid="u-moving", created=VM.created), id="group"),
    pytest.param(
        worlds.vm("web-9", "rg-new", worlds.OTHER_SUB, uid="u-moving", created=VM.created),
        id="subscription",
    ),
]


async def moved(there, *, by_event: bool = True) -> House:
    """Give a house whose VM was protected, and moved."""
    house = House()
    house.region(VAULT)
    house.estate.in_scope = [worlds.SUB, worlds.OTHER_SUB]
    house.machines.add(VM, worlds.vm("bystander", uid="u-other", tags={}))
    await house.event(VM.id)
    await house.play(120)
    house.backup.finish_backup(item_of(VAULT.id, VM.id))
    house.index.forget()
    await house.play(1000, step=20)
    house.machines.remove(VM.id)
    house.machines.add(there)
    if by_event:
        await house.event(there.id)  # of the new id; nobody tells of the old
    await house.play(300, step=20)
    return house


@pytest.mark.parametrize("by_event", [True, False], ids=["event", "sweep"])
@pytest.mark.parametrize("there", PLACES)
async def test_it_is_told_with_both_ids_and_never_enrolled_a_second_time_by_itself(there, by_event):
    house = await moved(there, by_event=by_event)
    await house.play(3 * 3600, step=60)

    row = await house.row(there.id)
    assert row.state is State.BLOCKED
    [finding] = [one for one in row.findings if one.code == "MOVED"]
    assert str(VM.id) in finding.evidence
    assert str(there.id) in finding.evidence
    assert (house.sent(VM.id), house.sent(there.id)) == (1, 0)
    assert (await house.row(VM.id)).state is State.ORPHANED
    assert [one for one in house.notices.reported if "MOVED" in one[1]] == [
        (there.id.name, ("MOVED",))
    ]


async def test_an_operator_who_names_it_has_it_enrolled_under_its_new_id():
    there = PLACES[0].values[0]
    house = await moved(there)
    await house.people.append(
        PersonDecision(
            vm=str(there.id),
            kind=DecisionKind.CONSENT_RESUME,
            by="operator",
            at=house.clock.now(),
            reason="the old points may stay",
        )
    )
    await house.event(there.id)
    await house.play(300)

    assert (await house.row(there.id)).state is State.ENROLLED
    assert house.sent(there.id) == 1
    assert house.notices.open.keys().isdisjoint({there.id.key})


async def test_nothing_is_in_the_way_of_a_vm_whose_item_is_gone():
    there = PLACES[0].values[0]
    house = await moved(there)
    house.backup.stored.clear()
    house.index.forget()
    await house.event(there.id)
    await house.play(300)

    assert (await house.row(there.id)).state is State.ENROLLED


async def test_a_ledger_that_was_lost_knows_it_again_after_a_look():
    """Protection that a look finds is remembered like protection that we made."""
    house = House()
    house.region(VAULT)
    house.machines.add(VM)
    house.backup.put(worlds.item(VAULT, VM, last_recovery_point=worlds.NOW))
    await house.event(VM.id)
    await house.play(120)
    there = replace(VM, id=PLACES[0].values[0].id)
    house.machines.remove(VM.id)
    house.machines.add(there)
    await house.event(there.id)
    await house.play(120)

    assert [one.code for one in (await house.row(there.id)).findings] == ["MOVED"]
