"""Queues and small blobs over Azure Storage's REST interface, with a key or with an identity.

The host speaks REST by itself so that it loads no SDK into the app's process: what an app has
imported, it has imported itself. Who calls: the queue listeners, the output binding, the timers'
status, and the parent for the messages of the dead.
"""

import base64
import hashlib
import hmac
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

import aiohttp

from simulator.host.connections import Connection, Identity

VERSION = "2025-01-05"
AUDIENCE = "https://storage.azure.com/"
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
TOKEN_MARGIN = 300
SIGNED_HEADERS = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type",
    "date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


class StorageFault(Exception):
    """Storage could not be reached or refused; ``status`` is 0 when there was no answer."""

    def __init__(self, operation: str, status: int, code: str) -> None:
        super().__init__(f"{operation}: {status or 'no answer'} {code}".rstrip())
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message as received; ``text`` is what is stored, before any base64 is undone."""

    message_id: str
    receipt: str
    text: str
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime


class Storage:
    """One storage account, as one connection of the app's settings names it."""

    def __init__(self, connection: Connection, session: aiohttp.ClientSession) -> None:
        self._connection = connection
        self._session = session
        self._token = ""
        self._token_ends = 0.0

    async def create_queue(self, queue: str) -> None:
        await self._queue("PUT", queue, expect=(201, 204, 409))

    async def put(
        self, queue: str, text: str, *, hidden: int = 0, lives: int | None = None
    ) -> None:
        """Add a message; storage's own default life is 7 days, -1 is for ever."""
        query = {"visibilitytimeout": str(hidden)} if hidden else {}
        if lives is not None:
            query["messagettl"] = str(lives)
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>"
        await self._queue("POST", f"{queue}/messages", query, body.encode(), expect=(201,))

    async def receive(self, queue: str, count: int, hidden: int) -> list[QueuedMessage]:
        query = {"numofmessages": str(count), "visibilitytimeout": str(hidden)}
        _, body = await self._queue("GET", f"{queue}/messages", query, expect=(200,))
        return [_message(node) for node in ET.fromstring(body)]  # noqa: S314 - our own emulator

    async def hide(self, queue: str, message_id: str, receipt: str, seconds: int) -> str:
        """Set how long a message stays hidden from now; return the receipt valid from here on."""
        headers, _ = await self._queue(
            "PUT",
            f"{queue}/messages/{message_id}",
            {"popreceipt": receipt, "visibilitytimeout": str(seconds)},
            expect=(204,),
        )
        return headers.get("x-ms-popreceipt", receipt)

    async def delete(self, queue: str, message_id: str, receipt: str) -> None:
        await self._queue(
            "DELETE", f"{queue}/messages/{message_id}", {"popreceipt": receipt}, expect=(204,)
        )

    async def count(self, queue: str) -> int:
        """Count a queue's messages, hidden ones included; 0 if there is no such queue."""
        status, headers, body = await self._call("GET", "queue", queue, {"comp": "metadata"})
        if status == 404:
            return 0
        self._check("count queue", status, body, (200,))
        return int(headers.get("x-ms-approximate-messages-count", "0"))

    async def read_blob(self, container: str, name: str) -> bytes | None:
        status, _, body = await self._call("GET", "blob", f"{container}/{name}")
        if status == 404:
            return None
        self._check("read blob", status, body, (200,))
        return body

    async def write_blob(self, container: str, name: str, content: bytes) -> None:
        """Write a small blob; make its container the first time."""
        headers = {"x-ms-blob-type": "BlockBlob", "content-type": "application/octet-stream"}
        for last in (False, True):
            status, _, body = await self._call(
                "PUT", "blob", f"{container}/{name}", body=content, headers=headers
            )
            if status != 404 or last:
                break
            await self._call("PUT", "blob", container, {"restype": "container"})
        self._check("write blob", status, body, (201,))

    async def _queue(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        expect: tuple[int, ...],
    ) -> tuple[Mapping[str, str], bytes]:
        status, headers, answer = await self._call(method, "queue", path, query, body)
        self._check(f"{method} queue {path.partition('/')[0]}", status, answer, expect)
        return headers, answer

    async def _call(
        self,
        method: str,
        service: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        base = self._connection.blob_url if service == "blob" else self._connection.queue_url
        url = f"{base}/{quote(path)}"
        sent = {
            "x-ms-version": VERSION,
            "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True),
            **(headers or {}),
        }
        if body:
            sent.setdefault("content-type", "application/xml")
        try:
            sent["Authorization"] = await self._authorization(method, url, query or {}, sent, body)
            async with self._session.request(
                method,
                url,
                params=dict(query or {}),
                data=body or None,
                headers=sent,
                timeout=TIMEOUT,
                skip_auto_headers=("Content-Type",),
            ) as answer:
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise StorageFault(f"{method} {service}", 0, type(fault).__name__) from fault

    async def _authorization(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> str:
        match self._connection.credential:
            case str() as key:
                to_sign = _string_to_sign(
                    self._connection.account, method, url, query, headers, len(body)
                )
                digest = hmac.new(base64.b64decode(key), to_sign.encode(), hashlib.sha256).digest()
                signature = base64.b64encode(digest).decode()
                return f"SharedKey {self._connection.account}:{signature}"
            case Identity() as identity:
                return f"Bearer {await self._bearer(identity)}"

    async def _bearer(self, identity: Identity) -> str:
        if time.time() < self._token_ends - TOKEN_MARGIN:
            return self._token
        query = {"api-version": "2019-08-01", "resource": AUDIENCE}
        if identity.client_id:
            query["client_id"] = identity.client_id
        async with self._session.get(
            identity.endpoint,
            params=query,
            headers={"X-IDENTITY-HEADER": identity.header},
            timeout=TIMEOUT,
        ) as answer:
            if answer.status != 200:
                raise StorageFault("managed identity token", answer.status, "")
            token = await answer.json()
        self._token = str(token["access_token"])
        self._token_ends = float(token.get("expires_on", time.time() + 3600))
        return self._token

    @staticmethod
    def _check(operation: str, status: int, body: bytes, expect: tuple[int, ...]) -> None:
        if status not in expect:
            raise StorageFault(operation, status, _code(body))


def _string_to_sign(
    account: str,
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    length: int,
) -> str:
    """Write what a shared key signs (Authorize with Shared Key, REST reference)."""
    values = {**headers, "content-length": str(length) if length else ""}
    standard = [values.get(name, "") for name in SIGNED_HEADERS]
    own = sorted(name for name in values if name.startswith("x-ms-"))
    resource = f"/{account}{urlsplit(url).path}"
    return "\n".join(
        [
            method,
            *standard,
            *(f"{name}:{values[name]}" for name in own),
            resource,
            *(f"{name}:{query[name]}" for name in sorted(query)),
        ]
    )


def _message(node: ET.Element) -> QueuedMessage:
    def text(tag: str) -> str:
        return node.findtext(tag) or ""

    return QueuedMessage(
        message_id=text("MessageId"),
        receipt=unquote(text("PopReceipt")) if "%" in text("PopReceipt") else text("PopReceipt"),
        text=text("MessageText"),
        dequeue_count=int(text("DequeueCount")),
        inserted=parsedate_to_datetime(text("InsertionTime")),
        expires=parsedate_to_datetime(text("ExpirationTime")),
        next_visible=parsedate_to_datetime(text("TimeNextVisible")),
    )


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code") or ""  # noqa: S314 - our own emulator
    except ET.ParseError:
        return ""
