"""The outbox's own troubles: told to the operators once, while every notice is kept."""

from __future__ import annotations

import jinja2
import pytest

from shared.domain.notices import NoticeState
from shared.domain.routing import Routing
from shared.notices import mail
from shared.notices.view import view
from shared.notices.words import Words
from tests.fakes.notices import FakeChannel, fault
from tests.unit.notices.post import Post

HOUR, DAY = 3600.0, 86400.0
VMS = ("vm-1", "vm-2", "vm-3")


def troubles(post: Post) -> list[str]:
    """Give the codes of the service's own troubles that reached somebody."""
    letters = [*post.mail.got, *post.teams.got]
    return sorted(one.title for letter in letters for one in letter.stories if one.vm is None)


async def three_are_blocked(post: Post) -> None:
    for name in VMS:
        await post.report(name)
    await post.play(DAY)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(fault(401, permanent=True), id="expired secret"),
        pytest.param(fault(535, permanent=True), id="refused password"),
        pytest.param(fault(550, permanent=True), id="refused recipient"),
        pytest.param(fault(404, permanent=True), id="channel is gone"),
        pytest.param(fault(0), id="nobody there"),
        pytest.param(fault(503), id="out of order"),
    ],
)
async def test_a_channel_that_does_not_work_is_told_once_and_the_next_one_taken(broken):
    post = Post()
    post.mail.broken = broken
    await three_are_blocked(post)
    assert troubles(post) == ["CHANNEL_SMTP"]
    told = {one.title for letter in post.teams.got for one in letter.stories}
    assert told >= set(VMS)
    assert {post.notice(name).state for name in VMS} == {NoticeState.DELIVERED}


async def test_a_channel_that_works_again_is_told_once_and_may_break_anew():
    post = Post()
    post.mail.broken = fault(401, permanent=True)
    await three_are_blocked(post)
    post.mail.broken = None
    await post.report("vm-4")
    await post.play(HOUR)
    post.mail.broken = fault(401, permanent=True)
    await post.report("vm-5")
    await post.play(DAY)
    assert troubles(post) == ["CHANNEL_SMTP"] * 3  # broken, works again, broken


async def test_routes_that_lead_nowhere_are_told_once_and_the_notices_kept():
    """A mail alone for operators: owners without one, and no channel to fall back on."""
    post = Post(routing=Routing(operators=(), mail=("smtp",), teams=()))
    for name in VMS:
        await post.report(name, tags={})
    await post.play(DAY)
    assert {post.notice(name).state for name in VMS} == {NoticeState.PARKED}
    assert post.store.notice("operators:ROUTES_NOWHERE") is not None


async def test_an_owner_that_names_no_channel_of_ours_is_a_finding_and_others_are_told():
    post = Post()
    for name in VMS:
        await post.report(name, tags={"owner": "teams:nobody-made-this"})
    await post.play(DAY)
    told = [one for letter in post.mail.got + post.teams.got for one in letter.stories]
    assert sorted(one.title for one in told) == list(VMS)
    assert all("OWNER_ADDRESS" in {f.code for f in one.findings} for one in told)


class Written(FakeChannel):
    """A channel that writes its mail with the real templates."""

    async def send(self, letter):
        words = Words(letter.language)
        mail.mail(view(letter, words), words)
        return await super().send(letter)


@pytest.fixture
def broken_template(monkeypatch):
    made = mail.environment().overlay()
    made.loader = jinja2.DictLoader({"mail.html": "{{ view.no_such_thing }}", "mail.txt": ""})
    made.cache = None
    monkeypatch.setattr(mail, "environment", lambda: made)


async def test_a_template_that_cannot_be_rendered_is_told_once_through_a_channel_that_can(
    broken_template,
):
    post = Post(mail=Written())
    await three_are_blocked(post)
    assert post.mail.got == []
    assert troubles(post) == ["CHANNEL_SMTP"]
    (trouble,) = (one for letter in post.teams.got for one in letter.stories if one.vm is None)
    assert "Template" in trouble.findings[0].evidence
    assert {post.notice(name).state for name in VMS} == {NoticeState.DELIVERED}


async def test_where_no_channel_can_render_the_notices_are_parked_and_come_back(
    broken_template, monkeypatch
):
    post = Post(routing=Routing(operators=("ops@contoso.com",), mail=("smtp",)), mail=Written())
    await three_are_blocked(post)
    assert {post.notice(name).state for name in VMS} == {NoticeState.PARKED}
    assert all("Template" in d.error for name in VMS for d in post.notice(name).deliveries)
    monkeypatch.undo()
    for name in VMS:
        await post.notifier.replay(post.notice(name).key, post.now)
    await post.play(HOUR)
    assert {post.notice(name).state for name in VMS} == {NoticeState.DELIVERED}
