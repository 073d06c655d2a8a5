"""A PUT whose answer got lost: until it is known what became of it, no other is sent.

Azure may have taken it although its job is not listed yet; another vault or policy would then be a
second change that changes something, and the same PUT would be refused as a conflict.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.states import State
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

HERE, THERE = worlds.vault(), worlds.vault("rsv-two")
VM = worlds.vm()
LATE = 150.0  # seconds until the job shows
GONE = fault("ResourceNotFound", status=404)


async def lost_answer(*vaults, listed_after: float = LATE) -> House:
    """Give a house in which Azure has taken a PUT that nobody knows of."""
    house = House()
    house.region(*vaults)
    house.machines.add(VM)
    house.backup.listed_after = listed_after
    house.backup.lose_answer(VM.id)
    await house.event(VM.id)
    await house.turn()
    assert len(house.backup.sent) == 1
    assert (await house.row(VM.id)).why == "answer-unknown"
    return house


def targets(house: House) -> set[tuple[str, str]]:
    return {(one.vault.key, one.policy.key) for one in house.backup.sent}


async def test_no_other_vault_is_tried_meanwhile():
    house = await lost_answer(HERE, THERE)
    first = house.backup.sent[0].vault
    house.directory._vaults.pop(first.key)  # the other one alone is in sight

    await house.play(600)

    assert targets(house) == {(first.key, house.backup.sent[0].policy.key)}
    assert (await house.row(VM.id)).state is State.ENROLLED
    assert (await house.row(VM.id)).intent is None


async def test_no_weaker_policy_is_sent_meanwhile():
    house = await lost_answer(HERE)
    house.machines.add(replace(VM, tags={"backup-tier": "bronze"}))
    await house.event(VM.id)

    await house.play(1200)

    [(_, policy)] = targets(house)
    assert policy.endswith("gold")
    assert ("web-1", ("POLICY_WEAKER",)) in house.notices.reported


async def test_not_even_the_same_put_is_sent_while_its_job_may_appear():
    house = await lost_answer(HERE)

    await house.play(600)

    assert house.sent(VM.id) == 1
    assert (await house.row(VM.id)).state is State.ENROLLED


@pytest.mark.parametrize("status", [0, 408, 500, 503])
async def test_a_put_that_never_arrived_is_sent_again_within_minutes(status):
    house = House()
    house.region(HERE)
    house.machines.add(VM)
    house.backup.refuse(VM.id, fault("", status=status))
    await house.event(VM.id)

    await house.play(300)

    assert house.sent(VM.id) == 1
    assert (await house.row(VM.id)).state is State.ENROLLED


async def test_a_vm_that_is_deleted_meanwhile_leaves_nothing_in_flight_behind():
    house = await lost_answer(HERE, listed_after=1e9)  # there never is a job
    house.backup.lose_changes()
    house.machines.remove(VM.id)
    await house.event(VM.id)

    await house.play(1200)

    assert (await house.row(VM.id)).state is State.GONE
    assert (await house.row(VM.id)).intent is None
    assert await house.ledger.in_flight(HERE.id) == ()
    assert await house.ledger.looks() == ()


async def test_an_item_without_a_job_is_found_before_anything_else_is_sent():
    """The job was never listed, yet the item is there: it is protected, and tags are weaker now."""
    house = await lost_answer(HERE, listed_after=1e9)
    house.machines.add(replace(VM, tags={"backup-tier": "bronze"}))

    await house.play(1200)

    assert len(targets(house)) == 1
    assert (await house.row(VM.id)).state in {State.ENROLLED, State.PROTECTED}


@pytest.mark.parametrize("known", ["in flight", "intent alone"])
async def test_a_vault_that_is_deleted_before_the_answer_is_known_ends_the_wait(known):
    house = await lost_answer(HERE)
    house.backup.lose_changes()
    house.backup.fail_reads("jobs", GONE, times=1000)
    house.backup.fail_reads("item", GONE, times=1000)
    house.directory._vaults.clear()
    if known == "intent alone":  # the crash came before the entry was written
        house.ledger._in_flight.clear()
        house.ledger._looks.clear()

    await house.play(3600)

    row = await house.row(VM.id)
    assert row.state is State.BLOCKED
    assert row.intent is None
    assert house.notices.reported == [("web-1", ("NO_VAULT_IN_REGION",))]
    assert house.backup.calls["jobs"] < 20

    house.backup._read_faults.clear()
    house.region(HERE)
    await house.play(3600)
    assert (await house.row(VM.id)).state is State.ENROLLED
