"""The tenant's token-signing keys: read once, kept for a day, read again for a key not known.

Entra rolls keys without notice and publishes the new one beforehand; so an unknown key id asks
again, but at most once in five minutes, or anybody could make us ask for every made-up id. While
the endpoint does not answer the keys that are known stay good.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.adapters.clients import Clients
from shared.adapters.faults import asking
from shared.errors import AzureFault
from shared.settings import Settings

if TYPE_CHECKING:
    import jwt

DAY, AT_MOST = 86_400.0, 300.0  # real seconds


class EntraSigningKeys:
    """`web.auth.SigningKeys`, from the tenant's published key set."""

    def __init__(
        self, clients: Clients, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        authority = (settings.cloud.authority or settings.cloud.arm).rstrip("/")
        self._url = f"{authority}/{settings.tenant_id}/discovery/v2.0/keys"
        self._clients = clients
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked: float | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        now = self._clock()
        age = DAY if self._asked is None else now - self._asked
        if age >= DAY or (kid not in self._keys and age >= AT_MOST):
            try:
                self._keys = await self._read()
            except AzureFault:
                if not self._keys:
                    raise
            self._asked = now
        return self._keys.get(kid)

    async def _read(self) -> dict[str, jwt.PyJWK]:
        """Ask without a token: nobody needs one for public keys."""
        from azure.core.exceptions import HttpResponseError
        from azure.core.pipeline import AsyncPipeline
        from azure.core.rest import HttpRequest

        with asking("signing-keys"):
            pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(self._clients.transport())
            answer = await pipeline.run(HttpRequest("GET", self._url))
            response = answer.http_response
            await response.read()
            if response.status_code != 200:
                raise HttpResponseError(response=response)
            return _keys(response.json())


def _keys(body: Any) -> dict[str, jwt.PyJWK]:
    """Take the RSA signing keys; one that cannot be read is left out, its tokens are refused."""
    import jwt

    found: dict[str, jwt.PyJWK] = {}
    listed = body.get("keys") if isinstance(body, dict) else None
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("kty") == "RSA" and one.get("use", "sig") == "sig":
            with suppress(jwt.PyJWTError):
                found[str(one.get("kid", ""))] = jwt.PyJWK(one)
    if not found:
        raise ValueError("a key set without signing keys")
    return found
