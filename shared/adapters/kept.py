"""A value kept for a while: loaded when needed, by one caller at a time, for all.

A load that fails is not tried again at once by everybody who waited for it; where an older value
is good enough for a while longer, it is given instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime, timedelta

from shared.errors import AzureFault, Disposition
from shared.ports import Clock

_AFTER_FAULT = timedelta(seconds=5)
_AFTER_REFUSAL = timedelta(seconds=60)  # a right that is lacking does not come within seconds
_TIDIED = timedelta(seconds=60)  # between two looks at all keys


class Kept[T]:
    """Loads with ``load``, keeps for ``seconds``, and after a failure for ``grace`` seconds more."""

    def __init__(
        self,
        clock: Clock,
        load: Callable[[], Awaitable[T]],
        *,
        seconds: float,
        grace: float = 0.0,
    ) -> None:
        self._clock = clock
        self._load = load
        self._life = timedelta(seconds=seconds)
        self._grace = timedelta(seconds=grace)
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._loaded_at: datetime | None = None
        self._wanted = False  # somebody asked to forget the value
        self._fault: AzureFault | None = None
        self._fault_at = datetime.min.replace(tzinfo=UTC)
        self._asked_at = clock.now()

    @property
    def spent(self) -> bool:
        """Whether nobody has asked for so long that nothing kept here is of use."""
        useful = max(self._life + self._grace, _AFTER_REFUSAL)
        return self._clock.now() - self._asked_at >= useful

    @property
    def age(self) -> timedelta | None:
        """Time since the latest load; None if there was none."""
        return None if self._loaded_at is None else self._clock.now() - self._loaded_at

    @property
    def expired(self) -> bool:
        """Whether there is a value that is too old, and nobody asked for a new one."""
        return not self._wanted and self.age is not None and self.age >= self._life

    async def get(self) -> T:
        """Give the value.

        Raises:
            AzureFault: it could not be loaded, and there is none old enough to go on with.

        """
        self._asked_at = self._clock.now()
        if (value := self._good()) is not None:
            return value
        async with self._lock:
            if (value := self._good()) is not None:
                return value
            began = self._clock.now()
            if (fault := self._fault) is not None and began - self._fault_at < _pause(fault):
                return self._instead(fault.again())
            try:
                value = await self._load()
            except AzureFault as fault:
                self._fault, self._fault_at = fault.again(), self._clock.now()
                return self._instead(fault)
            self._value, self._loaded_at = value, began
            self._wanted, self._fault = False, None
            return value

    def forget(self, *, unless_younger: float = 0.0) -> None:
        """Load anew at the next asking, unless the value is younger than so many seconds."""
        if self.age is None or self.age >= timedelta(seconds=unless_younger):
            if not self._wanted:
                self._asked_at = self._clock.now()
            self._wanted = True

    def _good(self) -> T | None:
        return None if self._wanted or self.expired else self._value

    def _instead(self, fault: AzureFault) -> T:
        if self._value is None or self.age is None or self.age >= self._life + self._grace:
            raise fault
        return self._value


class KeptBy[K: Hashable, T]:
    """A value for each key, e.g. a subnet's id; those that nobody asks for any more are let go.

    Resources come and go for as long as a process lives, and a new one is the time to look for
    what is spent; once a minute, since thousands may come at once.
    """

    def __init__(self, clock: Clock, keep: Callable[[K], Kept[T]]) -> None:
        """Remember ``keep``, which makes what keeps a key's value."""
        self._clock = clock
        self._keep = keep
        self._kept: dict[K, Kept[T]] = {}
        self._tidied_at = clock.now()

    def __getitem__(self, key: K) -> Kept[T]:
        if key not in self._kept:
            if (now := self._clock.now()) - self._tidied_at >= _TIDIED:
                self._kept = {other: one for other, one in self._kept.items() if not one.spent}
                self._tidied_at = now
            self._kept[key] = self._keep(key)
        return self._kept[key]

    def get(self, key: K) -> Kept[T] | None:
        """Give what keeps a key's value, if it was asked for and is not spent."""
        found = self._kept.get(key)
        if found is not None and found.spent:
            del self._kept[key]
            return None
        return found

    def forget(self, *, unless_younger: float = 0.0) -> None:
        """Load all of them anew, each at its next asking."""
        for one in self._kept.values():
            one.forget(unless_younger=unless_younger)


def _pause(fault: AzureFault) -> timedelta:
    return _AFTER_REFUSAL if fault.disposition is Disposition.PARK else _AFTER_FAULT
