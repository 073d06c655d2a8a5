"""Event Grid's dead letters: blobs of events with the reason they were not delivered (facts §5.4).

A blob is never deleted (the account's lifecycle does that): what was replayed says so in its
metadata. Events hold claims, which are personal data; nothing of them is printed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from azure.storage.blob.aio import ContainerClient

from ops.session import Session
from shared.adapters.faults import asking
from shared.domain.messages import WorkItem
from shared.errors import BadMessage, BadWish
from shared.intake import work_item

REPLAYED = "replayed"  # metadata of a blob
_PLAIN_HOSTS = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One blob: its events, and what each asks for (None: nothing of us)."""

    blob: str
    replayed: str
    events: tuple[tuple[dict[str, Any], WorkItem | None, str], ...]

    def rows(self) -> list[dict[str, object]]:
        """Give what may be printed."""
        return [
            {
                "blob": self.blob,
                "event": _text(event, "id"),
                "why": _text(event, "deadLetterReason", "deadletterreason"),
                "attempts": _text(event, "deliveryAttempts", "deliveryattempts"),
                "asks_for": work.vm if work is not None else f"nothing: {said}",
                "replayed": self.replayed,
            }
            for event, work, said in self.events
        ]


class Container:
    """The container of dead letters, with the operator's login or the emulator's key."""

    def __init__(self, session: Session, url: str) -> None:
        parts = urlsplit(url)
        name = parts.path.strip("/").rpartition("/")[2]
        secure = parts.scheme == "https" or parts.hostname in _PLAIN_HOSTS
        if not (secure and parts.hostname and name):
            raise BadWish(f"{url!r} is no container: https://ACCOUNT.blob.core.windows.net/NAME")
        self._session = session
        if session.settings.storage and parts.hostname in _PLAIN_HOSTS:
            self._client = ContainerClient.from_connection_string(session.settings.storage, name)
        else:
            self._client = ContainerClient.from_container_url(
                url, credential=session.foundation.clients.credential()
            )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._client.close()

    async def walk(self, *, replayed: bool) -> AsyncIterator[Letter]:
        """Read blob after blob, oldest names first."""
        with asking("dead-letters.list"):
            async for blob in self._client.list_blobs(include=["metadata"]):
                done = (blob.metadata or {}).get(REPLAYED, "")
                if done and not replayed:
                    continue
                downloaded = await self._client.download_blob(blob.name)
                yield self._letter(blob.name, done, await downloaded.readall())

    async def replay(self, letter: Letter) -> int:
        """Enqueue a look at every VM that a letter's events name; give how many."""
        if not any(event for event, _, _ in letter.events):
            return 0  # unreadable: listed again until it is deleted
        works = [work for _, work, _ in letter.events if work is not None]
        for work in works:
            await self._session.ports.queues.send(work)
        with asking("dead-letters.mark"):
            blob = self._client.get_blob_client(letter.blob)
            await blob.set_blob_metadata({REPLAYED: datetime.now(UTC).isoformat()})
        return len(works)

    def _letter(self, blob: str, replayed: str, body: bytes) -> Letter:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        events = found if isinstance(found, list) else [found]
        read = [
            self._read(event) if isinstance(event, dict) else ({}, None, "no event")
            for event in events
        ]
        return Letter(blob=blob, replayed=replayed, events=tuple(read))

    def _read(self, event: dict[str, Any]) -> tuple[dict[str, Any], WorkItem | None, str]:
        now = self._session.ports.clock.now()
        try:
            return event, work_item(json.dumps(event), now, ""), "not about a VM's write"
        except BadMessage as error:
            return event, None, error.reason


def _text(event: dict[str, Any], *names: str) -> str:
    return next((str(event[name]) for name in names if name in event), "")
