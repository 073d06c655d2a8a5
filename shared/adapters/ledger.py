"""The ledger in Azure Tables: what we know of each VM, and the small indexes around it.

Every question has a table of its own (`stores.TableName`), so that no timer and no screen ever
scans the ledger: what is due is a range of keys in each of a few slices, what is in flight is one
vault's partition, places and changes are one row per day. Called by the use cases only, through
`ports.Ledger`. All of it is a projection: lose it, run a sweep.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from heapq import nsmallest

import msgspec

from shared.adapters.keys import anywhere, digest, in_subscription, instant, safe
from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import Entity, Table, Together, body_of
from shared.domain.ids import ArmId
from shared.domain.records import InFlight, Look, Row, SweepMark
from shared.errors import AzureFault, BadArmId, Conflict
from shared.ports import NO_CEILING, Etag

SLICES = 8  # of the due index; a tick asks each of them once
ONE = "all"  # PartitionKey of tables that are small by nature
_COUNTERS_KEPT = timedelta(
    days=7
)  # for whoever looks at storage; nothing asks for a day before today's
MARKS = "marks"  # PartitionKey of the change marks, in the coverage table


class Places(msgspec.Struct, frozen=True):
    """Digests of the VMs that have a place in one vault on one UTC day."""

    vms: tuple[str, ...] = ()


class Changes(msgspec.Struct, frozen=True):
    """Changes of one subscription on one UTC day, by hour."""

    hours: dict[str, int] = {}


class Note(msgspec.Struct, frozen=True):
    """A named fact."""

    value: str


class TableLedger:
    """`ports.Ledger` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._rows = stores.table(TableName.LEDGER)
        self._due = stores.table(TableName.DUE)
        self._in_flight = stores.table(TableName.IN_FLIGHT)
        self._looks = stores.table(TableName.LOOKS)
        self._places = stores.table(TableName.PLACES)
        self._changes = stores.table(TableName.CHANGES)
        self._sweeps = stores.table(TableName.SWEEPS)
        self._notes = stores.table(TableName.NOTES)
        self._coverage = stores.table(TableName.COVERAGE)
        self._marking: dict[str, Together[None]] = {}

    async def read(self, vm: ArmId) -> tuple[Row, Etag] | None:
        found = await self._rows.get(vm.subscription.lower(), in_subscription(vm))
        return (found.record(Row), found.etag) if found else None

    async def insert(self, row: Row) -> Etag:
        vm = ArmId.parse(row.vm)
        etag = await self._rows.insert(
            vm.subscription.lower(), in_subscription(vm), _row_columns(row)
        )
        await self._mark(row, vm)
        return etag

    async def replace(self, row: Row, etag: Etag) -> Etag:
        vm = ArmId.parse(row.vm)
        written = await self._rows.replace(
            vm.subscription.lower(), in_subscription(vm), _row_columns(row), etag
        )
        await self._mark(row, vm)
        return written

    async def subscription_rows(
        self, subscription: str, *, after: str = "", through: str = ""
    ) -> AsyncIterator[Sequence[Row]]:
        below = f"{through} " if through else ""  # no character of a name comes before the blank
        async for page in self._rows.pages(subscription.lower(), above=after, below=below):
            yield tuple(entity.record(Row) for entity in page)

    async def marks(self) -> Mapping[str, str]:
        return {entity.row: entity.etag for entity in await self._coverage.all(MARKS)}

    async def _mark(self, row: Row, vm: ArmId) -> None:
        """Say that the subscription must be counted anew; the mark's own etag is what changes.

        The row is written already, so a mark that fails is let go: the next sweep counts anyway.
        """
        if row.claim is not None:
            return
        subscription = vm.subscription.lower()

        async def write(_: Sequence[None]) -> None:
            await self._coverage.put(MARKS, subscription, {})

        with suppress(AzureFault):
            await self._marking.setdefault(subscription, Together()).write(None, write)

    # --- long waits --------------------------------------------------------------------------

    async def put_due(self, vm: ArmId, at: datetime) -> None:
        columns = {"vm": str(vm), "at": instant(at)}
        await self._due.put(_slice(vm), f"{instant(at)}|{anywhere(vm)}", columns)

    async def due(self, now: datetime, limit: int) -> tuple[tuple[ArmId, datetime], ...]:
        """Ask every slice for its first rows; soonest first, whatever their slice."""
        below = instant(now) + "}"  # the character after the | that ends the time in a key
        try:
            async with asyncio.TaskGroup() as group:
                slices = [
                    group.create_task(self._first_due(str(number), below, limit))
                    for number in range(SLICES)
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        found = [entity for task in slices for entity in task.result()]
        return tuple(
            (_vm(entity), datetime.fromisoformat(entity.text("at")))
            for entity in nsmallest(limit, found, key=lambda entity: entity.row)
        )

    async def _first_due(self, partition: str, below: str, limit: int) -> Sequence[Entity]:
        first: list[Entity] = []
        async for page in self._due.pages(partition, below=below, size=min(limit, 1000)):
            first.extend(page)
            if len(first) >= limit:
                break
        return first[:limit]

    async def drop_due(self, vm: ArmId, at: datetime) -> None:
        await self._due.delete(_slice(vm), f"{instant(at)}|{anywhere(vm)}")

    # --- in flight ---------------------------------------------------------------------------

    async def put_in_flight(self, entry: InFlight) -> None:
        vault, vm = ArmId.parse(entry.vault), ArmId.parse(entry.vm)
        columns = {"request": entry.request_id, **body_of(entry)}
        await self._in_flight.put(anywhere(vault), anywhere(vm), columns)

    async def in_flight(self, vault: ArmId) -> tuple[InFlight, ...]:
        found = await self._in_flight.all(anywhere(vault))
        return tuple(entity.record(InFlight) for entity in found)

    async def drop_in_flight(self, vault: ArmId, vm: ArmId, request_id: str) -> None:
        found = await self._in_flight.get(anywhere(vault), anywhere(vm))
        if found and found.text("request") == request_id:
            with suppress(Conflict):  # replaced since: no longer the one of this request
                await self._in_flight.delete(anywhere(vault), anywhere(vm), found.etag)

    async def looks(self) -> tuple[Look, ...]:
        return tuple(entity.record(Look) for entity in await self._looks.all(ONE))

    async def look(self, vault: ArmId) -> Look | None:
        found = await self._looks.get(ONE, anywhere(vault))
        return found.record(Look) if found else None

    async def put_look(self, look: Look) -> None:
        await self._looks.put(ONE, anywhere(ArmId.parse(look.vault)), body_of(look))

    async def drop_look(self, vault: ArmId) -> None:
        await self._looks.delete(ONE, anywhere(vault))

    # --- ceilings ----------------------------------------------------------------------------
    # One row each, changed by compare-and-swap: whoever takes a place has seen all that are taken,
    # so two takers of the last one cannot both get it, and asking costs one point read.

    async def take_place(self, vault: ArmId, day: str, vm: ArmId, cap: int) -> bool:
        name = digest(vm.key)

        def take(taken: Places) -> Places:
            if name in taken.vms or len(taken.vms) >= cap:
                return taken
            return Places((*taken.vms, name))

        taken = (await self._amend_places(vault, day, take)).vms
        if taken == (name,):
            await _forget_before(self._places, anywhere(vault), day)
        return name in taken

    async def give_place(self, vault: ArmId, day: str, vm: ArmId) -> None:
        name = digest(vm.key)

        def give(taken: Places) -> Places:
            if name not in taken.vms:
                return taken
            return Places(tuple(other for other in taken.vms if other != name))

        await self._amend_places(vault, day, give)

    async def _amend_places(
        self, vault: ArmId, day: str, change: Callable[[Places], Places]
    ) -> Places:
        return await self._places.amend(anywhere(vault), safe(day), Places, change)

    async def places(self, vault: ArmId, day: str) -> int:
        found = await self._places.get(anywhere(vault), safe(day))
        return len(found.record(Places).vms) if found else 0

    async def count_change(
        self,
        subscription: str,
        at: datetime,
        *,
        per_hour: int = NO_CEILING,
        per_day: int = NO_CEILING,
    ) -> bool:
        """Add one below the ceilings. An answer lost on its way may make it two: the safe side."""
        hour, day = f"{at.astimezone(UTC):%H}", f"{at.astimezone(UTC):%Y-%m-%d}"
        allowed = False

        def add(changes: Changes) -> Changes:
            nonlocal allowed
            now, today = changes.hours.get(hour, 0), sum(changes.hours.values())
            allowed = now < per_hour and today < per_day
            return Changes({**changes.hours, hour: now + 1}) if allowed else changes

        counted = await self._amend_changes(subscription, day, add)
        if sum(counted.hours.values()) == 1:
            await _forget_before(self._changes, subscription.lower(), day)
        return allowed

    async def _amend_changes(
        self, subscription: str, day: str, change: Callable[[Changes], Changes]
    ) -> Changes:
        return await self._changes.amend(subscription.lower(), day, Changes, change)

    async def changes(self, subscription: str, at: datetime) -> tuple[int, int]:
        hour, day = f"{at.astimezone(UTC):%H}", f"{at.astimezone(UTC):%Y-%m-%d}"
        counted = await self._read_changes(subscription, day)
        return counted.hours.get(hour, 0), sum(counted.hours.values())

    async def _read_changes(self, subscription: str, day: str) -> Changes:
        found = await self._changes.get(subscription.lower(), day)
        return found.record(Changes) if found else Changes()

    # --- the service itself ------------------------------------------------------------------

    async def put_sweep(self, mark: SweepMark) -> None:
        await self._sweeps.put(ONE, mark.subscription.lower(), body_of(mark))

    async def sweeps(self) -> tuple[SweepMark, ...]:
        return tuple(entity.record(SweepMark) for entity in await self._sweeps.all(ONE))

    async def note(self, name: str, value: str) -> None:
        await self._notes.put(ONE, safe(name), {"name": name, **body_of(Note(value))})

    async def noted(self, name: str) -> str:
        found = await self._notes.get(ONE, safe(name))
        return found.record(Note).value if found else ""


async def _forget_before(table: Table, partition: str, day: str) -> None:
    """Delete the counters of days long past: called with the first count of a day."""
    oldest = date.fromisoformat(day) - _COUNTERS_KEPT
    async for page in table.pages(partition, below=oldest.isoformat()):
        for entity in page:
            await table.delete(partition, entity.row)


def _row_columns(row: Row) -> dict[str, str]:
    until = {"until": instant(row.until)} if row.until else {}
    return {"state": row.state, **until, **body_of(row)}


def _slice(vm: ArmId) -> str:
    return str(zlib.crc32(vm.key.encode("utf-8", "surrogatepass")) % SLICES)


def _vm(entity: Entity) -> ArmId:
    try:
        return ArmId.parse(entity.text("vm"))
    except BadArmId as error:
        raise entity.unreadable(str(error)) from error
