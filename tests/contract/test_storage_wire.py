"""What the storage adapters leave in storage, what they ask of it, and how they fail."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters import stores as stores_module
from shared.adapters import tables as tables_module
from shared.adapters.ledger import TableLedger
from shared.adapters.parked import TableParkedMessages
from shared.adapters.people import TablePeople
from shared.adapters.queues import StorageQueues
from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import UnreadableRow
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.messages import Cause, WorkItem, decode
from shared.domain.records import (
    ChangeKind,
    DecisionKind,
    InFlight,
    Look,
    Parked,
    PersonDecision,
    Row,
    SweepMark,
)
from shared.domain.states import State
from shared.errors import AzureFault, Conflict, Disposition
from shared.settings import read
from tests.contract.conftest import TENANT, emulated
from tests.fakes.azure import FakeClock

SUB = "aaaaaaaa-0000-4000-8000-000000000001"
VM = virtual_machine(SUB, "rg-web", "Web 01")
VAULT = ArmId.of(SUB, "rg-backup", "Microsoft.RecoveryServices", (("vaults", "rsv-weu"),))
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = "2026-03-02"
ROW = Row(vm=str(VM), state=State.WAITING, since=NOW, seen_at=NOW, until=NOW)
WORK = WorkItem(vm=str(VM), seen_at=NOW, cause=Cause.EVENT)
DECISION = PersonDecision(vm=str(VM), kind=DecisionKind.RETRY, by="op", at=NOW, reason="again")
PARKED = Parked(key="p-1", source="event", reason="shape", raw="{", at=NOW)
FLIGHT = InFlight(
    vm=str(VM), vault=str(VAULT), request_id="r-1", sent_at=NOW, kind=ChangeKind.ENROLL
)
LOOK = Look(vault=str(VAULT), next_at=NOW, interval=60, oldest=NOW)
MARK = SweepMark(subscription=SUB, sweep="s-1", started_at=NOW)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every request that leaves the process: method and URL."""
    requests: list[tuple[str, str]] = []
    send = AioHttpTransport.send

    async def recorded(self, request, **options):
        requests.append((request.method, request.url))
        return await send(self, request, **options)

    monkeypatch.setattr(AioHttpTransport, "send", recorded)
    return requests


async def raw(azurite: str, table: str) -> list[dict[str, object]]:
    async with TableServiceClient.from_connection_string(azurite) as service:
        return [dict(found) async for found in service.get_table_client(table).list_entities()]


class TestRowsInTables:
    async def test_a_row_is_a_body_and_columns_for_queries(self, azurite, instance):
        await TableLedger(instance()).insert(ROW)
        (found,) = await raw(azurite, "ledger")
        assert found["PartitionKey"] == SUB
        assert found["RowKey"] == "rg-web|web=2001"
        assert found["state"] == "Waiting"
        assert found["until"] == "2026-03-02T09:30:00.000000Z"
        assert msgspec.json.decode(found["body000"], type=Row) == ROW

    async def test_a_row_that_got_shorter_leaves_nothing_of_the_longer(self, instance):
        ledger = TableLedger(instance())
        etag = await ledger.insert(msgspec.structs.replace(ROW, why="x" * 100_000))
        etag = await ledger.replace(ROW, etag)
        assert await ledger.read(VM) == (ROW, etag)

    async def test_fields_of_a_newer_version_are_ignored(self, azurite, instance):
        ledger = TableLedger(instance())
        await ledger.insert(ROW)
        newer = msgspec.to_builtins(ROW) | {"v": 2, "mood": {"today": "good"}}
        await self._write(azurite, msgspec.json.encode(newer).decode())
        found = await ledger.read(VM)
        assert found is not None
        assert found[0] == msgspec.structs.replace(ROW, v=2)

    async def test_a_row_of_an_older_version_gets_the_defaults(self, azurite, instance):
        ledger = TableLedger(instance())
        await ledger.insert(ROW)
        names = ("vm", "state", "since", "seen_at", "until")
        older = {name: value for name, value in msgspec.to_builtins(ROW).items() if name in names}
        await self._write(azurite, msgspec.json.encode(older).decode())
        found = await ledger.read(VM)
        assert found is not None
        assert found[0] == ROW

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("", id="nothing"),
            pytest.param('{"vm": "x"', id="half"),
            pytest.param('{"vm": "x"}', id="without what it must have"),
            pytest.param('{"state": "Sleepy"}', id="a state nobody knows"),
        ],
    )
    async def test_a_row_nobody_can_read_is_named_and_never_skipped(self, azurite, instance, body):
        ledger = TableLedger(instance())
        await ledger.insert(ROW)
        await self._write(azurite, body)
        for attempt in (ledger.read(VM), anext(ledger.subscription_rows(SUB))):
            with pytest.raises(UnreadableRow) as caught:
                await attempt
            assert "ledger" in str(caught.value)
            assert SUB in str(caught.value)
            assert "rg-web|web=2001" in str(caught.value)
            assert caught.value.disposition is Disposition.RAISE

    async def test_a_due_row_without_a_vm_is_named(self, azurite, instance):
        ledger = TableLedger(instance())
        await ledger.put_due(VM, NOW)
        (found,) = await raw(azurite, "due")
        async with TableServiceClient.from_connection_string(azurite) as service:
            await service.get_table_client("due").upsert_entity(found | {"vm": "nonsense"})
        with pytest.raises(UnreadableRow, match="due"):
            await ledger.due(NOW, 10)

    async def _write(self, azurite: str, body: str) -> None:
        (found,) = await raw(azurite, "ledger")
        async with TableServiceClient.from_connection_string(azurite) as service:
            await service.get_table_client("ledger").upsert_entity(found | {"body000": body})

    async def test_due_rows_spread_over_the_slices(self, azurite, instance):
        ledger = TableLedger(instance())
        for number in range(64):
            await ledger.put_due(virtual_machine(SUB, "rg", f"vm-{number}"), NOW)
        assert len({found["PartitionKey"] for found in await raw(azurite, "due")}) == 8


