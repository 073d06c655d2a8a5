"""The whole service, notices too, in a process that can die at every await.

An await is a place in `shared/` that waits for a port; it is found while a story runs, by looking
at the stack of every call. Death is SIGKILL's: nothing of the process runs on, no `finally`, no
`except`, no task beside the one that died. What it asked for last has happened, or not.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from shared.domain.messages import NoticeItem
from tests.fakes.azure import FakeClock
from tests.fakes.notices import FakeChannel
from tests.unit.notices.post import Post
from tests.usecases.house import House, Killed

ROOT = str(Path(__file__).parents[2] / "shared")
PORTS = (
    "ledger",
    "people",
    "queues",
    "machines",
    "backup",
    "directory",
    "networks",
    "index",
    "estate",
    "pace",
    "rules",
    "parked",
)
_running: ContextVar[_Process] = ContextVar("process")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One await of one function: the lines that lead to it, innermost first, and what it asks."""

    function: str
    lines: tuple[str, ...]
    call: str

    def __str__(self) -> str:
        return f"{self.function} {self.lines[0] if self.lines else '-'} {self.call}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where the process dies, once: before or after what it waited for has happened."""

    place: Place
    occurrence: int
    after: bool

    def __str__(self) -> str:
        side = "after" if self.after else "before"
        return f"{side} {self.place}, time {self.occurrence}"


class _Process:
    """One life of the service."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.died = asyncio.Event()


class Mortal(House):
    """A house with the real outbox whose processes die where they are told to."""

    listened = ("enrollments", "enrollments-backlog", "sweeps", "notices")

    def __init__(
        self,
        death: Death | None = None,
        *,
        clock: FakeClock | None = None,
        **environment: str,
    ) -> None:
        super().__init__(clock=clock, **environment)
        self.death = death
        self.places: Counter[Place] = Counter()
        self.finding = True  # places are counted, until the ordered death
        self.post = Post(
            clock=self.clock,
            queues=self.queues,
            mail=FakeChannel(),
            teams=FakeChannel(),
            topic=FakeChannel(keyed=True),
        )
        self.notices = self.post.notifier
        self.dies_in = 0  # awaits from now; 0 is never
        self.on_await: Callable[[str], None] = lambda _call: None  # may raise what a port raises
        self._ghosts: list[asyncio.Task[object]] = []
        for name in PORTS:
            self._wrap(name, getattr(self, name))
        for name in ("store", "mail", "teams", "topic"):
            self._wrap(name, getattr(self.post, name))

    def restart(self) -> None:
        shown = self.index._loaded
        super().restart()
        self.index._loaded = shown  # Resource Graph shows no more to a new process
        self._wrap("index", self.index)
        self.post.restart()
        self.notices = self.post.notifier

    def timers(self) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        notices = ("tick_notices", lambda: self.post.notifier.tick(self.clock.now()))
        return [*super().timers(), notices]

    async def invoke(self, function: str, work: Awaitable[object]) -> object:
        """Run one invocation until it ends or dies; of the dead nothing runs on."""
        life = _Process(function)

        async def live() -> object:
            _running.set(life)
            return await work

        running = asyncio.create_task(live())
        death = asyncio.create_task(life.died.wait())
        await asyncio.wait({running, death}, return_when=asyncio.FIRST_COMPLETED)
        if life.died.is_set():
            self._ghosts.append(running)
            raise Killed
        death.cancel()
        return await running

    async def bury(self) -> None:
        """Let what is left of the dead go, without another word."""
        for ghost in self._ghosts:
            ghost.cancel()
        await asyncio.gather(*self._ghosts, return_exceptions=True)

    async def _handled(self, one) -> None:
        if isinstance(one.message, NoticeItem) and not one.poison:
            await self.invoke("send_notice", self.post.notifier.deliver(one.message))
        else:
            await super()._handled(one)

    def _wrap(self, name: str, port: object) -> None:
        for word in dir(port):
            method = getattr(port, word)
            if word.startswith("_"):
                continue
            if inspect.isasyncgenfunction(method):
                setattr(port, word, self._walk(f"{name}.{word}", method))
            elif inspect.iscoroutinefunction(method):
                setattr(port, word, self._step(f"{name}.{word}", method))

    def _step(self, call: str, method):
        async def step(*args, **kwargs):
            due = await self._reached(call)
            answer = await method(*args, **kwargs)
            if due:
                await self._die()
            await self._alive()
            return answer

        return step

    def _walk(self, call: str, method):
        async def walk(*args, **kwargs):
            due = await self._reached(call)
            async for page in method(*args, **kwargs):
                if due:
                    await self._die()
                await self._alive()
                yield page

        return walk

    async def _reached(self, call: str) -> bool:
        """Count an await; tell whether the process dies as soon as it has ended."""
        life = _running.get(None)
        if life is None:  # the test's own hand
            return False
        await self._alive()
        self.on_await(call)
        if self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                await self._die()
        if not self.finding:
            return False
        place = Place(life.function, _lines(), call)
        self.places[place] += 1
        death = self.death
        if death is None or (death.place, death.occurrence) != (place, self.places[place]):
            return False
        self.death, self.finding = None, False
        if not death.after:
            await self._die()
        return death.after

    async def _die(self) -> None:
        _running.get().died.set()
        await self._alive()

    async def _alive(self) -> None:
        life = _running.get(None)
        if life is not None and life.died.is_set():
            await asyncio.Future()  # for ever


def _lines() -> tuple[str, ...]:
    """Give the lines of the product that wait now, innermost first."""
    frame, found = sys._getframe(2), []
    while frame is not None:
        if frame.f_code.co_filename.startswith(ROOT):
            found.append(f"{frame.f_code.co_filename[len(ROOT) + 1 :]}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(found)


async def deaths(story: Callable[[Mortal], Awaitable[None]], **environment: str) -> list[Death]:
    """Tell a story without a death; give all deaths that it can have, first and last of a place."""
    house = Mortal(**environment)
    await story(house)
    return [
        Death(place=place, occurrence=occurrence, after=after)
        for place, times in sorted(house.places.items())
        for occurrence in sorted({1, times})
        for after in (False, True)
    ]
