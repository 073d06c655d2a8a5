"""The second try: at most two in all, within five seconds, never on 429 (STYLE 11).

The SDK's own retry would sleep inside the invocation for as long as `Retry-After` says. A read is
tried again when the fault table says RETRY; a write only if its connection was never made, since
nobody knows what became of a PUT without an answer (docs/protocol.md, step e).
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceRequestTimeoutError
from azure.core.pipeline.policies import AsyncHTTPPolicy

from shared.adapters.faults import disposition_of, fault_of, read
from shared.errors import Disposition
from shared.ports import Clock

_LIMIT = 5.0  # real seconds from the first try to the start of the second
_PAUSE = (0.5, 1.0)  # seconds between them
_GRAPH = "/providers/microsoft.resourcegraph/resources"  # a POST that only reads


class SecondTry(AsyncHTTPPolicy[Any, Any]):
    """Sends once more what may be sent once more."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def send(self, request: Any) -> Any:
        began = time.monotonic()
        try:
            response = await self.next.send(request)
        except AzureError as error:
            if not _may_repeat(request.http_request, error) or _late(began):
                raise
        else:
            if not _passes(request.http_request, response.http_response) or _late(began):
                return response
        await asyncio.sleep(self._clock.real_seconds(random.uniform(*_PAUSE)))
        return await self.next.send(request)


def _late(began: float) -> bool:
    return time.monotonic() - began >= _LIMIT


def _reads(http: Any) -> bool:
    return http.method in {"GET", "HEAD"} or _GRAPH in http.url.lower()


def _passes(http: Any, answer: Any) -> bool:
    """Tell whether a read met a failure that a second try may not meet."""
    if answer.status_code < 400 or not _reads(http):
        return False
    return disposition_of(answer.status_code, read(answer).code) is Disposition.RETRY


def _may_repeat(http: Any, error: AzureError) -> bool:
    """Tell whether a call without an answer may be made again."""
    if _reads(http):
        return fault_of(error, "").disposition is Disposition.RETRY
    if isinstance(error, ServiceRequestTimeoutError):
        return True  # connecting took too long
    # The SDK calls a connection lost after sending by the same name; only the cause tells.
    return isinstance(error, ServiceRequestError) and isinstance(
        error.inner_exception, _never_connected()
    )


def _never_connected() -> type[Exception]:
    from aiohttp import ClientConnectorError  # loaded long since if there is an error to judge

    return ClientConnectorError