class TestTables:
    async def test_reading_creates_no_table(self, azurite, instance):
        stores = instance()
        ledger = TableLedger(stores)
        await ledger.read(VM)
        await ledger.due(NOW, 10)
        await ledger.drop_due(VM, NOW)
        await ledger.drop_in_flight(VAULT, VM, "r-1")
        with pytest.raises(Conflict):
            await ledger.replace(ROW, 'W/"never"')
        async with TableServiceClient.from_connection_string(azurite) as service:
            assert [table.name async for table in service.list_tables()] == []

    async def test_instances_that_write_first_together_all_succeed(self, instance):
        ledgers = [TableLedger(instance()) for _ in range(6)]
        await asyncio.gather(
            *(ledger.note(f"n{number}", "x") for number, ledger in enumerate(ledgers))
        )
        assert [await ledgers[0].noted(f"n{number}") for number in range(6)] == ["x"] * 6

    async def test_endless_contention_ends_as_a_fault_to_defer(self, instance, monkeypatch):
        stores = instance()
        ledger = TableLedger(stores)
        await ledger.count_change(SUB, NOW)

        async def overtaken(*_):
            raise Conflict("always")

        monkeypatch.setattr(tables_module, "PAUSE", 0)
        monkeypatch.setattr(stores.table(TableName.CHANGES), "replace", overtaken)
        with pytest.raises(AzureFault) as caught:
            await ledger.count_change(SUB, NOW)
        assert (caught.value.code, caught.value.disposition) == ("Contention", Disposition.DEFER)

    @pytest.mark.parametrize(
        "cost, call",
        [
            pytest.param(1, lambda ledger: ledger.read(VM), id="read"),
            pytest.param(2, lambda ledger: ledger.insert(ROW), id="insert, and its mark"),
            pytest.param(8, lambda ledger: ledger.due(NOW, 200), id="due"),
            pytest.param(1, lambda ledger: ledger.put_due(VM, NOW), id="put_due"),
            pytest.param(1, lambda ledger: ledger.drop_due(VM, NOW), id="drop_due"),
            pytest.param(1, lambda ledger: ledger.put_in_flight(FLIGHT), id="put_in_flight"),
            pytest.param(1, lambda ledger: ledger.in_flight(VAULT), id="in_flight"),
            pytest.param(
                2, lambda ledger: ledger.drop_in_flight(VAULT, VM, "r-1"), id="drop_in_flight"
            ),
            pytest.param(1, lambda ledger: ledger.looks(), id="looks"),
            pytest.param(1, lambda ledger: ledger.put_look(LOOK), id="put_look"),
            pytest.param(2, lambda ledger: ledger.take_place(VAULT, DAY, VM, 240), id="take_place"),
            pytest.param(1, lambda ledger: ledger.places(VAULT, DAY), id="places"),
            pytest.param(2, lambda ledger: ledger.count_change(SUB, NOW), id="count_change"),
            pytest.param(1, lambda ledger: ledger.changes(SUB, NOW), id="changes"),
            pytest.param(1, lambda ledger: ledger.sweeps(), id="sweeps"),
            pytest.param(1, lambda ledger: ledger.noted("n"), id="noted"),
        ],
    )
    async def test_a_call_costs_these_requests(self, instance, asked, cost, call):
        ledger = TableLedger(instance())
        other = virtual_machine(SUB, "rg", "other")
        await ledger.insert(msgspec.structs.replace(ROW, vm=str(other)))  # the tables exist
        await ledger.put_due(other, NOW)
        await ledger.put_in_flight(FLIGHT)
        await ledger.put_look(LOOK)
        await ledger.take_place(VAULT, DAY, other, 240)
        await ledger.count_change(SUB, NOW)
        await ledger.put_sweep(MARK)
        await ledger.note("n", "x")
        asked.clear()
        await call(ledger)
        assert len(asked) == cost, asked

    async def test_what_is_due_is_asked_for_by_key_range_and_never_more_than_wanted(
        self, instance, asked
    ):
        ledger = TableLedger(instance())
        await ledger.put_due(VM, NOW)
        asked.clear()
        await ledger.due(NOW, 50)
        for _, url in asked:
            query = parse_qs(urlsplit(url).query)
            assert "RowKey lt '2026-03-02T09:30:00.000000Z}'" in query["$filter"][0]
            assert "PartitionKey eq" in query["$filter"][0]
            assert query["$top"] == ["50"]


