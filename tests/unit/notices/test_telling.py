"""Someone hears, once: what the outbox tells whom, over a stepped clock."""

from __future__ import annotations

import pytest

from shared.domain.deliveries import Kind
from shared.domain.findings import Severity
from shared.domain.notices import NoticeState
from tests.fakes.notices import fault
from tests.unit.notices.post import Post, finding, subject

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def kinds(post: Post) -> list[Kind]:
    return [letter.kind for letter in post.mail.got]


async def test_a_blocked_vm_is_told_to_its_owner_once():
    post = Post()
    for _ in range(5):
        await post.report()
        await post.play(10 * MINUTE)
    assert kinds(post) == [Kind.OPENED]
    letter = post.mail.got[0]
    assert letter.to.address == "kim@contoso.com"
    assert letter.stories[0].notice == post.notice().id
    assert post.notice().state is NoticeState.DELIVERED


async def test_the_end_is_told_with_how_long_it_took():
    post = Post()
    await post.report()
    await post.play(2 * HOUR)
    await post.clear()
    await post.play(HOUR)
    assert kinds(post) == [Kind.OPENED, Kind.RESOLVED]
    end = post.mail.got[1].stories[0]
    assert (end.ended - end.since).total_seconds() == 2 * HOUR
    assert post.notice().state is NoticeState.RESOLVED


async def test_who_was_not_told_of_the_trouble_does_not_hear_of_its_end():
    post = Post()
    await post.report()
    await post.play(5)
    await post.clear()
    await post.play(DAY)
    assert post.mail.got == []
    assert post.store.lanes[next(iter(post.store.lanes))] == {}


async def test_all_findings_of_a_vm_are_in_one_notice_worst_first():
    post = Post()
    await post.report(
        "vm-1", finding("B", Severity.NEEDS_ENHANCED), finding("A"), finding("C", Severity.ADVISORY)
    )
    await post.play(MINUTE)
    assert [f.code for f in post.mail.got[0].stories[0].findings] == ["A", "B", "C"]


@pytest.mark.parametrize(
    "second, told",
    [
        pytest.param([finding("A"), finding("B")], True, id="another cause"),
        pytest.param([finding("B")], True, id="a different cause"),
        pytest.param([finding("A", evidence="other words")], False, id="same cause, other words"),
        pytest.param([finding("A", Severity.WAIT)], False, id="less severe"),
    ],
)
async def test_only_what_is_worse_is_told_again(second, told):
    post = Post()
    await post.report("vm-1", finding("A"))
    await post.play(5 * MINUTE)
    await post.report("vm-1", *second)
    await post.play(5 * MINUTE)
    assert kinds(post) == ([Kind.OPENED, Kind.UPDATED] if told else [Kind.OPENED])


@pytest.mark.parametrize("blocked, ready", [(180, 180), (30, 330), (330, 30), (350, 10)])
async def test_a_vm_that_flaps_ten_times_in_an_hour_yields_at_most_two_messages(blocked, ready):
    post = Post()
    for _ in range(10):
        await post.report()
        await post.play(blocked)
        await post.clear()
        await post.play(ready)
    assert 1 <= len(post.mail.got) <= 2
    await post.play(HOUR)
    assert post.mail.got[-1].kind is Kind.RESOLVED


async def test_a_vm_that_never_stops_flapping_yields_at_most_four_messages_a_day():
    post = Post()
    for _ in range(24 * 4):
        await post.report()
        await post.play(8 * MINUTE)
        await post.clear()
        await post.play(7 * MINUTE)
    assert len(post.mail.got) <= 4


async def test_nothing_happens_a_reminder_then_an_escalation_to_the_operators_then_silence():
    post = Post()
    await post.report()
    await post.play(40 * DAY)
    owner = [one.kind for one in post.mail.got if one.to.address == "kim@contoso.com"]
    operators = [one.kind for one in post.mail.got if one.to.address == "ops@contoso.com"]
    assert owner == [Kind.OPENED, Kind.REMINDER, Kind.ESCALATION]
    assert operators == [Kind.ESCALATION]
    assert post.notice().state is NoticeState.ESCALATED


async def test_a_snooze_keeps_quiet_until_it_ends_unless_something_new_comes():
    post = Post()
    await post.report("vm-1", finding("A"))
    await post.play(HOUR)
    until = post.now.replace(day=post.now.day + 7)
    await post.notifier.snooze(subject().vm, until, "kim", post.now)
    await post.play(6 * DAY)
    assert kinds(post) == [Kind.OPENED]
    await post.play(2 * DAY)
    assert kinds(post) == [Kind.OPENED, Kind.REMINDER]


async def test_a_new_cause_breaks_a_snooze():
    post = Post()
    await post.report("vm-1", finding("A"))
    await post.play(HOUR)
    await post.notifier.snooze(subject().vm, post.now.replace(day=20), "kim", post.now)
    await post.report("vm-1", finding("A"), finding("B"))
    await post.play(HOUR)
    assert kinds(post) == [Kind.OPENED, Kind.UPDATED]


async def test_a_cause_that_returns_after_the_end_was_told_is_told_again():
    post = Post()
    await post.report()
    await post.play(2 * HOUR)
    await post.clear()
    await post.play(2 * HOUR)
    await post.report()
    await post.play(2 * HOUR)
    assert kinds(post) == [Kind.OPENED, Kind.RESOLVED, Kind.OPENED]


async def test_a_failing_channel_hands_over_to_the_next_of_the_route():
    post = Post()
    post.mail.broken = fault(550, permanent=True)
    await post.report()
    await post.play(HOUR)
    assert [one.stories[0].title for one in post.teams.got][:1] == ["vm-1"]
    told = [one.stories[0].title for one in post.teams.got]
    assert told.count("CHANNEL_SMTP") == 1  # the operators hear of it, once
    assert post.notice().state is NoticeState.DELIVERED


async def test_retry_after_is_obeyed():
    post = Post()
    post.mail.faults = [fault(429, retry_after=400)]
    await post.report()
    await post.play(300)
    assert (post.mail.asked, len(post.mail.got)) == (1, 0)
    await post.play(300)
    assert (post.mail.asked, len(post.mail.got)) == (2, 1)


async def test_what_no_channel_takes_is_parked_visible_and_replayable():
    post = Post()
    post.mail.broken = post.teams.broken = fault(404, permanent=True)
    await post.report()
    await post.play(DAY)
    assert post.notice().state is NoticeState.PARKED
    assert "404" in post.notice().deliveries[0].error
    post.mail.broken = post.teams.broken = None
    await post.notifier.replay(post.notice().key, post.now)
    await post.play(MINUTE)
    assert post.notice().state is NoticeState.DELIVERED
    assert kinds(post) == [Kind.OPENED]


async def test_operators_hear_of_a_trouble_once_until_it_is_cleared():
    post = Post()
    for _ in range(3):
        await post.notifier.tell_operators("CEILING", "The ceiling was reached.", "500", post.now)
        await post.play(HOUR)
    assert [one.to.address for one in post.mail.got] == ["ops@contoso.com"]
    await post.notifier.operators_clear("CEILING", post.now)
    await post.play(2 * HOUR)
    await post.notifier.tell_operators("CEILING", "The ceiling was reached.", "500", post.now)
    await post.play(2 * HOUR)
    assert kinds(post) == [Kind.OPENED, Kind.RESOLVED, Kind.OPENED]


async def test_a_lost_queue_message_is_made_good_by_the_timer():
    post = Post()
    await post.report()
    post.queues.take("notices")
    await post.play(5 * MINUTE)
    assert kinds(post) == [Kind.OPENED]
