"""The outbox's store: one contract for the fake and for Azure Tables (in the emulator)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.adapters.notice_store import TableNoticeStore
from shared.adapters.stores import Stores
from shared.domain.deliveries import Delivery, Kind, Target
from shared.domain.digests import Entry, Lane
from shared.domain.ids import virtual_machine
from shared.domain.letters import Announcement, Happened
from shared.domain.notices import Notice
from shared.errors import Conflict
from shared.outbox import NoticeStore
from tests.fakes.azure import START
from tests.fakes.notices import FakeNoticeStore
from tests.unit.notices.post import finding

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"
VM = virtual_machine(SUBSCRIPTION, "Rg-Ünï(1).x", "vm-결제_01")
ROUTE = (Target("smtp", "kim@contoso.com"),)
DELIVERY = Delivery(id="x-1a", kind=Kind.OPENED, route=ROUTE, next_at=START, topic="opened:A")


@pytest.fixture(params=["fake", "tables"])
def store(request) -> NoticeStore:
    if request.param == "fake":
        return FakeNoticeStore()
    instance: Callable[[], Stores] = request.getfixturevalue("instance")
    return TableNoticeStore(instance())


def notice(key: str = VM.key, **fields: object) -> Notice:
    values = {"key": key, "id": "n1", "opened_at": START, "vm": str(VM), "findings": (finding(),)}
    return Notice(**{**values, **fields})


RECORDS = {
    "notice": notice(deliveries=(DELIVERY,), routes=(ROUTE,), due_at=START),
    "notice of 60 KB": notice(findings=(finding(text="가" * 20_000),)),
    "operators": notice("operators:SWEEP_SUSPICIOUS 11111111/%?#", vm=""),
    "lane": Lane(key="lane:0123", route=ROUTE, window_at=START, delivery=DELIVERY),
    "outcome": Announcement(
        key="outcome:ab12", what=Happened.ENROLLED, vm=str(VM), at=START, delivery=DELIVERY
    ),
}


@pytest.mark.parametrize("name", RECORDS)
async def test_what_is_written_is_read(store, name):
    record = RECORDS[name]
    assert await store.read(record.key) is None
    etag = await store.write(record, "")
    assert await store.read(record.key) == (record, etag)
    await store.remove(record.key)
    assert await store.read(record.key) is None


async def test_only_the_first_of_two_inserts_holds(store):
    await store.write(notice(), "")
    with pytest.raises(Conflict):
        await store.write(notice(id="n2"), "")
    assert (await store.read(VM.key))[0].id == "n1"


async def test_a_write_with_an_old_etag_conflicts(store):
    old = await store.write(notice(), "")
    new = await store.write(notice(id="n2"), old)
    with pytest.raises(Conflict):
        await store.write(notice(id="n3"), old)
    assert await store.read(VM.key) == (notice(id="n2"), new)


async def test_a_write_to_a_row_that_vanished_conflicts(store):
    etag = await store.write(notice(), "")
    await store.remove(VM.key)
    with pytest.raises(Conflict):
        await store.write(notice(), etag)


async def test_notices_are_walked_by_subscription_and_without_lanes(store):
    other = virtual_machine(OTHER, "rg", "vm")
    await store.write(notice(), "")
    await store.write(notice(other.key, vm=str(other)), "")
    await store.write(RECORDS["lane"], "")
    await store.put_due(VM.key, START)
    everything = [one.key async for page in store.notices() for one in page]
    assert sorted(everything) == sorted([VM.key, other.key])
    mine = [one.key async for page in store.notices(OTHER.upper()) for one in page]
    assert mine == [other.key]


async def test_entries_are_found_by_lane_and_topic(store):
    def entry(topic: str, number: int) -> Entry:
        key = virtual_machine(SUBSCRIPTION, "rg", f"vm-{number}").key
        return Entry(topic=topic, notice=key, delivery=f"d{number}", at=START)

    topics = ("opened:A", "opened:A2", "opened:B", "resolved:A")
    for topic in topics:
        for number in range(3):
            await store.put_entry("lane:1", entry(topic, number))
    await store.put_entry("lane:2", entry("opened:A", 9))
    await store.put_entry("lane:1", entry("opened:A", 0))  # again: still one
    found = await store.entries("lane:1", "opened:A", 10)
    assert sorted(one.delivery for one in found) == ["d0", "d1", "d2"]
    assert {one.topic for one in found} == {"opened:A"}
    assert len(await store.entries("lane:1", "opened:A", 2)) == 2
    everything = await store.entries("lane:1", "", 100)
    assert sorted(one.topic for one in everything) == sorted(topics * 3)
    assert await store.entries("lane:1", "", 100) == everything  # in a steady order
    for one in found:
        await store.drop_entry("lane:1", one.key)
        await store.drop_entry("lane:1", one.key)  # again: nothing to do
    assert await store.entries("lane:1", "opened:A", 10) == ()
    assert await store.entries("lane:3", "", 10) == ()


async def test_what_is_due_comes_in_order_of_time_and_up_to_now(store):
    assert await store.due(START, 10) == ()
    times = [START + timedelta(seconds=s) for s in (30, -5, 0, 0.5)]
    for number, at in enumerate(times):
        await store.put_due(f"lane:{number}", at)
    await store.put_due("lane:2", START)  # again: still one
    assert [key for key, _ in await store.due(START, 10)] == ["lane:1", "lane:2"]
    assert await store.due(START + timedelta(hours=1), 1) == (("lane:1", times[1]),)
    await store.drop_due("lane:1", times[1])
    await store.drop_due("lane:1", times[1])
    await store.drop_due("lane:2", times[3])  # not its time: nothing to do
    assert [key for key, _ in await store.due(START + timedelta(hours=1), 10)] == [
        "lane:2",
        "lane:3",
        "lane:0",
    ]


async def test_keys_differ_only_where_azure_makes_a_difference(store):
    etag = await store.write(notice(), "")
    upper = virtual_machine(SUBSCRIPTION.upper(), VM.group.upper(), VM.name.upper())
    assert await store.read(upper.key) == (notice(), etag)
    assert await store.read(virtual_machine(OTHER, VM.group, VM.name).key) is None


async def test_a_record_keeps_its_times_to_the_microsecond(store):
    at = START.replace(microsecond=123456)
    await store.write(replace(notice(), due_at=at, opened_at=at), "")
    found, _ = await store.read(VM.key)
    assert (found.due_at, found.opened_at) == (at, at)
