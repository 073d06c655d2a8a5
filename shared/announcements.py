"""Outcomes for machines: one event each on the Event Grid topic, through the same outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from shared.domain import deliveries
from shared.domain.deliveries import Delivery, Kind, Outcome, Target
from shared.domain.ids import ArmId
from shared.domain.letters import ANNOUNCEMENT, Announcement, Happened, Letter
from shared.outbox import Outbox
from shared.postman import Postman

TOPIC = "topic"


class Announcements:
    """Rows that exist until the topic took them. Their ids make repeats recognisable."""

    def __init__(self, outbox: Outbox, postman: Postman) -> None:
        self._outbox = outbox
        self._postman = postman

    async def put(
        self,
        what: Happened,
        vm: ArmId,
        now: datetime,
        trace: str,
        details: Mapping[str, str],
        episode: str = "",
    ) -> None:
        if TOPIC not in self._postman.channels:
            return
        text = f"{vm.key}|{what}|{episode or now.isoformat()}"
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        delivery = Delivery(id=name, kind=Kind.OUTCOME, route=(Target(TOPIC, ""),), next_at=now)
        fresh = Announcement(
            key=ANNOUNCEMENT + name,
            what=what,
            vm=str(vm),
            at=now,
            delivery=delivery,
            details=dict(details),
            due_at=now,
            trace=trace,
        )
        await self._outbox.change(Announcement, fresh.key, lambda old: old or fresh, now)

    async def deliver(self, key: str) -> None:
        """Send one outcome; a told one leaves no row, a parked one stays and is seen."""
        now = self._postman.clock.now()
        row = await self._outbox.read(Announcement, key)
        if row is None or row.delivery.due_at is None or row.delivery.due_at > now:
            return
        seen = row.delivery
        if seen.began is not None:
            seen = self._postman.overdue(seen, now)
            if seen.outcome is not Outcome.PENDING:
                await self._write(row, seen, now)
                return
        begun = deliveries.begun(seen, now)
        held = await self._write(row, begun, now)
        if held is None:
            return
        post = Letter(
            id=seen.id,
            key=seen.id,
            kind=seen.kind,
            to=seen.target,
            at=now,
            announcement=row,
            trace=row.trace,
        )
        settled, _ = await self._postman.send(post, begun)
        if settled.outcome is Outcome.SENT:
            await self._outbox.store.remove(key)
            if held.due_at is not None:
                await self._outbox.store.drop_due(key, held.due_at)
            return
        await self._write(held, settled, self._postman.clock.now())

    async def replay(self, key: str, now: datetime) -> None:
        """Try a parked outcome again. Its id stays: it is the same outcome."""
        row = await self._outbox.read(Announcement, key)
        if row is not None and row.delivery.outcome is Outcome.PARKED:
            again = replace(deliveries.replayed(row.delivery, now), id=row.delivery.id)
            await self._write(row, again, now)

    async def _write(
        self, seen: Announcement, delivery: Delivery, now: datetime
    ) -> Announcement | None:
        """Write if the row still says what was seen; None if somebody else took it."""
        held = False

        def step(old: Announcement | None) -> Announcement | None:
            nonlocal held
            held = old is not None and old.delivery == seen.delivery
            return replace(old, delivery=delivery, due_at=delivery.due_at) if old and held else None

        row = await self._outbox.change(Announcement, seen.key, step, now)
        return row if held else None
