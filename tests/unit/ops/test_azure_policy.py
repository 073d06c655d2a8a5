"""`coverage --compare-azure-policy`: where the audit and we say different things, and why."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from ops.printing import Exit
from shared.domain.importer import DEFINITIONS
from shared.domain.states import State
from tests.fakes.wire import Answer, Wire, clients_on
from tests.unit.domain import worlds
from tests.unit.web.counter import Counter

GRAPH = r"/providers/Microsoft\.ResourceGraph/resources$"


def estate(terminal, **states: State) -> None:
    """Let the ledger say this of VMs, and count them."""
    counter = Counter()
    counter.house = terminal.house
    asyncio.run(counter.rows(*(counter.row(name, state) for name, state in states.items())))
    asyncio.run(counter.counted())


def audited(terminal, *pages: dict[str, str] | Answer) -> Wire:
    """Let Azure Policy say this of VMs, page by page."""
    wire = Wire()
    answers = [
        page
        if isinstance(page, Answer)
        else Answer(
            200,
            {
                "data": [
                    {
                        "id": f"{vm(name)}/policyStates/{number}-{name}",
                        "vm": vm(name).lower(),
                        "state": state,
                    }
                    for name, state in page.items()
                ],
                **({"$skipToken": "more"} if number < len(pages) else {}),
            },
        )
        for number, page in enumerate(pages, 1)
    ]
    wire.on("POST", GRAPH, *answers)
    terminal.foundation = SimpleNamespace(clients=clients_on(wire))
    return wire


def vm(name: str) -> str:
    return str(worlds.vm(name=name).id)


def differences(terminal) -> dict[str, str]:
    rows = terminal.rows("coverage", "--compare-azure-policy")
    return {row["vm"].rpartition("/")[2]: row["azure_policy"] for row in rows}


STATES = [
    pytest.param(State.PROTECTED, "Compliant", False, id="both say protected"),
    pytest.param(State.PROTECTED, "NonCompliant", True, id="protected, not seen by the audit"),
    pytest.param(State.ENROLLED, "Compliant", True, id="an item without a recovery point"),
    pytest.param(State.BLOCKED, "NonCompliant", False, id="both say not protected"),
    pytest.param(State.STOPPED, "Compliant", True, id="an item whose protection was stopped"),
    pytest.param(State.ELSEWHERE, "Compliant", False, id="protected in another vault"),
    pytest.param(State.EXCLUDED, "NonCompliant", False, id="excluded"),
]


@pytest.mark.parametrize("state, audit, differs", STATES)
def test_where_the_audit_and_we_differ(terminal, state, audit, differs):
    estate(terminal, web=state)
    audited(terminal, {"web": audit})
    done = terminal("coverage", "--compare-azure-policy")

    assert differences(terminal) == ({"web": audit} if differs else {})
    assert done.exit_code == (Exit.FOUND if differs else Exit.DONE)
    assert f"{int(differs)} VMs differ" in done.stderr


def test_every_page_is_read_and_only_of_backup_definitions(terminal):
    estate(terminal, **{f"vm-{number}": State.ENROLLED for number in range(4)})
    wire = audited(
        terminal,
        {"vm-0": "Compliant", "vm-1": "Compliant"},
        {"vm-2": "Compliant"},
        {"vm-3": "NonCompliant"},
    )

    assert sorted(differences(terminal)) == ["vm-0", "vm-1", "vm-2"]
    asked = [one.body["query"] for one in wire.sent]
    assert all(definition in asked[0] for definition in DEFINITIONS)
    assert "strcmp" not in asked[0]
    assert f"'{vm('vm-1').lower()}/policystates/1-vm-1'" in asked[1]
    assert wire.sent[0].body["subscriptions"] == [worlds.SUB]


def test_of_two_assignments_the_one_that_complains_counts(terminal):
    estate(terminal, web=State.PROTECTED)
    audited(terminal, {"web": "NonCompliant"}, {"web": "Compliant"})

    assert differences(terminal) == {"web": "NonCompliant"}


def test_a_vm_that_no_policy_looks_at_is_no_difference(terminal):
    estate(terminal, web=State.PROTECTED, db=State.BLOCKED)
    audited(terminal, {})

    assert differences(terminal) == {}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(403, {"error": {"code": "AuthorizationFailed"}}), id="not allowed"),
        pytest.param(Answer(200, {"data": "none"}), id="no rows"),
    ],
)
def test_an_answer_that_is_none_is_no_agreement(terminal, answer):
    estate(terminal, web=State.PROTECTED)
    audited(terminal, answer)

    assert terminal("coverage", "--compare-azure-policy").exit_code == Exit.UNREACHABLE
