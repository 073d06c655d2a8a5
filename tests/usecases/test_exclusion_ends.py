"""An exclusion is remembered before it ends, and ends by itself."""

from datetime import timedelta

import pytest

from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.rules import parse
from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT, VM = worlds.vault(), worlds.vm()
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


async def excluded(until: timedelta, began: timedelta, text: str = worlds.RULES) -> House:
    """Let a person have excluded the VM, and look at it now."""
    house = House()
    house.rules.rules = parse(text)
    house.region(VAULT)
    house.machines.add(VM)
    now = house.clock.now()
    await house.people.append(
        PersonDecision(
            vm=str(VM.id),
            kind=DecisionKind.EXCLUDE,
            by="ann@contoso.com",
            at=now - began,
            reason="moving house",
            until=now + until,
            key="k1",
        )
    )
    await house.event(VM.id)
    await house.play(120)
    return house


async def test_a_week_before_its_end_somebody_hears_and_then_the_vm_is_enrolled():
    house = await excluded(WEEK + HOUR, timedelta(days=30))
    row = await house.row(VM.id)
    assert (row.state, row.findings, house.notices.reported) == (State.EXCLUDED, (), [])
    assert (row.until, row.excluded_until) == (row.excluded_until - WEEK, row.excluded_until)

    await house.play(2 * 3600, step=60)
    row = await house.row(VM.id)
    assert row.state is State.EXCLUDED
    assert house.notices.reported == [(VM.name, ("EXCLUSION_ENDING",))]
    assert "of ann@contoso.com ends" in row.findings[0].evidence

    await house.play(WEEK.total_seconds(), step=1800)
    assert (await house.row(VM.id)).state is State.ENROLLED


@pytest.mark.parametrize(
    "until, began, text",
    [
        pytest.param(timedelta(days=3), HOUR, worlds.RULES, id="it was as short as that from the start"),
        pytest.param(
            timedelta(days=3),
            timedelta(days=30),
            worlds.RULES + "options: {tell: [NO_TIER]}\n",
            id="the rules do not want it told",
        ),
    ],
)  # fmt: skip
async def test_nobody_hears(until, began, text):
    house = await excluded(until, began, text)
    assert (await house.row(VM.id)).state is State.EXCLUDED
    assert house.notices.reported == []


async def test_an_exclusion_of_the_rules_is_remembered_too_and_a_renewal_ends_the_notice():
    house = House()
    house.region(VAULT)
    house.machines.add(VM)
    end = (house.clock.now() + timedelta(days=4)).date()
    renewed = end + timedelta(days=30)
    text = worlds.RULES + (
        "exclusions: [{name: lab, when: {names: web-1}, owner: lab@contoso.com, reason: rebuilt,"
        " expires: %s}]\n"
    )
    house.rules.rules = parse(text.replace("%s", str(end)))
    await house.event(VM.id)
    await house.play(120)
    assert house.notices.reported == [(VM.name, ("EXCLUSION_ENDING",))]

    house.rules.rules = parse(text.replace("%s", str(renewed)))
    await house.event(VM.id)
    await house.play(120)
    assert house.notices.cleared == [VM.name]
    assert (await house.row(VM.id)).state is State.EXCLUDED
