"""Queue triggers, as the storage extension listens: batches, leases, poison, polling back-off.

A message is received hidden for ten simulated minutes, renewed at five while its function runs,
deleted on success. After a failure it is released with ``visibilityTimeout``, or moved to
``<queue>-poison``. An instance that dies leaves it hidden for what is left of the ten minutes.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from azure_functions_runtime.bindings.datumdef import Datum

from simulator.clock import SimClock
from simulator.host import channel
from simulator.host.clock import hide_seconds
from simulator.host.hostfile import QueueOptions
from simulator.host.outputs import put_making_queue
from simulator.host.storage import QueuedMessage, Storage, StorageFault
from simulator.host.worker import Binder, Function, Request, Worker

HIDDEN = 600.0  # simulated seconds a received message stays hidden
RENEWED_AT = 300.0
POISON = "-poison"
LONGEST_NAME = 63
#: First delay of the polling back-off; also the shortest real one, so that a fast clock does not
#: turn polling into a load of its own.
FIRST_DELAY = 0.1
JITTER = 0.2
#: Longest real delay while the clock is stepped: time stands still, work does not.
STEPPED_DELAY = 0.25


@dataclass(slots=True, kw_only=True)
class Backoff:
    """100 ms doubled after each miss, 20 % either way, up to the longest interval."""

    longest: float
    misses: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def hit(self) -> None:
        self.misses = 0

    def miss(self) -> float:
        """Return the next delay, in the clock's seconds."""
        delay = min(self.longest, FIRST_DELAY * 2.0**self.misses)
        self.misses = min(self.misses + 1, 32)
        spread = self.chance.uniform(1 - JITTER, 1 + JITTER)
        return min(self.longest, max(FIRST_DELAY, delay * spread))


@dataclass(slots=True, kw_only=True)
class QueueListener:
    """One queue trigger of one instance; :meth:`listen` runs until cancelled."""

    function: Function
    queue: str
    connection: str
    storage: Storage
    options: QueueOptions
    clock: SimClock
    worker: Worker
    bind: Binder
    voice: channel.Voice
    running: set["asyncio.Task[None]"] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def poison_queue(self) -> str | None:
        """None for a poison queue itself, and where the name would be too long."""
        name = self.queue + POISON
        return None if self.queue.endswith(POISON) or len(name) > LONGEST_NAME else name

    def wake(self) -> None:
        """An output of this instance went into this queue: look at once."""
        self._woken.set()

    async def listen(self) -> None:
        backoff = Backoff(longest=self.options.max_polling_interval)
        while True:
            await self._until_room()
            self._woken.clear()
            try:
                batch = await self.storage.receive(
                    self.queue, self.options.batch_size, hide_seconds(self.clock, HIDDEN)
                )
            except StorageFault:  # no such queue yet, or no storage: a trigger makes neither
                batch = []
            for message in batch:
                self._start(message)
            if batch:
                backoff.hit()
            else:
                await self._pause(backoff.miss())

    async def drain(self) -> None:
        """Wait for what runs."""
        if self.running:
            await asyncio.wait(set(self.running))

    def _start(self, message: QueuedMessage) -> None:
        kept = _Kept(listener=self, message=message, receipt=message.receipt)
        kept.report()
        task = asyncio.create_task(kept.handle())
        self.running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.running.discard(task)
        self._freed.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault

    async def _until_room(self) -> None:
        while len(self.running) > self.options.new_batch_threshold:
            self._freed.clear()
            await self._freed.wait()

    async def _pause(self, delay: float) -> None:
        real = self.clock.real_seconds(delay)
        real = min(delay, STEPPED_DELAY) if math.isinf(real) else max(FIRST_DELAY, real)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(real):
                await self._woken.wait()