class TestParkedPieces:
    LONG = msgspec.structs.replace(PARKED, raw="x" * 900_000)

    def dying(self, stores: Stores, monkeypatch: pytest.MonkeyPatch, *, before: str) -> None:
        table = stores.table(TableName.PARKED)
        put = table.put

        async def until(partition, row, columns):
            if partition == before:
                raise ConnectionResetError("killed here")
            return await put(partition, row, columns)

        monkeypatch.setattr(table, "put", until)

    async def test_killed_before_the_head_nothing_is_parked(self, instance, monkeypatch):
        dying = instance()
        self.dying(dying, monkeypatch, before="head")
        with pytest.raises(ConnectionResetError):
            await TableParkedMessages(dying).park(self.LONG)
        parked = TableParkedMessages(instance())
        assert await parked.read("p-1") is None
        assert [page async for page in parked.all()] == []
        await parked.park(self.LONG)
        assert await parked.read("p-1") == self.LONG

    async def test_killed_while_parking_anew_the_older_text_is_whole(self, instance, monkeypatch):
        await TableParkedMessages(instance()).park(self.LONG)
        dying = instance()
        self.dying(dying, monkeypatch, before="head")
        with pytest.raises(ConnectionResetError):
            await TableParkedMessages(dying).park(
                msgspec.structs.replace(self.LONG, raw="y" * 950_000)
            )
        assert await TableParkedMessages(instance()).read("p-1") == self.LONG

    async def test_a_missing_piece_is_named(self, azurite, instance):
        parked = TableParkedMessages(instance())
        await parked.park(self.LONG)
        pieces = [
            found for found in await raw(azurite, "parked") if found["PartitionKey"] != "head"
        ]
        assert len(pieces) == 3
        async with TableServiceClient.from_connection_string(azurite) as service:
            client = service.get_table_client("parked")
            await client.delete_entity(pieces[1]["PartitionKey"], pieces[1]["RowKey"])
        with pytest.raises(UnreadableRow, match="p-1"):
            await parked.read("p-1")


class TestMessages:
    @pytest.mark.parametrize(
        "delay, speed, hidden",
        [
            pytest.param(0, 1, 0, id="now"),
            pytest.param(-5, 1, 0, id="a time that has passed"),
            pytest.param(0.2, 1, 1, id="part of a second is a second"),
            pytest.param(90, 1, 90, id="a middle wait"),
            pytest.param(90, 60, 2, id="a middle wait on a fast clock"),
            pytest.param(30 * 86400, 1, 604800, id="more than storage allows"),
        ],
    )
    async def test_a_delay_is_real_seconds_rounded_up(self, instance, asked, delay, speed, hidden):
        await StorageQueues(instance(), FakeClock(NOW, speed=speed)).send(WORK, delay=delay)
        sent = [parse_qs(urlsplit(url).query) for method, url in asked if method == "POST"]
        assert sent[-1]["visibilitytimeout"] == [str(hidden)]
        assert sent[-1]["messagettl"] == ["-1"]

    async def test_a_message_is_base64_of_its_json_and_never_expires(self, azurite, instance):
        await StorageQueues(instance(), FakeClock(NOW)).send(WORK)
        async with QueueServiceClient.from_connection_string(azurite) as service:
            (message,) = await service.get_queue_client("enrollments").peek_messages()
        assert decode(base64.b64decode(message.content)) == WORK
        assert message.expires_on > datetime.now(UTC) + timedelta(days=3650)

    async def test_the_first_send_creates_the_queue_and_the_second_costs_one_request(
        self, instance, asked
    ):
        queues = StorageQueues(instance(), FakeClock(NOW))
        await queues.send(WORK)
        assert [method for method, _ in asked] == ["POST", "PUT", "POST"]
        asked.clear()
        await queues.send(WORK)
        assert [method for method, _ in asked] == ["POST"]


