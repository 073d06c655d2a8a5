"""The outbox's ports in memory: rows with etags, and channels that keep what they accepted.

Every call first tells `on_call` its name; a test may raise there to kill a run at that step: the
call has not happened then. A channel can also die *after* it accepted (`FakeChannel.die_after`),
which is the one moment nobody can make safe.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import msgspec

from shared.domain.digests import Entry, Lane
from shared.domain.letters import Announcement, Letter
from shared.domain.notices import Notice
from shared.errors import AzureFault, Conflict, Disposition
from shared.outbox import NO_ANSWER, Receipt, Record
from shared.ports import Etag

_DECODER = msgspec.json.Decoder(Notice | Lane | Announcement)


class Killed(BaseException):
    """The process ends here. Not an `Exception`: nothing may catch it on its way."""


@dataclass(kw_only=True)
class FakeNoticeStore:
    """`shared.outbox.NoticeStore` in dictionaries; values are kept encoded."""

    on_call: Callable[[str], None] = lambda _name: None
    rows: dict[str, tuple[bytes, Etag]] = field(default_factory=dict)
    lanes: dict[str, dict[str, Entry]] = field(default_factory=dict)
    index: dict[tuple[datetime, str], None] = field(default_factory=dict)
    _etags: count[int] = field(default_factory=lambda: count(1))

    async def _called(self, name: str) -> None:
        await asyncio.sleep(0)
        self.on_call(name)

    async def read(self, key: str) -> tuple[Record, Etag] | None:
        await self._called("read")
        found = self.rows.get(key)
        return (_DECODER.decode(found[0]), found[1]) if found else None

    async def write(self, record: Record, etag: Etag) -> Etag:
        await self._called("write")
        present = self.rows.get(record.key)
        if (present[1] if present else "") != etag:
            raise Conflict(f"{record.key} changed")
        new = f'W/"{next(self._etags)}"'
        self.rows[record.key] = (msgspec.json.encode(record), new)
        return new

    async def remove(self, key: str) -> None:
        await self._called("remove")
        self.rows.pop(key, None)

    async def notices(self, subscription: str = "") -> AsyncIterator[Sequence[Notice]]:
        await self._called("notices")
        yield [n for n in self.all() if isinstance(n, Notice) and subscription.lower() in n.key]

    async def put_entry(self, lane: str, entry: Entry) -> None:
        await self._called("put_entry")
        self.lanes.setdefault(lane, {})[entry.key] = entry

    async def entries(self, lane: str, topic: str, limit: int) -> tuple[Entry, ...]:
        await self._called("entries")
        waiting = self.lanes.get(lane, {})
        return tuple(waiting[key] for key in sorted(waiting) if topic in ("", waiting[key].topic))[
            :limit
        ]

    async def drop_entry(self, lane: str, entry: str) -> None:
        await self._called("drop_entry")
        self.lanes.get(lane, {}).pop(entry, None)

    async def put_due(self, key: str, at: datetime) -> None:
        await self._called("put_due")
        self.index[at.astimezone(UTC), key] = None

    async def due(self, now: datetime, limit: int) -> tuple[tuple[str, datetime], ...]:
        await self._called("due")
        found = sorted(entry for entry in self.index if entry[0] <= now)
        return tuple((key, at) for at, key in found)[:limit]

    async def drop_due(self, key: str, at: datetime) -> None:
        await self._called("drop_due")
        self.index.pop((at.astimezone(UTC), key), None)

    def all(self) -> list[Record]:
        """Give every row, for assertions."""
        return [_DECODER.decode(body) for _, (body, _) in sorted(self.rows.items())]

    def notice(self, key: str) -> Notice:
        """Give one notice, for assertions."""
        row = _DECODER.decode(self.rows[key][0])
        assert isinstance(row, Notice)
        return row


def fault(
    status: int,
    *,
    code: str = "",
    retry_after: float | None = None,
    permanent: bool = False,
) -> AzureFault:
    """Make a failure as a channel raises it."""
    return AzureFault(
        "channel",
        status=status,
        code=code or f"HTTP{status}",
        message="ordered by the test",
        disposition=Disposition.PARK if permanent else Disposition.DEFER,
        retry_after=retry_after,
    )


@dataclass(kw_only=True)
class FakeChannel:
    """A far end. It never de-duplicates, except by key if it is ``keyed``."""

    keyed: bool = False
    got: list[Letter] = field(default_factory=list)
    asked: int = 0
    faults: list[AzureFault | None] = field(default_factory=list)  # None: take this one
    broken: AzureFault | None = None  # every time
    die_before: int = 0  # kill the run at so many calls, before the far end sees the letter
    die_after: int = 0  # ... after it accepted it
    lose: int = 0  # accept, and let the answer get lost, so many times
    keys: set[str] = field(default_factory=set)

    async def send(self, letter: Letter) -> Receipt:
        await asyncio.sleep(0)
        self.asked += 1
        if self.die_before:
            self.die_before -= 1
            raise Killed("before the far end saw the letter")
        ordered = self.faults.pop(0) if self.faults else self.broken
        if ordered is not None:
            raise ordered
        if not self.keyed or letter.key not in self.keys:
            self.got.append(letter)
            self.keys.add(letter.key)
        if self.die_after:
            self.die_after -= 1
            raise Killed("after the far end accepted the letter")
        if self.lose:
            self.lose -= 1
            raise fault(0, code=NO_ANSWER)
        return Receipt(reference=f"receipt-{len(self.got)}")

    def copies(self) -> Counter[str]:
        """Count how often each letter arrived at each address."""
        return Counter(f"{letter.id} {letter.to.address}" for letter in self.got)
