"""Outcomes on the topic, over the whole service: each once, whoever dies on the way.

The house does the work with the real outbox. The topic takes everything and recognises no repeat,
as subscribers see it: what they go by is the event's id.
"""

from __future__ import annotations

import pytest

from shared.domain.ids import item_of
from shared.domain.letters import Happened
from shared.domain.states import State
from tests.fakes.notices import FakeChannel
from tests.unit.domain import worlds
from tests.unit.notices.post import Post
from tests.usecases.house import House, Killed

VAULT = worlds.vault()
VM = worlds.vm(tags={"backup-tier": "bronze"})
ITEM = item_of(VAULT.id, VM.id)
STORY = [
    Happened.BLOCKED,
    Happened.ENROLLED,
    Happened.RESOLVED,
    Happened.PROTECTED,
    Happened.ORPHANED,
]


class Street:
    """A house and its outbox, which dies before or after the nth write of a row, once.

    Deaths while something is delivered are the delivery matrix's (`tests/contract`).
    """

    def __init__(self, nth: int = 0, *, after: bool = False) -> None:
        self.house = House()
        self.post = Post(clock=self.house.clock, topic=FakeChannel(keyed=True))
        self.house.notices = self.post.notifier
        self.house.machines.add(VM)
        self.writes = 0
        self.working = True
        for store, name in ((self.post.store, "write"), (self.house.ledger, "replace")):
            setattr(store, name, self._dying(getattr(store, name), nth, after=after))

    def _dying(self, method, nth, *, after):
        async def written(*args):
            self.writes += self.working
            mine = self.working and self.writes == nth
            if mine and not after:
                raise Killed
            answer = await method(*args)
            if mine:
                raise Killed
            return answer

        return written

    async def live(self) -> None:
        """Blocked for want of a vault, enrolled, protected, and at last an item without VM."""
        house = self.house
        await house.event(VM.id)
        await house.play(1800, step=60)
        house.region(VAULT)
        await house.event(VM.id)
        await house.play(1800, step=60)
        house.backup.finish_backup(ITEM)
        house.index.forget()
        await house.event(VM.id)
        await house.play(1800, step=60)
        house.machines.remove(VM.id)
        await house.event(VM.id)
        await house.play(1800, step=60)
        self.working = False
        await self.post.play(3600)

    def heard(self) -> dict[str, Happened]:
        return {one.id: one.announcement.what for one in self.post.topic.got}


async def test_machines_hear_the_whole_story_once():
    street = Street()
    await street.live()
    assert (await street.house.row(VM.id)).state is State.ORPHANED
    assert sorted(one.announcement.what for one in street.post.topic.got) == sorted(STORY)
    told = {one.announcement.what: one.announcement for one in street.post.topic.got}
    assert told[Happened.BLOCKED].details == {"causes": "NO_VAULT_IN_REGION"}
    assert told[Happened.RESOLVED].details == {"how": "enrolled"}
    assert told[Happened.ENROLLED].details["vault"] == str(VAULT.id)
    assert not [row for row in street.post.store.all() if row.key.startswith("outcome:")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_whatever_write_a_run_dies_at_each_outcome_is_one_event(after):
    whole = Street()
    await whole.live()
    for nth in range(1, whole.writes + 1):
        street = Street(nth, after=after)
        await street.live()
        assert street.house.kills == 1 or nth > street.writes, nth
        assert sorted(street.heard().values()) == sorted(STORY), nth


async def test_a_first_backup_that_does_not_come_is_waiting_too_long_and_not_blocked():
    street = Street()
    house = street.house
    house.region(VAULT)
    await house.event(VM.id)
    await house.play(1800, step=60)
    await house.play(3 * 86_400, step=3600)
    await street.post.play(3600)
    assert list(street.heard().values()) == [Happened.ENROLLED, Happened.WAITING]
    (late,) = [o.announcement for o in street.post.topic.got if o.announcement.what != "enrolled"]
    assert late.details == {"causes": "FIRST_BACKUP_OVERDUE"}
