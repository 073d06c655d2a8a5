"""The delivery service itself: from a change of the world to requests at the subscribers.

State per world; one task per running server. Deliveries are due at simulated times, so a jump of
the clock makes everything due at once, as a night would have.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakKeyDictionary

import aiohttp

from simulator.arm import Json, Refusal
from simulator.eventgrid import delivery as attempts
from simulator.eventgrid.delivery import Answer, Delivery, Postman
from simulator.eventgrid.events import Published, Schema, TopicType, of_change
from simulator.eventgrid.handshake import MANUAL_WITHIN, Code, shake_hands
from simulator.eventgrid.subscriptions import SCHEMAS, Subscription, listed, read
from simulator.host.storage import Storage
from simulator.ids import ResourceId
from simulator.knobs import Knobs
from simulator.world import Change, World

REMEMBERED = 20_000
LONGEST_NAP = 0.5  # real seconds: a bound on how late a due delivery may be noticed

type Due = tuple[datetime, int, Callable[[], None]]


def declare(knobs: Knobs) -> None:
    """Declare what a test may order of the delivery."""
    knobs.declare("eventgrid.delay", 1.0, "simulated seconds between a change and its delivery")
    knobs.declare("eventgrid.duplicates", 0.0, "further copies of every event, within a minute")
    knobs.declare("eventgrid.reorder", 0.0, "up to so many further seconds, at random per delivery")
    knobs.declare(
        "eventgrid.echoes",
        [],
        "events to repeat: [{resource: END OF ID, times: N}]; copies alternate the two schemas",
    )
    knobs.declare("eventgrid.hold", default=False, meaning="publish, but deliver nothing")


@dataclass(slots=True, eq=False)
class Grid:
    """Event Grid of one world."""

    world: World
    published: deque[Published] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    codes: dict[str, Code] = field(default_factory=dict)
    function_url: Callable[[str], str | None] = lambda _name: None
    storage: Storage | None = None
    base_url: Callable[[], str] = lambda: ""
    sending: set["asyncio.Task[None]"] = field(default_factory=set)
    _due: list[Due] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _chance: random.Random = field(default_factory=lambda: random.Random(5))
    _postman: Postman | None = None
    _batches: dict[str, list[Delivery]] = field(default_factory=dict)

    def forget(self) -> None:
        """Start again with an empty world; who is connected stays connected."""
        self.published.clear()
        self.deliveries.clear()
        self.codes.clear()
        self._due.clear()
        self._batches.clear()

    @property
    def pending(self) -> int:
        """How many deliveries are neither made nor given up."""
        return sum(1 for one in self.deliveries if one.state == "pending")

    def changed(self, change: Change) -> None:
        """Hear of a change; called by the world."""
        kind = change.operation_name.lower()
        for event in of_change(self.world, change, self.world.new_guid()):
            self.publish(event, change.resource_id)
        if kind.endswith("eventsubscriptions/write"):
            self._at(self.world.now(), lambda: self._introduce(change.resource_id))

    def publish(self, event: Published, resource_id: str) -> None:
        """Give an event to every subscription that wants it."""
        self.published.append(event)
        for rid, _ in listed(self.world):
            subscription = self._subscription(rid.text)
            if (
                subscription is None
                or subscription.state != "Succeeded"
                or not subscription.covers(resource_id)
            ):
                continue
            if event.notification != (subscription.topic_type is TopicType.NOTIFICATIONS):
                continue
            topic = subscription.topic
            if subscription.filter.matches(event.written(topic, subscription.schema)):
                self._hand_over(event, subscription, resource_id)

    def _hand_over(self, event: Published, to: Subscription, resource_id: str) -> None:
        knobs = self.world.knobs
        schemas: list[Schema] = [to.schema] * (1 + int(knobs.number("eventgrid.duplicates")))
        schemas += self._echoes(to.schema, resource_id)
        for copy, schema in enumerate(schemas):
            wait = knobs.number("eventgrid.delay")
            wait += self._chance.uniform(0, knobs.number("eventgrid.reorder"))
            wait += self._chance.uniform(0, 60) if copy else 0.0
            made = Delivery(
                event=event,
                schema=schema,
                topic=to.topic,
                subscription=to.id,
                published=self.world.now(),
            )
            self.deliveries.append(made)
            self._at(self.world.later(wait), partial(self._collect, made))

    def _echoes(self, schema: Schema, resource_id: str) -> list[Schema]:
        wanted = self.world.knobs.value("eventgrid.echoes")
        times = 0
        for one in wanted if isinstance(wanted, list) else []:
            if isinstance(one, dict) and resource_id.lower().endswith(
                str(one.get("resource", "?")).lower()
            ):
                times = int(str(one.get("times", 1)))
        other: Schema = "EventGridSchema" if schema == SCHEMAS[1] else "CloudEventSchemaV1_0"
        return [other if copy % 2 else schema for copy in range(1, times)]

    # --- what is due

    def _at(self, when: datetime, callback: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), callback))
        self._woken.set()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Deliver until cancelled."""
        clock = self.world.clock
        self._postman = Postman(
            session=session,
            clock=clock,
            function_url=self._url_of,
            storage=lambda: self.storage,
        )
        while True:
            self._woken.clear()
            now = clock.now()
            if not self.world.knobs.flag("eventgrid.hold"):
                while self._due and self._due[0][0] <= now:
                    heapq.heappop(self._due)[2]()
                self._send_batches()
            left = (self._due[0][0] - now).total_seconds() if self._due else 3600.0
            nap = min(LONGEST_NAP, max(0.001, clock.real_seconds(left)))
            woken = asyncio.create_task(self._woken.wait())
            jumped = asyncio.create_task(clock.changed_within(nap))
            await asyncio.wait({woken, jumped}, return_when=asyncio.FIRST_COMPLETED)
            for task in (woken, jumped):
                task.cancel()

    def _url_of(self, function: str) -> str | None:
        return self.function_url(function)

    def _collect(self, delivery: Delivery) -> None:
        self._batches.setdefault(f"{delivery.subscription}|{delivery.schema}", []).append(delivery)

    def _send_batches(self) -> None:
        batches, self._batches = self._batches, {}
        for waiting in batches.values():
            subscription = self._subscription(waiting[0].subscription)
            if subscription is None:
                for one in waiting:
                    one.state = "dropped"
                continue
            for first in range(0, len(waiting), subscription.batch):
                self._keep(self._attempt(subscription, waiting[first : first + subscription.batch]))

    async def _attempt(self, to: Subscription, batch: list[Delivery]) -> None:
        if self._postman is None:
            return
        for one in batch:
            one.attempts += 1
            one.last_at = self.world.clock.now()
        answer = await self._postman.send(to, batch)
        for one in batch:
            self._settle(to, one, answer)

    def _settle(self, to: Subscription, one: Delivery, answer: Answer) -> None:
        one.answers.append(answer)
        if answer.ok:
            one.state = "delivered"
            return
        again_at = self.world.clock.now() + attempts.next_wait(one, answer, self._chance)
        reason = attempts.given_up(one, answer, to, again_at)
        if not reason:
            self._at(again_at, lambda: self._collect(one))
        elif not to.dead_letter:
            one.state = "dropped"
        else:
            at = self.world.clock.now() + attempts.DEAD_LETTER_AFTER
            until = at + attempts.DEAD_LETTER_FOR
            self._at(at, lambda: self._keep(self._bury(to, one, reason, until)))

    async def _bury(self, to: Subscription, one: Delivery, reason: str, until: datetime) -> None:
        if self._postman is None:
            return
        if await self._postman.dead_letter(to, one, reason):
            one.state = "dead-lettered"
        elif self.world.clock.now() > until:
            one.state = "dropped"
        else:
            again = self.world.clock.now() + timedelta(minutes=5)
            self._at(again, lambda: self._keep(self._bury(to, one, reason, until)))

    # --- handshakes

    def _introduce(self, resource_id: str) -> None:
        subscription = self._subscription(resource_id)
        if subscription is not None and subscription.state == "Creating":
            self._keep(self._shake_hands(subscription))

    async def _shake_hands(self, to: Subscription) -> None:
        if self._postman is None:
            return
        ends = self.world.clock.now() + MANUAL_WITHIN
        code = Code(subscription=to.id, code=self.world.new_guid(), ends=ends)
        self.codes[code.code] = code
        manual = f"{self.base_url()}/_sim/events/validate?id={code.code}"
        state = await shake_hands(to, code, manual, self._postman)
        self._set_state(to.id, state)
        if state == "AwaitingManualAction":
            self._at(ends, lambda: self._give_up_waiting(to.id))

    def validate(self, code_id: str) -> bool:
        """Accept a validation by hand, if it comes in time."""
        code = self.codes.pop(code_id, None)
        if code is None or self.world.clock.now() > code.ends:
            return False
        self._set_state(code.subscription, "Succeeded")
        return True

    def _give_up_waiting(self, resource_id: str) -> None:
        subscription = self._subscription(resource_id)
        if subscription is not None and subscription.state == "AwaitingManualAction":
            self._set_state(resource_id, "Failed")

    def _set_state(self, resource_id: str, state: str) -> None:
        body = self.world.get(resource_id)
        properties = body.get("properties") if body else None
        if body is not None and isinstance(properties, dict):
            after = {**body, "properties": {**properties, "provisioningState": state}}
            self.world.put(resource_id, after, None)

    def _subscription(self, resource_id: str) -> Subscription | None:
        body = self.world.get(resource_id)
        if body is None:
            return None
        try:
            return read(self.world, ResourceId.parse(resource_id), body)
        except Refusal:
            return None  # its system topic is gone

    def _keep(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self.sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self.sending.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault


_grids: WeakKeyDictionary[World, Grid] = WeakKeyDictionary()


def grid_of(world: World) -> Grid:
    """Return the world's Event Grid; there is one per world."""
    if world not in _grids:
        _grids[world] = Grid(world)
    return _grids[world]


def shown(event: Published) -> dict[str, Json]:
    """Show an event to a test."""
    return {"id": event.id, "type": event.type, "subject": event.subject, "data": event.data}
