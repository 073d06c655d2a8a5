"""One delivery of one or more events to one subscription: what is sent, and what an answer means.

At least once, in no order. The waits between attempts are the documented ladder with jitter, never
shorter than what a status code asks for; some refusals are final (facts §5.4).
"""

import base64
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp

from simulator.arm import Json
from simulator.clock import SimClock
from simulator.eventgrid.events import Event, Published, Schema, stamp
from simulator.eventgrid.subscriptions import Subscription
from simulator.host.storage import Storage, StorageFault

LADDER = (10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0)
JITTER = 0.1
#: Least wait after these answers; anything else waits at least ten seconds.
LEAST = {401: 300.0, 403: 300.0, 404: 300.0, 408: 120.0, 503: 30.0}
FINAL: Mapping[str, frozenset[int]] = {
    "WebHook": frozenset({400, 401, 403, 413}),
    "AzureFunction": frozenset({400, 403, 413}),
    "StorageQueue": frozenset({400, 403, 413}),
}
OUTCOMES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound",
    408: "TimedOut", 413: "PayloadTooLarge", 429: "Busy", 503: "Busy",
}  # fmt: skip
#: A handler has 30 s; never less than 20 real ones, since code does not run faster with the clock.
ANSWER_WITHIN = 30.0
REAL_FLOOR = 20.0
DEAD_LETTER_AFTER = timedelta(minutes=5)
DEAD_LETTER_FOR = timedelta(hours=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one attempt; status 0 is no answer."""

    status: int
    outcome: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 204


@dataclass(slots=True, kw_only=True)
class Delivery:
    """An event on its way to a subscription."""

    event: Published
    schema: Schema
    topic: str
    subscription: str
    published: datetime
    attempts: int = 0
    last_at: datetime | None = None
    answers: list[Answer] = field(default_factory=list)
    state: str = "pending"

    def written(self) -> Event:
        return self.event.written(self.topic, self.schema)

    def shown(self) -> dict[str, Json]:
        return {
            "event": self.event.id,
            "type": self.event.type,
            "subject": self.event.subject,
            "subscription": self.subscription,
            "schema": self.schema,
            "state": self.state,
            "attempts": self.attempts,
            "lastAt": self.last_at.isoformat() if self.last_at else None,
            "answers": [answer.status for answer in self.answers],
        }


def next_wait(delivery: Delivery, answer: Answer, chance: random.Random) -> timedelta:
    """Tell how long to wait before the next attempt."""
    step = LADDER[min(delivery.attempts, len(LADDER)) - 1]
    spread = chance.uniform(1 - JITTER, 1 + JITTER)
    return timedelta(seconds=max(step * spread, LEAST.get(answer.status, 10.0)))


def given_up(delivery: Delivery, answer: Answer, to: Subscription, again_at: datetime) -> str:
    """Say why no further attempt is made, or ``""``."""
    if answer.status in FINAL[to.destination]:
        return "NonRetryableError"
    if delivery.attempts >= to.attempts:
        return "MaxDeliveryAttemptsExceeded"
    if again_at > delivery.published + timedelta(minutes=to.life_minutes):
        return "TimeToLiveExceeded"
    return ""


@dataclass(slots=True, kw_only=True)
class Postman:
    """Sends; ``function_url`` and ``storage`` say where a function or a queue really is here."""

    session: aiohttp.ClientSession
    clock: SimClock
    function_url: Callable[[str], str | None]
    storage: Callable[[], Storage | None]

    async def send(self, to: Subscription, deliveries: list[Delivery]) -> Answer:
        """Make one attempt for a batch; all or none of it is delivered."""
        match to.destination:
            case "StorageQueue":
                return await self._enqueue(to, deliveries)
            case "AzureFunction":
                name = str(to.address.get("resourceId", "")).rsplit("/", 1)[-1]
                url = self.function_url(name)
            case _:
                url = str(to.address.get("endpointUrl", ""))
        return (
            await self._post(url, to, deliveries) if url else Answer(status=404, outcome="NotFound")
        )

    async def dead_letter(self, to: Subscription, delivery: Delivery, reason: str) -> bool:
        """Write an event nobody took into the container; tell whether that worked."""
        storage = self.storage()
        if storage is None:
            return False
        event = delivery.written() | _dead_fields(delivery, reason)
        at = self.clock.now()
        name = f"{to.name}/{at:%Y/%-m/%-d/%-H}/{delivery.event.id}.json"
        try:
            await storage.write_blob(to.dead_letter, name, json.dumps([event]).encode())
        except StorageFault:
            return False
        return True

    async def _post(self, url: str, to: Subscription, deliveries: list[Delivery]) -> Answer:
        events = [delivery.written() for delivery in deliveries]
        cloud = deliveries[0].schema == "CloudEventSchemaV1_0"
        alone = cloud and len(events) == 1
        kind = "cloudevents" if alone else "cloudevents-batch" if cloud else "json"
        headers = {
            "content-type": f"application/{kind}{'+json' if cloud else ''}; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": to.name.upper(),
            "aeg-delivery-count": str(deliveries[0].attempts - 1),
        }
        if not cloud:
            headers |= {"aeg-metadata-version": "1", "aeg-data-version": "2"}
        body = json.dumps(events[0] if alone else events).encode()
        return await self.exchange("POST", url, headers, body)

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send one request; an answer that is late counts as none."""
        try:
            async with self.session.request(
                method, url, data=body, headers=headers, timeout=self.timeout()
            ) as answer:
                await answer.read()
                outcome = OUTCOMES.get(answer.status, "GenericError")
                return Answer(
                    status=answer.status, outcome="Success" if answer.status < 205 else outcome
                )
        except TimeoutError:
            return Answer(status=0, outcome="TimedOut")
        except (aiohttp.ClientError, OSError, ValueError):
            return Answer(status=0, outcome="GenericError")

    def timeout(self) -> aiohttp.ClientTimeout:
        real = self.clock.real_seconds(ANSWER_WITHIN)
        return aiohttp.ClientTimeout(
            total=ANSWER_WITHIN if math.isinf(real) else max(real, REAL_FLOOR)
        )

    async def _enqueue(self, to: Subscription, deliveries: list[Delivery]) -> Answer:
        storage = self.storage()
        queue = str(to.address.get("queueName", ""))
        if storage is None or not queue:
            return Answer(status=404, outcome="NotFound")
        try:
            for delivery in deliveries:
                text = base64.b64encode(json.dumps(delivery.written()).encode()).decode()
                await storage.put(queue, text)
        except StorageFault as fault:
            return Answer(status=fault.status, outcome=OUTCOMES.get(fault.status, "GenericError"))
        return Answer(status=201, outcome="Success")


def _dead_fields(delivery: Delivery, reason: str) -> Event:
    last = delivery.answers[-1] if delivery.answers else Answer(status=0, outcome="GenericError")
    fields: Event = {
        "deadLetterReason": reason,
        "deliveryAttempts": delivery.attempts,
        "lastDeliveryOutcome": last.outcome,
        "publishTime": stamp(delivery.published),
        "lastDeliveryAttemptTime": stamp(delivery.last_at or delivery.published),
    }
    if last.status:
        fields["lastHttpStatusCode"] = last.status
    if delivery.schema == "CloudEventSchemaV1_0":
        return {name.lower(): value for name, value in fields.items()}
    return fields
