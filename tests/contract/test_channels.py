"""Channels: one contract for the fake and for the real adapters against servers of this machine.

All of them speak to the simulator's inboxes.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline import policies
from azure.eventgrid.aio import EventGridPublisherClient

from shared.adapters.acs_email import AcsEmailChannel
from shared.adapters.smtp import Relay, SmtpChannel, relay
from shared.adapters.teams import TeamsChannel
from shared.adapters.topic import TopicChannel
from shared.domain.deliveries import Delivery, Kind, Target
from shared.domain.letters import Announcement, Happened, Letter
from shared.errors import AzureFault, BadSettings, Disposition
from shared.outbox import NO_ANSWER, Channel
from simulator.inbox import TEAMS_PATH, Inbox, OrderedFault, inboxes_of
from simulator.inbox_cloud import TOPIC_PATH, Limits, cloud_of
from simulator.server import Simulator, running
from tests.fakes.azure import START, FakeClock
from tests.fakes.notices import FakeChannel, fault
from tests.unit.notices import letters

NAMES = ("fake", "teams", "smtp", "acs", "topic")


@dataclass
class FarEnd:
    """What a test may order of, and read from, the other side of a channel."""

    name: str
    channel: Channel

    def got(self) -> list[str]:
        """Give the ids of letters that arrived, repeats included."""
        raise NotImplementedError

    def order(self, failure: str) -> None:
        """Fail the next letter: throttled, broken, refused, unanswered, or hang up on it."""
        raise NotImplementedError

    def letter(self, number: int = 1, *, attempt: int = 1, failures: int = 0) -> Letter:
        name = f"{number:016x}-1a"
        delivery = Delivery(id=name, kind=Kind.OPENED, route=(self.target,), next_at=START)
        told = Announcement(
            key=f"outcome:{name}",
            what=Happened.WAITING,
            vm=str(letters.story().vm),
            at=START,
            delivery=delivery,
            details={"until": "tomorrow"},
        )
        return Letter(
            id=name,
            key=f"{name}.0.{failures}",
            kind=Kind.OPENED,
            to=self.target,
            at=START,
            stories=(letters.story(notice=f"{number:016x}"),),
            attempt=attempt,
            announcement=told if self.name == "topic" else None,
            trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        )

    @property
    def target(self) -> Target:
        return Target(self.name, "default" if self.name == "teams" else "kim@contoso.com")


class Fake(FarEnd):
    channel: FakeChannel

    def got(self):
        return [letter.id for letter in self.channel.got]

    def order(self, failure):
        if failure == "unanswered":
            self.channel.lose = 1
        else:
            self.channel.faults.append(
                {
                    "throttled": fault(429, retry_after=7),
                    "broken": fault(500),
                    "refused": fault(404, permanent=True),
                }[failure]
            )


@dataclass
class InboxEnd(FarEnd):
    """Teams or mail, in the simulator."""

    inbox: Inbox = field(kw_only=True)

    def got(self):
        if self.name == "smtp":
            ids = [str(kept["message"]["headers"]["message-id"]) for kept in self.inbox.messages]
            return [one.strip("<>").partition("@")[0] for one in ids]
        cards = [json.dumps(kept["message"]) for kept in self.inbox.messages]
        return [
            card.rpartition("· ")[2].partition('"')[0].strip() for card in map(json_text, cards)
        ]

    def order(self, failure):
        mail = self.name == "smtp"
        self.inbox.faults.append(
            {
                "throttled": OrderedFault(
                    status=451 if mail else 429,
                    headers={"Retry-After": "7"},
                    body="451 4.3.2 try again later" if mail else "",
                ),
                "broken": OrderedFault(
                    status=452 if mail else 500, body="452 4.2.2 mailbox full" if mail else "oops"
                ),
                "refused": OrderedFault(
                    status=550 if mail else 404, body="550 5.1.1 no such user" if mail else "gone"
                ),
                "unanswered": OrderedFault(reset=True, accepts=True),
            }[failure]
        )


def json_text(card: str) -> str:
    return json.dumps(json.loads(card), ensure_ascii=False)


@dataclass
class CloudEnd(FarEnd):
    """Communication Services or a topic, in the simulator."""

    inbox: Inbox = field(kw_only=True)

    def got(self):
        kept = [one["message"] for one in self.inbox.messages]
        if self.name == "topic":
            return [event["id"] for event in kept]
        return [mail["headers"]["X-Notice-Id"] + "-1a" for mail in kept]

    def order(self, failure):
        error = {"throttled": "TooManyRequests", "refused": "Denied"}.get(failure, "")
        self.inbox.faults.append(
            {
                "throttled": OrderedFault(
                    status=429, headers={"Retry-After": "7"}, body=error_body(error)
                ),
                "broken": OrderedFault(status=500, body="<html>oops</html>"),
                "refused": OrderedFault(status=403, body=error_body(error)),
                "unanswered": OrderedFault(reset=True, accepts=True),
            }[failure]
        )


def error_body(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "m"}})


def acs(url: str) -> AsyncPipelineClient:
    signed = policies.HeadersPolicy({"Authorization": "HMAC-SHA256 Signature=x"})
    return AsyncPipelineClient(
        base_url=url, policies=[policies.RequestIdPolicy(), signed, policies.ContentDecodePolicy()]
    )


@pytest_asyncio.fixture
async def simulated() -> AsyncIterator[Simulator]:
    async with running() as simulator:
        yield simulator


def mail_channel(simulator: Simulator, **changes: object) -> SmtpChannel:
    server = relay(inboxes_of(simulator.world).smtp.url)
    values = {name: getattr(server, name) for name in Relay.__slots__} | changes
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    return SmtpChannel(Relay(**values), "Backup <backup@contoso.com>", trust=lambda: trust)


@contextlib.asynccontextmanager
async def far_end(name: str, simulator: Simulator) -> AsyncIterator[FarEnd]:
    boxes = inboxes_of(simulator.world)
    match name:
        case "fake":
            yield Fake(name, FakeChannel())
        case "teams":
            async with aiohttp.ClientSession() as session:
                url = simulator.control_url + TEAMS_PATH
                channel = TeamsChannel({"default": url}, lambda: session)
                yield InboxEnd(name, channel, inbox=boxes.teams)
        case "smtp":
            yield InboxEnd(name, mail_channel(simulator), inbox=boxes.mail)
        case "acs":
            url = simulator.control_url
            async with acs(url) as client:
                channel = AcsEmailChannel(client, url, "b@contoso.com", FakeClock(speed=1000))
                yield CloudEnd(name, channel, inbox=cloud_of(simulator.world).mails.inbox)
        case "topic":
            async with EventGridPublisherClient(
                simulator.control_url + TOPIC_PATH, AzureKeyCredential("k"), retry_total=0
            ) as client:
                channel = TopicChannel(lambda: client, "vm-backup-auto-enrollment/t")
                yield CloudEnd(name, channel, inbox=cloud_of(simulator.world).topic)


@pytest_asyncio.fixture(params=NAMES)
async def end(request, simulated) -> AsyncIterator[FarEnd]:
    async with far_end(request.param, simulated) as one:
        yield one


# --- the contract --------------------------------------------------------------------------------


async def test_a_letter_arrives_with_its_id(end):
    for number in (1, 2):
        await end.channel.send(end.letter(number))
    assert end.got() == [f"{1:016x}-1a", f"{2:016x}-1a"]


@pytest.mark.parametrize(
    "failure, disposition",
    [
        ("throttled", Disposition.DEFER),
        ("broken", Disposition.DEFER),
        ("refused", Disposition.PARK),
    ],
)
async def test_a_refusal_is_a_fault_and_nothing_arrived(end, failure, disposition):
    end.order(failure)
    with pytest.raises(AzureFault) as caught:
        await end.channel.send(end.letter())
    assert caught.value.disposition is disposition
    assert caught.value.code != NO_ANSWER
    assert end.got() == []
    if failure == "throttled" and end.name != "smtp":
        assert (caught.value.status, caught.value.retry_after) == (429, 7)
    await end.channel.send(end.letter(failures=1))
    assert len(end.got()) == 1


async def test_a_lost_answer_is_said_to_be_unknown(end):
    end.order("unanswered")
    with pytest.raises(AzureFault) as caught:
        await end.channel.send(end.letter())
    assert (caught.value.code, caught.value.disposition) == (NO_ANSWER, Disposition.DEFER)
    assert len(end.got()) == 1


async def test_a_repeat_with_the_same_key_is_recognised_where_the_channel_is_keyed(end):
    end.order("unanswered")
    with pytest.raises(AzureFault):
        await end.channel.send(end.letter())
    await end.channel.send(end.letter(attempt=2))
    assert len(set(end.got())) == 1
    if end.name == "acs":
        assert len(end.got()) == 1  # the service kept one; a topic's subscribers see one id
    assert end.channel.keyed == (end.name in {"acs", "topic"})


# --- what each channel adds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, body, code, disposition",
    [
        (200, '{"error": "HTTP error 429"}', "HTTP error 429", Disposition.DEFER),
        (200, "Webhook message delivery failed", "HTTP200", Disposition.DEFER),
        (400, "", "HTTP400", Disposition.PARK),
        (401, '{"error": {"code": "DirectApiAuthorizationRequired"}}', "", Disposition.PARK),
        (404, '{"error": {"code": "WorkflowNotFound"}}', "WorkflowNotFound", Disposition.PARK),
        (413, "", "HTTP413", Disposition.PARK),
        (302, "", "HTTP302", Disposition.PARK),
        (408, "", "HTTP408", Disposition.DEFER),
        (502, "<html>bad gateway</html>", "HTTP502", Disposition.DEFER),
        (504, "", NO_ANSWER, Disposition.DEFER),
    ],
)
async def test_teams_answers_other_than_202_are_failures(
    simulated, status, body, code, disposition
):
    async with far_end("teams", simulated) as end:
        end.inbox.faults.append(OrderedFault(status=status, body=body))
        with pytest.raises(AzureFault) as caught:
            await end.channel.send(end.letter())
    assert caught.value.disposition is disposition
    assert not code or caught.value.code == code
    assert "sig=" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x?sig=secret", "https://no.invalid/?sig=secret"]
)
async def test_a_webhook_that_cannot_be_reached_is_tried_again_and_not_named(url):
    async with aiohttp.ClientSession() as session:
        channel = TeamsChannel({"default": url}, lambda: session)
        with pytest.raises(AzureFault) as caught:
            await channel.send(Fake("teams", FakeChannel()).letter())
    assert (caught.value.code, caught.value.disposition) == ("Unreachable", Disposition.DEFER)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "not a url", "ftp://x/"])
async def test_a_webhook_that_is_no_url_is_never_tried_again(url):
    async with aiohttp.ClientSession() as session:
        channel = TeamsChannel({"default": url}, lambda: session)
        with pytest.raises(AzureFault) as caught:
            await channel.send(Fake("teams", FakeChannel()).letter())
    assert caught.value.disposition is Disposition.PARK


async def test_teams_gets_at_most_four_requests_a_second(simulated):
    import asyncio

    async with far_end("teams", simulated) as end:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.gather(*(end.channel.send(end.letter(n)) for n in range(6)))
        assert loop.time() - start >= 5 / 4 - 0.05
        assert len(end.got()) == 6


async def test_a_mail_carries_its_ids_and_both_parts(simulated):
    async with far_end("smtp", simulated) as end:
        await end.channel.send(end.letter())
        (kept,) = end.inbox.messages
    headers = kept["message"]["headers"]
    assert headers["message-id"] == f"<{1:016x}-1a@contoso.com>"
    assert headers["references"] == f"<{1:016x}@contoso.com>"
    assert headers["auto-submitted"] == "auto-generated"
    assert kept["message"]["text"]
    assert kept["message"]["html"]


@pytest.mark.parametrize(
    "changes, code, disposition",
    [
        ({"password": "wrong"}, "SMTP535", Disposition.PARK),
        ({"start_tls": False}, "NotSupported", Disposition.PARK),
        ({"port": 9}, "Unreachable", Disposition.DEFER),
        ({"host": "no.invalid"}, "Unreachable", Disposition.DEFER),
    ],
    ids=["expired secret", "no STARTTLS", "closed port", "unknown host"],
)
async def test_a_relay_that_cannot_be_used_is_said_so(simulated, changes, code, disposition):
    channel = mail_channel(simulated, **changes)
    with pytest.raises(AzureFault) as caught:
        await channel.send(Fake("smtp", FakeChannel()).letter())
    assert caught.value.disposition is disposition
    assert caught.value.code == code
    assert "wrong" not in str(caught.value)


async def test_a_relay_with_an_untrusted_certificate_gets_nothing(simulated):
    server = relay(inboxes_of(simulated.world).smtp.url)
    channel = SmtpChannel(server, "b@contoso.com", trust=ssl.create_default_context)
    with pytest.raises(AzureFault) as caught:
        await channel.send(Fake("smtp", FakeChannel()).letter())
    assert caught.value.code == "Unreachable"
    assert inboxes_of(simulated.world).mail.messages == []


@pytest.mark.parametrize(
    "url, expected",
    [
        ("smtp://u%40x:p%3A%2F@mail.x:2525", ("mail.x", 2525, "u@x", "p:/", False, True)),
        ("smtps://u:p@mail.x", ("mail.x", 465, "u", "p", True, False)),
        ("smtp://mail.x", ("mail.x", 587, "", "", False, True)),
        ("smtp://localhost:25", ("localhost", 25, "", "", False, None)),
    ],
)
def test_smtp_url_says_where_and_how(url, expected):
    assert tuple(getattr(relay(url), name) for name in Relay.__slots__) == expected


@pytest.mark.parametrize("url", ["", "mail.x:25", "http://u:secret@x", "smtp://u:secret@x:port"])
def test_a_wrong_smtp_url_is_refused_without_repeating_it(url):
    with pytest.raises(BadSettings) as caught:
        relay(url)
    assert "secret" not in str(caught.value)


async def test_communication_services_is_asked_before_it_is_told_again(simulated):
    async with far_end("acs", simulated) as end:
        await end.channel.send(end.letter(attempt=2))
        methods = cloud_of(simulated.world).mails.asked
    assert methods[:2] == ["GET", "POST"]  # unknown there, so posted
    assert methods.count("POST") == 1


@pytest.mark.parametrize(
    "code, disposition",
    [
        ("EmailDroppedAllRecipientsSuppressed", Disposition.PARK),
        ("InternalServerError", Disposition.DEFER),
    ],
)
async def test_a_failed_operation_of_communication_services_is_no_success(
    simulated, code, disposition
):
    async with far_end("acs", simulated) as end:
        cloud_of(simulated.world).mails.ends |= {"code": code, "message": "m"}
        with pytest.raises(AzureFault) as caught:
            await end.channel.send(end.letter())
    assert (caught.value.code, caught.value.disposition) == (code, disposition)


async def test_an_outcome_is_a_cloud_event(simulated):
    async with far_end("topic", simulated) as end:
        await end.channel.send(end.letter())
        (event,) = (one["message"] for one in end.inbox.messages)
    assert event["specversion"] == "1.0"
    assert event["type"] == "VmBackupEnrollment.Vm.WaitingTooLong"
    assert event["subject"] == str(letters.story().vm)
    assert event["data"]["outcome"] == "waiting-too-long"
    assert event["traceparent"].startswith("00-aaaa")


async def test_a_notice_is_no_outcome(simulated):
    async with far_end("topic", simulated) as end:
        with pytest.raises(AzureFault) as caught:
            await end.channel.send(Fake("smtp", FakeChannel()).letter())
    assert caught.value.disposition is Disposition.PARK


# --- the limits of Communication Services --------------------------------------------------------


async def test_over_its_limit_communication_services_refuses_and_says_when(simulated):
    async with far_end("acs", simulated) as end:
        mails = cloud_of(simulated.world).mails
        mails.own = (Limits(minute=2, hour=100), mails.own[1])
        await end.channel.send(end.letter(1))
        await end.channel.send(end.letter(2))
        with pytest.raises(AzureFault) as caught:
            await end.channel.send(end.letter(3))
        assert len(end.got()) == 2
    assert (caught.value.status, caught.value.disposition) == (429, Disposition.DEFER)
    assert 0 < caught.value.retry_after <= 61


async def test_a_domain_that_azure_manages_sends_five_mails_a_minute(simulated):
    async with far_end("acs", simulated) as end:
        end.channel._sender = "DoNotReply@x.azurecomm.net"
        for number in range(5):
            await end.channel.send(end.letter(number))
        with pytest.raises(AzureFault) as caught:
            await end.channel.send(end.letter(6))
    assert caught.value.status == 429
