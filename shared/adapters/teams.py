"""Teams, through a Workflows webhook (facts §9.1).

The URL holds the credential: it is never logged and never part of an error. 202 means that the
flow took the message, not that anybody saw it; a 200 that talks of an error is a failure (the old
connector answered so). There is no key: a repeat is a second card with the same notice id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shared.adapters.answers import refusal
from shared.domain.letters import Letter
from shared.errors import AzureFault, Disposition
from shared.outbox import NO_ANSWER, Receipt

if TYPE_CHECKING:
    import aiohttp

PER_SECOND = 4.0  # requests to one webhook, all instances together (facts §9.1)
_WRONG = ("error", "failed", "throttl")


class TeamsChannel:
    """`outbox.Channel` for one or more named webhooks."""

    keyed = False

    def __init__(
        self,
        webhooks: Mapping[str, str],
        session: Callable[[], aiohttp.ClientSession],
        *,
        instances: int = 1,
        per_second: float = PER_SECOND,
    ) -> None:
        self._webhooks = webhooks
        self._session = session
        self._gap = instances / per_second
        self._gate = asyncio.Lock()
        self._next: dict[str, float] = {}

    async def send(self, letter: Letter) -> Receipt:
        url = self._webhooks.get(letter.to.address, "")
        if not url:
            raise _fault("NoSuchChannel", f"there is no Teams channel {letter.to.address[:80]!r}")
        from shared.notices import card  # lazy: no VM needs it before its first notice
        from shared.notices.view import view
        from shared.notices.words import Words

        words = Words(letter.language)
        body, shortened = card.message(view(letter, words), words)
        await self._turn(letter.to.address)
        await self._post(url, body)
        return Receipt(remarks=(*shortened, *sorted(words.fell_back)))

    async def _turn(self, name: str) -> None:
        """Keep this process's share of the rate. Sleeps outside the gate, so names do not mix."""
        loop = asyncio.get_running_loop()
        async with self._gate:
            at = max(self._next.get(name, 0.0), loop.time())
            self._next[name] = at + self._gap
        await asyncio.sleep(at - loop.time())

    async def _post(self, url: str, body: bytes) -> None:
        import aiohttp  # lazy: most invocations send nothing

        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            async with self._session().post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status, told = answer.status, dict(answer.headers)
                text = (await answer.content.read(4096)).decode(errors="replace")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise _fault("BadWebhook", "the webhook is no URL") from error
        except aiohttp.ClientConnectorError as error:
            raise _fault(
                "Unreachable", type(error).__name__, disposition=Disposition.DEFER
            ) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise _fault(NO_ANSWER, type(error).__name__, disposition=Disposition.DEFER) from error
        if status in {200, 201, 202} and not _tells_of_failure(status, text):
            return
        raise _refused(status, told, text)


def _tells_of_failure(status: int, text: str) -> bool:
    return status != 202 and any(word in text.lower() for word in _WRONG)


def _refused(status: int, headers: Mapping[str, str], text: str) -> AzureFault:
    """Judge an answer. A gateway that gave up waiting knows nothing; 4xx will not change."""
    answer = refusal(status, headers, text)
    code, disposition = answer.code or f"HTTP{status}", Disposition.DEFER
    if status == 504:
        code = NO_ANSWER
    elif 300 <= status < 500 and status not in {408, 425, 429}:
        disposition = Disposition.PARK
    if status == 200 and "429" in text:
        status = 429
    return _fault(
        code,
        answer.message[:300],
        status=status,
        disposition=disposition,
        retry_after=answer.retry_after,
    )


def _fault(
    code: str,
    message: str,
    *,
    status: int = 0,
    disposition: Disposition = Disposition.PARK,
    retry_after: float | None = None,
) -> AzureFault:
    return AzureFault(
        "teams.post",
        status=status,
        code=code,
        message=message,
        disposition=disposition,
        retry_after=retry_after,
    )
