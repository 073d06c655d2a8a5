"""The queue listener by itself, on a clock that stands still: leases, batches, back-off, poison."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from simulator.clock import SimClock
from simulator.host import channel
from simulator.host.clock import STEPPED_HIDE, hide_seconds
from simulator.host.hostfile import QueueOptions
from simulator.host.queues import Backoff, QueueListener, _metadata, _request
from simulator.host.storage import QueuedMessage, StorageFault
from simulator.host.worker import Binding, Function, Outcome

pytestmark = pytest.mark.host
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
WORK = Function(
    name="work",
    function_id="1",
    trigger=Binding(name="msg", type="queueTrigger", settings={}),
    outputs=(),
)


def message(number: int = 1, *, dequeued: int = 1, text: str | None = None) -> QueuedMessage:
    return QueuedMessage(
        message_id=f"m{number}",
        receipt="r0",
        text=base64.b64encode(b"body").decode() if text is None else text,
        dequeue_count=dequeued,
        inserted=START,
        expires=START + timedelta(days=7),
        next_visible=START + timedelta(minutes=10),
    )


@dataclass
class FakeStorage:
    """A queue of which every call is remembered."""

    waiting: list[QueuedMessage] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    missing: bool = False
    receipts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def receive(self, queue: str, count: int, hidden: int) -> list[QueuedMessage]:
        self.calls.append(("receive", count, hidden))
        if self.missing:
            raise StorageFault("receive", 404, "QueueNotFound")
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    async def hide(self, queue: str, message_id: str, receipt: str, seconds: int) -> str:
        self.calls.append(("hide", message_id, receipt, seconds))
        return f"r{next(self.receipts)}"

    async def delete(self, queue: str, message_id: str, receipt: str) -> None:
        self.calls.append(("delete", message_id, receipt))

    async def put(self, queue: str, text: str) -> None:
        self.calls.append(("put", queue, text))

    async def create_queue(self, queue: str) -> None:
        self.calls.append(("create", queue))

    def of(self, kind: str) -> list[tuple[object, ...]]:
        return [call for call in self.calls if call[0] == kind]


@dataclass
class FakeWorker:
    """Runs nothing: an invocation ends when the test says so."""

    ok: bool = True
    go: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most: int = 0
    runs: int = 0

    async def run(self, request: object, bind: object) -> Outcome:
        self.runs += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return Outcome(ok=self.ok)


@dataclass
class FakeVoice:
    said: list[channel.Message] = field(default_factory=list)

    def say(self, said: channel.Message) -> None:
        self.said.append(said)


def listener(
    storage: FakeStorage,
    worker: FakeWorker,
    *,
    clock: SimClock | None = None,
    queue: str = "work",
    options: QueueOptions | None = None,
) -> QueueListener:
    return QueueListener(
        function=WORK,
        queue=queue,
        connection="",
        storage=storage,
        options=options or QueueOptions(),
        clock=clock or SimClock(START, 0),
        worker=worker,
        bind=None,
        voice=FakeVoice(),
    )


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def listening(one: QueueListener) -> asyncio.Task[None]:
    task = asyncio.create_task(one.listen())
    await turns()
    return task


async def ended(task: asyncio.Task[None], worker: FakeWorker) -> None:
    worker.go.set()
    await turns()
    task.cancel()
    await asyncio.wait({task})


async def test_messages_are_received_hidden_for_ten_minutes_of_the_clock():
    storage, worker = FakeStorage(), FakeWorker()
    clock = SimClock(START, 60)
    task = await listening(listener(storage, worker, clock=clock))
    await ended(task, worker)
    assert storage.of("receive")[0] == ("receive", 16, 10)


async def test_a_running_message_is_renewed_with_its_newest_receipt_when_the_clock_jumps():
    storage, worker, clock = FakeStorage([message()]), FakeWorker(), SimClock(START, 0)
    one = listener(storage, worker, clock=clock)
    task = await listening(one)
    clock.advance(300)
    await turns()
    clock.advance(300)
    await turns()
    await ended(task, worker)
    assert storage.of("hide") == [
        ("hide", "m1", "r0", STEPPED_HIDE),
        ("hide", "m1", "r1", STEPPED_HIDE),
    ]
    assert storage.of("delete") == [("delete", "m1", "r2")]
    held = [said for said in one.voice.said if isinstance(said, channel.Held)]
    assert [said.until for said in held] == [
        START + timedelta(minutes=10),
        START + timedelta(minutes=15),
        START + timedelta(minutes=20),
    ]


async def test_a_running_message_is_renewed_at_half_its_time():
    storage, worker = FakeStorage([message()]), FakeWorker()
    task = await listening(listener(storage, worker, clock=SimClock(START, 6000)))
    await asyncio.sleep(0.12)  # 300 simulated seconds are 0.05 real ones
    await ended(task, worker)
    assert len(storage.of("hide")) >= 2


@pytest.mark.parametrize(
    "options,most",
    [
        pytest.param(QueueOptions(), 24, id="defaults: 16 + 8"),
        pytest.param(QueueOptions(batch_size=32, new_batch_threshold=0), 32, id="32 + 0"),
        pytest.param(QueueOptions(batch_size=1, new_batch_threshold=0), 1, id="one at a time"),
    ],
)
async def test_most_in_flight_is_batch_size_plus_threshold(options: QueueOptions, most: int):
    storage = FakeStorage([message(number) for number in range(100)])
    worker = FakeWorker()
    one = listener(storage, worker, options=options)
    task = await listening(one)
    while len(one.running) > options.new_batch_threshold and worker.runs < most:
        worker.go.set()
        await asyncio.sleep(0)
        worker.go.clear()
        await turns(3)
    assert worker.most <= most
    assert {call[1] for call in storage.of("receive")} == {options.batch_size}
    await ended(task, worker)


async def test_the_next_batch_is_fetched_when_what_runs_is_down_to_the_threshold():
    storage = FakeStorage([message(number) for number in range(40)])
    worker = FakeWorker()
    one = listener(storage, worker, options=QueueOptions(batch_size=8, new_batch_threshold=4))
    task = await listening(one)
    assert (worker.running, len(storage.of("receive"))) == (8, 1)
    await ended(task, worker)
    assert len(storage.of("receive")) > 1


async def test_success_deletes_and_failure_releases_with_the_visibility_timeout():
    for ok in (True, False):
        storage, worker = FakeStorage([message()]), FakeWorker(ok=ok)
        options = QueueOptions(visibility_timeout=30)
        task = await listening(listener(storage, worker, options=options, clock=SimClock(START, 1)))
        await ended(task, worker)
        assert storage.of("delete") == ([("delete", "m1", "r0")] if ok else [])
        assert storage.of("hide") == ([] if ok else [("hide", "m1", "r0", 30)])


@pytest.mark.parametrize(
    "dequeued,text,runs",
    [
        pytest.param(5, None, 1, id="the fifth failure"),
        pytest.param(6, None, 0, id="over the count: no run"),
        pytest.param(1, "no base64!", 0, id="no base64: no run"),
    ],
)
async def test_poison_is_copied_as_stored_and_deleted(dequeued: int, text: str | None, runs: int):
    given = message(dequeued=dequeued, text=text)
    storage, worker = FakeStorage([given]), FakeWorker(ok=False)
    task = await listening(listener(storage, worker))
    await ended(task, worker)
    assert worker.runs == runs
    assert storage.of("put") == [("put", "work-poison", given.text)]
    assert storage.of("delete") == [("delete", "m1", "r0")]


@pytest.mark.parametrize(
    "queue", [pytest.param("work-poison", id="a poison queue"), pytest.param("q" * 57, id="long")]
)
async def test_where_there_is_no_poison_queue_a_failed_message_stays_hidden(queue: str):
    storage, worker = FakeStorage([message(dequeued=9)]), FakeWorker(ok=False)
    one = listener(storage, worker, queue=queue, options=QueueOptions(max_dequeue_count=9))
    task = await listening(one)
    await ended(task, worker)
    assert worker.runs == 1
    assert [call for call in storage.calls if call[0] != "receive"] == []
    [let_go] = [said for said in one.voice.said if isinstance(said, channel.LetGo)]
    assert let_go.left_hidden


async def test_a_missing_queue_is_polled_not_made():
    storage, worker = FakeStorage(missing=True), FakeWorker()
    task = await listening(listener(storage, worker))
    await ended(task, worker)
    assert {call[0] for call in storage.calls} == {"receive"}


async def test_an_output_into_the_queue_wakes_its_listener():
    storage, worker = FakeStorage(), FakeWorker()
    one = listener(storage, worker, clock=SimClock(START, 1))
    task = await listening(one)
    assert len(storage.of("receive")) == 1
    one.wake()
    await turns()
    assert len(storage.of("receive")) == 2
    await ended(task, worker)


def test_polling_backs_off_from_100_ms_to_the_longest_interval_and_starts_again_after_a_hit():
    backoff = Backoff(longest=60, chance=random.Random(1))
    delays = [backoff.miss() for _ in range(14)]
    for exponent, delay in enumerate(delays):
        middle = min(60, 0.1 * 2**exponent)
        assert max(0.1, middle * 0.8) <= delay <= min(60, middle * 1.2)
    backoff.hit()
    assert backoff.miss() <= 0.12


@pytest.mark.parametrize(
    "speed,sim_seconds,real",
    [
        pytest.param(1, 600, 600, id="as it is"),
        pytest.param(60, 600, 10, id="fast"),
        pytest.param(60, 30, 1, id="never less than a second"),
        pytest.param(60, 0, 0, id="none stays none"),
        pytest.param(0, 600, STEPPED_HIDE, id="stepped"),
    ],
)
def test_visibility_is_converted_to_whole_real_seconds(speed: float, sim_seconds: int, real: int):
    assert hide_seconds(SimClock(START, speed), sim_seconds) == real


def test_trigger_metadata_is_strings_and_json_and_never_an_int():
    metadata = _metadata(message(), b'{"n": 3, "DEQUEUECOUNT": 2, "name": "x"}')
    assert {name: datum.type for name, datum in metadata.items()} == {
        "QueueTrigger": "string",
        "Id": "string",
        "PopReceipt": "string",
        "DequeueCount": "json",
        "ExpirationTime": "json",
        "InsertionTime": "json",
        "NextVisibleTime": "json",
        "n": "json",
        "name": "string",
    }
    assert metadata["DequeueCount"].value == "2"
    assert metadata["InsertionTime"].value == '"2026-03-02T08:00:00+00:00"'


def test_a_binary_data_type_gets_bytes():
    trigger = Binding(name="msg", type="queueTrigger", settings={"dataType": "BINARY"})
    function = Function(name="f", function_id="1", trigger=trigger, outputs=())
    request = _request(function, message(), b"\xff\x00")
    assert (request.value.type, request.value.value) == ("bytes", b"\xff\x00")
