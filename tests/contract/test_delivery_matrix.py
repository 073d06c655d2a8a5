"""Every channel x every failure x a crash at every step: told, or parked and visible; none lost.

The real adapters against their far ends, the outbox in the storage emulator, a stepped clock; in
every cell each notice (thirty with --all-cells) meets the failure once and dies once at the step.
What arrives twice: nothing where the channel takes a key; elsewhere one copy at most, only where
the answer, or the record of it, was lost, and with the same notice id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.adapters.notice_store import TableNoticeStore
from shared.adapters.stores import Stores
from shared.adapters.teams import TeamsChannel
from shared.domain.deliveries import Outcome
from shared.domain.digests import Crowding
from shared.domain.letters import Announcement, Happened, Letter
from shared.domain.notices import Notice, NoticeState
from shared.domain.routing import Routing
from shared.outbox import Receipt, Record
from shared.ports import Etag
from simulator.inbox_cloud import Limits, cloud_of
from tests.contract.test_channels import FarEnd, far_end, simulated  # noqa: F401  # a fixture
from tests.fakes.notices import FakeNoticeStore, Killed
from tests.unit.notices.post import Post, subject

NOTICES, FEW = 30, 4  # in a cell of the whole matrix; in a cell of the sample that every run takes
HOUR = 3600.0
CHANNELS = ("teams", "smtp", "acs", "topic")
FAILURES = ("none", "throttled", "broken", "refused", "unanswered")
CRASHES = ("none", "planned", "begun", "called", "accepted", "recorded", "tidied")
ALONE = Crowding(few=10_000, many=10_000)


@dataclass
class Deaths:
    """Kills the run once per row, right before the step takes effect."""

    step: str
    died: set[str] = field(default_factory=set)

    def at(self, step: str, key: str) -> None:
        if step == self.step and key not in self.died:
            self.died.add(key)
            raise Killed(f"{step} {key}")


class DyingStore:
    """A store whose process dies before a chosen write; everything else goes through."""

    def __init__(self, store: TableNoticeStore | FakeNoticeStore, deaths: Deaths) -> None:
        self._store = store
        self._deaths = deaths

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def write(self, record: Record, etag: Etag) -> Etag:
        standing = {
            Notice: lambda: record.deliveries,
            Announcement: lambda: (record.delivery,),
        }.get(type(record), tuple)()
        if not etag:
            self._deaths.at("planned", record.key)
        elif any(d.began for d in standing):
            self._deaths.at("begun", record.key)
        elif any(d.settled or d.failures or d.uncertain or d.throttled for d in standing):
            self._deaths.at("recorded", record.key)
        return await self._store.write(record, etag)

    async def remove(self, key: str) -> None:
        self._deaths.at("recorded", key)
        await self._store.remove(key)

    async def drop_due(self, key: str, at: object) -> None:
        self._deaths.at("tidied", key)
        await self._store.drop_due(key, at)


@dataclass
class DyingChannel:
    """A channel whose process dies before the call, or after the far end accepted.

    The first letter of each VM's notice meets the cell's failure; letters to operators do not.
    """

    end: FarEnd
    failure: str
    deaths: Deaths
    failed: set[str] = field(default_factory=set)

    @property
    def keyed(self) -> bool:
        return self.end.channel.keyed

    async def send(self, letter: Letter) -> Receipt:
        about_a_vm = letter.announcement or letter.stories[0].vm
        if about_a_vm:
            self.deaths.at("called", letter.id)
        if about_a_vm and self.failure != "none" and letter.id not in self.failed:
            self.failed.add(letter.id)
            self.end.order(self.failure)
        receipt = await self.end.channel.send(letter)
        if about_a_vm:
            self.deaths.at("accepted", letter.id)
        return receipt


def post_of(end: FarEnd, store: object, failure: str, deaths: Deaths) -> Post:
    channel = end.channel
    if isinstance(channel, TeamsChannel):
        channel._gap = 0.0  # the rate has a test of its own
    mail = (end.name,) if end.name in {"smtp", "acs"} else ()
    return Post(
        routing=Routing(mail=mail, teams=("default",) if end.name == "teams" else ()),
        crowding=ALONE,
        store=DyingStore(store, deaths),  # type: ignore[arg-type]
        more={end.name: DyingChannel(end, failure, deaths)},
    )


async def until_done(post: Post, step) -> None:
    """Do what a use case does: its own message is handed out again if the run dies."""
    for _ in range(4):
        try:
            return await step()
        except* Killed:
            post.kills += 1
            post.restart()
    raise AssertionError("it dies every time")


async def play(
    end: FarEnd, store: object, failure: str, crash: str, notices: int
) -> tuple[Post, Deaths]:
    deaths = Deaths(crash)
    post = post_of(end, store, failure, deaths)
    for number in range(notices):
        name, owner = f"vm-{number:02}", {"owner": f"o{number}@contoso.com"}
        if end.name == "topic":
            vm, now = subject(name).vm, post.now
            await until_done(
                post, lambda vm=vm, now=now: post.notifier.announce(Happened.BLOCKED, vm, now, "")
            )
        else:
            await until_done(post, lambda n=name, o=owner: post.report(n, tags=o))
    await post.play(3 * HOUR)
    return post, deaths


def arrived(end: FarEnd) -> Counter[str]:
    """Count letters by notice. Where subscribers de-duplicate by id, an id counts once."""
    got = set(end.got()) if end.name == "topic" else end.got()
    return Counter(one.partition("-")[0] for one in got)


async def verdict(post: Post, end: FarEnd, failure: str, crash: str, store, notices: int) -> None:
    told = arrived(end)
    # A refusal whose record died with the run is forgotten, and the next attempt goes through.
    refused = failure == "refused" and crash != "recorded"
    # Two attempts of unknown end are all that a channel without keys is asked for.
    twice = failure == "unanswered" and crash in {"called", "accepted", "tidied"}
    given_up = twice and not end.channel.keyed
    if end.name == "topic":
        left = [key for _, key in await due_rows(store, post) if key.startswith("outcome:")]
        assert left == []
        assert len(told) == (0 if refused else notices)
    else:
        vms = [one async for page in store.notices() for one in page if not one.for_operators]
        assert len(vms) == notices
        for notice in vms:
            parked = refused or given_up
            assert notice.state is (NoticeState.PARKED if parked else NoticeState.DELIVERED)
            outcomes = {d.outcome for d in notice.deliveries}
            assert outcomes == {Outcome.PARKED if parked else Outcome.SENT}
            assert told[notice.id] >= (0 if refused else 1)
        told = Counter({one.id: told[one.id] for one in vms})
    may_repeat = not end.channel.keyed and (
        crash in {"accepted", "recorded"} or failure == "unanswered"
    )
    assert max(told.values(), default=0) <= (2 if may_repeat else 1)


async def due_rows(store, post: Post):
    return [(at, key) for key, at in await store.due(post.now.replace(year=2100), 1000)]


@pytest.mark.matrix
@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", CHANNELS)
async def test_each_notice_ends_told_or_parked(
    name: str,
    failure: str,
    crash: str,
    simulated,  # noqa: F811
    instance: Callable[[], Stores],
    pytestconfig: pytest.Config,
):
    notices = NOTICES if pytestconfig.getoption("--all-cells") else FEW
    store = TableNoticeStore(instance())
    mails = cloud_of(simulated.world).mails
    mails.own = (Limits(minute=1000, hour=1000),) * 2  # its clock is another: a test of its own
    async with far_end(name, simulated) as end:
        post, deaths = await play(end, store, failure, crash, notices)
        await verdict(post, end, failure, crash, store, notices)
    died = 0 if crash == "none" or (crash == "accepted" and failure == "refused") else notices
    assert len(deaths.died) >= died  # the cell really killed every one
