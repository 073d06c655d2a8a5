"""Whatever happens to a VM, in whatever order: people hear the truth in the end, and not too often."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.deliveries import Kind
from shared.domain.findings import Severity
from shared.domain.notices import NoticeState
from tests.fakes.notices import FakeChannel, fault
from tests.unit.notices.post import Post, finding, subject

HOUR, DAY = 3600.0, 86400.0
CAUSES = st.sets(st.sampled_from("ABCD"), min_size=1)
STEPS = st.one_of(
    st.tuples(st.just("report"), CAUSES, st.sampled_from([Severity.BLOCKER, Severity.WAIT])),
    st.tuples(st.just("clear")),
    st.tuples(st.just("snooze"), st.integers(1, 72)),
    st.tuples(st.just("fail"), st.sampled_from([429, 500, 0])),
    st.tuples(st.just("wait"), st.floats(1, 20_000)),
)


class Timed(FakeChannel):
    """A channel that knows when each letter came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list = []
        self.clock = None

    async def send(self, letter):
        before = len(self.got)
        try:
            return await super().send(letter)
        finally:
            self.times += [self.clock.now()] * (len(self.got) - before)


async def live(steps) -> tuple[Post, Timed, bool]:
    mail = Timed()
    post = Post(mail=mail)
    mail.clock = post.clock
    blocked = False
    for step in steps:
        match step:
            case ("report", causes, severity):
                await post.report("vm-1", *(finding(c, severity) for c in sorted(causes)))
                blocked = True
            case ("clear",):
                await post.clear()
                blocked = False
            case ("snooze", hours):
                until = post.now + timedelta(hours=hours)
                await post.notifier.snooze(subject().vm, until, "kim", post.now)
            case ("fail", 0):
                mail.lose = 1
            case ("fail", status):
                mail.faults.append(fault(status))
            case ("wait", seconds):
                await post.play(seconds, every=300)
    await post.play(5 * DAY, every=600)
    return post, mail, blocked


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=14))
def test_any_history_ends_in_the_truth_and_within_the_caps(steps):
    post, mail, blocked = asyncio.run(live(steps))
    about = [
        (at, letter)
        for at, letter in zip(mail.times, mail.got, strict=True)
        if letter.stories[0].vm is not None
    ]
    letters = {letter.id: (at, letter) for at, letter in reversed(about)}  # a copy counts once
    told = sorted(letters.values(), key=lambda one: one[0])
    times = [at for at, _ in told]
    for span, most in ((timedelta(hours=1), 2), (timedelta(days=1), 4)):
        for number, at in enumerate(times):
            assert sum(at <= other < at + span for other in times[number:]) <= most + 1
    kinds = [letter.kind for _, letter in told]
    if not any(step[0] == "report" for step in steps):
        assert kinds == []
        return
    notice = post.notice()
    assert notice.is_open is blocked
    if kinds and not any(step[0] == "snooze" for step in steps):
        assert kinds[0] is Kind.OPENED  # who snoozes knows of it before we told him
    if blocked:
        assert kinds
        assert kinds[-1] is not Kind.RESOLVED
        assert notice.state is not NoticeState.OPEN
    elif kinds:
        assert kinds[-1] is Kind.RESOLVED
    assert all(entries == {} for entries in post.store.lanes.values())
