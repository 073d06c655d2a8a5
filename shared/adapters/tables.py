"""One table, with failures in our words. The common floor of `ledger`, `people` and `parked`.

A row is one JSON body, split over text properties (a property holds 32 Ki UTF-16 units, an entity
1 MiB), plus a few plain columns for queries and for people who look with Storage Explorer. Fields
that a body has and we do not know are ignored; a body that cannot be read raises `UnreadableRow`
and is never skipped.

A read of a table that does not exist finds nothing; the first write creates it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from shared.adapters.faults import fault_of
from shared.errors import AzureFault, Conflict, Disposition
from shared.ports import Etag

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

type Write[T] = Callable[[Sequence[T]], Awaitable[None]]

CHUNK = 16_000  # characters of one property: at most 32,000 UTF-16 units
AMENDMENTS = 40  # tries of one compare-and-swap; somebody wins each round
PAUSE = 0.02  # seconds, at most, between two tries


class UnreadableRow(AzureFault):
    """A stored row does not say what we can understand. Names table and keys, not the content."""

    def __init__(self, table: str, partition: str, row: str, reason: str) -> None:
        super().__init__(
            f"{table}.decode",
            status=0,
            code="UnreadableRow",
            message=f"PartitionKey {partition!r}, RowKey {row!r}: {reason}",
            disposition=Disposition.RAISE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One row as it was read."""

    table: str
    partition: str
    row: str
    etag: Etag
    columns: Mapping[str, object]

    @property
    def body(self) -> str:
        """The JSON text, put together again."""
        names = sorted(name for name in self.columns if name.startswith("body"))
        return "".join(str(self.columns[name]) for name in names)

    def text(self, column: str) -> str:
        """Give a plain column, or "" if the row has none of that name."""
        return str(self.columns.get(column) or "")

    def record[T](self, kind: type[T]) -> T:
        """Decode the body.

        Raises:
            UnreadableRow: it is not such a record.

        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise self.unreadable(str(error)) from error

    def unreadable(self, reason: str) -> UnreadableRow:
        return UnreadableRow(self.table, self.partition, self.row, reason)


@dataclass(slots=True, eq=False)
class _Wish[T]:
    """What one task wants written, and how that went."""

    what: T
    done: bool = False
    fault: AzureFault | None = None


class Together[T]:
    """Writes many tasks' wishes at once: what is wished for during a write is the next one's.

    A burst of VMs wants one row changed a thousand times; one task at a time writes for all who
    wait by then. Nobody returns before a write that began after his wish has ended.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting: list[_Wish[T]] = []

    async def write(self, wish: T, write: Write[T]) -> None:
        """Have ``wish`` written, by this task's ``write`` or by another's.

        Raises:
            AzureFault: the write that carried the wish failed.

        """
        mine = _Wish(wish)
        self._waiting.append(mine)
        try:
            async with self._lock:
                if not mine.done:
                    await self._carry(write)
        finally:
            if mine in self._waiting:  # stopped while it waited
                self._waiting.remove(mine)
        if mine.fault is not None:
            raise mine.fault

    async def _carry(self, write: Write[T]) -> None:
        batch, self._waiting = self._waiting, []
        try:
            await write([one.what for one in batch])
        except AzureFault as fault:
            for one in batch:
                one.fault = fault
        except BaseException:  # stopped: whoever else is in the batch writes it himself
            self._waiting = batch + self._waiting
            raise
        for one in batch:
            one.done = True


@dataclass(slots=True, eq=False)
class _Amendment[T]:
    """A change of a row and what the row said after it."""

    change: Callable[[T], T]
    after: T | None = None


def columns_of(body: str) -> dict[str, str]:
    """Split a body over as many properties as it takes."""
    starts = range(0, len(body), CHUNK)
    return {f"body{number:03d}": body[at : at + CHUNK] for number, at in enumerate(starts)}


def body_of(record: msgspec.Struct) -> dict[str, str]:
    """Encode a record as a body."""
    return columns_of(msgspec.json.encode(record).decode())


