"""Mail over SMTP, for those who run a relay.

``smtp://`` means STARTTLS (credentials never travel in the open), ``smtps://`` TLS from the first
byte. One letter goes to one recipient, so that a refused address delays nobody else. SMTP knows no
keys: a repeat carries the same Message-ID, by which mail clients recognise it.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import aiosmtplib

from shared.domain.letters import Letter
from shared.errors import AzureFault, BadSettings, Disposition
from shared.outbox import NO_ANSWER, Receipt

if TYPE_CHECKING:
    from shared.notices.mail import Mail
    from shared.notices.view import View

ANSWER = 20.0  # seconds for each command; a whole letter stays within its attempt's time
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A mail server, as `SMTP_URL` names it."""

    host: str
    port: int
    user: str
    password: str
    tls: bool  # from the first byte
    start_tls: bool | None  # None: if the server offers it (a laptop's own server only)


def relay(url: str) -> Relay:
    """Parse `SMTP_URL`.

    Raises:
        BadSettings: it is no smtp:// or smtps:// URL. The text never repeats it: it holds a secret.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadSettings("SMTP_URL is no URL; set smtp://user:password@host:port") from error
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise BadSettings("SMTP_URL must be smtp://user:password@host:port or smtps://...")
    tls = parts.scheme == "smtps"
    private = parts.hostname in _LOOPBACK and not parts.username
    return Relay(
        host=parts.hostname,
        port=port or (465 if tls else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=tls,
        start_tls=None if private and not tls else not tls,
    )


def client_of(
    server: Relay, context: ssl.SSLContext | None, *, patience: float = ANSWER
) -> aiosmtplib.SMTP:
    """Make a client that connects, secures the line and signs in when it is told to connect."""
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.user or None,
        password=server.password or None,
        use_tls=server.tls,
        start_tls=server.start_tls,
        tls_context=context,
        timeout=patience,
    )


class SmtpChannel:
    """`outbox.Channel` over one relay."""

    keyed = False

    def __init__(
        self, server: Relay, sender: str, *, trust: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self._relay = server
        self._sender = sender
        self._trust = trust

    async def send(self, letter: Letter) -> Receipt:
        from shared.notices.mail import mail  # lazy: no VM needs it before its first notice
        from shared.notices.view import view
        from shared.notices.words import Words

        words = Words(letter.language)
        seen = view(letter, words)
        written = mail(seen, words)
        message = envelope(letter, seen, written, self._sender)
        await self._post(message.as_bytes(policy=SMTP), letter.to.address)
        return Receipt(
            reference=str(message["Message-ID"]),
            remarks=(*written.shortened, *sorted(words.fell_back)),
        )

    async def _post(self, message: bytes, to: str) -> None:
        client = client_of(self._relay, self._trust() if self._trust else None)
        try:
            await _certainly_not_sent(client.connect())
            await _certainly_not_sent(client.mail(parseaddr(self._sender)[1]))
            await _certainly_not_sent(client.rcpt(to))
            try:
                await client.data(message)
            except aiosmtplib.SMTPResponseException as error:
                raise _answered(error) from error
            except (aiosmtplib.SMTPException, OSError) as error:
                raise _fault(NO_ANSWER, type(error).__name__) from error
        finally:
            client.close()


def envelope(letter: Letter, seen: View, written: Mail, sender: str) -> EmailMessage:
    """Make the message. Its Message-ID is the letter's id, its thread the notice's."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = letter.to.address
    message["Subject"] = written.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.id}@{domain}>"
    message["References"] = f"<{seen.notice}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Notice-Id"] = seen.notice
    message["Content-Language"] = seen.language
    message.set_content(written.text)
    message.add_alternative(written.html, subtype="html")
    return message


async def _certainly_not_sent(step: Awaitable[object]) -> None:
    """Run one step before the message itself: however it fails, nothing has left."""
    try:
        await step
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(error) from error
    except aiosmtplib.SMTPNotSupported as error:
        raise _fault("NotSupported", str(error), disposition=Disposition.PARK) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        if type(error) is aiosmtplib.SMTPException:  # the server lacks STARTTLS or AUTH
            raise _fault("NotSupported", str(error), disposition=Disposition.PARK) from error
        raise _fault("Unreachable", type(error).__name__) from error


def _answered(error: aiosmtplib.SMTPResponseException) -> AzureFault:
    """4xx passes by itself, 5xx does not (RFC 5321 §4.2.1)."""
    permanent = error.code >= 500
    return _fault(
        f"SMTP{error.code}",
        str(error.message),
        status=error.code,
        disposition=Disposition.PARK if permanent else Disposition.DEFER,
    )


def _fault(
    code: str, message: str, *, status: int = 0, disposition: Disposition = Disposition.DEFER
) -> AzureFault:
    return AzureFault(
        "smtp.send", status=status, code=code, message=message[:300], disposition=disposition
    )
