"""The host's view of the one clock: an instance is another process and follows it over HTTP."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta

import aiohttp

from simulator.clock import SimClock

#: How long a message stays hidden in the emulator while the clock is stepped: the parent releases
#: it when simulated time says so, this is only for what nobody releases.
STEPPED_HIDE = 3600
REFOLLOW = 0.5


class FollowedClock(SimClock):
    """The simulated clock as last read from its control plane, or the wall clock until then."""

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))

    async def follow(self, url: str, session: aiohttp.ClientSession) -> None:
        """Read the clock once, and raise if it cannot be read."""
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=10)) as answer:
            answer.raise_for_status()
            self.read(await answer.json())

    async def keep_following(self, url: str, session: aiohttp.ClientSession) -> None:
        """Follow jumps and speed changes until cancelled; a clock that is away keeps its pace."""
        while True:
            try:
                async with session.get(
                    url,
                    params={"after": str(self.epoch)},
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
                ) as answer:
                    answer.raise_for_status()
                    self.read(await answer.json())
            except (aiohttp.ClientError, TimeoutError, ValueError):
                await asyncio.sleep(REFOLLOW)

    def read(self, reading: dict[str, object]) -> None:
        """Take over one answer of ``GET /_sim/clock``."""
        epoch = int(str(reading["epoch"]))
        speed = float(str(reading["speed"]))
        since = max(0.0, time.time() - float(str(reading["real"])))
        now = datetime.fromisoformat(str(reading["now"])) + timedelta(seconds=since * speed)
        changed = epoch != self.epoch or speed != self.speed
        self._rebase(now.astimezone(UTC))
        self._speed = speed
        if changed:
            self._announce()
        self.epoch = epoch


def hide_seconds(clock: SimClock, sim_seconds: float) -> int:
    """Convert a visibility timeout to the emulator's real, whole seconds; 0 stays 0."""
    if sim_seconds <= 0:
        return 0
    real = clock.real_seconds(sim_seconds)
    return STEPPED_HIDE if math.isinf(real) else max(1, math.ceil(real))
