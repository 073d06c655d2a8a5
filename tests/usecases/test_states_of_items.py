"""What a VM's item in a vault means: one decision for every state there is (row F15, facts §1.10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.ids import item_of
from shared.domain.model import ProtectionState
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.rules import parse
from shared.domain.states import State
from tests.fakes.azure import FakeClock
from tests.unit.domain import worlds
from tests.usecases.house import House

HERE = worlds.vault()
THERE = worlds.vault("rsv-other", tags={"backup-vault": "somebody-else"})
VM = worlds.vm()
TWIN = worlds.vm(subscription=worlds.OTHER_SUB)  # same group and name, another subscription
BORN = FakeClock().now()
ALLOWING = worlds.RULES + "options: {consents: {undelete: true, resume_stopped: true}}\n"
STATES = ProtectionState


def held(vault=HERE, of=VM, **changes):
    return worlds.item(vault, of, **changes)


def ended(**changes):
    """An item without a policy, as a stop leaves it."""
    return held(policy=None, **changes)


@pytest.fixture
def house():
    made = House()
    made.region(HERE, THERE)
    made.machines.add(VM)
    return made


# Every state here and elsewhere; then traps 7 and 8: the name is taken, the VM is another one.
TABLE = [
    pytest.param(None, State.ENROLLED, 1, (), id="no item"),
    pytest.param(held(state=STATES.PENDING), State.ENROLLED, 0, (), id="pending"),
    pytest.param(held(), State.PROTECTED, 0, (), id="protected"),
    pytest.param(
        held(state=STATES.ERROR, last_recovery_point=BORN),
        State.PROTECTED,
        0,
        ("PROTECTION_ERROR",),
        id="in error with a recovery point",
    ),
    pytest.param(
        held(state=STATES.ERROR), State.ENROLLED, 0, ("PROTECTION_ERROR",), id="in error without"
    ),
    pytest.param(
        held(state=STATES.INVALID), State.ENROLLED, 0, ("PROTECTION_ERROR",), id="unknown word"
    ),
    pytest.param(held(state=STATES.CONFIGURING), State.WAITING, 0, (), id="being configured"),
    pytest.param(held(state=STATES.FAILED), State.ENROLLED, 1, (), id="configuring failed"),
    pytest.param(
        ended(state=STATES.STOPPED), State.STOPPED, 0, ("PROTECTION_STOPPED",), id="stopped"
    ),
    pytest.param(
        ended(state=STATES.PAUSED), State.STOPPED, 0, ("PROTECTION_STOPPED",), id="paused"
    ),
    pytest.param(
        ended(state=STATES.SUSPENDED), State.STOPPED, 0, ("PROTECTION_STOPPED",), id="suspended"
    ),
    pytest.param(
        ended(state=STATES.SOFT_DELETED),
        State.SOFT_DELETED,
        0,
        ("SOFT_DELETED",),
        id="soft-deleted",
    ),
    pytest.param(
        held(THERE), State.ELSEWHERE, 0, ("PROTECTED_ELSEWHERE",), id="protected elsewhere"
    ),
    pytest.param(
        held(THERE, state=STATES.PENDING),
        State.ELSEWHERE,
        0,
        ("PROTECTED_ELSEWHERE",),
        id="pending elsewhere",
    ),
    pytest.param(
        ended(vault=THERE, state=STATES.STOPPED),
        State.STOPPED,
        0,
        ("PROTECTION_STOPPED",),
        id="stopped elsewhere",
    ),
    pytest.param(
        ended(vault=THERE, state=STATES.SOFT_DELETED),
        State.SOFT_DELETED,
        0,
        ("SOFT_DELETED",),
        id="soft-deleted elsewhere",
    ),
    pytest.param(held(THERE, state=STATES.FAILED), State.ENROLLED, 1, (), id="failed elsewhere"),
    pytest.param(
        replace(held(), source=TWIN.id), State.BLOCKED, 0, ("NAME_TAKEN",), id="name taken"
    ),
    pytest.param(
        replace(held(THERE), source=TWIN.id), State.ENROLLED, 1, (), id="name taken elsewhere"
    ),
    pytest.param(
        held(last_recovery_point=BORN - timedelta(days=2)),
        State.BLOCKED,
        0,
        ("VM_RECREATED",),
        id="of an earlier VM",
    ),
    pytest.param(
        ended(state=STATES.STOPPED, last_recovery_point=BORN - timedelta(days=2)),
        State.BLOCKED,
        0,
        ("VM_RECREATED",),
        id="of an earlier VM, stopped",
    ),
    pytest.param(
        ended(state=STATES.SOFT_DELETED, last_recovery_point=BORN - timedelta(days=2)),
        State.BLOCKED,
        0,
        ("VM_RECREATED",),
        id="of an earlier VM, soft-deleted",
    ),
    pytest.param(
        held(last_recovery_point=BORN + timedelta(days=1)),
        State.PROTECTED,
        0,
        (),
        id="of an earlier VM, and backed up since",
    ),
]


@pytest.mark.parametrize("item, state, puts, codes", TABLE)
async def test_an_item_means_one_decision(house, item, state, puts, codes):
    house.machines.add(replace(VM, created=BORN))
    if item is not None:
        house.backup.put(item)

    await house.event(VM.id)
    await house.play(120)

    row = await house.row(VM.id)
    assert (row.state, house.sent(VM.id)) == (state, puts)
    assert tuple(one.code for one in row.findings) == codes


def test_every_state_there_is_has_a_row_in_the_table():
    seen = {param.values[0].state for param in TABLE if param.values[0] is not None}

    assert seen == set(ProtectionState)


@pytest.mark.parametrize(
    "item, state",
    [
        pytest.param(held(THERE), State.ELSEWHERE, id="protected elsewhere"),
        pytest.param(ended(vault=THERE, state=STATES.STOPPED), State.STOPPED, id="stopped there"),
        pytest.param(
            ended(state=STATES.SOFT_DELETED, last_recovery_point=BORN - timedelta(days=2)),
            State.BLOCKED,
            id="of an earlier VM",
        ),
    ],
)
async def test_rules_that_consent_for_all_never_move_or_mix_recovery_points(house, item, state):
    house.rules.rules = parse(ALLOWING, "rules.yaml")
    house.machines.add(replace(VM, created=BORN))
    house.backup.put(item)

    await house.event(VM.id)
    await house.play(300)

    assert (await house.row(VM.id)).state is state
    assert house.backup.sent == []


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(ended(state=STATES.STOPPED), id="stopped"),
        pytest.param(ended(state=STATES.SOFT_DELETED), id="soft-deleted"),
    ],
)
async def test_rules_that_consent_for_all_bring_protection_back(house, item):
    house.rules.rules = parse(ALLOWING, "rules.yaml")
    house.backup.put(item)

    await house.event(VM.id)
    await house.play(600)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.backup.stored[item_of(HERE.id, VM.id).key].policy is not None


@pytest.mark.parametrize(
    "given, state",
    [
        pytest.param(BORN + timedelta(hours=1), State.PROTECTED, id="for this VM"),
        pytest.param(BORN - timedelta(hours=1), State.BLOCKED, id="for the one before"),
    ],
)
async def test_a_person_lets_a_new_vm_go_on_under_the_old_item(house, given, state):
    house.machines.add(replace(VM, created=BORN))
    house.backup.put(held(last_recovery_point=BORN - timedelta(days=2)))
    await house.people.append(
        PersonDecision(
            vm=str(VM.id),
            kind=DecisionKind.CONSENT_RESUME,
            by="ops@example.com",
            at=given,
            reason="restored from its own backup",
        )
    )

    await house.event(VM.id)
    await house.play(60)

    assert (await house.row(VM.id)).state is state
    assert house.backup.sent == []
