"""A vault is deleted while a change in it is under way: the VM does not wait for ever."""

from __future__ import annotations

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
