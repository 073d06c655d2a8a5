"""Finds the awaits of a function, and kills this very process at one of them.

An await here is a place in the *app's own* code that really suspended: what the libraries below it
await counts as that one. The kill comes right after the n-th await has ended and before the app's
next line, so "after n" is also "before n + 1" and "after 0" is the entry. It works on
``sys.monitoring``: the app runs unmodified, and pays nothing unless a probe is asked for.

``HOST_KILL_AT`` is ``function:n`` (before its n-th await, from 1) or ``function:n:after``, or
``function@place``: after the first await there, wherever in the order of a run it comes.
"""

import asyncio
import contextvars
import os
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TOOL = sys.monitoring.PROFILER_ID
EVENTS = sys.monitoring.events
COROUTINE = 0x80  # inspect.CO_COROUTINE


class UnusableKillPoint(ValueError):
    """``HOST_KILL_AT`` names no await of a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPoint:
    function: str
    after_awaits: int = 0
    place: str = ""

    @classmethod
    def parse(cls, text: str) -> "KillPoint | None":
        if not text:
            return None
        function, _, place = text.partition("@")
        if function and place:
            return cls(function=function, place=place)
        function, _, rest = text.partition(":")
        number, _, side = rest.partition(":")
        if not (function and number.isdigit() and side in {"", "before", "after"}):
            raise UnusableKillPoint(
                f"HOST_KILL_AT={text!r} is not FUNCTION:N[:before|:after]|@PLACE"
            )
        before = int(number) - (side != "after")
        if before < 0:
            raise UnusableKillPoint(f"HOST_KILL_AT={text!r}: awaits are counted from 1")
        return cls(function=function, after_awaits=before)


@dataclass(slots=True, kw_only=True, eq=False)
class Walk:
    """One invocation seen by the probe: the places it has awaited at, in the order they ended."""

    function: str
    places: list[str] = field(default_factory=list)
    waiting: dict[object, str] = field(default_factory=dict)


_walk: contextvars.ContextVar[Walk | None] = contextvars.ContextVar("walk", default=None)


class Probe:
    """Watches coroutines of files below ``app``; ``dying`` is told just before the SIGKILL."""

    def __init__(
        self, app: Path, kill_at: KillPoint | None, dying: Callable[[KillPoint, str], None]
    ) -> None:
        self._app = str(app)
        self._own = str(Path(__file__).resolve().parents[1])
        self.kill_at = kill_at
        self._dying = dying
        self._watched: set[types.CodeType] = set()

    def start(self) -> None:
        monitoring = sys.monitoring
        monitoring.use_tool_id(TOOL, "simulator.host.probe")
        monitoring.register_callback(TOOL, EVENTS.PY_START, self._started)
        monitoring.register_callback(TOOL, EVENTS.PY_YIELD, self._suspended)
        monitoring.register_callback(TOOL, EVENTS.LINE, self._went_on)
        monitoring.register_callback(TOOL, EVENTS.PY_RETURN, self._returned)
        monitoring.set_events(TOOL, EVENTS.PY_START)

    def attach(self, context: contextvars.Context, function: str) -> Walk:
        """Follow the invocation that will run in ``context``, tasks it starts included."""
        walk = Walk(function=function)
        context.run(_walk.set, walk)
        return walk

    def entered(self, walk: Walk) -> None:
        """The function is about to run: the kill point after no await at all."""
        self._kill_if_due(walk, "entry")

    def _started(self, code: types.CodeType, _offset: int) -> object:
        if not (code.co_flags & COROUTINE and self._is_app(code.co_filename)):
            return sys.monitoring.DISABLE
        if code not in self._watched:
            self._watched.add(code)
            sys.monitoring.set_local_events(
                TOOL, code, EVENTS.PY_YIELD | EVENTS.LINE | EVENTS.PY_RETURN
            )
        return sys.monitoring.DISABLE

    def _suspended(self, code: types.CodeType, _offset: int, _value: object) -> None:
        walk = _walk.get()
        if walk is None:
            return
        task = asyncio.current_task()
        if task not in walk.waiting:  # the innermost frame of the app reports first
            line = sys._getframe(1).f_lineno  # noqa: SLF001 - the frame that suspends
            path = Path(code.co_filename).relative_to(self._app)
            walk.waiting[task] = f"{path}:{line} {code.co_name}"

    def _went_on(self, _code: types.CodeType, _line: int) -> None:
        self._ended()

    def _returned(self, _code: types.CodeType, _offset: int, _value: object) -> None:
        self._ended()

    def _ended(self) -> None:
        walk = _walk.get()
        if walk is None or not walk.waiting:
            return
        place = walk.waiting.pop(asyncio.current_task(), None)
        if place is not None:
            walk.places.append(place)
            self._kill_if_due(walk, place)

    def _kill_if_due(self, walk: Walk, place: str) -> None:
        at = self.kill_at
        if at is None or at.function != walk.function:
            return
        if at.place == place if at.place else at.after_awaits == len(walk.places):
            self._dying(at, place)
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_app(self, path: str) -> bool:
        return (
            path.startswith(self._app + os.sep)
            and not path.startswith(self._own + os.sep)
            and "site-packages" not in path
        )
