"""Killed at every step of a delivery: nothing is lost, and what may arrive twice is said.

The kill points are found by counting the calls of the ports in a run that is not killed; each
cell kills the run before one of them (the call has not happened), or inside the channel, before
or after the far end took the letter. The host hands the message out again, the timer ticks.
"""

from __future__ import annotations

import pytest

from shared.domain.deliveries import Kind
from shared.domain.notices import NoticeState
from tests.fakes.notices import FakeChannel, Killed
from tests.unit.notices.post import Post, finding

MINUTE, HOUR = 60.0, 3600.0


class Steps:
    """Counts calls of store and queues, and kills at one of them."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.at:
            raise Killed(f"before {name}, call {self.at}")


async def single(post: Post) -> list[str]:
    await report(post, "vm-1")
    await post.play(3 * HOUR)
    return ["vm-1"]


async def many(post: Post) -> list[str]:
    names = [f"vm-{index}" for index in range(8)]
    for name in names:
        await report(post, name)
    await post.play(3 * HOUR)
    return names


async def report(post: Post, name: str) -> None:
    """Report as `reconcile` does: its message is handed out again if the run dies."""
    for _ in range(3):
        try:
            await post.report(name)
        except Killed:
            post.kills += 1
            post.restart()
        else:
            return


SCENES = {"single": single, "digest": many}


async def calls(scene: str) -> int:
    steps = Steps()
    post = Post()
    post.store.on_call = post.queues.on_call = steps
    await SCENES[scene](post)
    return len(steps.names)


async def verdict(post: Post, names: list[str], *, most: int) -> None:
    for name in names:
        notice = post.notice(name)
        assert notice.state is NoticeState.DELIVERED, (name, notice)
        assert any(name == one.title for letter in post.mail.got for one in letter.stories), name
    assert max(post.mail.copies().values()) <= most
    assert all(entries == {} for entries in post.store.lanes.values())


@pytest.mark.parametrize("keyed", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("scene", SCENES)
async def test_a_kill_before_any_call_of_store_and_queues_loses_nothing(scene, keyed):
    total = await calls(scene)
    assert total > 20
    for at in range(1, total + 1):
        post = Post(mail=FakeChannel(keyed=keyed))
        steps = Steps(at)
        post.store.on_call = post.queues.on_call = steps
        names = await SCENES[scene](post)
        # the write that records the acceptance is the only step whose loss repeats a letter
        await verdict(post, names, most=1 if keyed else 2)
        if not keyed and max(post.mail.copies().values()) == 2:
            assert steps.names[at - 1] in {"read", "put_due", "write", "send"}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("when", ["die_before", "die_after", "lose"])
@pytest.mark.parametrize("keyed", [False, True], ids=["no key", "key"])
async def test_a_kill_inside_the_channel_repeats_at_most_once(scene, when, keyed):
    post = Post(mail=FakeChannel(keyed=keyed))
    setattr(post.mail, when, 1)
    names = await SCENES[scene](post)
    copies = 2 if when != "die_before" and not keyed else 1
    await verdict(post, names, most=copies)
    assert max(post.mail.copies().values()) == copies


async def test_a_channel_that_never_answers_is_given_two_copies_and_then_passed_over():
    post = Post()
    post.mail.lose = 99
    await post.report()
    await post.play(6 * HOUR)
    assert set(post.mail.copies().values()) == {2}
    assert [one.stories[0].title for one in post.teams.got if one.stories[0].vm] == ["vm-1"]
    assert {one.stories[0].notice for one in post.teams.got if one.stories[0].vm} == {
        post.mail.got[0].stories[0].notice
    }


async def test_repeats_carry_the_same_letter_and_the_same_notice():
    post = Post()
    post.mail.die_after = 1
    await post.report()
    await post.play(HOUR)
    first, second = post.mail.got
    assert (first.id, first.key, first.stories[0].notice) == (
        second.id,
        second.key,
        second.stories[0].notice,
    )


async def test_two_instances_that_deliver_the_same_message_send_one_letter():
    import asyncio

    from shared.domain.messages import NoticeItem

    post = Post()
    await post.report("vm-1", finding())
    post.clock.advance(30)
    other = Post(store=post.store, queues=post.queues, clock=post.clock, mail=post.mail)
    item = NoticeItem(notice=post.notice().key)
    await asyncio.gather(*(one.notifier.deliver(item) for one in (post, other, post, other)))
    assert [letter.kind for letter in post.mail.got] == [Kind.OPENED]
