"""A mail server that keeps what it is given: SMTP with STARTTLS and AUTH, on a free port.

It refuses authentication before STARTTLS, and mail before authentication, as any relay a company
runs does. It delivers nothing anywhere.
"""

import asyncio
import contextlib
import email
import email.policy
import logging
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from simulator.arm import Json

if TYPE_CHECKING:
    from simulator.inbox import OrderedFault

USER = "enrollment"
PASSWORD = "simulated-password"
LARGEST = 10 * 1024 * 1024


class Box(Protocol):
    """Where accepted mail goes; the inbox of a world."""

    def take_fault(self) -> "OrderedFault | None": ...
    def keep(self, message: dict[str, Json]) -> None: ...
    def refuse(self, message: dict[str, Json]) -> None: ...
    async def sleep(self, seconds: float) -> None: ...


class MailServer:
    """The server of one world; ``url`` has its address and credential."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.port = 0

    @property
    def url(self) -> str:
        return f"smtp://{USER}:{PASSWORD}@localhost:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self, context: ssl.SSLContext) -> AsyncIterator[None]:
        """Listen on a free port, upgrading connections with this certificate."""
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # it warns of its own deprecations
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _connection(self._box, context), "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            server.close()
            server.close_clients()


class _Keeper:
    """What the SMTP library asks for each message."""

    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_DATA(  # noqa: N802 - the library's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        message = _shown(envelope)
        fault = self._box.take_fault()
        if fault is None:
            self._box.keep({"status": 250, "message": message})
            return "250 2.0.0 OK"
        if fault.slow:
            await self._box.sleep(fault.slow)
        (self._box.keep if fault.accepts else self._box.refuse)(
            {"status": fault.status, "message": message}
        )
        if fault.reset and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return fault.body or f"{fault.status} ordered by a test"


def _connection(box: Box, context: ssl.SSLContext) -> SMTP:
    return SMTP(
        _Keeper(box),
        data_size_limit=LARGEST,
        enable_SMTPUTF8=True,
        hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        auth_require_tls=True,
        authenticator=_authenticated,
        loop=asyncio.get_running_loop(),
    )


def _authenticated(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
) -> AuthResult:
    known = isinstance(given, LoginPassword) and (
        (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    )
    return AuthResult(success=known, handled=known)


def _shown(envelope: Envelope) -> dict[str, Json]:
    raw = envelope.original_content or b""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    parts: dict[str, Json] = {}
    for part in parsed.walk():
        if isinstance(part, EmailMessage) and part.get_content_maintype() == "text":
            parts.setdefault(part.get_content_subtype(), part.get_content())
    return {
        "from": envelope.mail_from,
        "to": list(envelope.rcpt_tos),
        "subject": str(parsed["subject"] or ""),
        "headers": {name.lower(): str(value) for name, value in parsed.items()},
        "text": parts.get("plain", ""),
        "html": parts.get("html", ""),
        "raw": raw.decode(errors="replace"),
    }
