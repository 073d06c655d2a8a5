"""One contract of what the coverage page reads, held against the fake and against tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.adapters import coverage as adapter
from shared.adapters.coverage import TableCoverage
from shared.adapters.ledger import TableLedger
from shared.adapters.stores import Stores
from shared.domain.coverage import Cell, Entry, Standing, Summary
from shared.domain.ids import virtual_machine
from shared.domain.records import Claim, Row
from shared.domain.sheets import Day, JobSheet, SeenJob, TrendSheet, VaultRoom, VaultSheet
from shared.domain.states import State
from shared.errors import Conflict
from shared.ports import Coverage, Ledger
from tests.fakes.storage import FakeCoverage, FakeLedger

SUB = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER = "aaaaaaaa-0000-4000-8000-000000000002"
NOW = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Storage:
    ledger: Ledger
    coverage: Coverage


@pytest.fixture(params=["fake", "azurite"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "fake":
        return Storage(ledger=FakeLedger(), coverage=FakeCoverage())
    instance: Callable[[], Stores] = request.getfixturevalue("instance")
    stores = instance()
    return Storage(ledger=TableLedger(stores), coverage=TableCoverage(stores))


def row(name: str = "web-1", subscription: str = SUB, **changes) -> Row:
    base = Row(
        vm=str(virtual_machine(subscription, "rg", name)),
        state=State.BLOCKED,
        since=NOW,
        seen_at=NOW,
    )
    return msgspec.structs.replace(base, **changes)


def summary(subscription: str = SUB, rows: int = 1, **changes) -> Summary:
    cell = Cell(Standing.BLOCKED, "westeurope", "", "", "default", ("AGENT_NOT_READY",), rows)
    base = Summary(subscription=subscription, counted_at=NOW, rows=rows, cells=(cell,))
    return msgspec.structs.replace(base, **changes)


def entry(name: str, **changes) -> Entry:
    base = Entry(group="RG", name=name, standing=Standing.BLOCKED, tags={"env": "prod"})
    return msgspec.structs.replace(base, **changes)


async def entries(coverage: Coverage, of: Summary) -> list[Entry]:
    return [one async for block in coverage.entries(of) for one in block]


CLAIM = Claim(since=NOW, by="m1", expires=NOW + timedelta(minutes=10))


async def test_an_outcome_changes_the_mark_of_its_subscription_only(storage):
    await storage.ledger.insert(row("a"))
    await storage.ledger.insert(row("b", OTHER))
    before = await storage.ledger.marks()

    _, etag = await storage.ledger.read(virtual_machine(SUB, "rg", "a"))
    await storage.ledger.replace(row("a", state=State.PROTECTED), etag)
    after = await storage.ledger.marks()

    assert set(before) == {SUB, OTHER}
    assert after[SUB] != before[SUB]
    assert after[OTHER] == before[OTHER]


async def test_a_claim_is_no_outcome_and_leaves_the_mark(storage):
    await storage.ledger.insert(row("a"))
    before = await storage.ledger.marks()
    _, etag = await storage.ledger.read(virtual_machine(SUB, "rg", "a"))

    await storage.ledger.replace(row("a", claim=CLAIM), etag)

    assert await storage.ledger.marks() == before


async def test_a_summary_comes_back_with_its_entries_in_order(storage):
    put = await storage.coverage.put(summary(SUB.upper(), rows=2), [entry("b"), entry("a")])

    assert await storage.coverage.summaries() == (put,)
    assert put.subscription == SUB
    assert put.generation
    assert await entries(storage.coverage, put) == [entry("a"), entry("b")]


async def test_counting_anew_replaces_one_subscription(storage):
    old = await storage.coverage.put(summary(rows=1), [entry("old")])
    other = await storage.coverage.put(summary(OTHER), [entry("other")])
    new = await storage.coverage.put(summary(rows=1), [entry("new")])

    assert await storage.coverage.summaries() == (new, other)
    assert await entries(storage.coverage, new) == [entry("new")]
    assert await entries(storage.coverage, other) == [entry("other")]
    with pytest.raises(Conflict):
        await entries(storage.coverage, old)


async def test_entries_fill_as_many_blocks_as_they_need(storage, monkeypatch):
    monkeypatch.setattr(adapter, "BLOCK", 3)
    many = [entry(f"vm-{number:02d}") for number in range(8)]
    put = await storage.coverage.put(summary(rows=8), many)

    assert await entries(storage.coverage, put) == many


async def test_a_search_is_given_every_entry_that_has_the_text_in_any_case(storage):
    many = [entry("App-1"), entry("Größe-2"), entry("x", tags={"Team": 'a "Größe"'}), entry("y")]
    put = await storage.coverage.put(summary(rows=4), many)

    found = [one.name async for block in storage.coverage.entries(put, "größe") for one in block]

    assert found == ["Größe-2", "x"]
    assert len(await entries(storage.coverage, put)) == 4


async def test_what_was_read_once_stays_until_another_count_is_read(instance):
    reader, writer = TableCoverage(instance()), TableCoverage(instance())
    old = await writer.put(summary(rows=1), [entry("old")])
    assert await entries(reader, old) == [entry("old")]
    new = await writer.put(summary(rows=1), [entry("new")])

    assert await entries(reader, old) == [entry("old")]
    assert await entries(reader, new) == [entry("new")]
    with pytest.raises(Conflict):
        await entries(reader, old)


async def test_an_empty_subscription_has_no_entries(storage):
    put = await storage.coverage.put(summary(rows=0, cells=()), [])

    assert await entries(storage.coverage, put) == []


async def test_nothing_was_counted_yet(storage):
    assert await storage.coverage.summaries() == ()
    assert await storage.coverage.sheets() == ()
    assert await storage.ledger.marks() == {}


async def test_each_kind_of_sheet_is_kept_once(storage):
    rooms = VaultSheet(read_at=NOW, vaults=(VaultRoom(vault="/x", region="we", items=3, today=1),))
    job = SeenJob(id="/j", vm="web-1", operation="Backup", status="Failed", started=NOW)
    jobs = JobSheet(read_at=NOW, counts=(("2026-03-02T09", "Backup", "Failed", 1),), jobs=(job,))
    trend = TrendSheet(days=(Day("2026-03-02", 1, 2, {"protected": 1, "blocked": 1}),))

    await storage.coverage.put_sheet(VaultSheet(read_at=NOW - timedelta(hours=1)))
    for sheet in (rooms, jobs, trend):
        await storage.coverage.put_sheet(sheet)

    found = await storage.coverage.sheets()
    assert sorted(found, key=lambda one: type(one).__name__) == [jobs, trend, rooms]
