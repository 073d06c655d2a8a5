"""The outbox: what people must hear is written first, sent then, and re-driven until it is told.

Called by the use cases (`ports.Notices`), by the queue function `send_notice` (`deliver`) and by
the timer `tick_notices` (`tick`). Protocol of one delivery, each step by etag:

1. planned: the row lists a delivery per recipient; a lane entry and a due row point to it;
2. begun: the attempt is written down, and with it its key;
3. the channel is called: the one moment that cannot be made atomic with the next;
4. settled: sent, to be tried again, handed to the next channel, or parked.

A run that dies between 2 and 4 leaves a begun attempt, which counts as lost after its lease
(`domain/deliveries.py`). Nothing is called sent because an exception was swallowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import telemetry
from shared.announcements import Announcements
from shared.domain import deliveries, tellings
from shared.domain.deliveries import Delivery, Outcome
from shared.domain.digests import LANE, Crowding
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId
from shared.domain.letters import ANNOUNCEMENT, Happened, Links, letter, story
from shared.domain.messages import NoticeItem
from shared.domain.notices import OPERATORS, Cadence, Notice, NoticeState
from shared.domain.routing import Routing, declared_route, operators, routed, unreachable
from shared.lanes import Lanes
from shared.outbox import NoticeStore, Outbox
from shared.ports import Clock, Queues, RulesSource, Subject
from shared.postman import THROTTLED, Postman

OVERDUE = timedelta(seconds=60)  # the tick leaves that long to the queue's own message
OUTSTANDING = 200  # messages in the queue beyond which the tick adds none


class Notifier:
    """`ports.Notices`, and what triggers, operators and the page do with notices."""

    def __init__(
        self,
        store: NoticeStore,
        queues: Queues,
        clock: Clock,
        postman: Postman,
        *,
        routing: Routing,
        rules: RulesSource,
        links: Links,
        languages: tuple[str, ...] = ("en",),
        cadence: Cadence | None = None,
        crowding: Crowding | None = None,
    ) -> None:
        self._outbox = Outbox(store, queues)
        self._queues = queues
        self._clock = clock
        self._postman = postman
        self._routing = routing
        self._rules = rules
        self._links = links
        self._language = languages[0]
        self._cadence = cadence or Cadence()
        self._lanes = Lanes(self._outbox, postman, links, crowding or Crowding(), self._cadence)
        self._announcements = Announcements(self._outbox, postman)
        self._fine: set[str] = set()  # channels known to work since this process started

    # --- what use cases say ----------------------------------------------------------------------

    async def report(self, subject: Subject, findings: tuple[Finding, ...], now: datetime) -> None:
        """Open or update the VM's notice with all its findings that a person must act on."""
        if not findings:
            return
        fresh = await self._addressed(subject, findings, now)
        old = await self._outbox.read(Notice, fresh.key)
        if old is None or not old.is_open:
            await self._announce_trouble(subject, findings, old, now)

        def step(old: Notice | None) -> Notice:
            return self._due(tellings.raised(old, fresh, now=now, cadence=self._cadence))

        await self._after(await self._outbox.change(Notice, fresh.key, step, now), now)

    async def clear(self, vm: ArmId, how: str, now: datetime, trace: str) -> None:
        """Resolve the VM's notice, if one is open; ``how`` says in words what cleared it."""
        notice = await self._outbox.read(Notice, vm.key)
        if notice is None or not notice.is_open:
            return
        ended = f"{notice.id} {notice.flaps}"
        await self.announce(Happened.RESOLVED, vm, now, trace, episode=ended, how=how)
        await self._clear(vm.key, how, now)

    async def tell_operators(self, code: str, text: str, evidence: str, now: datetime) -> None:
        """Tell the operators of the service's own trouble, once per code until `operators_clear`."""
        finding = Finding(code=code, severity=Severity.BLOCKER, text=text, evidence=evidence)
        fresh = Notice(
            key=OPERATORS + code,
            id="",
            opened_at=now,
            findings=(finding,),
            routes=operators(self._routing),
            owner="operators",
            language=self._language,
        )

        def step(old: Notice | None) -> Notice:
            return self._due(tellings.raised(old, fresh, now=now, cadence=self._cadence))

        await self._outbox.change(Notice, fresh.key, step, now)

    async def operators_clear(self, code: str, now: datetime) -> None:
        """The trouble is over; what comes later under this code is told anew."""
        await self._clear(OPERATORS + code, "it works again", now)

    def unreachable(self, words: Iterable[str]) -> tuple[str, ...]:
        """Give the recipients that no channel of this deployment reaches."""
        return unreachable(words, self._routing)

    async def announce(
        self,
        what: Happened,
        vm: ArmId,
        now: datetime,
        trace: str,
        *,
        episode: str = "",
        **details: str,
    ) -> None:
        """Put an outcome on the topic, if this deployment has one."""
        await self._announcements.put(what, vm, now, trace, details, episode)

    # --- what people do --------------------------------------------------------------------------

    async def snooze(self, vm: ArmId, until: datetime, by: str, now: datetime) -> None:
        """Keep quiet about the causes known today; a new cause is told all the same."""
        await self._step(vm.key, lambda notice: tellings.snoozed(notice, until, by), now)

    async def replay(self, key: str, now: datetime) -> None:
        """Try what was parked again, from the start of its route."""
        if key.startswith(ANNOUNCEMENT):
            await self._announcements.replay(key, now)
            return
        await self._step(key, lambda notice: tellings.replayed(notice, now), now)

    # --- what triggers call ----------------------------------------------------------------------

    async def deliver(self, item: NoticeItem) -> None:
        """Do what is due of one row: a notice, a lane's digest, or an outcome."""
        with telemetry.span("notice.deliver", item.trace, notice=item.notice):
            if item.notice.startswith(LANE):
                await self._lanes.flush(item.notice)
            elif item.notice.startswith(ANNOUNCEMENT):
                await self._announcements.deliver(item.notice)
            else:
                await self._deliver(item.notice)
            await self._tell_troubles(item.notice)

    async def tick(self, now: datetime) -> None:
        """Wake up what is due and was not: lost messages, reminders, escalations, retries."""
        if await self._queues.depth("notices") >= OUTSTANDING:
            return
        for key, at in await self._outbox.store.due(now - OVERDUE, OUTSTANDING):
            found = await self._outbox.store.read(key)
            if found is None or found[0].due_at != at:
                await self._outbox.store.drop_due(key, at)
            else:
                await self._outbox.enqueue(key, now, now, found[0].trace)

    # --- steps -----------------------------------------------------------------------------------

    async def _addressed(
        self, subject: Subject, findings: tuple[Finding, ...], now: datetime
    ) -> Notice:
        """Find the recipients; the rules' routes are looked up by name."""
        declared = (await self._rules.current()).content.notices
        chosen = declared_route(declared.routes, subject.routes, findings)
        found = routed(
            to=chosen.to if chosen else (),
            tags=subject.tags,
            group_tags=subject.group_tags,
            subscription_tags=subject.subscription_tags,
            fallback=declared.fallback,
            routing=self._routing,
        )
        language = chosen.language if chosen and chosen.language else self._language
        return Notice(
            key=subject.vm.key,
            id="",
            opened_at=min(subject.since, now),
            vm=str(subject.vm),
            region=subject.region,
            rule=subject.rule,
            next_step=subject.next_step,
            language=language,
            owner=found.source,
            findings=(*findings, *found.findings),
            routes=found.routes,
            trace=subject.trace,
        )

    async def _announce_trouble(
        self, subject: Subject, findings: tuple[Finding, ...], old: Notice | None, now: datetime
    ) -> None:
        """Tell machines before the row is written: a run that dies between says it again, once."""
        codes = [one.code for one in findings if one.severity is Severity.BLOCKER]
        if not codes:
            return  # worth telling people, but nothing is blocked
        await self.announce(
            Happened.WAITING if subject.late else Happened.BLOCKED,
            subject.vm,
            now,
            subject.trace,
            episode=f"after {old.id} {old.flaps}" if old else "first",
            causes=",".join(codes),
        )

    async def _clear(self, key: str, how: str, now: datetime) -> None:
        notice = await self._outbox.read(Notice, key)
        if notice is None or not notice.is_open:
            return
        leaving = await self._lanes.leaving(notice)
        await self._step(
            key,
            lambda old: tellings.cleared(
                old, how, now=now, cadence=self._cadence, out_already=leaving
            ),
            now,
        )

    async def _step(
        self, key: str, change: Callable[[Notice], Notice], now: datetime
    ) -> Notice | None:
        """Change an existing notice; nothing happens if there is none."""

        def step(old: Notice | None) -> Notice | None:
            return None if old is None else self._due(change(old))

        return await self._outbox.change(Notice, key, step, now)

    def _due(self, notice: Notice) -> Notice:
        return replace(notice, due_at=tellings.due(notice, self._cadence))

    async def _deliver(self, key: str) -> None:
        now = self._clock.now()
        others = operators(self._routing)
        notice = await self._step(
            key,
            lambda old: tellings.advanced(old, now=now, cadence=self._cadence, operators=others),
            now,
        )
        for delivery in notice.deliveries if notice else ():
            if delivery.due_at is not None and delivery.due_at <= now:
                await self._attempt(key, delivery)
        await self._after(await self._outbox.read(Notice, key), now)

    async def _attempt(self, key: str, seen: Delivery) -> None:
        """Take one delivery one step further; leave it to whoever was faster."""
        now = self._clock.now()
        if seen.began is not None:
            await self._settle(key, seen, self._postman.overdue(seen, now))
            return
        notice = await self._outbox.read(Notice, key)
        if notice is None:
            return
        first = not (seen.failures or seen.uncertain or seen.throttled or seen.at)
        if first and not await self._lanes.may_leave(notice, seen, now):
            await self._settle(key, seen, deliveries.gathered(seen))
            return
        notice = await self._settle(key, seen, deliveries.begun(seen, now))
        if notice is None:
            return
        begun = deliveries.begun(seen, now)
        told = (story(notice, seen.kind, self._links),)
        post = letter(seen, told, language=notice.language, now=now, trace=notice.trace)
        settled, fault = await self._postman.send(post, begun)
        if fault is not None and fault.status == THROTTLED and await self._lanes.busy(begun):
            await self._lanes.gather(notice, begun, now, wait=fault.retry_after or 0.0)
            settled = deliveries.gathered(begun)
        await self._settle(key, begun, settled)

    async def _settle(self, key: str, seen: Delivery, after: Delivery) -> Notice | None:
        """Write how a delivery stands if it still stands as seen; None if it does not."""
        now = self._clock.now()
        held = False

        def change(notice: Notice) -> Notice:
            nonlocal held
            held = seen in notice.deliveries
            return tellings.with_delivery(notice, after, now) if held else notice

        notice = await self._step(key, change, now)
        return notice if held else None

    # --- the outbox's own troubles ---------------------------------------------------------------

    async def _after(self, notice: Notice | None, now: datetime) -> None:
        """Make visible what could not be told."""
        if notice is None or notice.state is not NoticeState.PARKED:
            return
        errors = {d.error for d in notice.deliveries if d.outcome is Outcome.PARKED}
        telemetry.wide("notice.parked", notice=notice.id, key=notice.key, trace=notice.trace)
        telemetry.count("enrollment.notices_parked")
        if notice.for_operators:
            return  # telling them would go the way that just failed; health and page show it
        code, text = ("NOTICE_PARKED", "A notice could not be delivered through any channel.")
        if not notice.routes:
            code, text = ("ROUTES_NOWHERE", "The rules and settings name nobody to be told.")
        evidence = f"{notice.vm}: {'; '.join(sorted(errors)) or 'no recipient'}"
        await self.tell_operators(code, text, evidence, now)

    async def _tell_troubles(self, key: str) -> None:
        """Tell once that a channel refuses or cannot be reached; and when it works again."""
        now = self._clock.now()
        troubles, self._postman.troubles = self._postman.troubles, []
        fine, self._postman.fine = self._postman.fine, []
        for channel, error in troubles:
            self._fine.discard(channel)
            text = (
                f"The channel {channel} did not take a notice; the next one in its route was used."
            )
            await self.tell_operators(f"CHANNEL_{channel.upper()}", text, f"{error} ({key})", now)
        for channel in set(fine) - self._fine - {channel for channel, _ in troubles}:
            self._fine.add(channel)
            await self.operators_clear(f"CHANNEL_{channel.upper()}", now)
