"""The rules in force (the `RulesSource` port): a blob in Azure, a file on a laptop.

Looked for at most once per `RULES_CHECK_SECONDS`, read only if it changed. A copy with errors
changes nothing: the last good one stays in force and `problems` tells what is wrong. It is kept
in a table too, since an instance that starts after the mistake has none in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from shared.adapters.faults import asking
from shared.domain.rules import Rules, parse
from shared.domain.rules.text import decoded
from shared.errors import AzureFault, BadRules, Problem
from shared.loading import loading
from shared.ports import Clock
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import BlobClient

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_A_WHILE = timedelta(minutes=15)  # a copy that cannot be read for longer is worth telling
_WAITS: dict[str, Any] = {"retry_total": 1, "connection_timeout": 2, "read_timeout": 5}


class Copy(Protocol):
    """Where rules lie."""

    name: str

    async def newer(self, etag: str) -> tuple[str, str] | None:
        """Give text and etag, or None if it is still the copy with this etag.

        Raises:
            BadRules: there is no such file, or it is no text.

        """

    async def aclose(self) -> None: ...


class LastGood(Protocol):
    """Where the last good copy is kept for instances that have never seen it."""

    async def read(self) -> str:
        """Give the text; "" if there is none."""

    async def write(self, text: str) -> None: ...


class StoredRules:
    """Answers the `RulesSource` port."""

    def __init__(
        self, copy: Copy, settings: Settings, clock: Clock, good: LastGood | None = None
    ) -> None:
        self._copy = copy
        self._good = good
        self._clock = clock
        self._every = timedelta(seconds=settings.rules_check_seconds)
        self._lock = asyncio.Lock()
        self._rules: Rules | None = None
        self._etag = ""
        self._checked_at: datetime | None = None
        self._wrong: tuple[Problem, ...] = ()  # what is wrong with the newest copy
        self._unread: AzureFault | None = None  # why there may be a newer one
        self._unread_since: datetime | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Whatever is wrong with the newest copy; empty if it is in force."""
        if self._unread is None:
            return self._wrong
        unread = _problem(self._copy.name, f"cannot be read: {self._unread}")
        since = self._unread_since or self._clock.now()
        passing = self._clock.now() - since < _A_WHILE
        return (*self._wrong, replace(unread, level="warning") if passing else unread)

    async def current(self) -> Rules:
        """Give the rules in force.

        Raises:
            BadRules: there never was a good copy.
            AzureFault: there never was a copy at all.

        """
        async with self._lock:
            now = self._clock.now()
            if self._checked_at is None or now - self._checked_at >= self._every:
                self._checked_at = now
                await self._check()
        if self._rules is None:
            if self._wrong:
                raise BadRules(self._wrong)
            assert self._unread is not None, "a check gives rules or says why not"
            raise self._unread.again()
        return self._rules

    async def aclose(self) -> None:
        await self._copy.aclose()

    async def _check(self) -> None:
        try:
            found = await self._copy.newer(self._etag)
            self._unread = self._unread_since = None
            if found is not None:
                text, self._etag = found
                with loading():  # the parser comes with the first text
                    self._rules = parse(text, self._copy.name)
                self._wrong = ()
                await self._keep(text)
        except AzureFault as fault:
            self._unread = fault.again()
            self._unread_since = self._unread_since or self._clock.now()
        except BadRules as wrong:
            self._wrong = wrong.problems
        if self._rules is None:
            self._rules = await self._kept()

    async def _keep(self, text: str) -> None:
        if self._good is not None:
            with suppress(AzureFault):  # the next instance that reads it keeps it
                await self._good.write(text)

    async def _kept(self) -> Rules | None:
        """Give the copy that was good before this process began."""
        if self._good is None:
            return None
        try:
            text = await self._good.read()
            return parse(text, self._copy.name) if text else None
        except (AzureFault, BadRules):
            return None


class RulesFile:
    """A file of this machine; its etag is its time and size."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    async def newer(self, etag: str) -> tuple[str, str] | None:
        try:
            return await asyncio.to_thread(self._read, etag)
        except OSError as error:
            raise BadRules((_problem(self.name, f"cannot be read: {error}"),)) from error

    async def aclose(self) -> None:
        """Nothing is open."""

    def _read(self, etag: str) -> tuple[str, str] | None:
        seen = self._path.stat()
        present = f"{seen.st_mtime_ns}-{seen.st_size}"
        return None if present == etag else (decoded(self._path.read_bytes(), self.name), present)


class RulesBlob:
    """A blob, read with the identity, or with the emulator's key where that is the storage."""

    def __init__(
        self, url: str, settings: Settings, credential: Callable[[], AsyncTokenCredential]
    ) -> None:
        self.name = urlsplit(url).path.rpartition("/")[2]
        self._url = url
        self._settings = settings
        self._credential = credential
        self._client: BlobClient | None = None

    async def newer(self, etag: str) -> tuple[str, str] | None:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {}
        if etag:
            condition = {"etag": etag, "match_condition": MatchConditions.IfModified}
        try:
            with asking("rules.read"):
                stream = await self._blob().download_blob(**condition)
                body = await stream.readall()
                present = str(stream.properties.etag)
        except AzureFault as fault:
            if fault.status == 304:
                return None
            raise
        return decoded(body, self.name), present

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _blob(self) -> BlobClient:
        from azure.storage.blob.aio import BlobClient, BlobServiceClient

        emulated = self._settings.storage and urlsplit(self._url).hostname in _LOOPBACK
        if self._client is None and emulated:
            container, _, name = _in_account(self._url).partition("/")
            service = BlobServiceClient.from_connection_string(self._settings.storage, **_WAITS)
            self._client = service.get_blob_client(container, name)
        elif self._client is None:
            self._client = BlobClient.from_blob_url(
                self._url, credential=self._credential(), **_WAITS
            )
        return self._client


def rules_of(
    settings: Settings,
    clock: Clock,
    credential: Callable[[], AsyncTokenCredential],
    good: LastGood | None = None,
) -> StoredRules:
    """Give the source that `RULES_URI` names."""
    where = settings.rules_uri
    copy: Copy
    if urlsplit(where).scheme in {"http", "https"}:
        copy = RulesBlob(where, settings, credential)
    else:
        copy = RulesFile(Path(where.removeprefix("file://")))
    return StoredRules(copy, settings, clock, good)


def _in_account(url: str) -> str:
    """Give container/blob of an emulator's URL, whose path begins with the account."""
    return unquote(urlsplit(url).path).lstrip("/").partition("/")[2]


def _problem(file: str, message: str) -> Problem:
    return Problem(file=file, line=0, column=0, message=message)
