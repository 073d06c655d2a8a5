"""Instant for the few, digest for the many; nothing dropped, 429s obeyed."""

from __future__ import annotations

import asyncio

import pytest

from shared.domain.deliveries import Kind
from shared.domain.notices import NoticeState
from tests.fakes.notices import fault
from tests.unit.notices.post import Post, finding, subject

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def told(post: Post) -> list[str]:
    return sorted(one.title for letter in post.mail.got for one in letter.stories)


async def burst(post: Post, number: int, *causes: str, over: float = 0.0) -> list[str]:
    names = [f"vm-{index:04}" for index in range(number)]
    for index, name in enumerate(names):
        cause = causes[index % len(causes)] if causes else "NO_VAULT_IN_REGION"
        await post.report(name, finding(cause))
        if over:
            await post.play(over / number)
    return names


async def test_few_vms_with_one_cause_are_told_one_by_one():
    post = Post()
    await burst(post, 5)
    await post.play(HOUR)
    assert [letter.kind for letter in post.mail.got] == [Kind.OPENED] * 5


async def test_many_at_once_with_one_cause_are_one_digest():
    post = Post()
    names = await burst(post, 500)
    await post.play(10 * MINUTE)
    assert [letter.kind for letter in post.mail.got] == [Kind.DIGEST]
    assert told(post) == names
    assert {post.notice(name).state for name in names} == {NoticeState.DELIVERED}


async def test_many_over_an_hour_are_a_few_messages_and_a_digest_in_each_window():
    post = Post()
    names = await burst(post, 200, over=HOUR)
    await post.play(3 * HOUR)
    assert told(post) == names
    digests = [letter for letter in post.mail.got if letter.kind is Kind.DIGEST]
    assert len(digests) <= 3
    assert len(post.mail.got) - len(digests) <= 6


async def test_a_lone_cause_is_not_held_up_by_a_crowd_of_another():
    post = Post()
    await burst(post, 50)
    await post.report("lone", finding("POLICY_KIND"))
    await post.play(MINUTE)
    assert told(post) == ["lone"]


async def test_a_digest_holds_every_kind_of_cause_when_there_are_too_many():
    post = Post()
    causes = [f"CAUSE_{index:02}" for index in range(40)]
    names = await burst(post, 40, *causes)
    await post.play(10 * MINUTE)
    assert told(post) == names
    assert len(post.mail.got) <= 21


async def test_the_end_of_many_is_one_digest_too():
    post = Post()
    names = await burst(post, 50)
    await post.play(HOUR)
    for name in names:
        await post.clear(name)
    await post.play(2 * HOUR)
    assert len(post.mail.got) == 2
    assert {one.kind for one in post.mail.got[1].stories} == {Kind.RESOLVED}
    assert {post.notice(name).state for name in names} == {NoticeState.RESOLVED}


async def test_what_is_resolved_before_the_digest_leaves_is_not_in_it():
    post = Post()
    names = await burst(post, 50)
    await post.play(30)
    for name in names[:20]:
        await post.clear(name)
    await post.play(HOUR)
    assert told(post) == names[20:]
    assert all(entries == {} for entries in post.store.lanes.values())


async def test_reminders_of_many_are_one_digest():
    post = Post()
    await burst(post, 50)
    await post.play(3 * DAY + HOUR)
    assert [letter.kind for letter in post.mail.got] == [Kind.DIGEST, Kind.DIGEST]


async def test_every_recipient_has_a_digest_of_his_own():
    post = Post()
    for index in range(60):
        await post.report(f"vm-{index}", tags={"owner": f"owner-{index % 3}@contoso.com"})
    await post.play(10 * MINUTE)
    assert sorted(letter.to.address for letter in post.mail.got) == [
        f"owner-{index}@contoso.com" for index in range(3)
    ]
    assert [len(letter.stories) for letter in post.mail.got] == [20, 20, 20]


async def test_a_throttled_channel_gets_a_digest_instead_of_many_tries():
    post = Post()
    post.mail.faults = [fault(429, retry_after=600)] * 8
    names = await burst(post, 12, *(f"CAUSE_{index}" for index in range(12)))
    await post.play(4 * HOUR)
    assert told(post) == names
    assert len(post.mail.got) < 8
    assert post.mail.asked <= 16


async def test_a_digest_that_fails_goes_to_the_next_channel_whole():
    post = Post()
    post.mail.broken = fault(550, permanent=True)
    names = await burst(post, 30)
    await post.play(HOUR)
    digest = next(letter for letter in post.teams.got if len(letter.stories) > 1)
    assert sorted(one.title for one in digest.stories) == names


async def test_a_digest_nobody_takes_parks_all_its_members():
    post = Post()
    post.mail.broken = post.teams.broken = fault(404, permanent=True)
    names = await burst(post, 30)
    await post.play(HOUR)
    assert {post.notice(name).state for name in names} == {NoticeState.PARKED}


@pytest.mark.parametrize("number", [1500])
async def test_more_than_one_digest_can_hold_are_told_in_the_next(number):
    post = Post()
    names = await burst(post, number)
    await post.play(3 * HOUR)
    assert told(post) == names
    assert [len(letter.stories) for letter in post.mail.got] == [1000, 500]


async def test_what_was_cleared_while_its_digest_was_leaving_is_resolved_aloud():
    post = Post()
    names = await burst(post, 20)
    original = post.mail.send

    async def send(letter):
        if letter.kind is Kind.DIGEST:
            await post.notifier.clear(subject(names[0]).vm, "enrolled", post.now, "")
        return await original(letter)

    post.mail.send = send
    await post.play(HOUR)
    ends = [
        one.title for letter in post.mail.got for one in letter.stories if one.kind is Kind.RESOLVED
    ]
    assert ends == [names[0]]


async def test_a_crowd_that_arrives_at_once_does_not_collide_at_its_recipients_row():
    """Each is handled by an invocation of its own; all of them see the lane at the same moment."""
    house = Post()
    for number in range(60):
        await house.report(f"vm-{number}", trace=f"00-{number:032x}-{number:016x}-01")
    house.clock.advance(MINUTE)
    messages = [sent.message for sent in house.queues.take("notices")]

    async with asyncio.TaskGroup() as group:
        for message in messages:
            group.create_task(house.notifier.deliver(message))
    await house.play(3600)

    assert house.faults == []
    assert [str(letter.kind) for letter in house.mail.got + house.teams.got] == ["digest"]
