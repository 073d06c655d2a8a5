"""A broken rules file at run time: the last good one stays, and the operators are told once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.adapters.rules_source import RulesFile, StoredRules
from shared.domain.messages import Cause, WorkItem, encode
from shared.domain.sheets import IN_FORCE
from shared.domain.states import State
from shared.errors import BadRules, Problem
from shared.poison import park_poisoned
from shared.rules_in_force import BROKEN, NO_RULES, NOBODY, look_at_rules
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

MIDNIGHT = worlds.RULES.replace("default: silver", "default: gold")
ROUTES = """
notices:
  routes:
    - {name: web, to: [owner, "teams:nowhere"]}
  fallback: ["mail:team@example.com"]
"""


@pytest.fixture
def house(tmp_path):
    made = House()
    made.region()
    made.file = tmp_path / "rules.yaml"
    made.file.write_text(worlds.RULES)
    made.rules = StoredRules(RulesFile(made.file), made.settings, made.clock)
    return made


async def minute(house, text: str = "") -> None:
    """Let a minute pass in which somebody may save the file."""
    if text:
        house.file.write_text(text)
    house.clock.advance(61)
    await look_at_rules(house.ports)


async def test_good_rules_are_nobodys_business(house):
    await minute(house)
    await minute(house, MIDNIGHT)

    assert house.notices.operators == []
    assert (await house.rules.current()).content.tiers.default == "gold"


@pytest.mark.parametrize(
    "text, words",
    [
        pytest.param(worlds.RULES.replace("rules:", "rulez:"), "rulez", id="unknown key"),
        pytest.param(
            worlds.RULES.replace("version: 1", "version: one"), "version", id="wrong type"
        ),
        pytest.param("a: &a [*a, *a]\n", "rules.yaml", id="anchors"),
        pytest.param("{", "rules.yaml", id="no YAML"),
        pytest.param("x" * 11_000_000, "rules.yaml", id="too long"),
    ],
)
async def test_a_broken_file_changes_nothing_and_is_told_once_until_it_is_corrected(
    house, text, words
):
    await minute(house)
    version = (await house.rules.current()).version

    await minute(house, text)
    await minute(house)
    assert (await house.rules.current()).version == version
    assert house.notices.operators == [BROKEN]
    assert version in house.notices.said[BROKEN]
    assert words in house.notices.evidence[BROKEN]
    vm = worlds.vm()
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(120)
    assert (await house.row(vm.id)).state is State.ENROLLED

    await minute(house, MIDNIGHT)
    assert house.notices.operators == []
    assert (await house.rules.current()).content.tiers.default == "gold"


async def test_without_any_good_copy_that_is_told(house):
    await minute(house, "{")

    assert house.notices.operators == [NO_RULES]
    with pytest.raises(BadRules):
        await house.rules.current()

    await minute(house, worlds.RULES)
    assert house.notices.operators == []


async def test_a_store_that_does_not_answer_for_a_while_is_no_trouble_yet(house, monkeypatch):
    await minute(house)

    async def silent(etag):
        raise fault("ServerBusy", status=503)

    monkeypatch.setattr(house.rules._copy, "newer", silent)
    await minute(house)
    assert house.notices.operators == []

    house.clock.advance(timedelta(minutes=20).total_seconds())
    await minute(house)
    assert house.notices.operators == [BROKEN]
    monkeypatch.undo()
    await minute(house)
    assert house.notices.operators == []


async def test_the_page_is_told_which_rules_run(house, monkeypatch):
    async def noted(text: str) -> str:
        await minute(house, text)
        return await house.ledger.noted(IN_FORCE)

    assert await noted("{") == "there are none that can be used: nothing is decided"
    good = await noted(worlds.RULES)
    version = (await house.rules.current()).version
    assert good == f"version {version} runs"
    broken = await noted(worlds.RULES.replace("rules:", "rulez:"))
    assert broken.startswith(f"version {version} runs; a newer file is not used: ")
    assert "rulez" in broken

    async def silent():
        raise fault("ServerBusy", status=503)

    monkeypatch.setattr(house.rules, "current", silent)
    assert await noted("") == "cannot be read (ServerBusy): nothing is decided"


async def test_recipients_that_reach_nobody_are_told(house):
    house.notices.nobody = {"teams:nowhere"}

    await minute(house, worlds.RULES + ROUTES)

    assert house.notices.operators == [NOBODY]
    assert "route web: 'teams:nowhere'" in house.notices.evidence[NOBODY]
    await minute(house, worlds.RULES)
    assert house.notices.operators == []


def test_a_problem_says_where_it_is():
    problem = Problem(file="rules.yaml", line=3, column=5, message="no", hint="yes")

    assert str(problem) == "rules.yaml:3:5: error: no (yes)"


async def test_a_message_that_the_rules_failed_is_parked_with_their_mistake_as_evidence():
    house = House()
    bad = Problem(file="rules.yaml", line=7, column=3, message="no tier 'glod'", hint="gold?")
    house.ports.rules.failing = BadRules((bad,))

    message = WorkItem(vm=str(worlds.vm().id), seen_at=house.clock.now(), cause=Cause.EVENT)
    await park_poisoned(house.ports, "enrollments", encode(message))

    evidence = house.notices.evidence["MESSAGE_PARKED"]
    assert "rules.yaml:7:3: error: no tier 'glod' (gold?)" in evidence
