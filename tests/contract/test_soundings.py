"""What the doctor asks of storage and of channels: against the emulator and the simulator's inboxes."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceRequestError

from shared.adapters.queues import StorageQueues
from shared.adapters.soundings import Soundings
from shared.domain.messages import NoticeItem
from shared.errors import AzureFault
from simulator.inbox import TEAMS_PATH, inboxes_of
from simulator.server import Simulator, running
from tests.fakes.azure import FakeClock
from tests.fakes.wire import Answer, Wire, clients_on, settings_for

ACS = "https://mail.communication.azure.com"
OPERATION = r"/emails/operations/[0-9a-f-]{36}$"
DEAF = "http://127.0.0.1:9/secret?sig=secret"  # nobody listens there


def soundings(*, stores=None, wire: Wire | None = None, **changes) -> Soundings:
    settings = dataclasses.replace(settings_for(), **changes)
    clients = clients_on(wire or Wire(), settings=settings)
    return Soundings(SimpleNamespace(settings=settings, clients=clients, stores=stores))


@pytest_asyncio.fixture
async def simulated():
    async with running() as simulator:
        yield simulator


# --- storage -------------------------------------------------------------------------------------


async def test_the_clock_of_storage_is_read_whether_or_not_there_is_a_queue(instance):
    stores = instance()
    asked = soundings(stores=stores)
    assert abs(await asked.ahead()) < timedelta(seconds=3)
    await StorageQueues(stores, FakeClock()).send(NoticeItem(notice="x"))

    assert abs(await asked.ahead()) < timedelta(seconds=3)


async def test_the_oldest_message_is_the_one_that_may_be_taken(instance):
    stores = instance()
    queues, asked = StorageQueues(stores, FakeClock()), soundings(stores=stores)
    assert await asked.oldest("notices") is None
    await queues.send(NoticeItem(notice="later"), delay=60)
    assert await asked.oldest("notices") is None
    await queues.send(NoticeItem(notice="now"))
    age = await asked.oldest("notices")

    assert age is not None
    assert age < timedelta(seconds=10)
    assert await queues.depth("notices") == 2  # nothing was taken


async def test_storage_that_does_not_answer_is_a_fault(instance, monkeypatch):
    stores = instance()

    def broken(_name: str):
        async def fails(**_: object) -> None:
            raise ServiceRequestError("no way there")

        return SimpleNamespace(get_queue_properties=fails, peek_messages=fails)

    monkeypatch.setattr(stores, "queue", broken)
    for ask in (soundings(stores=stores).ahead(), soundings(stores=stores).oldest("notices")):
        with pytest.raises(AzureFault):
            await ask


# --- channels ------------------------------------------------------------------------------------


def smtp(simulator: Simulator, **changes: str) -> str:
    url = inboxes_of(simulator.world).smtp.url
    return re.sub(r"//.*@", f"//{changes['login']}@", url) if changes else url


async def test_channels_that_answer_have_nothing_to_say_and_get_nothing(simulated):
    trusted = dataclasses.replace(settings_for().cloud, ca_file=str(simulated.ca_file))
    said = await soundings(
        cloud=trusted,
        teams_webhook=simulated.control_url + TEAMS_PATH + "?sig=secret",
        topic_endpoint=simulated.arm_url + "/api/events",
        smtp_url=smtp(simulated),
    ).channels()
    boxes = inboxes_of(simulated.world)

    assert said == {"teams": "", "topic": "", "smtp": ""}
    assert [*boxes.teams.messages, *boxes.mail.messages] == []


async def test_a_password_that_was_rotated_is_noticed(simulated):
    trusted = dataclasses.replace(settings_for().cloud, ca_file=str(simulated.ca_file))
    asked = soundings(cloud=trusted, smtp_url=smtp(simulated, login="user:old"))

    assert await asked.channels() == {"smtp": "localhost refuses the login: 535"}


@pytest.mark.parametrize(
    "changes, says",
    [
        pytest.param({"teams_webhook": DEAF}, "127.0.0.1 does not answer", id="teams"),
        pytest.param({"topic_endpoint": DEAF}, "127.0.0.1 does not answer", id="topic"),
        pytest.param({"smtp_url": "smtps://u:secret@127.0.0.1:9"}, "does not answer", id="smtp"),
    ],
)
async def test_a_host_that_is_gone_is_named_and_no_secret_is(changes, says):
    (said,) = (await soundings(**changes).channels()).values()

    assert says in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "answer, says",
    [
        pytest.param(Answer(404, {"error": {"code": "NotFound"}}), "", id="let in"),
        pytest.param(Answer(401), "HTTP 401: the identity may not send there", id="a stranger"),
        pytest.param(Answer(403), "HTTP 403: the identity may not send there", id="no role"),
        pytest.param(Answer(503), "HTTP 503", id="down"),
        pytest.param(
            ServiceRequestError("no way"),
            "mail.communication.azure.com does not answer: ServiceRequestError",
            id="no way there",
        ),
    ],
)
async def test_communication_services_are_asked_for_nothing_under_the_identity(answer, says):
    wire = Wire()
    wire.on("GET", OPERATION, answer)
    said = await soundings(wire=wire, acs_endpoint=ACS).channels()

    assert said == {"acs": says}
    assert {one.method for one in wire.sent} == {"GET"}
    assert wire.sent[0].headers["Authorization"] == "Bearer token"
