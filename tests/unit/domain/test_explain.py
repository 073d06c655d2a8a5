"""Explain: one golden file per kind of decision."""

from datetime import timedelta

import msgspec
import pytest

from shared.domain.catalogue import Step
from shared.domain.checklist import MET, NOT_MET, UNSEEN, WAITING
from shared.domain.decide import decide
from shared.domain.decisions import ChangePolicy, Gone, Resume, Undelete, Verdict
from shared.domain.explain import as_text, explain, headline, what_next
from shared.domain.model import Agent, Image, OsType, ProtectionState, Room
from shared.domain.rules import parse
from shared.domain.states import State
from tests.unit.domain.worlds import (
    NOW,
    RULES,
    data_disks,
    disk,
    item,
    policies,
    rules,
    snapshot,
    vault,
    vm,
)

A, TEAM = vault(), vault("rsv-team", tags={})
LINUX = {
    "os": OsType.LINUX,
    "os_name": "ubuntu",
    "os_version": "24.04",
    "image": Image(publisher="canonical", offer="ubuntu-24_04-lts", sku="server"),
}
EXCLUDING = RULES + (
    "exclusions: [{name: lab, when: {names: web-1}, owner: lab@contoso.com,"
    " reason: rebuilt every night, expires: 2026-12-31}]\n"
)
NEW_AGENT = Agent(
    version="Unknown", code="ProvisioningState/Unavailable", status="Not Ready", message="not yet"
)


def told(world, text=RULES, state=None):
    content = parse(text)
    return explain(world, content, decide(world, content, (), NOW), NOW, state=state)


WORLDS = {
    "enroll": (snapshot(vm(**LINUX, agent=NEW_AGENT)), RULES, None),
    "blocked": (
        snapshot(
            vm(
                tags={"backup-tier": "glod", "env": "dev"},
                os_disk=disk(ephemeral=True),
                data_disks=data_disks(33),
            )
        ),
        RULES,
        State.BLOCKED,
    ),
    "no-vault": (snapshot(vm(location="koreacentral")), RULES, None),
    "waiting": (snapshot(vm(provisioning="Creating")), RULES, None),
    "tomorrow": (snapshot(room={A.id.key: Room(items=5, today=240)}), RULES, None),
    "excluded": (snapshot(), EXCLUDING, None),
    "ignored": (snapshot(vm(managed_by="/subscriptions/x/y/z/cluster")), RULES, None),
    "pending": (
        snapshot(items=(item(A, vm(), state=ProtectionState.PENDING),)),
        RULES,
        State.ENROLLED,
    ),
    "protected": (snapshot(items=(item(A, vm()),)), RULES, State.PROTECTED),
    "elsewhere": (snapshot(vaults=(A, TEAM), items=(item(TEAM, vm()),)), RULES, None),
}


def test_the_vaults_that_were_not_chosen_are_named_with_the_reason() -> None:
    (said,) = [one for one in told(snapshot(vaults=(A, vault("rsv-b")))).why if "not vault" in one]
    assert said.endswith("equal; a hash breaks the tie")


@pytest.mark.parametrize(
    "first_backup, said",
    [
        ("always", "First backup: started at once after that, as rule default asks."),
        ("{further_than_hours: 10}", "started at once after that"),  # at 9:00, for 23:00
        ("{further_than_hours: 20}", "First backup: 2026-11-20 23:00 UTC"),
        ("never", "First backup: 2026-11-20 23:00 UTC"),
    ],
)
def test_who_makes_the_first_recovery_point_and_when_is_said(first_backup, said) -> None:
    text = RULES.replace("default: {}", f"default: {{options: {{first_backup: {first_backup}}}}}")
    assert said in told(snapshot(), text).next


@pytest.mark.parametrize("name", WORLDS)
def test_the_explanation_reads_as_reviewed(name, golden) -> None:
    world, text, state = WORLDS[name]
    golden(f"explain-{name}.txt", as_text(told(world, text, state)))


def test_the_checklist_has_the_guides_order_and_tells_silence_from_a_yes() -> None:
    points = told(snapshot(vm(provisioning="Creating", data_disks=data_disks(33)))).checklist
    assert [point.step for point in points] == [step.value for step in Step]
    status = {point.step: point.status for point in points}
    assert status["limits"] == NOT_MET
    assert status["network"] == UNSEEN
    waiting = told(snapshot(vm(provisioning="Creating"))).checklist
    assert waiting[0].status == WAITING
    done = told(snapshot(items=(item(A, vm()),))).checklist
    assert {point.step: point.status for point in done}["first backup"] == MET


def test_an_explanation_is_json_as_it_is() -> None:
    found = told(snapshot())
    body = msgspec.json.decode(msgspec.json.encode(found))
    assert body["vm"] == str(vm().id)
    assert body["checklist"][0]["status"] == MET


@pytest.mark.parametrize(
    "decision, said",
    [
        (ChangePolicy(item=item(A, vm()), policy=policies(A)[1]), "moved to policy gold-enhanced"),
        (Resume(item=item(A, vm()), policy=policies(A)[0], consent="ann"), "to be resumed"),
        (Undelete(item=item(A, vm()), consent="ann"), "to be undeleted"),
        (Gone(), "nothing of it is left"),
    ],
    ids=["change", "resume", "undelete", "gone"],
)
def test_every_other_decision_has_its_words(decision, said) -> None:
    verdict = Verdict(decision=decision)
    assert said in headline(verdict)
    assert what_next(verdict, policies(A)[0], NOW)


def test_a_vm_that_is_gone_is_explained_too() -> None:
    from dataclasses import replace

    world = replace(snapshot(), vm=None)
    content = rules()
    found = explain(world, content, decide(world, content, (), NOW + timedelta(hours=1)), NOW)
    assert found.looked_for == ("Does it exist? No: Azure answers that there is no such VM.",)
