"""Mail through Azure Communication Services (facts §9.2), over its two REST calls.

`Operation-Id` is derived from the letter's key: a repeat of an attempt whose end is unknown asks
for the operation first, and a POST with the same id is the same mail. Success means handed over,
not read. Over its limits the service refuses and keeps nothing: what it refuses is gathered into
digests by the outbox. The generated client is not used because it offers no way to look at an
operation that another process began.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpRequest

from shared.adapters.answers import retry_after
from shared.adapters.undelivered import undelivered
from shared.domain.letters import Letter
from shared.errors import AzureFault, Disposition
from shared.notices.mail import Mail, mail
from shared.notices.view import View, view
from shared.notices.words import Words
from shared.outbox import NO_ANSWER, Receipt
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.core import AsyncPipelineClient

API = "2023-03-31"
SCOPE = "https://communication.azure.com/.default"
PATIENCE = 20.0  # seconds spent on waiting for the end; then the next attempt looks again
PAUSE = 5.0  # between two looks: status calls are limited, too (60 a minute, 200 an hour)
_NAMESPACE = UUID("6f0c4f0e-6d0b-5f6a-9c53-5a1c1f1b7d10")


class AcsEmailChannel:
    """`outbox.Channel` over one Communication Services resource."""

    keyed = True

    def __init__(
        self, client: AsyncPipelineClient[Any, Any], endpoint: str, sender: str, clock: Clock
    ) -> None:
        self._client = client
        self._endpoint = endpoint.rstrip("/")
        self._sender = sender
        self._clock = clock

    async def send(self, letter: Letter) -> Receipt:
        words = Words(letter.language)
        seen = view(letter, words)
        written = mail(seen, words)
        name = str(uuid5(_NAMESPACE, letter.key))
        standing = await self._look(name) if letter.attempt > 1 else None
        if standing is None:
            standing = await self._post(name, self._body(letter, seen, written))
        await self._ended(name, standing)
        return Receipt(reference=name, remarks=(*written.shortened, *sorted(words.fell_back)))

    def _body(self, letter: Letter, seen: View, written: Mail) -> dict[str, Any]:
        return {
            "senderAddress": self._sender,
            "content": {
                "subject": written.subject,
                "plainText": written.text,
                "html": written.html,
            },
            "recipients": {"to": [{"address": letter.to.address}]},
            "headers": {"X-Notice-Id": seen.notice, "Auto-Submitted": "auto-generated"},
            "userEngagementTrackingDisabled": True,
        }

    async def _post(self, name: str, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        request = HttpRequest(
            "POST",
            f"{self._endpoint}/emails:send",
            params={"api-version": API},
            headers={"Operation-Id": name},
            json=body,
        )
        return await self._ask(request, "acs.send", ok=202)

    async def _look(self, name: str) -> tuple[dict[str, Any], float] | None:
        """Ask for an operation; None if the service does not know it, so nothing was sent."""
        url = f"{self._endpoint}/emails/operations/{name}"
        request = HttpRequest("GET", url, params={"api-version": API})
        try:
            return await self._ask(request, "acs.look", ok=200)
        except AzureFault as fault:
            if fault.status == 404:
                return None
            raise _unknown(f"{fault.status} {fault.code}") from fault

    async def _ended(self, name: str, standing: tuple[dict[str, Any], float] | None) -> None:
        """Wait for the end, but not long: who comes next can look as well as we."""
        waited = 0.0
        while standing is not None:
            status, pause = standing
            match str(status.get("status", "")).lower():
                case "succeeded":
                    return
                case "failed" | "canceled":
                    raise _ended_badly(status)
                case _ if waited + pause > PATIENCE:
                    break
                case _:
                    waited += pause
                    await asyncio.sleep(self._clock.real_seconds(pause))
                    standing = await self._look(name)
        raise _unknown("the operation has not ended yet")

    async def _ask(
        self, request: HttpRequest, operation: str, *, ok: int
    ) -> tuple[dict[str, Any], float]:
        try:
            answer = await self._client.send_request(request)
            if answer.status_code != ok:
                raise HttpResponseError(response=answer)
            body = answer.json() if answer.content else {}
        except (AzureError, ValueError) as error:
            raise undelivered(error, operation) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        pause = min(retry_after(headers) or PAUSE, PATIENCE)
        return (body if isinstance(body, dict) else {}), pause


def _ended_badly(status: dict[str, Any]) -> AzureFault:
    """Say why the service gave up. What names the recipient will not change."""
    error = status.get("error")
    told = error if isinstance(error, dict) else {}
    code = str(told.get("code") or status.get("status"))
    dropped = code.startswith(("EmailDropped", "Invalid"))
    return AzureFault(
        "acs.operation",
        status=200,
        code=code,
        message=str(told.get("message", ""))[:300],
        disposition=Disposition.PARK if dropped else Disposition.DEFER,
    )


def _unknown(why: str) -> AzureFault:
    return AzureFault(
        "acs.operation", status=0, code=NO_ANSWER, message=why, disposition=Disposition.DEFER
    )
