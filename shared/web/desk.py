"""What the page and the API reach: the ports of the service, and who is who."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.ids import ArmId
from shared.domain.notices import Notice
from shared.outbox import Record
from shared.ports import Etag, Ports
from shared.web.auth import SigningKeys


class Noticeboard(Protocol):
    """Reads notices. Answered by the outbox's store."""

    async def read(self, key: str) -> tuple[Record, Etag] | None: ...
    def notices(self, subscription: str = "") -> AsyncIterator[Sequence[Notice]]:
        """Walk the notices of a subscription, or those of ``operators``."""
        ...


class Hush(Protocol):
    """Keeps notices quiet. Answered by `shared.notify`."""

    async def snooze(self, vm: ArmId, until: datetime, by: str, now: datetime) -> None: ...


class Soundings(Protocol):
    """What only the doctor asks. Answered by `shared.adapters.soundings`."""

    async def ahead(self) -> timedelta:
        """Say how far this machine's clock is ahead of storage's."""
        ...

    async def oldest(self, queue: str) -> timedelta | None:
        """Give the age of the oldest message that anybody may take now."""
        ...

    async def channels(self) -> Mapping[str, str]:
        """Knock at every channel that is set: "" if it answers, else what happened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Built by `bootstrap`; tests build it of fakes."""

    ports: Ports
    keys: SigningKeys
    notices: Noticeboard
    hush: Hush
    soundings: Soundings

    async def notice(self, vm: ArmId) -> Notice | None:
        found = await self.notices.read(vm.key)
        return found[0] if found is not None and isinstance(found[0], Notice) else None
