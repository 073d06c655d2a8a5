"""What is due when: callbacks ordered by simulated time, run in order, none of them twice."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

type Due = Callable[[], None]


@dataclass(order=True, slots=True)
class _Entry:
    when: datetime
    sequence: int
    callback: Due = field(compare=False)


class Schedule:
    """A queue of callbacks by simulated time; equal times run in the order they were scheduled."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._sequence = itertools.count()
        self.acting_at: datetime | None = None
        self.on_sooner: Due = _nothing

    def at(self, when: datetime, callback: Due) -> None:
        entry = _Entry(when, next(self._sequence), callback)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self.on_sooner()  # whoever sleeps until the next one has to look again

    def next_due(self) -> datetime | None:
        return self._heap[0].when if self._heap else None

    def run(self, now: datetime) -> int:
        """Run what is due by ``now``; ``acting_at`` is each callback's own time meanwhile."""
        if self.acting_at is not None:
            return 0  # a callback looked at the world: the outer run goes on by itself
        ran = 0
        try:
            while self._heap and self._heap[0].when <= now:
                entry = heapq.heappop(self._heap)
                self.acting_at = entry.when
                entry.callback()
                ran += 1
        finally:
            self.acting_at = None
        return ran


def _nothing() -> None:
    """Nobody sleeps on this schedule."""
