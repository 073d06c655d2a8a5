"""The inboxes: Teams Workflows and SMTP (facts §9.1). Truth: specified; error texts assumed."""

from __future__ import annotations

import ssl
from email.message import EmailMessage

import aiohttp
import aiosmtplib
import pytest

from simulator.inbox import LARGEST, TEAMS_PATH, inboxes_of
from simulator.mail import PASSWORD, USER
from simulator.server import Simulator, running

pytestmark = pytest.mark.host
CARD = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": {"type": "AdaptiveCard", "version": "1.4", "body": []},
        }
    ],
}


async def post(sim: Simulator, path: str, body: object) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(sim.control_url + path, json=body) as answer,
    ):
        return answer.status, await answer.text(), dict(answer.headers)


async def listed(sim: Simulator, path: str) -> list[dict[str, object]]:
    async with aiohttp.ClientSession() as http, http.get(sim.control_url + path) as answer:
        return await answer.json()


async def test_a_card_is_taken_with_an_empty_202_as_often_as_it_comes():
    async with running(speed=0) as sim:
        for _ in range(2):
            status, text, _ = await post(sim, TEAMS_PATH, CARD)
            assert (status, text) == (202, "")
        inbox = await listed(sim, "/_sim/inbox/teams")
        assert [one["number"] for one in inbox] == [1, 2]
        assert inbox[0]["message"] == inbox[1]["message"] == CARD


@pytest.mark.parametrize(
    "path,body,status",
    [
        pytest.param(TEAMS_PATH.split("&sig")[0], CARD, 401, id="not signed"),
        pytest.param(TEAMS_PATH, {"type": "message", "attachments": []}, 400, id="no card"),
        pytest.param(TEAMS_PATH, {"@type": "MessageCard"}, 400, id="the old format"),
        pytest.param(TEAMS_PATH, [], 400, id="no object"),
        pytest.param(TEAMS_PATH, {**CARD, "x": "y" * LARGEST}, 413, id="too large"),
    ],
)
async def test_what_a_flow_cannot_post_is_refused_and_not_kept(
    path: str, body: object, status: int
):
    async with running(speed=0) as sim:
        assert (await post(sim, path, body))[0] == status
        assert await listed(sim, "/_sim/inbox/teams") == []
        assert len(await listed(sim, "/_sim/inbox/teams/refused")) == 1


async def test_failures_can_be_ordered_with_and_without_accepting_first():
    async with running(speed=0) as sim:
        faults = "/_sim/inbox/teams/faults"
        await post(sim, faults, {"status": 429, "headers": {"Retry-After": "5"}, "count": 2})
        await post(sim, faults, {"status": 504, "accepts": True})
        answers = [await post(sim, TEAMS_PATH, CARD) for _ in range(4)]
        assert [status for status, _, _ in answers] == [429, 429, 504, 202]
        assert answers[0][2]["Retry-After"] == "5"
        assert [one["status"] for one in await listed(sim, "/_sim/inbox/teams")] == [504, 202]


async def test_an_unknown_order_is_refused():
    async with running(speed=0) as sim:
        status, text, _ = await post(sim, "/_sim/inbox/mail/faults", {"stauts": 500})
        assert (status, "stauts" in text) == (400, True)


def mail() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "héllo"
    message.set_content("plain")
    message.add_alternative("<b>rich</b>", subtype="html")
    return message


async def send(sim: Simulator, *, user: str = USER, password: str = PASSWORD, tls: bool = True):
    return await aiosmtplib.send(
        mail(),
        hostname="localhost",
        port=inboxes_of(sim.world).smtp.port,
        username=user or None,
        password=password or None,
        start_tls=tls,
        tls_context=ssl.create_default_context(cafile=str(sim.ca_file)) if tls else None,
    )


async def test_mail_is_kept_as_often_as_it_comes():
    async with running(speed=0) as sim:
        for _ in range(2):
            await send(sim)
        first, second = await listed(sim, "/_sim/inbox/mail")
        assert [first["number"], second["number"]] == [1, 2]
        assert first["message"]["subject"] == "héllo"
        assert (first["message"]["text"].strip(), first["message"]["html"].strip()) == (
            "plain",
            "<b>rich</b>",
        )
        assert first["message"]["to"] == ["b@example.com"]


@pytest.mark.parametrize(
    "how,error",
    [
        pytest.param({"password": "wrong"}, aiosmtplib.SMTPAuthenticationError, id="password"),
        pytest.param({"user": "", "password": ""}, aiosmtplib.SMTPSenderRefused, id="anonymous"),
        pytest.param({"tls": False}, aiosmtplib.SMTPException, id="without STARTTLS"),
    ],
)
async def test_mail_needs_tls_and_a_login(how: dict[str, object], error: type[Exception]):
    async with running(speed=0) as sim:
        with pytest.raises(error):
            await send(sim, **how)
        assert await listed(sim, "/_sim/inbox/mail") == []


async def test_mail_can_fail_after_it_was_accepted():
    async with running(speed=0) as sim:
        await post(sim, "/_sim/inbox/mail/faults", {"status": 451, "accepts": True})
        with pytest.raises(aiosmtplib.SMTPDataError):
            await send(sim)
        assert [one["status"] for one in await listed(sim, "/_sim/inbox/mail")] == [451]


async def test_a_reset_empties_the_inboxes():
    async with running(speed=0) as sim:
        await post(sim, TEAMS_PATH, CARD)
        async with aiohttp.ClientSession() as http:
            await http.post(sim.control_url + "/_sim/reset")
        assert await listed(sim, "/_sim/inbox/teams") == []
