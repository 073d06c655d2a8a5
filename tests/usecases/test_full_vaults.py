"""A vault that Azure calls full: the next one is taken; when all say so a person hears of it."""

from __future__ import annotations

import pytest

from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm(tags={"backup-tier": "bronze"})
CODE = "UserErrorProtectionQuotaExceeded"
VAULTS = tuple(worlds.vault(name=f"rsv-{letter}") for letter in "abc")


@pytest.fixture
def house():
    made = House()
    for vault in VAULTS:
        made.region(vault)
    made.machines.add(VM)
    return made


async def test_the_next_vault_is_taken_when_azure_calls_one_full_that_we_hold_for_roomy(house):
    house.backup.fail_job(VM.id, CODE, times=1)

    await house.event(VM.id)
    await house.play(600, step=20)

    first, second = house.backup.sent
    assert first.vault != second.vault
    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.notices.reported == []


async def test_a_person_hears_of_it_when_vault_after_vault_is_full_and_it_is_not_tried_on_and_on(
    house,
):
    house.backup.fail_job(VM.id, CODE, times=99)

    await house.event(VM.id)
    await house.play(3 * 3600, step=60)

    row = await house.row(VM.id)
    assert row.state is State.BLOCKED
    assert [one.code for one in row.findings] == ["VAULT_FULL"]
    assert len(house.backup.sent) == 3
    assert len(house.notices.reported) == 1
