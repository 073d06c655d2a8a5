"""What the parent knows of its instances' work: every invocation, every held message, the locks.

In memory, for tests and the demo to read; nothing here reaches the app.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from simulator.clock import SimClock
from simulator.host import channel

#: A listener lock is a lease of 60 s that its holder renews: after a death the rest must pass.
LEASE = 60.0
REMEMBERED = 50_000

type State = Literal["running", "ok", "failed", "lost"]


class Invocation(msgspec.Struct, kw_only=True):
    """One run of one function; ``lost`` means that its instance died while it ran."""

    id: str
    function: str
    cause: str
    instance: str
    state: State
    began: datetime
    ended: datetime | None = None
    milliseconds: float = 0.0
    error: str = ""
    message_id: str = ""
    dequeue_count: int = 0
    trace: str = ""
    awaits: list[str] | None = None


@dataclass(slots=True)
class Invocations:
    """Every invocation, oldest first."""

    listed: deque[Invocation] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    running: dict[str, Invocation] = field(default_factory=dict)

    def began(self, instance: str, said: channel.Began) -> None:
        invocation = Invocation(
            id=said.invocation,
            function=said.function,
            cause=said.cause,
            instance=instance,
            state="running",
            began=said.at,
            message_id=said.message_id,
            dequeue_count=said.dequeue_count,
            trace=said.trace,
        )
        self.listed.append(invocation)
        self.running[said.invocation] = invocation

    def ended(self, said: channel.Ended) -> None:
        invocation = self.running.pop(said.invocation, None)
        if invocation is None:
            return
        invocation.state = "ok" if said.ok else "failed"
        invocation.ended = said.at
        invocation.milliseconds = said.milliseconds
        invocation.error = said.error
        invocation.awaits = said.awaits

    def lost(self, instance: str, at: datetime) -> None:
        """Close what ran on an instance that has died."""
        for invocation in [one for one in self.running.values() if one.instance == instance]:
            invocation.state = "lost"
            invocation.ended = at
            del self.running[invocation.id]


@dataclass(slots=True)
class Locks:
    """Who holds which listener lock, and who waits for it, in order."""

    clock: SimClock
    holders: dict[str, str] = field(default_factory=dict)
    free_from: dict[str, datetime] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wanted(self, lock: str, instance: str) -> None:
        self.waiting.setdefault(lock, []).append(instance)
        self.changed.set()

    def died(self, instance: str, *, lease_runs_out: bool) -> None:
        """Forget an instance; what it held is free when its lease has run out, or at once."""
        for waiting in self.waiting.values():
            if instance in waiting:
                waiting.remove(instance)
        for lock, holder in list(self.holders.items()):
            if holder == instance:
                del self.holders[lock]
                rest = timedelta(seconds=LEASE if lease_runs_out else 0)
                self.free_from[lock] = self.clock.now() + rest
        self.changed.set()

    def grantable(self) -> list[tuple[str, str]]:
        """Take the locks that are free now for who waits longest."""
        now = self.clock.now()
        granted = []
        for lock, waiting in self.waiting.items():
            if waiting and lock not in self.holders and self._free_from(lock, now) <= now:
                self.holders[lock] = waiting.pop(0)
                granted.append((lock, self.holders[lock]))
        return granted

    def next_free(self) -> datetime | None:
        """Tell when a lock that somebody waits for comes free by the passing of time."""
        now = self.clock.now()
        return min(
            (
                self._free_from(lock, now)
                for lock, waiting in self.waiting.items()
                if waiting and lock not in self.holders
            ),
            default=None,
        )

    def _free_from(self, lock: str, now: datetime) -> datetime:
        return self.free_from.get(lock, now)
