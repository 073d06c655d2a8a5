"""Every call to Azure is refused in every way: the end is the same, and nobody hears more.

An ordinary run lets all calls fail at once, in every way, the first, the second or every third
time (a seeded third of these cells); `--all-cells` also lets each fail alone. What happens on the
wire itself is `test_faults_on_the_wire.py`.
"""

from __future__ import annotations

import pytest

from shared.domain.ids import ArmId
from tests.usecases import over_http
from tests.usecases.over_http import OPERATIONS, PUT, REFUSED, cells, told_in_town, vm


@pytest.fixture(scope="module")
def calm():
    return over_http.undisturbed()


def test_the_story_makes_every_kind_of_call_and_shows_every_kind_of_end(calm):
    assert calm.told.rows == {
        vm(0)["name"]: ("Protected", "gold", "POLICY_WEAKER"),
        vm(1)["name"]: ("Protected", "silver", ""),
        vm(2)["name"]: ("Protected", "gold", ""),
        vm(3)["name"]: ("Orphaned", "silver", "ORPHANED"),
        vm(4)["name"]: ("Blocked", "", "NO_VAULT_IN_REGION"),
        vm(5)["name"]: ("Protected", "silver", ""),
        vm(6)["name"]: ("Protected", "silver", ""),
    }
    assert {one[2] for one in calm.told.heard} == {vm(0)["name"], vm(4)["name"]}
    assert set(calm.told.heard.values()) == {1}
    assert calm.operations[PUT] == 9  # six enrollments, two of them twice, and one new policy
    assert calm.operations.keys() == set(OPERATIONS)
    assert calm.longest_pause == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_put_whose_connection_is_lost_is_sent_once(after):
    async with told_in_town() as house:
        order = {
            "match": {"operation": PUT},
            "nth": "first",
            "fault": {"reset": True, "after": after},
        }
        house.sim.world.gateway.faults.order(order)
        house.put(vm(0))
        await house.announce(*house.published())

        await house.turn()

        assert sum(one.operation == PUT for one in house.calls()) == 1
        assert (await house.row(ArmId.parse(vm(0)["id"]))).why == "answer-unknown"


@pytest.mark.parametrize("cell", cells(*REFUSED))
async def test_however_azure_refuses_the_end_is_the_same(cell, calm, monkeypatch):
    await over_http.hold(cell, calm, monkeypatch)
