"""The last good copy of the rules, kept in a table: instances come and go, a broken file stays.

A new instance that finds a broken file has no older one in memory; it goes on with this one. Rules
have at most 256 KB, which packed fit into one entity whatever they hold.
"""

from __future__ import annotations

import base64
import zlib
from datetime import datetime

import msgspec

from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import body_of
from shared.ports import Clock

_PARTITION, _ROW = "all", "rules-last-good"


class Kept(msgspec.Struct, frozen=True):
    """The text, packed, and since when."""

    packed: str
    at: datetime


class TableLastGood:
    """Answers `rules_source.LastGood`."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._table = stores.table(TableName.NOTES)
        self._clock = clock

    async def read(self) -> str:
        found = await self._table.get(_PARTITION, _ROW)
        if found is None:
            return ""
        try:
            return zlib.decompress(base64.b85decode(found.record(Kept).packed)).decode()
        except (zlib.error, ValueError):
            return ""  # written by somebody else; a good file replaces it

    async def write(self, text: str) -> None:
        packed = base64.b85encode(zlib.compress(text.encode())).decode()
        kept = Kept(packed=packed, at=self._clock.now())
        await self._table.put(_PARTITION, _ROW, body_of(kept))
