"""The half of `doctor` that the app answers, under its own identity."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import msgspec

from ops.session import Session
from shared.web import versions
from shared.web.doctor import VERSION, Check, Health

PATIENCE = 60.0  # seconds; a cold app and slow lists


async def asked_app(session: Session) -> list[Check]:
    """Ask the app; that it does not answer is itself an answer."""
    settings = session.settings
    if not settings.page_url:
        return [
            _failure(
                "PAGE_URL is not set, so the app cannot be asked", "set PAGE_URL: azd provision"
            )
        ]
    url = f"{settings.page_url.rstrip('/')}/api/doctor"
    trusted = ssl.create_default_context()
    if settings.cloud.ca_file:
        trusted.load_verify_locations(cafile=settings.cloud.ca_file)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
            http.get(url, headers=await _credentials(session), ssl=trusted) as answer,
        ):
            body = await answer.read()
            return _read(answer.status, body)
    except (aiohttp.ClientError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return [_failure(f"{url} does not answer: {why}", "az functionapp show; is it running?")]


def _read(status: int, body: bytes) -> list[Check]:
    if status == 200:
        try:
            checks = msgspec.json.decode(body, type=_Answer).checks
        except msgspec.MsgspecError as error:
            return [_failure(f"an answer that cannot be read: {error}", "deploy the same version")]
        return [*checks, *_other(checks)]
    said = _message(body)
    match status:
        case 401:
            return [_failure(f"you are not let in: {said}", "az login; is AUTH_CLIENT_ID right?")]
        case 403:
            return [_failure(f"you may not: {said}", "get the app role Backup.Operator")]
        case 404:
            return [_failure("the app has no doctor", "deploy this version: azd deploy")]
        case _:
            return [_failure(f"HTTP {status}: {said}", "docs/runbook.md#alert-no-sweep")]


def _other(checks: Sequence[Check]) -> Iterator[Check]:
    """Say so if the app runs other code than this: a plan would tell of what it does not do."""
    theirs = next((one.says for one in checks if one.what == VERSION), "")
    if theirs != versions.ours():
        yield Check(
            what="version here",
            result=Health.WARNING,
            says=f"you run {versions.ours()}, the app {theirs or 'an older one'}",
            fix="check out what is deployed, or azd deploy",
        )


class _Answer(msgspec.Struct, frozen=True):
    checks: list[Check]


async def _credentials(session: Session) -> dict[str, str]:
    """Give the password of a laptop, or a token for the app."""
    settings = session.settings
    if settings.local_sign_in:
        given = base64.b64encode(f"ops:{settings.local_sign_in}".encode()).decode()
        return {"Authorization": f"Basic {given}"}
    if not settings.auth_client_id:
        return {}
    scope = f"api://{settings.auth_client_id}/.default"
    token = await session.foundation.clients.credential().get_token(scope)
    return {"Authorization": f"Bearer {token.token}"}


def _message(body: bytes) -> str:
    try:
        said: Any = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return ""
    return str(said.get("message", ""))[:300] if isinstance(said, dict) else ""


def _failure(says: str, fix: str) -> Check:
    return Check(what="app", result=Health.FAILURE, says=says, fix=fix)
