"""What machines hear: each outcome once, whatever is repeated or dies on the way."""

from __future__ import annotations

import pytest

from shared.domain.ids import item_of
from shared.domain.letters import Happened
from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
VM = worlds.vm(tags={"backup-tier": "bronze"})
ITEM = item_of(VAULT.id, VM.id)


@pytest.fixture
def house():
    made = House()
    made.region(VAULT)
    made.machines.add(VM)
    return made


def heard(house: House) -> list[Happened]:
    return [what for _, what, _ in house.notices.announced]


async def enrolled(house: House) -> None:
    await house.event(VM.id)
    await house.play(300, step=20)
    assert (await house.row(VM.id)).state is State.ENROLLED


async def test_from_enrolled_to_protected_to_orphaned_each_is_said_once(house):
    await enrolled(house)
    assert heard(house) == [Happened.ENROLLED]
    [details] = house.notices.announced.values()
    assert details["vault"] == str(VAULT.id)
    assert details["policy"].endswith("/bronze")

    house.backup.finish_backup(ITEM)
    house.index.forget()
    await house.play(2000, step=20)
    assert heard(house) == [Happened.ENROLLED, Happened.PROTECTED]

    house.machines.remove(VM.id)
    await house.event(VM.id)
    await house.play(3600, step=60)
    assert heard(house) == [Happened.ENROLLED, Happened.PROTECTED, Happened.ORPHANED]


async def test_repeated_events_say_nothing_again(house):
    await enrolled(house)
    for _ in range(3):
        await house.event(VM.id)
        await house.play(120, step=20)

    assert heard(house) == [Happened.ENROLLED]


async def test_another_policy_is_no_second_enrollment(house):
    await enrolled(house)
    house.backup.finish_backup(ITEM)
    house.index.forget()
    await house.play(2000, step=20)
    house.machines.add(worlds.vm(tags={"backup-tier": "gold"}))
    await house.event(VM.id)
    await house.play(600, step=20)

    assert heard(house) == [Happened.ENROLLED, Happened.PROTECTED]
