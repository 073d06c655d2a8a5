"""One credential, one transport, one pipeline and a few clients per process.

Everything is made when it is first needed: an invocation that only reads a row loads no SDK. All
clients share one pipeline, so that request ids, the second try, the token and the governor are
the same for every call, whichever SDK makes it (docs/adr/0004).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.adapters.faults import asking
from shared.adapters.governor import Governor, GovernorPolicy
from shared.adapters.tries import SecondTry
from shared.adapters.trust import trusted
from shared.loading import loading
from shared.ports import Clock
from shared.settings import Settings

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import AsyncPipeline
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.mgmt.compute.aio import ComputeManagementClient
    from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

_CONNECT, _ANSWER = 5.0, 30.0  # seconds; ARM itself gives up after about 60 (report §2.2)
_CONNECTIONS = 40  # at once, all hosts together
_KEPT = 64  # clients per SDK, one per subscription; making one takes less than a millisecond
_AGENT = "vm-backup-auto-enrollment"

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How ARM answered a PUT, or a look at what became of it; addresses are "" if it gave none."""

    status: int
    body: Body
    progress: str  # Azure-AsyncOperation: tells how it goes
    result: str  # Location: gives the result, once there is one


class Clients:
    """Builds and keeps the process's Azure clients. Use inside a running event loop."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        governor: Governor,
        *,
        credential: AsyncTokenCredential | None = None,
        transport: AsyncHttpTransport[Any, Any] | None = None,
    ) -> None:
        """Remember what clients are made of.

        Args:
            settings: endpoints, api-versions, the identity's client id.
            clock: of the waits in the pipeline.
            governor: learns from every answer.
            credential: instead of the managed identity (operators, tests).
            transport: instead of aiohttp (tests).

        """
        self._settings = settings
        self._clock = clock
        self._governor = governor
        self._credential = credential
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None
        self._pipeline: AsyncPipeline[Any, Any] | None = None
        self.compute = lru_cache(maxsize=_KEPT)(self._compute)
        self.backup = lru_cache(maxsize=_KEPT)(self._backup)

    def credential(self) -> AsyncTokenCredential:
        """Give the one credential: the managed identity of the app."""
        if self._credential is None:
            with loading():
                from azure.identity.aio import ManagedIdentityCredential

            self._credential = ManagedIdentityCredential(
                client_id=self._settings.identity_client_id or None,
                transport=self.transport(),
                retry_total=1,
            )
        return self._credential

    def transport(self) -> AsyncHttpTransport[Any, Any]:
        """Give the one transport; trusts the CA of a custom cloud beside the system's.

        The session is ours because the SDK's transport would read a CA file anew, and shake hands
        anew, for every request.
        """
        if self._transport is None:
            with loading():
                import aiohttp
                from azure.core.pipeline.transport import AioHttpTransport

            own = self._settings.cloud.ca_file
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=trusted(own) if own else True,  # aiohttp has read the system's by itself
                    limit=_CONNECTIONS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
                auto_decompress=False,  # the SDK's transport does it
                trust_env=True,
            )
            self._transport = AioHttpTransport(
                session=self._session,
                session_owner=False,
                connection_timeout=_CONNECT,
                read_timeout=_ANSWER,
            )
        return self._transport

    def pipeline(self) -> AsyncPipeline[Any, Any]:
        """Give the one pipeline. Never registers a resource provider and follows no redirect."""
        if self._pipeline is None:
            from azure.core.pipeline import AsyncPipeline
            from azure.core.pipeline.policies import (
                CustomHookPolicy,
                HeadersPolicy,
                RequestIdPolicy,
                UserAgentPolicy,
            )
            from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

            self._pipeline = AsyncPipeline(
                self.transport(),
                policies=[
                    RequestIdPolicy(),
                    HeadersPolicy(),
                    UserAgentPolicy(base_user_agent=_AGENT),
                    CustomHookPolicy(),
                    SecondTry(self._clock),
                    AsyncARMChallengeAuthenticationPolicy(
                        self.credential(), self._settings.cloud.scope
                    ),
                    GovernorPolicy(self._governor, self._clock),
                ],
            )
        return self._pipeline

    async def get(self, path: str, *, api_version: str, operation: str) -> Any:
        """GET a path of ARM's and give its JSON.

        Raises:
            AzureFault: whatever came instead of a 200.

        """
        url = f"{self._settings.cloud.arm}{path}"
        return await self._call("GET", url, operation, params={"api-version": api_version})

    async def post(self, path: str, body: Body, *, api_version: str, operation: str) -> Any:
        """POST a question to ARM and give its JSON; raises as `get`."""
        url = f"{self._settings.cloud.arm}{path}"
        return await self._call(
            "POST", url, operation, params={"api-version": api_version}, json=body
        )

    async def put(self, path: str, body: Body, *, api_version: str, operation: str) -> Answered:
        """PUT a body to a path of ARM's. Never tried again once it was sent.

        Raises:
            AzureFault: whatever came instead of a 200, 201 or 202.

        """
        url = f"{self._settings.cloud.arm}{path}"
        return await self._answered(
            "PUT", url, operation, params={"api-version": api_version}, json=dict(body)
        )

    async def look(self, url: str, *, operation: str) -> Answered:
        """GET an address that an answer of `put` gave, which must be ARM's own; raises as `put`."""
        self._own(url, operation)
        return await self._answered("GET", url, operation)

    async def listed(
        self, path: str, *, api_version: str, operation: str
    ) -> AsyncIterator[Sequence[Body]]:
        """Page through a list by its `nextLink`, which must stay at ARM's own address.

        Raises:
            AzureFault: a page did not come; what was given before is no whole list.

        """
        body = await self.get(path, api_version=api_version, operation=operation)
        while True:
            with asking(operation):
                rows, following = _page(body)
            if following:
                self._own(following, operation)
            yield rows
            if not following:
                return
            body = await self._call("GET", following, operation)

    async def aclose(self) -> None:
        """Close what was opened; the next use opens anew."""
        for made in (self.compute, self.backup):
            made.cache_clear()
        if self._session is not None:
            if self._credential is not None:
                await self._credential.close()
            await self._session.close()
            self._session = self._transport = self._credential = None
        self._pipeline = None

    async def _call(self, method: str, url: str, operation: str, **parts: Any) -> Any:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        with asking(operation):
            answer = await self.pipeline().run(HttpRequest(method, url, **parts))
            response = answer.http_response
            if response.status_code != 200:
                raise HttpResponseError(response=response)
            return response.json()

    async def _answered(self, method: str, url: str, operation: str, **parts: Any) -> Answered:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        with asking(operation):
            answer = await self.pipeline().run(HttpRequest(method, url, **parts))
            response = answer.http_response
            if response.status_code not in {200, 201, 202, 204}:
                raise HttpResponseError(response=response)
            found = response.json() if response.status_code in {200, 201} else {}
            return Answered(
                status=response.status_code,
                body=found if isinstance(found, Mapping) else {},
                progress=response.headers.get("Azure-AsyncOperation", ""),
                result=response.headers.get("Location", ""),
            )

    def _own(self, url: str, operation: str) -> None:
        """Refuse an address that is not ARM's: the token goes along."""
        with asking(operation):
            if not url.lower().startswith(self._settings.cloud.arm.lower() + "/"):
                raise ValueError("an address that is not ARM's")

    def _compute(self, subscription: str) -> ComputeManagementClient:
        with loading():
            from azure.mgmt.compute.aio import ComputeManagementClient

        return ComputeManagementClient(self.credential(), subscription, **self._common())

    def _backup(self, subscription: str) -> RecoveryServicesBackupClient:
        with loading():
            from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

        return RecoveryServicesBackupClient(
            self.credential(),
            subscription,
            api_version=self._settings.backup_api,
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        return {
            "base_url": self._settings.cloud.arm,
            "credential_scopes": [self._settings.cloud.scope],
            "pipeline": self.pipeline(),
        }


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> Any:
    """Keep aiohttp from sending again what was sent over a connection that got lost.

    It repeats even a PUT by itself, since HTTP calls it idempotent. To Azure Backup the second is a
    conflict with the first, and that refusal would read as if nothing had happened.
    """
    import aiohttp

    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # never sent
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as lost:
        raise aiohttp.ClientConnectionError(f"lost after sending: {lost!r}") from lost


def _page(body: Any) -> tuple[Sequence[Body], str]:
    """Give the rows of a list's page and the link to the next; "" at the end."""
    match body:
        case {"value": [*rows]}:
            return rows, str(body.get("nextLink") or "")
    raise ValueError("a list without a value")
