"""A vault is deleted, while a change in it is under way or later: no VM waits for it for ever."""

from __future__ import annotations

import pytest

from shared.domain.states import State
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm()


async def test_a_change_ends_with_its_vault_and_the_vm_is_decided_anew():
    house = House()
    house.region(worlds.vault())
    house.machines.add(VM)
    house.backup.fail_reads("jobs", fault("ResourceNotFound", status=404), times=1000)

    await house.event(VM.id)
    await house.play(120)
    assert (await house.row(VM.id)).state is State.ENROLLING
    house.directory._vaults.clear()
    await house.play(1800)

    row = await house.row(VM.id)
    assert row.state is State.BLOCKED
    assert row.intent is None
    assert "NO_VAULT_IN_REGION" in {one.code for one in row.findings}

    house.backup._read_faults.clear()
    house.region(worlds.vault())
    await house.play(4 * 3600)
    assert (await house.row(VM.id)).state is State.ENROLLED


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceGroupNotFound"])
async def test_a_vm_whose_vault_is_gone_is_enrolled_in_another(code):
    house = House()
    house.region(worlds.vault())
    house.machines.add(VM)
    await house.event(VM.id)
    await house.play(600)
    assert (await house.row(VM.id)).state is State.ENROLLED

    house.directory._vaults.clear()
    house.backup.stored.clear()
    house.restart()  # the index shows what is stored
    house.backup.fail_reads("item", fault(code, status=404), times=1000)
    other = worlds.vault("rsv-other")
    house.region(other)
    house.clock.advance(24 * 3600)
    await house.play(3 * 3600, step=60)

    row = await house.row(VM.id)
    assert (row.state, row.vault.lower()) == (State.ENROLLED, other.id.key)


async def test_an_item_that_cannot_be_asked_for_is_not_taken_for_one_that_is_gone():
    house = House()
    house.region(worlds.vault())
    house.machines.add(VM)
    await house.event(VM.id)
    await house.play(600)

    house.backup.stored.clear()
    house.restart()  # the index shows what is stored
    house.backup.fail_reads("item", fault("AuthorizationFailed", status=403), times=1000)
    house.region(worlds.vault("rsv-other"))
    house.clock.advance(24 * 3600)
    await house.play(3 * 3600, step=60)

    assert house.sent(VM.id) == 1
