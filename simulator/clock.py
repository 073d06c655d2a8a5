"""The one clock of a simulated Azure: it can run fast, stand still and jump.

Everything that takes time here (operations, throttles, lags) is computed from this clock when it
is looked at, so that a test that jumps a night sees what a test that waits a night would see.
"""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SimClock:
    """Simulated time: an origin, a speed, and an epoch that counts jumps and speed changes.

    ``speed`` is simulated seconds per real second; 0 is the stepped mode, in which time moves
    only through :meth:`advance`.
    """

    def __init__(
        self,
        start: datetime,
        speed: float = 1.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("the start of a simulated clock must be aware")
        self._monotonic = monotonic
        self._origin = start.astimezone(UTC)
        self._origin_real = monotonic()
        self._speed = _checked(speed)
        self._changed: asyncio.Event | None = None
        self.epoch = 0

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def stepped(self) -> bool:
        return self._speed == 0

    def now(self) -> datetime:
        """Tell the simulated time, aware, in UTC."""
        elapsed = (self._monotonic() - self._origin_real) * self._speed
        return self._origin + timedelta(seconds=elapsed)

    def real_seconds(self, sim_seconds: float) -> float:
        """Convert a simulated duration; infinite while the clock is stepped."""
        if sim_seconds <= 0:
            return 0.0
        return sim_seconds / self._speed if self._speed else math.inf

    def set_speed(self, speed: float) -> None:
        self._rebase(self.now())
        self._speed = _checked(speed)
        self._announce()

    def advance(self, seconds: float) -> datetime:
        """Jump forward by simulated seconds; a simulated clock never goes back."""
        if seconds < 0:
            raise ValueError("a simulated clock never goes back")
        self._rebase(self.now() + timedelta(seconds=seconds))
        self._announce()
        return self.now()

    def wake(self) -> None:
        """Let what sleeps on this clock look again, without a jump."""
        woken, self._changed = self._changed, None
        if woken is not None:
            woken.set()

    async def sleep(self, sim_seconds: float) -> None:
        """Sleep simulated seconds; a jump past the end wakes at once."""
        await self.sleep_until(self.now() + timedelta(seconds=sim_seconds))

    async def sleep_until(self, when: datetime) -> None:
        while (left := (when - self.now()).total_seconds()) > 0:
            await self.changed_within(self.real_seconds(left))

    async def changed_within(self, real_seconds: float) -> bool:
        """Wait for a jump, a speed change or a wake, at most so long; tell whether one came."""
        if self._changed is None:
            self._changed = asyncio.Event()
        waiting = self._changed
        try:
            async with asyncio.timeout(None if math.isinf(real_seconds) else real_seconds):
                await waiting.wait()
        except TimeoutError:
            return False
        return True

    def _rebase(self, at: datetime) -> None:
        self._origin = at
        self._origin_real = self._monotonic()

    def _announce(self) -> None:
        self.epoch += 1
        self.wake()


def _checked(speed: float) -> float:
    if not (math.isfinite(speed) and speed >= 0):
        raise ValueError(f"a clock speed is a number from 0 up, not {speed!r}")
    return float(speed)
