"""What the coverage page reads, in Azure Tables: a few rows, whatever the size of the estate.

Partition ``summaries`` holds a row per subscription, ``sheets`` one per kind of sheet. Entries lie
in a partition per subscription, some thousand VMs to a row, under the generation their summary
names: entries first, then the summary, then the old generation is removed. So a reader sees one
count or the next, or learns that it must look again. Bodies are compressed: they repeat a lot.
A generation never changes, so its rows are kept as they came, compressed; a search looks through
their text and reads only the lines that can pass (decoding all is what takes long).
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import Entity, columns_of
from shared.domain.coverage import Entry, Summary
from shared.domain.sheets import JobSheet, Sheet, TrendSheet, VaultSheet
from shared.errors import Conflict

SUMMARIES, SHEETS = "summaries", "sheets"
BLOCK = 2000  # entries in one row: 15 kB to 60 kB compressed, of the 1 MiB a row may have

_ENTRY = msgspec.json.Decoder(Entry)
_SHEETS: msgspec.json.Decoder[Sheet] = msgspec.json.Decoder(VaultSheet | JobSheet | TrendSheet)
_SUMMARY = msgspec.json.Decoder(Summary)
_JSON = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Generation:
    """What was read of a subscription's latest count: a megabyte or two for 100,000 VMs."""

    name: str
    blocks: dict[int, Entity]


class TableCoverage:
    """`ports.Coverage` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._table = stores.table(TableName.COVERAGE)
        self._read: dict[str, _Generation] = {}

    async def put(self, summary: Summary, entries: Sequence[Entry]) -> Summary:
        subscription = summary.subscription.lower()
        generation = f"{summary.counted_at:%Y%m%d%H%M%S%f}-{uuid4().hex[:8]}"
        written = msgspec.structs.replace(summary, subscription=subscription, generation=generation)
        ordered = sorted(entries, key=_place)
        for number, start in enumerate(range(0, len(ordered), BLOCK)):
            lines = _JSON.encode_lines(ordered[start : start + BLOCK])
            await self._table.put(subscription, f"{generation}|{number:04d}", packed(lines))
        await self._table.put(SUMMARIES, subscription, packed(_JSON.encode(written)))
        for entity in await self._table.all(subscription):
            if not entity.row.startswith(generation):
                await self._table.delete(subscription, entity.row)
        return written

    async def summaries(self) -> tuple[Summary, ...]:
        found = await self._table.all(SUMMARIES)
        return tuple(unpacked(entity, _SUMMARY.decode) for entity in found)

    async def entries(self, summary: Summary, having: str = "") -> AsyncIterator[Sequence[Entry]]:
        read = self._read.get(summary.subscription)
        if read is None or read.name != summary.generation:
            read = self._read[summary.subscription] = _Generation(summary.generation, {})
        for number in range(-(-summary.rows // BLOCK)):
            if number not in read.blocks:
                row = f"{summary.generation}|{number:04d}"
                found = await self._table.get(summary.subscription, row)
                if found is None:
                    raise Conflict(f"{summary.subscription} was counted anew")
                read.blocks[number] = found
            yield await asyncio.to_thread(_lines, read.blocks[number], having)

    async def put_sheet(self, sheet: Sheet) -> None:
        await self._table.put(SHEETS, type(sheet).__name__, packed(_JSON.encode(sheet)))

    async def sheets(self) -> tuple[Sheet, ...]:
        return tuple(unpacked(entity, _SHEETS.decode) for entity in await self._table.all(SHEETS))


def packed(text: bytes) -> dict[str, str]:
    """Compress a text into columns."""
    return columns_of(base64.b64encode(zlib.compress(text, 6)).decode())


def unpacked[T](entity: Entity, decode: Callable[[bytes], T]) -> T:
    """Read what `packed` wrote.

    Raises:
        UnreadableRow: it is something else.

    """
    try:
        return decode(zlib.decompress(base64.b64decode(entity.body)))
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise entity.unreadable(str(error)) from error


def _lines(entity: Entity, having: str) -> tuple[Entry, ...]:
    """Read the entries whose line has ``having`` in it, whatever its case."""

    def decode(text: bytes) -> tuple[Entry, ...]:
        if not having:
            return tuple(_ENTRY.decode_lines(text))
        shown = text.decode()
        pairs = zip(shown.split("\n"), shown.lower().split("\n"), strict=True)
        return tuple(_ENTRY.decode(line) for line, lowered in pairs if having in lowered)

    return unpacked(entity, decode)


def _place(entry: Entry) -> tuple[str, str]:
    return entry.group.lower(), entry.name.lower()
