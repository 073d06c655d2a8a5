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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
        self._amending: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

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

        A change that returns its argument writes nothing. Tasks of this process queue up for the
        row, so that only instances compete.

        Raises:
            AzureFault: ``Contention``, DEFER; others were faster too many times.

        """
        async with self._amending.setdefault((partition, row), asyncio.Lock()):
            for _ in range(AMENDMENTS):
                found = await self.get(partition, row)
                before = found.record(kind) if found else kind()
                after = change(before)
                if after is before:
                    return after
                with suppress(Conflict):
                    if found:
                        await self.replace(partition, row, body_of(after), found.etag)
                    else:
                        await self.insert(partition, row, body_of(after))
                    return after
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