class Table:
    """One table. Columns go in, entities come out; ``client`` is asked for only when needed."""

    def __init__(self, name: str, client: Callable[[], TableClient]) -> None:
        self.name = name
        self._client = client
        self._amending: WeakValueDictionary[tuple[str, str], Together[Any]] = WeakValueDictionary()

    async def get(self, partition: str, row: str) -> Entity | None:
        try:
            found = await self._client().get_entity(partition, row)
        except ResourceNotFoundError:  # no such row, or no table yet
            return None
        except AzureError as error:
            raise fault_of(error, f"{self.name}.get") from error
        return self._entity(found)

    async def insert(self, partition: str, row: str, columns: Mapping[str, object]) -> Etag:
        """Add a row.

        Raises:
            Conflict: there is one with these keys.

        """
        entity = {"PartitionKey": partition, "RowKey": row, **columns}
        try:
            return await self._created(
                lambda client: client.create_entity(
                    entity, response_preference="return-no-content"
                ),
            )
        except ResourceExistsError as error:
            raise Conflict(f"{self.name}: {partition} {row} exists") from error
        except AzureError as error:
            raise fault_of(error, f"{self.name}.insert") from error

    async def put(self, partition: str, row: str, columns: Mapping[str, object]) -> Etag:
        """Add a row or overwrite it, whatever it says."""
        entity = {"PartitionKey": partition, "RowKey": row, **columns}
        try:
            return await self._created(
                lambda client: client.upsert_entity(entity, mode="replace"),
            )
        except AzureError as error:
            raise fault_of(error, f"{self.name}.put") from error

    async def replace(
        self, partition: str, row: str, columns: Mapping[str, object], etag: Etag
    ) -> Etag:
        """Overwrite the row that was read with this etag.

        Raises:
            Conflict: it changed or vanished since. Also after an answer was lost on the way and
                the SDK tried again: the caller reads, and finds what it wrote itself.

        """
        entity = {"PartitionKey": partition, "RowKey": row, **columns}
        try:
            answer = await self._client().update_entity(
                entity, mode="replace", etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except AzureError as error:
            raise self._conflict_or_fault(error, "replace", partition, row) from error
        return str(answer["etag"])

    async def merge(self, partition: str, row: str, columns: Mapping[str, object]) -> None:
        """Set columns of an existing row and leave its others.

        Raises:
            Conflict: there is no such row.

        """
        entity = {"PartitionKey": partition, "RowKey": row, **columns}
        try:
            await self._client().update_entity(entity, mode="merge")
        except AzureError as error:
            raise self._conflict_or_fault(error, "merge", partition, row) from error

    async def delete(self, partition: str, row: str, etag: Etag = "") -> None:
        """Remove a row if there is one.

        Raises:
            Conflict: an etag was given and the row has another one.

        """
        condition = MatchConditions.IfNotModified if etag else MatchConditions.Unconditionally
        try:
            await self._client().delete_entity(
                partition, row, etag=etag or None, match_condition=condition
            )
        except AzureError as error:
            raise self._conflict_or_fault(error, "delete", partition, row) from error

    async def pages(
        self, partition: str = "", *, above: str = "", below: str = "", size: int | None = None
    ) -> AsyncIterator[Sequence[Entity]]:
        """Walk a partition (or, without one, the table) in key order, rows between keys only."""
        terms = ["PartitionKey eq @partition"] if partition else []
        terms += ["RowKey gt @above"] if above else []
        terms += ["RowKey lt @below"] if below else []
        found = self._client().query_entities(
            " and ".join(terms),
            parameters={"partition": partition, "above": above, "below": below} if terms else None,
            results_per_page=size,
        )
        try:
            async for page in found.by_page():
                entities = [self._entity(row) async for row in page]
                if entities:
                    yield entities
        except ResourceNotFoundError:  # no table yet
            return
        except AzureError as error:
            raise fault_of(error, f"{self.name}.query") from error

    async def all(self, partition: str) -> list[Entity]:
        """Give a whole partition; for those that are small by nature."""
        return [entity async for page in self.pages(partition) for entity in page]

    async def amend[T: msgspec.Struct](
        self, partition: str, row: str, kind: type[T], change: Callable[[T], T]
    ) -> T:
        """Change one row by compare-and-swap, starting from ``kind()``; give what it says then.

        A change that returns its argument writes nothing. Changes of this process that wait for
        the row are written together, so that only instances compete.

        Raises:
            AzureFault: ``Contention``, DEFER; others were faster too many times.

        """
        together = self._amending.setdefault((partition, row), Together())
        mine = _Amendment(change)

        async def write(amendments: Sequence[_Amendment[T]]) -> None:
            await self._amended(partition, row, kind, amendments)

        await together.write(mine, write)
        assert mine.after is not None, "a written amendment knows its outcome"
        return mine.after

    async def _amended[T: msgspec.Struct](
        self, partition: str, row: str, kind: type[T], amendments: Sequence[_Amendment[T]]
    ) -> None:
        for _ in range(AMENDMENTS):
            found = await self.get(partition, row)
            before = record = found.record(kind) if found else kind()
            for one in amendments:
                one.after = record = one.change(record)
            if record is before:
                return
            with suppress(Conflict):
                if found:
                    await self.replace(partition, row, body_of(record), found.etag)
                else:
                    await self.insert(partition, row, body_of(record))
                return
            await asyncio.sleep(random.uniform(0, PAUSE))
        raise AzureFault(
            f"{self.name}.amend",
            status=0,
            code="Contention",
            message=f"{partition} {row} changed {AMENDMENTS} times while we tried to change it",
            disposition=Disposition.DEFER,
        )

    async def _created(self, write: Callable[[TableClient], Any]) -> Etag:
        """Write; if there is no table yet, create it and write again."""
        client = self._client()
        try:
            return str((await write(client))["etag"])
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):  # another instance creates it too
                await client.create_table()
            return str((await write(client))["etag"])

    def _conflict_or_fault(
        self, error: AzureError, verb: str, partition: str, row: str
    ) -> Conflict | AzureFault:
        if getattr(error, "status_code", 0) in {404, 412}:
            return Conflict(f"{self.name}: {partition} {row} changed or vanished")
        return fault_of(error, f"{self.name}.{verb}")

    def _entity(self, found: Any) -> Entity:
        return Entity(
            table=self.name,
            partition=found["PartitionKey"],
            row=found["RowKey"],
            etag=found.metadata["etag"],
            columns=found,
        )
