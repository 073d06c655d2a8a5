"""Who is asking, and what may they do. Called for every route but `health`.

The app validates the Entra token itself: signature, audience, issuer, tenant, times and app role.
The platform's authentication may stand in front and hand over the token it got, but none of its
headers is believed: a token in a header is validated like any other, a principal in a header is
not looked at (facts §11: it does not block anybody on some plans).

On a laptop (`LOCAL_SIGN_IN`, refused unless ARM is loopback) there is a password: as Basic
credentials for programs, as a signed session cookie for browsers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from shared.domain.quoting import one_line
from shared.settings import Settings
from shared.web.http import Request

if TYPE_CHECKING:
    import jwt

COOKIE = "coverage-session"
SESSION_SECONDS = 8 * 3600
LEEWAY = 60  # seconds two clocks may differ
_PLATFORM_TOKENS = ("x-ms-token-aad-id-token", "x-ms-token-aad-access-token")
_FROM_US = frozenset({"", "none", "same-origin"})  # values of Sec-Fetch-Site


class Role(StrEnum):
    """The app roles of the Entra application (`infra/`); an operator may read, too."""

    READER = "Backup.Reader"
    OPERATOR = "Backup.Operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody we have authenticated. ``secret`` is what only this caller's requests carry."""

    name: str
    roles: frozenset[Role]
    secret: bytes = b""  # "" for credentials that no browser attaches by itself

    def may(self, role: Role) -> bool:
        return role in self.roles or Role.OPERATOR in self.roles

    @property
    def csrf(self) -> str:
        """What a form must send back; it follows from the credential, so nothing is stored."""
        return hmac.new(self.secret, b"csrf", hashlib.sha256).hexdigest()

    def sent(self, request: Request) -> bool:
        """Tell whether a change was asked for by one of our own forms (or by a program)."""
        if not self.secret:
            return True
        if request.headers.get("sec-fetch-site", "") not in _FROM_US:
            return False
        return hmac.compare_digest(request.form().get("csrf", "").encode(), self.csrf.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nobody we know (401), or somebody who may not (403). ``why`` may be shown."""

    status: int
    why: str


class SigningKeys(Protocol):
    """The public keys of the tenant, cached. Answered by `adapters/signing_keys.py`."""

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """Give a key by its id; None if the tenant has none of that name.

        Raises:
            AzureFault: the keys could not be read and none are known.

        """


async def admitted(
    request: Request,
    role: Role,
    settings: Settings,
    keys: SigningKeys,
    clock: Callable[[], float] = time.time,
) -> Caller | Refusal:
    """Give the caller if they may act in this role.

    ``clock`` is the wall's: tokens and sessions live in real time, whatever time the service
    plays.
    """
    found = await _caller(request, settings, keys, clock)
    if isinstance(found, Caller) and not found.may(role):
        return Refusal(status=403, why=f"{found.name} has no app role {role}")
    return found


async def _caller(
    request: Request, settings: Settings, keys: SigningKeys, clock: Callable[[], float]
) -> Caller | Refusal:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return await _by_token(given.strip(), settings, keys, by_browser=False)
        case "basic" if settings.local_sign_in:
            return _by_password(given, settings)
        case "":
            pass
        case _:
            return Refusal(status=401, why="this kind of credential is not accepted")
    for header in _PLATFORM_TOKENS:
        if token := request.headers.get(header):
            return await _by_token(token, settings, keys, by_browser=True)
    if settings.local_sign_in and (cookie := request.cookie(COOKIE)):
        return _by_session(cookie, settings, clock)
    if not settings.local_sign_in and not settings.auth_client_id:
        return Refusal(status=401, why="nobody can sign in: AUTH_CLIENT_ID is not set")
    return Refusal(status=401, why="sign in first")


# --- Entra ---------------------------------------------------------------------------------------


async def _by_token(
    token: str, settings: Settings, keys: SigningKeys, *, by_browser: bool
) -> Caller | Refusal:
    import jwt

    if not settings.auth_client_id:
        return Refusal(status=401, why="tokens are not accepted: AUTH_CLIENT_ID is not set")
    try:
        header = jwt.get_unverified_header(token)
        key = await keys.key(str(header.get("kid", "")))
        if key is None:
            return Refusal(status=401, why="the token is signed by nobody we know")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=[settings.auth_client_id, f"api://{settings.auth_client_id}"],
            issuer=issuers(settings),
            leeway=LEEWAY,
            options={"require": ["exp", "nbf", "iat", "aud", "iss"]},
        )
    except jwt.ExpiredSignatureError:
        return Refusal(status=401, why="the token has expired; sign in again")
    except jwt.PyJWTError:
        return Refusal(status=401, why="the token is not valid here")
    if str(claims.get("tid", "")).lower() != settings.tenant_id:
        return Refusal(status=401, why="the token is of another tenant")
    return Caller(
        name=_name(claims),
        roles=_roles(claims),
        secret=hashlib.sha256(token.encode()).digest() if by_browser else b"",
    )


def issuers(settings: Settings) -> list[str]:
    """Give the issuers of the tenant's tokens: version 2 and version 1."""
    authority = (settings.cloud.authority or settings.cloud.arm).rstrip("/")
    return [
        f"{authority}/{settings.tenant_id}/v2.0",
        f"https://sts.windows.net/{settings.tenant_id}/",
        f"https://sts.chinacloudapi.cn/{settings.tenant_id}/",
    ]


def _name(claims: Mapping[str, Any]) -> str:
    """Name the caller for the audit trail: readable, and with the object id, which is unique."""
    shown = ("preferred_username", "upn", "unique_name", "app_displayname", "azp", "appid")
    who = next((str(claims[name]) for name in shown if claims.get(name)), "somebody")
    return one_line(f"{who} ({claims.get('oid', 'no object id')})", 200)


def _roles(claims: Mapping[str, Any]) -> frozenset[Role]:
    given = claims.get("roles")
    names = given if isinstance(given, list) else []
    return frozenset(role for role in Role if role.value in names)


# --- a laptop ------------------------------------------------------------------------------------

_EVERYTHING = frozenset(Role)
_LOCAL = "local operator"


def signed_in(password: str, settings: Settings, *, secure: bool, now: float) -> str:
    """Give the session cookie for the right password, or ""."""
    if not settings.local_sign_in or not _same(password, settings.local_sign_in):
        return ""
    body = f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(16)}"
    return _cookie(f"{body}.{_signature(body, settings)}", SESSION_SECONDS, secure=secure)


