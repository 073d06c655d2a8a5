"""A deployment in mid-burst: instances of two versions read the same queues for some minutes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared import bootstrap
from shared.domain import messages
from shared.domain.messages import Cause, SweepPage, WorkItem, decode, encode
from shared.errors import BadMessage
from shared.intake import LOOK_AGAIN, PATIENCE, wait_for_newer
from tests.fakes.azure import START
from tests.fakes.storage import FakeQueues
from tests.unit.domain import worlds
from tests.usecases.house import House

WORK = WorkItem(vm=str(worlds.vm().id), seen_at=START, cause=Cause.EVENT)
QUEUE = "enrollments-backlog"


def of_tomorrow(**more: object) -> bytes:
    """A message as the next version may write it."""
    body = msgspec.json.decode(encode(WORK))
    return msgspec.json.encode({**body, "v": messages.VERSION + 1, **more})


async def put_back(body: bytes, at=START) -> bytes:
    queues = FakeQueues()
    assert await wait_for_newer(queues, body, QUEUE, at)
    [sent] = queues.sent
    assert (sent.queue, sent.delay) == (QUEUE, LOOK_AGAIN)
    return encode(sent.message)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(of_tomorrow(), id="same shape"),
        pytest.param(of_tomorrow(kind="fleet"), id="a kind nobody knows"),
        pytest.param(of_tomorrow(vm=["a", "b"]), id="another shape"),
    ],
)
async def test_a_newer_message_is_put_back_as_it_is_until_somebody_knows_it(body, monkeypatch):
    with pytest.raises(BadMessage, match="version"):
        decode(body)
    once = await put_back(body)
    with pytest.raises(BadMessage, match="version"):
        decode(once)
    twice = await put_back(once, START + timedelta(minutes=5))

    assert twice == once  # not wrapped again, and it waits since the first time

    assert msgspec.json.decode(twice)["raw"] == body.decode()


async def test_the_new_instance_takes_it_out_of_its_cover():
    page = SweepPage(subscription="s", sweep="1", started_at=START)
    covered = await put_back(encode(page))  # as if this version were the newer one

    assert decode(covered) == page


async def test_a_newer_message_nobody_comes_for_is_given_up():
    once = await put_back(of_tomorrow())
    queues = FakeQueues()

    assert not await wait_for_newer(queues, once, QUEUE, START + PATIENCE)
    assert queues.sent == []


def test_the_next_version_reads_what_this_one_wrote(monkeypatch):
    monkeypatch.setattr(messages, "VERSION", messages.VERSION + 1)

    assert decode(encode(WORK)) == WORK


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"v": 1, "kind": "fleet"}'])
def test_what_is_no_message_at_all_is_not_waited_with(body):
    with pytest.raises(BadMessage, match="shape"):
        decode(body)


def test_an_older_message_is_understood():
    body = msgspec.json.decode(encode(WORK))
    del body["trace"], body["by"]

    assert decode(msgspec.json.encode({**body, "since": "tomorrow"})) == WORK


async def test_a_newer_message_waits_a_quarter_of_an_hour_and_is_then_parked(
    monkeypatch,
):
    house = House()

    async def given(what):
        return what

    monkeypatch.setattr(bootstrap, "ports", lambda: given(house.ports))
    monkeypatch.setattr(bootstrap, "clock", lambda: given(house.clock))
    monkeypatch.setattr(bootstrap, "_parked", lambda: given(house.parked))
    body, looks = of_tomorrow(kind="fleet"), 0
    while body:
        await bootstrap.enroll(body, f"message-{looks}", backlog=True)
        looks += 1
        house.clock.advance(LOOK_AGAIN)
        sent = house.queues.take()
        body = encode(sent[0].message) if sent else b""

    assert looks == PATIENCE.total_seconds() / LOOK_AGAIN + 1
    [parked] = house.parked._parked.values()
    assert (parked.reason, parked.source) == ("version", QUEUE)
    assert "fleet" in parked.raw
    assert house.ledger.all_rows() == ()
