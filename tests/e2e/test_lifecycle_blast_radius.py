"""When Azure lies to the real adapters: nothing becomes an orphan, nothing is changed beyond the
ceiling, and the operators hear it once (issue D, the line of the blast radius).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest

from bench import estates
from shared.domain.states import State
from simulator import role
from simulator.access import ASSIGNMENT
from simulator.arm import Reply
from simulator.gateway import Incoming
from tests.usecases.town import Town, town

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
MANY = 40
HOUR = 3600.0
type Lie = Callable[[list[Any]], list[Any]]


@asynccontextmanager
async def protected(many: int = MANY, **environment: str) -> AsyncIterator[Town]:
    """Open a town whose VMs have had their items for long, and are known to the ledger."""
    vaults = -(-many // 1000)
    seed = estates.seed(vaults=vaults, groups=50, filled=many // vaults)
    for body in seed["resources"]:
        if str(body["type"]).endswith("/virtualMachines"):
            body["tags"] = {"backup-tier": "silver"}
    environment = {"SUBSCRIPTIONS": estates.MAIN, **environment}
    async with town(seed, **environment) as house:
        await house.play(HOUR, step=120)
        assert states(house) == {State.PROTECTED: many}
        assert operators(house) == {}
        house.sim.world.calls.clear()
        yield house


def states(house: Town) -> dict[State, int]:
    return dict(Counter(row.state for row in house.ledger.all_rows()))


def operators(house: Town) -> dict[str, int]:
    """Count what operators heard, by what it is about; and see that nobody else heard anything."""
    heard = [letter for letter in house.post.mail.got if str(letter.kind) == "opened"]
    assert {letter.to.address for letter in heard} <= {"ops@contoso.com"}
    return dict(Counter(story.title for letter in heard for story in letter.stories))


def puts(house: Town) -> int:
    return sum(one.method == "PUT" and one.status == 202 for one in house.calls())


def lie_about_vms(house: Town, lie: Lie) -> Callable[[], None]:
    """Let Resource Graph answer questions for VMs otherwise; give what ends it."""
    gateway = house.sim.world.gateway
    faithful = gateway.answer

    def answer(incoming: Incoming) -> Reply:
        reply = faithful(incoming)
        asked = incoming.raw.lower()
        if incoming.path.endswith("/resources") and b"compute/virtualmachines'" in asked:
            body: Any = deepcopy(reply.body)
            if isinstance(body, dict) and body.get("data"):
                body["data"] = lie(body["data"])
                body["count"] = len(body["data"])
                reply.body, reply.raw = body, None
        return reply

    def honest() -> None:
        gateway.answer = faithful  # type: ignore[method-assign]

    gateway.answer = answer  # type: ignore[method-assign]
    return honest


async def test_a_removed_role_orphans_nobody_and_gives_everybody_back():
    async with protected() as house:
        world = house.sim.world
        for assignment, _ in list(world.list(type=ASSIGNMENT, subscription=estates.MAIN)):
            world.delete(assignment.text, None)
        await house.play(4 * HOUR, step=120)

        assert {State.ORPHANED, State.GONE} & states(house).keys() == set()
        assert puts(house) == 0
        told = operators(house)
        assert told
        assert set(told.values()) == {1}

        role.grant(world, house.sim.identity["principalId"], role.actions(role.FEATURES))
        await house.play(4 * HOUR, step=120)
        assert states(house) == {State.PROTECTED: MANY}
        assert operators(house) == told
        assert puts(house) == 0


@pytest.mark.matrix
@pytest.mark.parametrize(
    "lie, heard",
    [
        pytest.param(lambda rows: [], [1], id="no rows"),
        pytest.param(lambda rows: rows[1:], [1], id="rows dropped"),
        pytest.param(lambda rows: rows + rows[:3], [], id="rows repeated"),
        pytest.param(lambda rows: rows[: len(rows) // 2], [1], id="half a page"),
    ],
)
async def test_pages_that_are_wrong_change_nothing(lie, heard):
    async with protected() as house:
        house.sim.world.knobs.turn({"graph.page_size": 7})
        honest = lie_about_vms(house, lie)
        await house.play(3 * HOUR, step=120)

        assert states(house) == {State.PROTECTED: MANY}
        told = operators(house)
        assert list(told.values()) == heard
        honest()
        await house.play(HOUR, step=120)
        assert states(house) == {State.PROTECTED: MANY}
        assert operators(house) == told
        assert puts(house) == 0


async def test_a_whole_estate_tagged_anew_changes_below_the_ceiling_and_is_told_once(request):
    """Events of all of them come at once; hour by hour some get the stronger policy."""
    many, most = (5_000, 40) if request.config.getoption("--all-cells") else (90, 20)
    async with protected(many, CHANGES_PER_HOUR=str(most), SWEEP_SECONDS="86400") as house:
        for body, _ in estates.others(-(-many // 1000), min(many, 1000)):
            house.put({**body, "tags": {**body["tags"], "backup-tier": "gold"}})
        await house.announce(*house.published())

        for hour in range(1, 3):
            await house.play(HOUR, step=60)
            assert puts(house) <= most * (hour + 1)  # the clock's hours are not ours
        assert puts(house) >= min(most * 2, many)
        await house.play(300, step=30)
        assert states(house) == {State.PROTECTED: many}
        assert list(operators(house).values()) == [1]
        policies = Counter(
            item.policy.rpartition("-")[0]
            for vault in house.sim.world.backup.vaults.values()
            for item in vault.items.values()
        )
        assert policies["gold"] == puts(house)
