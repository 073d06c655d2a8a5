"""Microsoft's worker library in this process: index the app once, run its functions.

The library takes and returns its own ``Datum(value, type)``; the host may only hand it what a real
host can put on the wire (so never an ``int``: an int there would raise, docs/simulator-host.md).
One app per process: the library keeps its registry in module globals.
"""

import asyncio
import contextlib
import contextvars
import json
import math
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast
from uuid import uuid4

import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from simulator.clock import SimClock
from simulator.host import channel
from simulator.host.probe import Probe
from simulator.host.protos import PROTOS, StatusResult

#: Code does not run faster because the clock does: a timeout is never shorter than this, or than
#: itself, in real seconds.
TIMEOUT_FLOOR = 20.0
LOST = "the worker was restarted while this ran"

type Answer = tuple[bool, Datum | None, list[tuple[str, Datum]], str | None, str | None]
type Cause = Literal["queue", "timer", "http", "eventgrid", "admin"]


class UnloadableApp(Exception):
    """The app cannot be indexed: in Azure it would run with no function at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    name: str
    type: str
    settings: Mapping[str, object]

    def text(self, key: str) -> str:
        value = self.settings.get(key)
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A function's own retry policy; ``count`` -1 is for ever."""

    count: int
    fixed: float | None
    least: float = 0.0
    most: float = math.inf

    def wait(self, attempt: int) -> float:
        if self.fixed is not None:
            return self.fixed
        return min(self.most, self.least * 2.0 ** (attempt - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    name: str
    function_id: str
    trigger: Binding
    outputs: tuple[Binding, ...]
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One invocation as a trigger asks for it."""

    function: Function
    cause: Cause
    value: Datum
    metadata: Mapping[str, Datum] = field(default_factory=dict)
    traceparent: str = ""
    tracestate: str = ""
    message_id: str = ""
    dequeue_count: int = 0
    attempt: int = 0
    attempts: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``ok`` is the function's own success; outputs are bound afterwards and may still fail it."""

    ok: bool
    returned: Datum | None = None
    outputs: tuple[tuple[str, Datum], ...] = ()
    error: str = ""


class Worker:
    """The indexed app. A timeout dooms it: everything in flight fails and the process must end."""

    def __init__(
        self,
        functions: tuple[Function, ...],
        *,
        clock: SimClock,
        timeout: float,
        voice: channel.Voice,
        probe: Probe | None,
        relays_logs: bool,
    ) -> None:
        self.functions = functions
        self.relays_logs = relays_logs
        self.running = 0
        self.doomed = asyncio.Event()
        self._clock = clock
        self._timeout = timeout
        self._voice = voice
        self._probe = probe

    async def run(self, request: Request, bind: "Binder") -> Outcome:
        """Run a function and bind its outputs; report both as one invocation."""
        invocation = str(uuid4())
        traceparent = request.traceparent or new_trace()
        limit = self._real_timeout()
        self._voice.say(
            channel.Began(
                invocation=invocation,
                function=request.function.name,
                cause=request.cause,
                at=self._clock.now(),
                deadline_real=0.0 if math.isinf(limit) else time.time() + limit,
                trace=traceparent,
                message_id=request.message_id,
                dequeue_count=request.dequeue_count,
            )
        )
        began = time.perf_counter()
        self.running += 1
        places: list[str] | None = None
        try:
            outcome, places = await self._call(request, invocation, traceparent, limit)
            if outcome.ok:
                outcome = await bind(request.function, outcome)
        finally:
            self.running -= 1
        self._voice.say(
            channel.Ended(
                invocation=invocation,
                ok=outcome.ok,
                at=self._clock.now(),
                milliseconds=round((time.perf_counter() - began) * 1000, 3),
                error=outcome.error,
                awaits=places,
            )
        )
        return outcome

    async def _call(
        self, request: Request, invocation: str, traceparent: str, limit: float
    ) -> tuple[Outcome, list[str] | None]:
        context = contextvars.Context()
        walk = self._probe.attach(context, request.function.name) if self._probe else None
        if walk and self._probe:
            self._probe.entered(walk)
        task = asyncio.create_task(
            invocation_request_native(
                invocation,
                request.function.function_id,
                [(request.function.trigger.name, request.value)],
                dict(request.metadata),
                traceparent,
                request.tracestate,
                request.attempt,
                request.attempts,
                _retry_exception(request.last_error),
            ),
            context=context,
        )
        outcome = await self._outcome(task, limit)
        return outcome, list(walk.places) if walk else None

    async def _outcome(self, task: "asyncio.Task[object]", limit: float) -> Outcome:
        """Wait for an answer, the timeout, or the end of the worker for another's timeout.

        A CancelledError that escapes user code gives no answer at all: such an invocation hangs
        until the timeout (measured with the real worker), so it does here.
        """
        doom: asyncio.Task[object] = asyncio.create_task(self.doomed.wait())
        deadline = None if math.isinf(limit) else asyncio.get_running_loop().time() + limit
        waiting: set[asyncio.Task[object]] = {task, doom}
        try:
            while waiting:
                left = None
                if deadline is not None:
                    left = max(0.0, deadline - asyncio.get_running_loop().time())
                done, _ = await asyncio.wait(
                    waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if task in done and not task.cancelled():
                    return _answer(task.result())
                if not done:
                    self.doomed.set()
                    return Outcome(ok=False, error=f"FunctionTimeoutException: over {limit:.1f} s")
                if doom in done:
                    return Outcome(ok=False, error=LOST)
                waiting.discard(task)
        finally:
            doom.cancel()
        raise AssertionError("unreachable")

    def _real_timeout(self) -> float:
        real = self._clock.real_seconds(self._timeout)
        if math.isinf(real):
            return self._timeout
        return max(real, min(self._timeout, TIMEOUT_FLOOR))


class Binder:
    """What binds a function's outputs after it ran; the output binding implements it."""

    async def __call__(self, function: Function, outcome: Outcome) -> Outcome:
        raise NotImplementedError


async def load(app: Path) -> tuple[tuple[Function, ...], bool]:
    """Index an app as the worker does at start; tell also whether the host relays its logs.

    The host stops relaying once the worker announces that it exports by OpenTelemetry itself.
    """
    if str(app) not in sys.path:
        sys.path.insert(0, str(app))
    os.chdir(app)
    runtime.start_threadpool_executor()
    asked = SimpleNamespace(
        request=SimpleNamespace(
            worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app))
        ),
        properties={"protos": PROTOS, "host": "127.0.0.1"},
    )
    answer = await runtime.worker_init_request(asked)
    if answer.result.status != StatusResult.Success:
        raise UnloadableApp(answer.result.exception.message)
    listed = (await runtime.functions_metadata_request(None)).function_metadata_results
    if not listed:
        raise UnloadableApp(f"no function found in {app}: is there a function_app.py?")
    relays = "WorkerOpenTelemetryEnabled" not in answer.capabilities
    return tuple(_function(entry) for entry in listed), relays


def _function(entry: SimpleNamespace) -> Function:
    bindings = [json.loads(text) for text in entry.raw_bindings]
    triggers = [found for found in bindings if str(found["type"]).lower().endswith("trigger")]
    if len(triggers) != 1:
        raise UnloadableApp(f"function {entry.name} has {len(triggers)} triggers")
    return Function(
        name=entry.name,
        function_id=entry.function_id,
        trigger=_binding(triggers[0]),
        outputs=tuple(_binding(found) for found in bindings if found not in triggers),
        retry=_retry(entry.retry_options),
    )


def _binding(settings: Mapping[str, object]) -> Binding:
    return Binding(name=str(settings["name"]), type=str(settings["type"]), settings=settings)


def _retry(options: SimpleNamespace | None) -> RetryPolicy | None:
    if options is None:
        return None
    if hasattr(options, "delay_interval"):
        fixed = options.delay_interval.total_seconds()
        return RetryPolicy(count=options.max_retry_count, fixed=fixed)
    return RetryPolicy(
        count=options.max_retry_count,
        fixed=None,
        least=options.minimum_interval.total_seconds(),
        most=options.maximum_interval.total_seconds(),
    )


def _retry_exception(text: str | None) -> SimpleNamespace | None:
    return None if text is None else SimpleNamespace(message=text, stack_trace="", source="")


def _answer(result: object) -> Outcome:
    """Read the library's tuple; its own values are of the app's ``azure.functions``, not ours."""
    ok, returned, outputs, error, _trace = cast("Answer", result)
    return Outcome(
        ok=ok,
        returned=None if returned is None else Datum(returned.value, returned.type),
        outputs=tuple((name, Datum(value.value, value.type)) for name, value in outputs),
        error=error or "",
    )


def new_trace(parent: str = "") -> str:
    """Write a traceparent: a new span of the incoming trace, or a new sampled trace."""
    match = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})", parent)
    trace, flags = (match[1], match[2]) if match else (uuid4().hex, "01")
    return f"00-{trace}-{os.urandom(8).hex()}-{flags}"


def end_now(status: int) -> None:
    """End this process without running what is still in flight, as a killed worker does."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
