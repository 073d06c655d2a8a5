"""Messages that no instance will settle, and the simulated time at which they must reappear.

Storage hides a message in real time, which cannot jump. So the parent keeps the receipt of every
message in an instance's hands, and makes a dead instance's messages visible when ten simulated
minutes are over, whatever the clock did meanwhile. The receipt of a message that storage has
shown to somebody else is refused by storage itself, so nothing is released twice.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.clock import SimClock
from simulator.host.channel import Held, LetGo
from simulator.host.storage import Storage, StorageFault


@dataclass(slots=True, kw_only=True)
class Custody:
    clock: SimClock
    storage: Callable[[str], Storage]
    held: dict[str, dict[str, Held]] = field(default_factory=dict)
    releasing: set["asyncio.Task[None]"] = field(default_factory=set)

    def took(self, instance: str, held: Held) -> None:
        self.held.setdefault(instance, {})[f"{held.queue}/{held.message_id}"] = held

    def gave(self, instance: str, let_go: LetGo) -> None:
        held = self.held.get(instance, {}).pop(f"{let_go.queue}/{let_go.message_id}", None)
        if held is not None and let_go.left_hidden:
            self._later(held)

    def died(self, instance: str, *, at_once: bool) -> None:
        """A host that crashed leaves its messages hidden; one whose worker died releases them."""
        for held in self.held.pop(instance, {}).values():
            if at_once:
                self._keep(self._release(held))
            else:
                self._later(held)

    async def close(self) -> None:
        for task in self.releasing:
            task.cancel()
        await asyncio.gather(*self.releasing, return_exceptions=True)

    def _later(self, held: Held) -> None:
        self._keep(self._release_when_due(held))

    async def _release_when_due(self, held: Held) -> None:
        await self.clock.sleep_until(held.until)
        await self._release(held)

    async def _release(self, held: Held) -> None:
        with contextlib.suppress(StorageFault):
            await self.storage(held.connection).hide(held.queue, held.message_id, held.receipt, 0)

    def _keep(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self.releasing.add(task)
        task.add_done_callback(self.releasing.discard)
