"""Changes of an item that exists: refused for good, undone by others, decided on old knowledge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.ids import item_of
from shared.domain.model import ProtectionState
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.states import State
from shared.errors import Disposition
from shared.settings import Mode
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
VM = worlds.vm(tags={"backup-tier": "bronze"})
ITEM = item_of(VAULT.id, VM.id)
DAY = 24 * 3600


def tagged(tier: str):
    return replace(VM, tags={"backup-tier": tier})


@pytest.fixture
async def house():
    """A VM that is protected under bronze."""
    made = House()
    made.region(VAULT)
    made.machines.add(VM)
    await made.event(VM.id)
    await made.play(120)
    made.backup.finish_backup(ITEM)
    made.index.forget()
    await made.play(1000, step=20)
    assert (await made.row(VM.id)).state is State.PROTECTED
    return made


async def retagged(house: House, tier: str, seconds: float = 300) -> None:
    house.machines.add(tagged(tier))
    await house.event(VM.id)
    await house.play(seconds, step=20)


def by_hand(house: House, policy: str) -> None:
    """Somebody changes the policy in the portal; the index does not know it yet."""
    [item] = house.backup.items()
    house.backup.put(replace(item, policy=VAULT.id.child("backupPolicies", policy)))


def policy_in_azure(house: House) -> str:
    [item] = house.backup.items()
    return item.policy.name


@pytest.mark.parametrize("how", ["job", "answer"])
async def test_a_policy_change_that_is_refused_for_good_is_told_once_and_never_repeated(house, how):
    code = "UserErrorOperationDeniedOnImmutableItem"
    if how == "job":
        house.backup.fail_job(VM.id, code, times=99)
    else:
        error = fault(code, status=400, disposition=Disposition.PARK)
        house.backup.refuse(VM.id, error, times=99)
    sent = house.backup.calls["send"]

    await retagged(house, "gold", 2 * DAY)

    row = await house.row(VM.id)
    assert house.backup.calls["send"] == sent + 1
    assert row.state is State.PROTECTED
    assert policy_in_azure(house) == "bronze"
    assert len(house.notices.reported) == 1
    assert any("change to policy gold" in one.evidence for one in row.findings)


async def test_a_refused_change_is_tried_again_when_a_person_says_so(house):
    error = fault("UserErrorOperationDenied", status=400, disposition=Disposition.PARK)
    house.backup.refuse(VM.id, error)
    await retagged(house, "gold")
    await house.people.append(
        PersonDecision(
            vm=str(VM.id),
            kind=DecisionKind.RETRY,
            by="operator",
            at=house.clock.now(),
            reason="the guard agreed",
        )
    )

    await retagged(house, "gold")

    assert policy_in_azure(house) == "gold"
    assert house.notices.open == {}


async def test_a_policy_change_that_fails_for_a_while_is_repeated_and_nobody_hears(house):
    house.backup.fail_job(VM.id, "BMSUserErrorObjectLocked", times=3)

    await retagged(house, "gold", 3600)

    row = await house.row(VM.id)
    assert policy_in_azure(house) == "gold"
    assert row.state is State.PROTECTED
    assert house.notices.reported == []
    assert house.sent(VM.id) == 1 + 4


async def test_a_refused_change_does_not_stand_in_the_way_of_another_one(house):
    error = fault("UserErrorOperationDenied", status=400, disposition=Disposition.PARK)
    house.backup.refuse(VM.id, error)
    await retagged(house, "gold")

    await retagged(house, "silver")

    assert policy_in_azure(house).startswith("silver")


@pytest.mark.parametrize("state", [ProtectionState.SOFT_DELETED, ProtectionState.STOPPED])
async def test_a_consent_that_azure_refuses_is_not_insisted_on(house, state):
    [item] = house.backup.items()
    house.backup.put(replace(item, state=state, policy=None))
    house.index.forget()
    house.backup.refuse(
        VM.id, fault("UserErrorDenied", status=400, disposition=Disposition.PARK), times=99
    )
    kind = (
        DecisionKind.CONSENT_UNDELETE
        if state is ProtectionState.SOFT_DELETED
        else DecisionKind.CONSENT_RESUME
    )
    await house.people.append(
        PersonDecision(vm=str(VM.id), kind=kind, by="op", at=house.clock.now(), reason="please")
    )
    sent = house.backup.calls["send"]

    await retagged(house, "bronze", DAY)

    assert house.backup.calls["send"] == sent + 1
    assert len(house.notices.reported) == 1


async def test_what_others_change_back_twice_is_left_to_them(house):
    await retagged(house, "gold")
    assert policy_in_azure(house) == "gold"
    for _ in range(4):
        by_hand(house, "bronze")
        house.index.forget()
        await house.play(DAY / 2, step=60)

    row = await house.row(VM.id)
    assert policy_in_azure(house) == "bronze"
    assert house.sent(VM.id) == 3  # enrolled, changed, and changed once more
    assert [one.code for one in row.findings if one.code == "MANAGED_ELSEWHERE"]
    assert [codes for _, codes in house.notices.reported] == [("MANAGED_ELSEWHERE",)]


async def test_an_old_index_never_makes_a_change_weaker(house):
    by_hand(house, "gold")  # stronger than bronze, and than silver under the rules of this team
    house.rules.rules = worlds.rules(worlds.RULES.replace("silver: {", "silver: {").strip())
    weaker = tuple(
        replace(one, retention=replace(one.retention, daily_days=14))
        if one.name.startswith("silver")
        else one
        for one in await house.directory.policies(VAULT.id)
    )
    house.directory.add(VAULT, *weaker)

    await retagged(house, "silver")

    assert policy_in_azure(house) == "gold"
    assert [codes for _, codes in house.notices.reported] == [("POLICY_WEAKER",)]


async def test_a_change_by_another_instance_is_seen_and_not_made_again(house):
    old = house.index  # of an instance that does not learn what the others did
    await retagged(house, "gold")
    sent = house.sent(VM.id)
    house.index = old
    old.unlearn()

    await retagged(house, "gold", 60)

    assert house.sent(VM.id) == sent
    assert (await house.row(VM.id)).undone == ()


async def test_trouble_with_azure_does_not_take_a_vm_out_of_the_protected_ones(house):
    house.machines.fail(VM.id, fault(status=503), times=2)

    await house.event(VM.id)
    await house.play(60)

    row = await house.row(VM.id)
    assert row.state is State.PROTECTED
    assert row.until is not None

    await house.play(600)

    assert (await house.row(VM.id)).until is None


async def test_a_change_that_must_wait_leaves_the_vm_protected():
    house = House(CHANGES_PER_HOUR="1")
    house.region(VAULT)
    house.machines.add(VM)
    await house.event(VM.id)
    await house.play(120)
    house.backup.finish_backup(ITEM)
    house.index.forget()
    await house.play(1000, step=20)

    await retagged(house, "gold", 60)

    assert (await house.row(VM.id)).state is State.PROTECTED
    assert policy_in_azure(house) == "bronze"

    await house.play(3600, step=20)

    assert policy_in_azure(house) == "gold"


async def test_what_is_only_observed_is_not_read_anew(house):
    """Backup reads are scarce, and a sweep looks at every VM that is observed."""
    house.settings = replace(house.settings, mode=Mode.OBSERVE)
    house.backup.calls.clear()

    await retagged(house, "gold", 3600)

    assert (await house.row(VM.id)).would
    assert house.backup.calls["item"] == 0
    assert policy_in_azure(house) == "bronze"
