"""The outbox's rows and how they change: by etag, never without a due row that finds them again.

Ports of the notices are declared here; `adapters/notice_store.py` and the channels answer them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.deliveries import Delivery, Outcome
from shared.domain.digests import Entry, Lane
from shared.domain.letters import Announcement, Letter
from shared.domain.messages import NoticeItem
from shared.domain.notices import Notice
from shared.errors import AzureFault, Conflict, Disposition
from shared.ports import Etag, Queues

type Record = Notice | Lane | Announcement

NO_ANSWER = "NoAnswer"  # code of a fault after which nobody knows whether the message was taken
TRIES = 20  # of one change; somebody else wins each round
SOON = timedelta(minutes=15)  # DESIGN §3.4: up to here a wait is a message, beyond it a row


class NoticeStore(Protocol):
    """Rows of the outbox. Keys are texts; every write names the etag it read, or "" to insert."""

    async def read(self, key: str) -> tuple[Record, Etag] | None: ...
    async def write(self, record: Record, etag: Etag) -> Etag:
        """Raises `Conflict` if the row changed, vanished or, with "", exists."""

    async def remove(self, key: str) -> None: ...
    def notices(self, subscription: str = "") -> AsyncIterator[Sequence[Notice]]:
        """Walk notices of one subscription, or all with ""; for pages, exports and operators."""
        ...

    # what waits in a lane, found by topic
    async def put_entry(self, lane: str, entry: Entry) -> None: ...
    async def entries(self, lane: str, topic: str, limit: int) -> tuple[Entry, ...]:
        """Give entries of one topic, or of all with "", always in the same order."""

    async def drop_entry(self, lane: str, entry: str) -> None: ...

    # the due index, a partition of its own
    async def put_due(self, key: str, at: datetime) -> None: ...
    async def due(self, now: datetime, limit: int) -> tuple[tuple[str, datetime], ...]: ...
    async def drop_due(self, key: str, at: datetime) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A channel accepted a letter. ``reference`` is its own id of it, "" if it gives none."""

    reference: str = ""
    remarks: tuple[str, ...] = ()  # what was left out or fell back, in words


class Channel(Protocol):
    """One way to reach somebody. Faults: DEFER asks for another try, PARK says never here.

    A fault with code `NO_ANSWER` says that the message may have been taken.
    """

    @property
    def keyed(self) -> bool:
        """Tell whether a repeat with the same key is recognised at the far end."""

    async def send(self, letter: Letter) -> Receipt: ...


class Outbox:
    """Reads and changes rows for the use cases of notices."""

    def __init__(self, store: NoticeStore, queues: Queues) -> None:
        self.store = store
        self._queues = queues

    async def read[T: (Notice, Lane, Announcement)](self, kind: type[T], key: str) -> T | None:
        found = await self.store.read(key)
        return found[0] if found and isinstance(found[0], kind) else None

    async def change[T: (Notice, Lane, Announcement)](
        self, kind: type[T], key: str, step: Callable[[T | None], T | None], now: datetime
    ) -> T | None:
        """Apply a pure step to a row until the write holds; give the row as written.

        ``step`` gives the next row, its ``due_at`` set, or None (or what it got) for no change.

        Raises:
            AzureFault: ``Contention``, DEFER; others were faster too many times.

        """
        for _ in range(TRIES):
            found = await self.store.read(key)
            old, etag = found or (None, "")
            if old is not None and not isinstance(old, kind):
                return None
            new = step(old)
            if new is None or new == old:
                return old
            try:
                return await self._write(old, new, etag, now)
            except Conflict:
                continue
        raise AzureFault(
            "notices.change",
            status=0,
            code="Contention",
            message=f"{key} changed {TRIES} times while we tried to change it",
            disposition=Disposition.DEFER,
        )

    async def _write[T: (Notice, Lane, Announcement)](
        self, old: T | None, new: T, etag: Etag, now: datetime
    ) -> T:
        """Write pointers first, the row then, and clean up last: a crash leaves extra pointers."""
        if isinstance(new, Notice):
            before = {d.id for d in old.deliveries} if isinstance(old, Notice) else set[str]()
            for d in new.deliveries:
                if d.id not in before:
                    await self.store.put_entry(d.lane, entry_of(new, d, now))
        was = old.due_at if old is not None else None
        if new.due_at is not None and new.due_at != was:
            await self.store.put_due(new.key, new.due_at)
        await self.store.write(new, etag)
        if isinstance(new, Notice) and isinstance(old, Notice):
            await self._drop_entries(old, new)
        if was is not None and was != new.due_at:
            await self.store.drop_due(new.key, was)
        fresh = new.due_at is not None and new.due_at != was and new.due_at not in _leases(new)
        if fresh and new.due_at is not None and new.due_at - now <= SOON:
            await self.enqueue(new.key, new.due_at, now, new.trace)
        return new

    async def enqueue(self, key: str, at: datetime, now: datetime, trace: str) -> None:
        """Wake somebody up for a row; the due row stands behind this message."""
        delay = max(0.0, (at - now).total_seconds())
        await self._queues.send(NoticeItem(notice=key, trace=trace), delay=delay)

    async def _drop_entries(self, old: Notice, new: Notice) -> None:
        """Take withdrawn deliveries out of their lanes (what is left there is found stale)."""
        kept = {(d.lane, d.topic) for d in new.deliveries if not d.settled}
        for d in old.deliveries:
            if not d.settled and (d.lane, d.topic) not in kept:
                await self.store.drop_entry(d.lane, entry_key(new.key, d))


def _leases(record: Record) -> set[datetime | None]:
    """Give when attempts under way count as lost: for the tick alone, nobody need wake up."""
    match record:
        case Notice():
            standing = record.deliveries
        case Lane():
            standing = (record.delivery,) if record.delivery else ()
        case Announcement():
            standing = (record.delivery,)
    return {d.due_at for d in standing if d.began}


def entry_of(notice: Notice, delivery: Delivery, now: datetime) -> Entry:
    """Make the entry by which a delivery waits in its lane."""
    return Entry(topic=delivery.topic, notice=notice.key, delivery=delivery.id, at=now)


def entry_key(notice: str, delivery: Delivery) -> str:
    return f"{delivery.topic}|{notice}"


def waits_in_lane(notice: Notice | None, entry: Entry) -> Delivery | None:
    """Give the delivery that an entry stands for, if it still waits to be told."""
    for delivery in notice.deliveries if notice else ():
        if delivery.id == entry.delivery and delivery.outcome is Outcome.GATHERED:
            return delivery
    return None
