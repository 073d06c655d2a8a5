"""Time: the system's, or a simulated Azure's on a laptop (DESIGN §3.19).

A simulated clock is accepted only from this machine, so that no production setting can bend time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.errors import BadSettings
from shared.ports import Clock

if TYPE_CHECKING:
    import aiohttp

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PATIENCE = 5.0  # seconds for an answer of the clock


def clock_of(setting: str) -> Clock:
    """Give the clock that the setting `CLOCK` names.

    Raises:
        BadSettings: a URL that is not on this machine.

    """
    return SystemClock() if setting == "system" else SimulatedClock(setting)


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds(self, delay: float) -> float:
        return delay

    async def synchronize(self) -> None:
        """Nothing to read."""


class SimulatedClock:
    """Follows a clock that answers ``{"now": ISO, "speed": x, "real": unix seconds}``.

    Between two readings it runs on at the speed it was told. A jump is seen at the next reading,
    so every invocation begins with one.
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).hostname not in _LOOPBACK:
            raise BadSettings(f"CLOCK must be system or a URL on this machine, not {url}")
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._now: datetime | None = None
        self._read_at = 0.0
        self._speed = 1.0

    def now(self) -> datetime:
        if self._now is None:
            raise RuntimeError("a simulated clock must be synchronized before it is asked")
        passed = time.monotonic() - self._read_at
        return self._now + timedelta(seconds=passed * self._speed)

    def real_seconds(self, delay: float) -> float:
        """Give the real duration of a simulated wait; a clock that stands still counts as real."""
        return delay / self._speed if self._speed > 0 else delay

    async def synchronize(self) -> None:
        """Read the clock.

        Raises:
            AzureFault: the clock does not answer.

        """
        import aiohttp  # only where time is simulated

        from shared.adapters.faults import asking

        if self._session is None:
            limit = aiohttp.ClientTimeout(total=_PATIENCE)
            self._session = aiohttp.ClientSession(
                timeout=limit, cookie_jar=aiohttp.DummyCookieJar()
            )
        with asking("clock.read"):
            try:
                async with self._session.get(self._url) as answer:
                    told = await answer.json()
            except aiohttp.ClientError as error:
                raise ConnectionError(str(error)) from error
            age = max(0.0, time.time() - float(told["real"]))
            self._now = datetime.fromisoformat(told["now"]).astimezone(UTC)
            self._speed = float(told["speed"])
            self._read_at = time.monotonic() - age

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
