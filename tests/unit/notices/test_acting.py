"""Acting from a notice: its links lead to pages behind a sign-in; they carry no rights of their own.

Every link of every kind of letter is taken from the rendered card and mail and followed.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from shared.notices import card, mail
from shared.notices.view import view
from shared.notices.words import Words
from shared.web.actions import ACTS
from tests.unit.notices import letters
from tests.unit.web.counter import Counter

PAGE = urlsplit(letters.LINKS.page).netloc
ELSEWHERE = {"portal.azure.com", "learn.microsoft.com"}


def links(name: str) -> set[str]:
    """Give every address in a letter, as card and as mail."""
    letter, words = letters.SAMPLES[name]("en"), Words("en")
    seen = view(letter, words)
    body, _ = card.message(seen, words)
    written = mail.mail(seen, words)
    in_card = set(re.findall(r'"url":"([^"]+)"', body.decode()))
    in_html = set(re.findall(r'href="([^"]+)"', written.html))
    in_text = set(re.findall(r"https?://\S+", written.text))
    assert json.loads(body)
    assert in_card == in_html == in_text
    return in_card


@pytest.mark.parametrize("name", letters.SAMPLES)
def test_a_link_names_a_vm_and_nothing_else(name):
    for link in links(name):
        parts = urlsplit(link)
        assert parts.scheme == "https"
        assert parts.username is None
        assert parts.netloc in {PAGE, *ELSEWHERE}
        if parts.netloc == PAGE:
            assert parts.path == "/api/coverage/vm"
            assert [key for key, _ in parse_qsl(parts.query)] == ["id"]
        else:
            assert not parts.query


async def test_who_follows_a_link_without_signing_in_sees_nothing_and_changes_nothing():
    somebody = Counter()
    for link in {link for name in letters.SAMPLES for link in links(name) if PAGE in link}:
        parts = urlsplit(link)
        answer = await somebody.ask(f"{parts.path}?{parts.query}")
        assert answer.status in {302, 303, 401, 403}
        assert b"vm-payroll" not in answer.body
    assert untouched(somebody)


async def test_who_is_signed_in_sees_the_page_and_changes_nothing_by_looking():
    kim = Counter()
    await kim.sign_in()
    for link in {link for name in letters.SAMPLES for link in links(name) if PAGE in link}:
        parts = urlsplit(link)
        for what in ("", *(f"&what={act}&reason=x&until=2027-01-01" for act in ACTS)):
            answer = await kim.ask(f"{parts.path}?{parts.query}{what}")
            assert answer.status in {200, 404}
    assert untouched(kim)


def untouched(page: Counter) -> bool:
    return not page.house.queues.sent and not page.hush.snoozed


async def test_snoozing_proposes_the_seven_days_a_notice_speaks_of():
    assert "7 days" in Words("en").say("foot.acting")
    kim = Counter()
    await kim.sign_in()
    vm = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/"
    asked = f"/api/coverage/act?what=snooze&id={vm}Microsoft.Compute/virtualMachines/vm"
    week = kim.house.clock.now() + timedelta(days=7)
    assert f'value="{week:%Y-%m-%d}"' in await kim.text(asked)
