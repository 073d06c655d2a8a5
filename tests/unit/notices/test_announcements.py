"""Outcomes for machines: one event each, through the same outbox."""

from __future__ import annotations

from shared.domain.letters import Happened
from shared.domain.messages import NoticeItem
from tests.fakes.notices import FakeChannel, fault
from tests.unit.notices.post import Post, subject

HOUR = 3600.0
VM = subject().vm


def topic(**fields: object) -> FakeChannel:
    return FakeChannel(keyed=True, **fields)  # type: ignore[arg-type]


def outcomes(post: Post) -> list[str]:
    return [letter.announcement.what for letter in post.topic.got]


async def test_blocked_and_resolved_are_announced_with_causes_and_how():
    post = Post(topic=topic())
    await post.report()
    await post.report()
    await post.play(HOUR)
    await post.clear(how="enrolled")
    await post.clear(how="enrolled")
    await post.play(HOUR)
    assert outcomes(post) == [Happened.BLOCKED, Happened.RESOLVED]
    first, second = (letter.announcement for letter in post.topic.got)
    assert first.details == {"causes": "NO_VAULT_IN_REGION"}
    assert second.details == {"how": "enrolled"}


async def test_an_outcome_leaves_no_row_once_it_is_told():
    post = Post(topic=topic())
    await post.notifier.announce(Happened.PROTECTED, VM, post.now, "", vault="rsv-kr")
    await post.play(60)
    assert outcomes(post) == [Happened.PROTECTED]
    assert post.store.all() == []
    assert post.store.index == {}


async def test_the_same_outcome_of_the_same_moment_is_one_event():
    post = Post(topic=topic())
    for _ in range(2):  # as a run that is repeated does
        await post.notifier.announce(Happened.ENROLLED, VM, post.now, "")
    await post.play(60)
    assert outcomes(post) == [Happened.ENROLLED]


async def test_without_a_topic_nothing_is_kept():
    post = Post()
    await post.notifier.announce(Happened.ENROLLED, VM, post.now, "")
    assert post.store.all() == []


async def test_a_repeat_of_unknown_end_carries_the_same_id():
    post = Post(topic=topic(lose=3))
    await post.notifier.announce(Happened.ORPHANED, VM, post.now, "")
    await post.play(6 * HOUR)
    assert post.topic.asked == 4
    assert len({letter.id for letter in post.topic.got}) == 1
    assert post.store.all() == []


async def test_an_outcome_the_topic_refuses_is_kept_and_the_operators_hear_of_it():
    post = Post(topic=topic(broken=fault(403, permanent=True)))
    await post.notifier.announce(Happened.ENROLLED, VM, post.now, "")
    await post.play(HOUR)
    (kept,) = [row for row in post.store.all() if row.key.startswith("outcome:")]
    assert "403" in kept.delivery.error
    assert kept.due_at is None
    assert [one.stories[0].title for one in post.mail.got] == ["CHANNEL_TOPIC"]
    post.topic.broken = None
    await post.notifier.replay(kept.key, post.now)
    await post.play(60)
    assert outcomes(post) == [Happened.ENROLLED]


async def test_a_message_about_a_row_that_is_gone_does_nothing():
    post = Post(topic=topic())
    for key in ("outcome:gone", "lane:gone", VM.key, "operators:gone"):
        await post.notifier.deliver(NoticeItem(notice=key))
    assert post.store.all() == []
