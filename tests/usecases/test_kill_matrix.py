"""The process dies at every await of every function, before and after what it waited for.

Nothing is lost; no PUT is sent twice, not even the same; people hear what they would have heard,
and at most one letter twice: where a channel had taken it and nobody had written that down.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from shared.domain.ids import item_of
from shared.domain.notices import NoticeState
from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.mortal import Mortal, deaths

VAULT = worlds.vault()
FAR = worlds.vault("rsv-kr", location="koreacentral")
OWNED = {"backup-tier": "gold", "owner": "kim@contoso.com"}
PART = 2400.0
FUNCTIONS = ("enroll_vm", "watch", "sweep", "sweep_subscription", "send_notice", "tick_notices")

plain = worlds.vm("plain", uid="u1", tags={"backup-tier": "bronze"})
again = worlds.vm("again", uid="u2")
far = worlds.vm("far", uid="u3", location="koreacentral", tags=OWNED)
silent = worlds.vm("silent", uid="u4")
VMS = (plain, again, far, silent)


async def story(house: Mortal) -> None:
    """Enroll, fail and try again, tell an owner and take it back, sweep, change a policy, orphan."""
    house.region(VAULT)
    house.machines.add(*VMS)
    house.backup.fail_job(again.id, "UserErrorGuestAgentStatusUnavailable", "not ready")
    for vm in (plain, again, far):
        await house.event(vm.id)
    await house.play(PART, step=60)
    house.region(FAR)
    await house.play(PART, step=60)
    for vm in VMS:
        house.backup.finish_backup(item_of((FAR if vm is far else VAULT).id, vm.id))
    house.index.forget()
    house.machines.add(replace(plain, tags={"backup-tier": "gold"}))
    await house.event(plain.id)
    await house.play(PART, step=60)
    house.machines.remove(silent.id)
    await house.event(silent.id)
    await house.play(PART, step=60)
    await house.bury()


async def ending(house: Mortal) -> dict[str, object]:
    """Give what can be seen in the end, in Azure, in the ledger and in the inboxes."""
    rows = {vm.id.name: await house.row(vm.id) for vm in VMS}
    return {
        "rows": {
            name: (row.state, row.vault, row.policy, row.notified, row.claim, row.intent)
            for name, row in rows.items()
        },
        "items": sorted(
            (item.vault.name, item.source.name, item.state, item.policy and item.policy.name)
            for item in house.backup.items()
        ),
        "notices": [
            (one.key, one.state, tuple(sorted(f.code for f in one.findings)))
            for one in house.post.store.all()
            if hasattr(one, "findings")
        ],
        "in flight": await house.ledger.in_flight(VAULT.id),
        "looks": await house.ledger.looks(),
        "places": await house.ledger.places(VAULT.id, "2026-11-20"),
    }


def heard(house: Mortal) -> dict[str, set[tuple[str, str, str]]]:
    """Give what arrived, without how often."""
    return {
        name: {
            (letter.kind, letter.to.address, ",".join(sorted(one.title for one in letter.stories)))
            for letter in channel.got
        }
        for name, channel in (("mail", house.post.mail), ("teams", house.post.teams))
    }


def puts(house: Mortal) -> Counter[tuple[str, str, str]]:
    """Count what was sent. Not even the same PUT comes twice while jobs are listed at once."""
    return Counter((one.vm.name, one.vault.name, one.policy.name) for one in house.backup.sent)


def repeated(house: Mortal) -> int:
    """Count the letters that arrived a second time."""
    channels = (house.post.mail, house.post.teams, house.post.topic)
    return sum(times - 1 for channel in channels for times in channel.copies().values())


@pytest.fixture(scope="module")
def undisturbed():
    async def tell():
        house = Mortal()
        await story(house)
        return house, await ending(house), heard(house)

    return asyncio.run(tell())


@pytest.fixture(scope="module")
def cells():
    return asyncio.run(deaths(story))


def test_the_story_has_everything_in_it(undisturbed):
    house, end, said = undisturbed

    assert {name: row[0] for name, row in end["rows"].items()} == {
        "plain": State.PROTECTED,
        "again": State.PROTECTED,
        "far": State.PROTECTED,
        "silent": State.ORPHANED,
    }
    assert house.sent(plain.id) == house.sent(again.id) == 2
    assert {one[1] for one in end["notices"]} == {NoticeState.RESOLVED}
    assert any("far" in one[2] for one in said["mail"])
    assert {"opened", "resolved"} <= {str(one[0]) for one in said["mail"]}
    assert repeated(house) == 0


def test_every_function_is_seen_to_await(cells):
    assert {one.place.function for one in cells} == set(FUNCTIONS)
    assert len({one.place for one in cells}) > 100


@pytest.mark.parametrize("function", FUNCTIONS)
def test_wherever_it_dies_the_end_is_the_same(function, cells, undisturbed, request):
    calm, end, said = undisturbed
    mine = [one for one in cells if one.place.function == function]
    if not request.config.getoption("--all-cells"):
        mine = Random(function).sample(mine, -(-len(mine) // 3))

    async def check(death) -> None:
        house = Mortal(death)
        await story(house)
        assert house.kills == 1, death
        assert await ending(house) == end, death
        assert heard(house) == said, death
        assert repeated(house) <= 1, death
        assert puts(house) == puts(calm), death

    async def all_of_them() -> None:
        for death in mine:
            await check(death)

    asyncio.run(all_of_them())
