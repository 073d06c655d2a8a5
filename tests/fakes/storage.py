"""The storage ports in memory: same keys, same etags, same refusals as tables and queues.

Values are kept encoded, so that nothing shared or unserializable slips through a test. Every call
yields to the event loop once before it acts (as a request would) and is first told to `on_call`,
which a test may replace to kill a run at a chosen step: raise there and the call has not happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import msgspec

from shared.adapters.keys import anywhere, instant
from shared.domain.coverage import Entry, Summary
from shared.domain.ids import ArmId
from shared.domain.messages import Message, Newer, NoticeItem, SweepPage, WorkItem, decode, encode
from shared.domain.records import InFlight, Look, Parked, PersonDecision, Row, SweepMark
from shared.domain.sheets import JobSheet, Sheet, TrendSheet, VaultSheet
from shared.errors import Conflict
from shared.ports import NO_CEILING, Etag

PAGE = 100


def _pages[T](rows: Sequence[T]) -> list[Sequence[T]]:
    return [rows[start : start + PAGE] for start in range(0, len(rows), PAGE)]


@dataclass(kw_only=True)
class _Fake:
    """What every fake does at the start of a call."""

    calls: list[str] = field(default_factory=list)
    on_call: Callable[[str], None] = lambda _name: None

    async def _called(self, name: str) -> None:
        await asyncio.sleep(0)
        self.on_call(name)
        self.calls.append(name)


@dataclass(kw_only=True)
class FakeLedger(_Fake):
    """`shared.ports.Ledger` in dictionaries."""

    _rows: dict[str, tuple[bytes, Etag]] = field(default_factory=dict)
    _etags: count[int] = field(default_factory=lambda: count(1))
    _due: dict[tuple[str, datetime], ArmId] = field(default_factory=dict)
    _in_flight: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _looks: dict[str, bytes] = field(default_factory=dict)
    _places: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _changes: dict[tuple[str, str], int] = field(default_factory=dict)
    _sweeps: dict[str, bytes] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)
    _marks: dict[str, str] = field(default_factory=dict)

    def all_rows(self) -> tuple[Row, ...]:
        """Give every row, for assertions."""
        return tuple(
            msgspec.json.decode(body, type=Row) for _, (body, _) in sorted(self._rows.items())
        )

    def all_due(self) -> tuple[tuple[ArmId, datetime], ...]:
        """Give the due index, soonest first, for assertions."""
        entries = sorted(self._due.items(), key=lambda entry: (entry[0][1], entry[0][0]))
        return tuple((vm, at) for (_, at), vm in entries)

    async def read(self, vm: ArmId) -> tuple[Row, Etag] | None:
        await self._called("read")
        if anywhere(vm) not in self._rows:
            return None
        body, etag = self._rows[anywhere(vm)]
        return msgspec.json.decode(body, type=Row), etag

    async def insert(self, row: Row) -> Etag:
        await self._called("insert")
        key = anywhere(ArmId.parse(row.vm))
        if key in self._rows:
            raise Conflict(f"a row of {row.vm} exists")
        return self._write(key, row)

    async def replace(self, row: Row, etag: Etag) -> Etag:
        await self._called("replace")
        key = anywhere(ArmId.parse(row.vm))
        if key not in self._rows or self._rows[key][1] != etag:
            raise Conflict(f"the row of {row.vm} changed")
        return self._write(key, row)

    def _write(self, key: str, row: Row) -> Etag:
        etag = f'W/"{next(self._etags)}"'
        self._rows[key] = (msgspec.json.encode(row), etag)
        if row.claim is None:
            self._marks[ArmId.parse(row.vm).subscription.lower()] = etag
        return etag

    async def marks(self) -> Mapping[str, str]:
        await self._called("marks")
        return dict(self._marks)

    async def subscription_rows(
        self, subscription: str, *, after: str = "", through: str = ""
    ) -> AsyncIterator[Sequence[Row]]:
        await self._called("subscription_rows")
        prefix = f"{subscription.lower()}|"
        first, last = prefix + after, prefix + (through or "~")
        bodies = [body for key, (body, _) in sorted(self._rows.items()) if first < key <= last]
        for page in _pages(bodies):
            yield tuple(msgspec.json.decode(body, type=Row) for body in page)

    async def put_due(self, vm: ArmId, at: datetime) -> None:
        await self._called("put_due")
        self._due[anywhere(vm), at.astimezone(UTC)] = vm

    async def due(self, now: datetime, limit: int) -> tuple[tuple[ArmId, datetime], ...]:
        await self._called("due")
        return tuple((vm, at) for vm, at in self.all_due() if at <= now)[:limit]

    async def drop_due(self, vm: ArmId, at: datetime) -> None:
        await self._called("drop_due")
        self._due.pop((anywhere(vm), at.astimezone(UTC)), None)

    async def put_in_flight(self, entry: InFlight) -> None:
        await self._called("put_in_flight")
        partition = self._in_flight.setdefault(anywhere(ArmId.parse(entry.vault)), {})
        partition[anywhere(ArmId.parse(entry.vm))] = msgspec.json.encode(entry)

    async def in_flight(self, vault: ArmId) -> tuple[InFlight, ...]:
        await self._called("in_flight")
        partition = self._in_flight.get(anywhere(vault), {})
        return tuple(
            msgspec.json.decode(body, type=InFlight) for _, body in sorted(partition.items())
        )

    async def drop_in_flight(self, vault: ArmId, vm: ArmId, request_id: str) -> None:
        await self._called("drop_in_flight")
        partition = self._in_flight.get(anywhere(vault), {})
        body = partition.get(anywhere(vm))
        if body and msgspec.json.decode(body, type=InFlight).request_id == request_id:
            del partition[anywhere(vm)]

    async def looks(self) -> tuple[Look, ...]:
        await self._called("looks")
        return tuple(
            msgspec.json.decode(body, type=Look) for _, body in sorted(self._looks.items())
        )

    async def look(self, vault: ArmId) -> Look | None:
        await self._called("look")
        body = self._looks.get(anywhere(vault))
        return msgspec.json.decode(body, type=Look) if body else None

    async def put_look(self, look: Look) -> None:
        await self._called("put_look")
        self._looks[anywhere(ArmId.parse(look.vault))] = msgspec.json.encode(look)

    async def drop_look(self, vault: ArmId) -> None:
        await self._called("drop_look")
        self._looks.pop(anywhere(vault), None)

    async def take_place(self, vault: ArmId, day: str, vm: ArmId, cap: int) -> bool:
        await self._called("take_place")
        taken = self._places.setdefault((anywhere(vault), day), set())
        if anywhere(vm) not in taken and len(taken) >= cap:
            return False
        taken.add(anywhere(vm))
        return True

    async def give_place(self, vault: ArmId, day: str, vm: ArmId) -> None:
        await self._called("give_place")
        self._places.get((anywhere(vault), day), set()).discard(anywhere(vm))

    async def places(self, vault: ArmId, day: str) -> int:
        await self._called("places")
        return len(self._places.get((anywhere(vault), day), ()))

    async def count_change(
        self,
        subscription: str,
        at: datetime,
        *,
        per_hour: int = NO_CEILING,
        per_day: int = NO_CEILING,
    ) -> bool:
        await self._called("count_change")
        now, today = self._counted(subscription, at)
        if now >= per_hour or today >= per_day:
            return False
        hour = (subscription.lower(), f"{at.astimezone(UTC):%Y-%m-%dT%H}")
        self._changes[hour] = now + 1
        return True

    async def changes(self, subscription: str, at: datetime) -> tuple[int, int]:
        await self._called("changes")
        return self._counted(subscription, at)

    def _counted(self, subscription: str, at: datetime) -> tuple[int, int]:
        hour = f"{at.astimezone(UTC):%Y-%m-%dT%H}"
        day = {
            at_hour: changes
            for (of, at_hour), changes in self._changes.items()
            if of == subscription.lower() and at_hour[:10] == hour[:10]
        }
        return day.get(hour, 0), sum(day.values())

    async def put_sweep(self, mark: SweepMark) -> None:
        await self._called("put_sweep")
        self._sweeps[mark.subscription.lower()] = msgspec.json.encode(mark)

    async def sweeps(self) -> tuple[SweepMark, ...]:
        await self._called("sweeps")
        marks = sorted(self._sweeps.items())
        return tuple(msgspec.json.decode(body, type=SweepMark) for _, body in marks)

    async def note(self, name: str, value: str) -> None:
        await self._called("note")
        self._notes[name] = value

    async def noted(self, name: str) -> str:
        await self._called("noted")
        return self._notes.get(name, "")


@dataclass(kw_only=True)
class FakeCoverage(_Fake):
    """`shared.ports.Coverage` in dictionaries."""

    _summaries: dict[str, bytes] = field(default_factory=dict)
    _entries: dict[str, bytes] = field(default_factory=dict)
    _sheets: dict[str, bytes] = field(default_factory=dict)
    _generations: count[int] = field(default_factory=lambda: count(1))

    async def put(self, summary: Summary, entries: Sequence[Entry]) -> Summary:
        await self._called("put")
        subscription, generation = summary.subscription.lower(), f"g{next(self._generations)}"
        written = msgspec.structs.replace(summary, subscription=subscription, generation=generation)
        ordered = sorted(entries, key=lambda one: (one.group.lower(), one.name.lower()))
        if subscription in self._summaries:
            old = msgspec.json.decode(self._summaries[subscription], type=Summary)
            del self._entries[old.generation]
        self._entries[generation] = msgspec.json.encode(ordered)
        self._summaries[subscription] = msgspec.json.encode(written)
        return written

    async def summaries(self) -> tuple[Summary, ...]:
        await self._called("summaries")
        kept = sorted(self._summaries.items())
        return tuple(msgspec.json.decode(body, type=Summary) for _, body in kept)

    async def entries(self, summary: Summary, having: str = "") -> AsyncIterator[Sequence[Entry]]:
        await self._called("entries")
        if summary.rows and summary.generation not in self._entries:
            raise Conflict(f"{summary.subscription} was counted anew")
        body = self._entries.get(summary.generation, b"[]")
        for page in _pages(msgspec.json.decode(body, type=list[Entry])):
            yield tuple(one for one in page if having in msgspec.json.encode(one).decode().lower())

    async def put_sheet(self, sheet: Sheet) -> None:
        await self._called("put_sheet")
        self._sheets[type(sheet).__name__] = msgspec.json.encode(sheet)

    async def sheets(self) -> tuple[Sheet, ...]:
        await self._called("sheets")
        kinds = VaultSheet | JobSheet | TrendSheet
        return tuple(
            msgspec.json.decode(body, type=kinds) for _, body in sorted(self._sheets.items())
        )


@dataclass(kw_only=True)
class FakePeople(_Fake):
    """`shared.ports.People` in a dictionary; there is no way to change or remove a decision."""

    _decisions: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def of(self, vm: ArmId) -> tuple[PersonDecision, ...]:
        await self._called("of")
        kept = sorted(self._decisions.get(anywhere(vm), {}).items())
        return tuple(msgspec.json.decode(body, type=PersonDecision) for _, body in kept)

    async def append(self, decision: PersonDecision) -> str:
        await self._called("append")
        kept = self._decisions.setdefault(anywhere(ArmId.parse(decision.vm)), {})
        key = decision.key or f"{instant(decision.at)}-{len(kept):08x}"
        body = msgspec.json.encode(msgspec.structs.replace(decision, key=key))
        if kept.setdefault(key, body) != body:
            raise Conflict(f"decision {key} of {decision.vm} exists and says something else")
        return key

    async def all(self) -> AsyncIterator[Sequence[PersonDecision]]:
        await self._called("all")
        bodies = [
            body for _, kept in sorted(self._decisions.items()) for _, body in sorted(kept.items())
        ]
        for page in _pages(bodies):
            yield tuple(msgspec.json.decode(body, type=PersonDecision) for body in page)


@dataclass(kw_only=True)
class FakeParkedMessages(_Fake):
    """`shared.ports.ParkedMessages` in a dictionary."""

    _parked: dict[str, Parked] = field(default_factory=dict)

    async def park(self, parked: Parked) -> None:
        await self._called("park")
        self._parked[parked.key] = parked

    async def read(self, key: str) -> Parked | None:
        await self._called("read")
        return self._parked.get(key)

    async def all(self) -> AsyncIterator[Sequence[Parked]]:
        await self._called("all")
        for page in _pages([parked for _, parked in sorted(self._parked.items())]):
            yield tuple(page)

    async def mark_replayed(self, key: str, at: datetime) -> None:
        await self._called("mark_replayed")
        if key not in self._parked:
            raise Conflict(f"no parked message {key}")
        self._parked[key] = msgspec.structs.replace(self._parked[key], replayed_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message as it was sent."""

    queue: str
    message: Message | Newer
    delay: float


@dataclass(kw_only=True)
class FakeQueues(_Fake):
    """`shared.ports.Queues` in a list; a test takes messages out and hands them to a use case."""

    sent: list[Sent] = field(default_factory=list)

    async def send(
        self, message: Message | Newer, *, delay: float = 0.0, backlog: bool = False
    ) -> None:
        await self._called("send")
        match message:
            case WorkItem():
                queue = "enrollments-backlog" if backlog else "enrollments"
            case SweepPage():
                queue = "sweeps"
            case NoticeItem():
                queue = "notices"
            case Newer():
                self.sent.append(Sent(queue=message.queue, message=message, delay=delay))
                return
        self.sent.append(Sent(queue=queue, message=decode(encode(message)), delay=delay))

    async def depth(self, queue: str) -> int:
        await self._called("depth")
        return sum(sent.queue == queue for sent in self.sent)

    def take(self, *queues: str) -> tuple[Sent, ...]:
        """Take out everything in these queues (all of them, if none is named), in order."""
        taken = tuple(sent for sent in self.sent if not queues or sent.queue in queues)
        self.sent = [sent for sent in self.sent if queues and sent.queue not in queues]
        return taken
