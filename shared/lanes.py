"""Lanes at work: who may leave singly, who is gathered, and the digest that tells the gathered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from shared.domain import deliveries, digests, tellings
from shared.domain.deliveries import Delivery, Outcome
from shared.domain.digests import Crowding, Entry, Lane
from shared.domain.letters import Links, letter, story
from shared.domain.notices import Cadence, Notice
from shared.outbox import Outbox, entry_key, entry_of, waits_in_lane
from shared.postman import Postman

ABREAST = 16  # rows read or written at once while a digest is made


class Lanes:
    """Decides between single messages and digests, and sends the digests."""

    def __init__(
        self, outbox: Outbox, postman: Postman, links: Links, limits: Crowding, cadence: Cadence
    ) -> None:
        self._outbox = outbox
        self._postman = postman
        self._links = links
        self._limits = limits
        self._cadence = cadence

    async def may_leave(self, notice: Notice, delivery: Delivery, now: datetime) -> bool:
        """Count a single message in its lane, or gather it for the digest and say no."""
        few = self._limits.few + 1
        waiting = len(await self._outbox.store.entries(delivery.lane, delivery.topic, few))
        leaves = True

        def step(lane: Lane | None) -> Lane:
            nonlocal leaves
            known = lane or digests.opened(delivery.route, now, notice.language)
            leaves = not digests.crowded(
                known, delivery.topic, max(waiting, 1), now=now, limits=self._limits
            )
            if leaves:
                after = digests.counted(known, delivery.topic, now=now, limits=self._limits)
            else:
                after = digests.gathering(known, now=now, limits=self._limits)
            if after is lane:  # a crowd that waits for its digest writes nothing, so never collides
                return lane
            return _with_due(replace(after, trace=notice.trace))

        await self._outbox.change(Lane, delivery.lane, step, now)
        if leaves:
            await self._outbox.store.drop_entry(delivery.lane, entry_key(notice.key, delivery))
        return leaves

    async def gather(
        self, notice: Notice, delivery: Delivery, now: datetime, *, wait: float = 0.0
    ) -> None:
        """Put a delivery (back) into its lane and see to it that a digest leaves."""
        await self._outbox.store.put_entry(delivery.lane, entry_of(notice, delivery, now))

        def step(lane: Lane | None) -> Lane:
            lane = lane or digests.opened(delivery.route, now, notice.language)
            return _with_due(digests.gathering(lane, now=now, limits=self._limits, wait=wait))

        await self._outbox.change(Lane, delivery.lane, step, now)

    async def busy(self, delivery: Delivery) -> bool:
        """Tell whether so many wait in this lane that a throttled channel had better get a digest."""
        few = self._limits.few
        return len(await self._outbox.store.entries(delivery.lane, "", few)) >= few

    async def leaving(self, notice: Notice) -> bool:
        """Tell whether a digest that names this VM is on its way at this moment."""
        for delivery in notice.deliveries:
            if delivery.outcome is Outcome.GATHERED:
                lane = await self._outbox.read(Lane, delivery.lane)
                digest = lane.delivery if lane and delivery.id in lane.members else None
                if digest and (digest.began or digest.uncertain or digest.settled):
                    return True
        return False

    async def flush(self, key: str) -> None:
        """Carry a lane's digest one step further: cut, send, tell its members."""
        now = self._postman.clock.now()
        lane = await self._outbox.change(Lane, key, lambda old: self._cut(old, now), now)
        delivery = lane.delivery if lane else None
        if lane is None or delivery is None:
            return
        if delivery.due_at is not None and delivery.due_at > now:
            return
        members = await self._members(lane)
        if delivery.outcome is Outcome.PENDING and members:
            lane = await self._send(lane, members, now)
            delivery = lane.delivery if lane else None
        if lane is None or delivery is None or (members and not delivery.settled):
            return
        await self._tell_members(lane, delivery, members)
        await self._close(lane, delivery, {entry.topic for entry, _ in members})

    def _cut(self, lane: Lane | None, now: datetime) -> Lane | None:
        if lane is None:
            return None
        if lane.delivery is not None:
            delivery = lane.delivery
            if delivery.began and delivery.due_at and delivery.due_at <= now:
                return _with_due(replace(lane, delivery=self._postman.overdue(delivery, now)))
            return lane
        if lane.flush_at is None or lane.flush_at > now:
            return lane
        return _with_due(digests.cut(lane, now))

    async def _members(self, lane: Lane) -> list[tuple[Entry, Notice]]:
        """Read who belongs to the digest; entries that stand for nothing are dropped."""
        entries = await self._outbox.store.entries(lane.key, "", self._limits.most)
        named = set(lane.members)
        mine = [entry for entry in entries if not named or entry.delivery in named]
        gate = asyncio.Semaphore(ABREAST)

        async def look(entry: Entry) -> tuple[Entry, Notice] | None:
            async with gate:
                notice = await self._outbox.read(Notice, entry.notice)
                if notice is not None and waits_in_lane(notice, entry):
                    return entry, notice
                standing = notice.deliveries if notice else ()
                if not any(d.id == entry.delivery and not d.settled for d in standing):
                    await self._outbox.store.drop_entry(lane.key, entry.key)
                return None

        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(look(entry)) for entry in mine]
        return [found for task in looks if (found := task.result()) is not None]

    async def _send(
        self, lane: Lane, members: list[tuple[Entry, Notice]], now: datetime
    ) -> Lane | None:
        """Begin, send, settle; None if another instance took the digest."""
        digest = lane.delivery
        assert digest is not None, "only called with one"
        mine = False

        def begin(old: Lane | None) -> Lane | None:
            nonlocal mine
            mine = old is not None and old.delivery == digest
            if old is None or not mine:
                return None
            ids = tuple(entry.delivery for entry, _ in members)
            return _with_due(replace(old, delivery=deliveries.begun(digest, now), members=ids))

        await self._outbox.change(Lane, lane.key, begin, now)
        if not mine:
            return None
        kinds = {d.id: d.kind for _, notice in members for d in notice.deliveries}
        stories = tuple(
            story(notice, kinds[entry.delivery], self._links) for entry, notice in members
        )
        post = letter(digest, stories, language=lane.language, now=now, trace=lane.trace)
        settled, _ = await self._postman.send(post, digest)

        def end(old: Lane | None) -> Lane | None:
            if old is None or old.delivery is None or old.delivery.id != digest.id:
                return None
            return _with_due(replace(old, delivery=settled))

        return await self._outbox.change(Lane, lane.key, end, self._postman.clock.now())

    async def _tell_members(
        self, lane: Lane, digest: Delivery, members: list[tuple[Entry, Notice]]
    ) -> None:
        """Let every member's delivery end as its digest did, then drop its entry."""
        gate = asyncio.Semaphore(ABREAST)
        now = self._postman.clock.now()

        async def tell(entry: Entry) -> None:
            async with gate:
                await self._outbox.change(Notice, entry.notice, self._as(digest, entry, now), now)
                await self._outbox.store.drop_entry(lane.key, entry.key)

        async with asyncio.TaskGroup() as group:
            for entry, _ in members:
                group.create_task(tell(entry))

    def _as(
        self, digest: Delivery, entry: Entry, now: datetime
    ) -> Callable[[Notice | None], Notice | None]:
        def step(notice: Notice | None) -> Notice | None:
            delivery = waits_in_lane(notice, entry)
            if notice is None or delivery is None:
                return notice
            ended = replace(
                delivery,
                outcome=digest.outcome,
                at=digest.at,
                sent_at=digest.sent_at,
                receipt=digest.id,
                error=digest.error,
            )
            after = tellings.with_delivery(notice, ended, now)
            return replace(after, due_at=tellings.due(after, self._cadence))

        return step

    async def _close(self, lane: Lane, digest: Delivery, topics: set[str]) -> None:
        more = bool(await self._outbox.store.entries(lane.key, "", 1))
        now = self._postman.clock.now()

        def step(old: Lane | None) -> Lane | None:
            if old is None or old.delivery is None or old.delivery.id != digest.id:
                return None
            after = digests.closed(
                old,
                now=now,
                told=digest.settled,
                topics=topics,
                more=more,
                limits=self._limits,
            )
            return _with_due(after)

        await self._outbox.change(Lane, lane.key, step, now)


def _with_due(lane: Lane) -> Lane:
    return replace(lane, due_at=digests.due(lane))
