"""What the coverage page reads, in Azure Tables: a few rows, whatever the size of the estate.

Partition ``summaries`` holds a row per subscription, ``sheets`` one per kind of sheet. Entries lie
in a partition per subscription, some thousand VMs to a row, under the generation their summary
names: entries first, then the summary, then the old generation is removed. So a reader sees one
count or the next, or learns that it must look again. Bodies are compressed: they repeat a lot.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import msgspec

from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import Entity, columns_of
from shared.domain.coverage import Entry, Summary
from shared.domain.sheets import JobSheet, Sheet, TrendSheet, VaultSheet
from shared.errors import Conflict

SUMMARIES, SHEETS = "summaries", "sheets"
BLOCK = 2000  # entries in one row: 15 kB to 60 kB compressed, of the 1 MiB a row may have

_ENTRIES = msgspec.json.Decoder(tuple[Entry, ...])
_SHEETS: msgspec.json.Decoder[Sheet] = msgspec.json.Decoder(VaultSheet | JobSheet | TrendSheet)
_SUMMARY = msgspec.json.Decoder(Summary)


class TableCoverage:
    """`ports.Coverage` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._table = stores.table(TableName.COVERAGE)

    async def put(self, summary: Summary, entries: Sequence[Entry]) -> Summary:
        subscription = summary.subscription.lower()
        generation = f"{summary.counted_at:%Y%m%d%H%M%S%f}-{uuid4().hex[:8]}"
        written = msgspec.structs.replace(summary, subscription=subscription, generation=generation)
        ordered = sorted(entries, key=_place)
        for number, start in enumerate(range(0, len(ordered), BLOCK)):
            block = tuple(ordered[start : start + BLOCK])
            await self._table.put(subscription, f"{generation}|{number:04d}", packed(block))
        await self._table.put(SUMMARIES, subscription, packed(written))
        for entity in await self._table.all(subscription):
            if not entity.row.startswith(generation):
                await self._table.delete(subscription, entity.row)
        return written

    async def summaries(self) -> tuple[Summary, ...]:
        found = await self._table.all(SUMMARIES)
        return tuple(unpacked(entity, _SUMMARY) for entity in found)

    async def entries(self, summary: Summary) -> AsyncIterator[Sequence[Entry]]:
        if not summary.rows:
            return
        for number in range(-(-summary.rows // BLOCK)):
            row = f"{summary.generation}|{number:04d}"
            found = await self._table.get(summary.subscription, row)
            if found is None:
                raise Conflict(f"{summary.subscription} was counted anew")
            block = unpacked(found, _ENTRIES)
            yield block

    async def put_sheet(self, sheet: Sheet) -> None:
        await self._table.put(SHEETS, type(sheet).__name__, packed(sheet))

    async def sheets(self) -> tuple[Sheet, ...]:
        return tuple(unpacked(entity, _SHEETS) for entity in await self._table.all(SHEETS))


def packed(value: object) -> dict[str, str]:
    """Compress a value into columns."""
    return columns_of(base64.b64encode(zlib.compress(msgspec.json.encode(value), 6)).decode())


def unpacked[T](entity: Entity, decoder: msgspec.json.Decoder[T]) -> T:
    """Read what `packed` wrote.

    Raises:
        UnreadableRow: it is something else.

    """
    try:
        return decoder.decode(zlib.decompress(base64.b64decode(entity.body)))
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise entity.unreadable(str(error)) from error


def _place(entry: Entry) -> tuple[str, str]:
    return entry.group.lower(), entry.name.lower()