class TestFaults:
    CALLS = (
        pytest.param("ledger.get", lambda s: TableLedger(s).read(VM), id="read"),
        pytest.param("ledger.insert", lambda s: TableLedger(s).insert(ROW), id="insert"),
        pytest.param(
            "ledger.replace", lambda s: TableLedger(s).replace(ROW, 'W/"1"'), id="replace"
        ),
        pytest.param("due.query", lambda s: TableLedger(s).due(NOW, 5), id="due"),
        pytest.param("due.put", lambda s: TableLedger(s).put_due(VM, NOW), id="put_due"),
        pytest.param("due.delete", lambda s: TableLedger(s).drop_due(VM, NOW), id="drop_due"),
        pytest.param(
            "places.get", lambda s: TableLedger(s).take_place(VAULT, DAY, VM, 1), id="take_place"
        ),
        pytest.param("decisions.query", lambda s: TablePeople(s).of(VM), id="of"),
        pytest.param("decisions.insert", lambda s: TablePeople(s).append(DECISION), id="append"),
        pytest.param("parked.put", lambda s: TableParkedMessages(s).park(PARKED), id="park"),
        pytest.param(
            "parked.merge",
            lambda s: TableParkedMessages(s).mark_replayed("k", NOW),
            id="mark_replayed",
        ),
        pytest.param(
            "enrollments.send", lambda s: StorageQueues(s, FakeClock(NOW)).send(WORK), id="send"
        ),
        pytest.param(
            "sweeps.depth", lambda s: StorageQueues(s, FakeClock(NOW)).depth("sweeps"), id="depth"
        ),
    )

    @pytest.fixture(autouse=True)
    def _one_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for waits in ("TABLE_WAITS", "QUEUE_WAITS"):
            known = getattr(stores_module, waits)
            monkeypatch.setattr(stores_module, waits, {**known, "retry_total": 0})

    @pytest.mark.parametrize("operation, call", CALLS)
    async def test_no_answer_is_a_fault_that_names_the_operation(self, azurite, operation, call):
        nobody = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", azurite)  # nobody listens there
        async with aclosing(emulated(nobody)) as stores:
            with pytest.raises(AzureFault) as caught:
                await call(stores)
        assert (caught.value.operation, caught.value.status) == (operation, 0)

    # the emulator refuses in XML, and the tables SDK asks an XML element for its truth
    @pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
    @pytest.mark.parametrize("operation, call", CALLS)
    async def test_a_refusal_is_a_fault_with_its_status(self, azurite, operation, call):
        wrong_key = azurite.replace("AccountKey=E", "AccountKey=F")
        async with aclosing(emulated(wrong_key)) as stores:
            with pytest.raises(AzureFault) as caught:
                await call(stores)
        assert (caught.value.operation, caught.value.status) == (operation, 403)
        assert not isinstance(caught.value, UnreadableRow)


class TestClients:
    async def test_in_azure_the_identity_is_asked_for_once_per_service_and_only_when_used(self):
        asked: list[str] = []

        class Credential:
            async def get_token(self, *scopes, **_): ...
            async def close(self): ...
            async def __aexit__(self, *_): ...

        def credential():
            asked.append("credential")
            return Credential()

        uris = {
            f"AzureWebJobsStorage__{kind}ServiceUri": f"https://acct.{kind}.core.windows.net"
            for kind in ("queue", "table", "blob")
        }
        settings = read({"TENANT_ID": TENANT, "RULES_URI": "rules.yaml", **uris})
        stores = Stores(settings, credential)
        stores.table(TableName.LEDGER)
        assert asked == []
        one, other = stores.queue("enrollments"), stores.queue("notices")
        assert asked == ["credential"]
        assert one.url == "https://acct.queue.core.windows.net/enrollments"
        assert other.url == "https://acct.queue.core.windows.net/notices"
        await stores.aclose()

    def test_plugging_the_adapters_together_loads_no_sdk(self):
        code = (
            "import sys\n"
            "from shared.adapters import ledger, parked, people, queues\n"
            "print([name for name in ('azure.data', 'azure.storage', 'aiohttp')"
            " if name in sys.modules])"
        )
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == "[]"


async def test_counters_of_days_long_past_are_deleted_by_the_first_count_of_a_day(
    instance, azurite
):
    ledger = TableLedger(instance())
    for day in (NOW, NOW + timedelta(days=7), NOW + timedelta(days=8)):
        await ledger.take_place(VAULT, f"{day:%Y-%m-%d}", VM, 2)
        await ledger.count_change(SUB, day)

    async with TableServiceClient.from_connection_string(azurite) as service:
        for table in ("places", "changes"):
            rows = service.get_table_client(table).list_entities()
            assert [row["RowKey"] async for row in rows] == ["2026-03-09", "2026-03-10"]
