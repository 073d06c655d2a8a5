"""Ten thousand notices, a stepped clock, channels that fail in every way: none is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from shared.domain.notices import NoticeState
from tests.fakes.notices import FakeChannel, fault
from tests.unit.notices.post import Post

HOUR = 3600.0
VMS = 10_000
OWNERS = 400


class Weather(FakeChannel):
    """A channel with seeded bad luck: one letter in four meets some failure."""

    def __init__(self, seed: int, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self._luck = random.Random(seed)
        self.seen: Counter[str] = Counter()

    async def send(self, letter):
        luck = self._luck.random()
        if luck < 0.25:
            kind = self._luck.choice(("429", "500", "404", "lost", "before", "after"))
            self.seen[kind] += 1
            match kind:
                case "429":
                    self.faults.insert(0, fault(429, retry_after=self._luck.choice((5, 900))))
                case "500":
                    self.faults.insert(0, fault(500))
                case "404":
                    self.faults.insert(0, fault(404, permanent=True))
                case "lost":
                    self.lose = 1
                case "before":
                    self.die_before = 1
                case "after":
                    self.die_after = 1
        return await super().send(letter)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "keyed",
    [pytest.param(False, id="no key"), pytest.param(True, id="key", marks=pytest.mark.matrix)],
)
async def test_ten_thousand_notices_end_told_or_parked_and_repeat_as_promised(keyed):
    mail = Weather(1, keyed=keyed)
    post = Post(mail=mail, teams=Weather(2))
    luck = random.Random(3)
    names = [f"vm-{number:05}" for number in range(VMS)]
    for number, name in enumerate(names):
        owner = luck.randrange(OWNERS)
        await post.report(name, tags={"owner": f"owner-{owner}@contoso.com"})
        if number % 500 == 499:
            await post.play(20)
    await post.play(24 * HOUR)

    states = Counter(post.notice(name).state for name in names)
    assert set(states) <= {NoticeState.DELIVERED, NoticeState.PARKED}
    assert states[NoticeState.DELIVERED] > 0.95 * VMS
    told = {one.title for far in (mail, post.teams) for one in stories(far.got)}
    delivered = {name for name in names if post.notice(name).state is NoticeState.DELIVERED}
    assert delivered <= told
    assert max(mail.copies().values()) <= (1 if keyed else 2)
    assert max(post.teams.copies().values()) <= 2
    assert all(entries == {} for entries in post.store.lanes.values())
    assert len(mail.got) < VMS / 3  # digests, not ten thousand mails
    assert min(mail.seen[kind] for kind in ("429", "500", "404", "lost", "before", "after")) > 0
    assert post.kills > 0


def stories(got):
    return [one for letter in got for one in letter.stories]