def signed_out(*, secure: bool) -> str:
    """Give the cookie that ends a session."""
    return _cookie("", 0, secure=secure)


def _by_session(cookie: str, settings: Settings, clock: Callable[[], float]) -> Caller | Refusal:
    body, _, signature = cookie.rpartition(".")
    if not _same(signature, _signature(body, settings)):
        return Refusal(status=401, why="the session is not valid; sign in again")
    if int(body.partition(".")[0]) <= clock():
        return Refusal(status=401, why="the session has expired; sign in again")
    return Caller(name=_LOCAL, roles=_EVERYTHING, secret=hashlib.sha256(cookie.encode()).digest())


def _by_password(given: str, settings: Settings) -> Caller | Refusal:
    try:
        _, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        password = ""
    if not _same(password, settings.local_sign_in):
        return Refusal(status=401, why="wrong password")
    return Caller(name=_LOCAL, roles=_EVERYTHING)


def _signature(body: str, settings: Settings) -> str:
    key = hashlib.sha256(f"session|{settings.local_sign_in}".encode()).digest()
    return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()


def _cookie(value: str, seconds: int, *, secure: bool) -> str:
    parts = [f"{COOKIE}={value}", "Path=/api", f"Max-Age={seconds}", "HttpOnly", "SameSite=Lax"]
    return "; ".join([*parts, "Secure"] if secure else parts)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
