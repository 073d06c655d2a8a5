"""The outbox in Azure Tables: notices a row per VM, and beside them what points to them.

Table ``notices`` holds notices alone, so that a page may walk them. Table ``outbox`` holds lanes,
what waits in each lane (a partition per lane), outcomes, and the due index (a partition of its
own, sorted by time): no timer ever walks the notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from shared.adapters.keys import digest, in_subscription, instant, safe
from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import Entity, Table, body_of
from shared.domain.digests import LANE, Entry, Lane
from shared.domain.ids import ArmId
from shared.domain.letters import ANNOUNCEMENT, Announcement
from shared.domain.notices import OPERATORS, Notice
from shared.outbox import Record
from shared.ports import Etag

DUE = "due"
_MICROSECOND = timedelta(microseconds=1)


class TableNoticeStore:
    """`outbox.NoticeStore` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._notices = stores.table(TableName.NOTICES)
        self._outbox = stores.table(TableName.OUTBOX)

    async def read(self, key: str) -> tuple[Record, Etag] | None:
        found = await self._table(key).get(*_address(key))
        return (_record(key, found), found.etag) if found else None

    async def write(self, record: Record, etag: Etag) -> Etag:
        table, address = self._table(record.key), _address(record.key)
        columns = {**body_of(record), **_plain(record)}
        if etag:
            return await table.replace(*address, columns, etag)
        return await table.insert(*address, columns)

    async def remove(self, key: str) -> None:
        await self._table(key).delete(*_address(key))

    async def notices(self, subscription: str = "") -> AsyncIterator[Sequence[Notice]]:
        async for page in self._notices.pages(subscription.lower()):
            yield [entity.record(Notice) for entity in page]

    async def put_entry(self, lane: str, entry: Entry) -> None:
        await self._outbox.put(lane, _entry_row(entry.key), body_of(entry))

    async def entries(self, lane: str, topic: str, limit: int) -> tuple[Entry, ...]:
        bounds = {"above": f"{safe(topic)}|", "below": f"{safe(topic)}}}"} if topic else {}
        found: list[Entry] = []
        async for page in self._outbox.pages(lane, **bounds, size=min(limit, 1000)):
            found += [entity.record(Entry) for entity in page]
            if len(found) >= limit:
                break
        return tuple(found[:limit])

    async def drop_entry(self, lane: str, entry: str) -> None:
        await self._outbox.delete(lane, _entry_row(entry))

    async def put_due(self, key: str, at: datetime) -> None:
        await self._outbox.put(DUE, _due_row(key, at), {"key": key, "at": instant(at)})

    async def due(self, now: datetime, limit: int) -> tuple[tuple[str, datetime], ...]:
        found: list[tuple[str, datetime]] = []
        async for page in self._outbox.pages(DUE, below=instant(now + _MICROSECOND), size=limit):
            found += [
                (entity.text("key"), datetime.fromisoformat(entity.text("at"))) for entity in page
            ]
            if len(found) >= limit:
                break
        return tuple(found[:limit])

    async def drop_due(self, key: str, at: datetime) -> None:
        await self._outbox.delete(DUE, _due_row(key, at))

    def _table(self, key: str) -> Table:
        return self._outbox if key.startswith((LANE, ANNOUNCEMENT)) else self._notices


def _address(key: str) -> tuple[str, str]:
    """Give PartitionKey and RowKey."""
    for prefix, partition in (
        (LANE, "lanes"),
        (ANNOUNCEMENT, "outcomes"),
        (OPERATORS, "operators"),
    ):
        if key.startswith(prefix):
            return partition, safe(key.removeprefix(prefix))
    vm = ArmId.parse(key)
    return vm.subscription.lower(), in_subscription(vm)


def _record(key: str, entity: Entity) -> Record:
    if key.startswith(LANE):
        return entity.record(Lane)
    if key.startswith(ANNOUNCEMENT):
        return entity.record(Announcement)
    return entity.record(Notice)


def _plain(record: Record) -> dict[str, str]:
    """Give what people see with Storage Explorer."""
    match record:
        case Notice():
            return {"state": record.state, "notice": record.id, "vm": record.vm}
        case Lane():
            return {"recipient": str(record.route[0])}
        case Announcement():
            return {"what": record.what, "vm": record.vm}
        case _:
            assert_never(record)


def _entry_row(key: str) -> str:
    topic, _, notice = key.partition("|")
    return f"{safe(topic)}|{digest(notice)}"


def _due_row(key: str, at: datetime) -> str:
    return f"{instant(at)}|{digest(key)}"
