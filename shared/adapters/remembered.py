"""The ledger as one process asks it: what it just learned is not asked again for a moment.

A burst asks the same three small questions for every VM: how many places are taken, how many
changes were counted, when a vault is looked at. This process's own writes answer most of them.
All three answers are hints only; whoever takes the last place or the last change is told by the
write itself, and a look that is missed is made up for by the sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.adapters.ledger import Changes, Places, TableLedger
from shared.adapters.stores import Stores
from shared.domain.ids import ArmId
from shared.domain.records import Look
from shared.ports import Clock

_MOMENT = timedelta(seconds=2)
_KEPT = 4096  # answers; a crowd of vaults is forgotten before it grows


class _Lately[T]:
    """Answers by key, each good for a moment."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[tuple[str, str], tuple[datetime, T]] = {}

    def keep(self, key: tuple[str, str], answer: T) -> T:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[key] = (self._now(), answer)
        return answer

    def get(self, key: tuple[str, str]) -> T | None:
        kept = self._kept.get(key)
        return kept[1] if kept is not None and self._now() - kept[0] < _MOMENT else None


class RememberingLedger(TableLedger):
    """`ports.Ledger`, with a short memory."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        super().__init__(stores)
        self._clock = clock
        self._taken: _Lately[int] = _Lately(clock.now)
        self._counted: _Lately[Changes] = _Lately(clock.now)
        self._look_at: dict[str, Look] = {}

    async def places(self, vault: ArmId, day: str) -> int:
        known = self._taken.get((vault.key, day))
        if known is not None:
            return known
        return self._taken.keep((vault.key, day), await super().places(vault, day))

    async def _amend_places(
        self, vault: ArmId, day: str, change: Callable[[Places], Places]
    ) -> Places:
        after = await super()._amend_places(vault, day, change)
        self._taken.keep((vault.key, day), len(after.vms))
        return after

    async def _read_changes(self, subscription: str, day: str) -> Changes:
        key = (subscription.lower(), day)
        known = self._counted.get(key)
        if known is not None:
            return known
        return self._counted.keep(key, await super()._read_changes(subscription, day))

    async def _amend_changes(
        self, subscription: str, day: str, change: Callable[[Changes], Changes]
    ) -> Changes:
        after = await super()._amend_changes(subscription, day, change)
        return self._counted.keep((subscription.lower(), day), after)

    async def look(self, vault: ArmId) -> Look | None:
        known = self._look_at.get(vault.key)
        if known is not None and known.next_at > self._clock.now():
            return known  # nobody takes a look away before its time
        found = await super().look(vault)
        if found is not None:
            self._look_at[vault.key] = found
        return found

    async def put_look(self, look: Look) -> None:
        await super().put_look(look)
        self._look_at[ArmId.parse(look.vault).key] = look

    async def drop_look(self, vault: ArmId) -> None:
        self._look_at.pop(vault.key, None)
        await super().drop_look(vault)
