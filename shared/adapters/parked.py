"""Parked messages in Azure Tables: whatever nobody could use, whole, until somebody looks.

A message may have a million characters and an entity holds about half of that, so the text goes
into as many rows as it takes: the pieces first, in a partition named after the text's digest, then
the head that names them. A run killed in between leaves pieces without a head, never a head
without pieces, and a message parked anew under its key never mixes with its older text.

The text is JSON in ASCII. Anything that a Python string can hold survives in it, also what is no
valid Unicode, as garbage in queues may well be.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from shared.adapters.keys import digest, instant, safe
from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import Entity, columns_of
from shared.domain.records import Parked

HEADS = "head"  # PartitionKey of the rows that are listed
PIECE = 400_000  # characters in one row: 800 kB of UTF-16 in an entity of at most 1 MiB


class TableParkedMessages:
    """`ports.ParkedMessages` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._parked = stores.table(TableName.PARKED)

    async def park(self, parked: Parked) -> None:
        text = json.dumps(msgspec.to_builtins(parked))
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        if len(pieces) == 1:
            await self._parked.put(HEADS, safe(parked.key), columns_of(text))
            return
        name = digest(text)
        for number, piece in enumerate(pieces):
            await self._parked.put(name, f"{number:06d}", columns_of(piece))
        await self._parked.put(HEADS, safe(parked.key), {"pieces": name})

    async def read(self, key: str) -> Parked | None:
        found = await self._parked.get(HEADS, safe(key))
        return await self._whole(found) if found else None

    async def all(self) -> AsyncIterator[Sequence[Parked]]:
        async for page in self._parked.pages(HEADS):
            yield [await self._whole(head) for head in page]

    async def mark_replayed(self, key: str, at: datetime) -> None:
        """Note the time beside the message, whose text stays as it is.

        Raises:
            Conflict: there is no such message.

        """
        await self._parked.merge(HEADS, safe(key), {"replayed": instant(at)})

    async def _whole(self, head: Entity) -> Parked:
        text = head.body
        if pieces := head.text("pieces"):
            text = "".join([entity.body for entity in await self._parked.all(pieces)])
            if digest(text) != pieces:
                raise head.unreadable("some of its pieces are missing")
        try:
            parked = msgspec.convert(json.loads(text), Parked)
        except ValueError as error:  # of json, and the root of msgspec's
            raise head.unreadable(str(error)) from error
        if replayed := head.text("replayed"):
            return msgspec.structs.replace(parked, replayed_at=datetime.fromisoformat(replayed))
        return parked