@dataclass(slots=True, kw_only=True)
class _Kept:
    """One message in this instance's hands."""

    listener: QueueListener
    message: QueuedMessage
    receipt: str

    def report(self) -> None:
        """Tell the parent what must come back, and when, should this process die now."""
        listener = self.listener
        listener.voice.say(
            channel.Held(
                queue=listener.queue,
                connection=listener.connection,
                message_id=self.message.message_id,
                receipt=self.receipt,
                until=listener.clock.now() + timedelta(seconds=HIDDEN),
            )
        )

    async def handle(self) -> None:
        """Run the function on it and settle it; what is not settled stays hidden."""
        settled = False
        try:
            settled = await self._settle()
        except StorageFault:
            settled = False
        finally:
            self.listener.voice.say(
                channel.LetGo(
                    queue=self.listener.queue,
                    message_id=self.message.message_id,
                    left_hidden=not settled,
                )
            )

    async def _settle(self) -> bool:
        listener, message = self.listener, self.message
        body = _body(message.text, base64_encoded=listener.options.base64)
        if body is None or message.dequeue_count > listener.options.max_dequeue_count:
            return await self._poison()
        if await self._run(body):
            await listener.storage.delete(listener.queue, message.message_id, self.receipt)
            return True
        if listener.poison_queue is None:
            return False  # so that a failing poison function is no fast endless loop
        if message.dequeue_count >= listener.options.max_dequeue_count:
            return await self._poison()
        await self._hide(listener.options.visibility_timeout)
        return True

    async def _run(self, body: bytes) -> bool:
        listener = self.listener
        request = _request(listener.function, self.message, body)
        renewing = asyncio.create_task(self._renew())
        try:
            return (await listener.worker.run(request, listener.bind)).ok
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})

    async def _renew(self) -> None:
        """Hide the message anew at half its time, and at once when the clock's pace changes."""
        clock = self.listener.clock
        while True:
            await clock.changed_within(clock.real_seconds(RENEWED_AT))
            with contextlib.suppress(StorageFault):
                await self._hide(HIDDEN)
                self.report()

    async def _hide(self, seconds: float) -> None:
        self.receipt = await self.listener.storage.hide(
            self.listener.queue,
            self.message.message_id,
            self.receipt,
            hide_seconds(self.listener.clock, seconds),
        )

    async def _poison(self) -> bool:
        listener = self.listener
        if listener.poison_queue is None:
            return False
        await put_making_queue(listener.storage, listener.poison_queue, self.message.text)
        await listener.storage.delete(listener.queue, self.message.message_id, self.receipt)
        return True


def _body(text: str, *, base64_encoded: bool) -> bytes | None:
    """Undo base64; None if it is none, or no text."""
    if not base64_encoded:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _request(function: Function, message: QueuedMessage, body: bytes) -> Request:
    if function.trigger.text("dataType").lower() == "binary":
        value = Datum(body, "bytes")
    else:
        value = Datum(body.decode(errors="replace"), "string")
    return Request(
        function=function,
        cause="queue",
        value=value,
        metadata=_metadata(message, body),
        message_id=message.message_id,
        dequeue_count=message.dequeue_count,
    )


def _metadata(message: QueuedMessage, body: bytes) -> dict[str, Datum]:
    """Trigger metadata: strings as strings, all else as JSON; members of a JSON body override it.

    The override is the host's own and ignores case: a body with a top-level ``id`` changes the
    message id a function sees.
    """
    metadata = {
        "QueueTrigger": Datum(body.decode(errors="replace"), "string"),
        "Id": Datum(message.message_id, "string"),
        "PopReceipt": Datum(message.receipt, "string"),
        "DequeueCount": Datum(str(message.dequeue_count), "json"),
        "ExpirationTime": Datum(_time(message.expires), "json"),
        "InsertionTime": Datum(_time(message.inserted), "json"),
        "NextVisibleTime": Datum(_time(message.next_visible), "json"),
    }
    names = {name.lower(): name for name in metadata}
    for name, value in _members(body).items():
        key = names.get(name.lower(), name)
        text = isinstance(value, str)
        metadata[key] = Datum(value if text else json.dumps(value), "string" if text else "json")
    return metadata


def _members(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _time(at: datetime) -> str:
    return json.dumps(at.astimezone(UTC).isoformat())
