"""What only the doctor asks of the world: the clock of storage, the age of the oldest message,
whether channels answer. Nothing is sent, nothing is taken.

A Teams webhook and an Event Grid topic are known to be right only when something is sent to them;
here their hosts are asked for nothing (HEAD of their root). Mail is asked as far as it goes without
a letter: SMTP up to the login, Communication Services for an operation that does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from azure.core.exceptions import AzureError, ResourceNotFoundError

from shared.adapters.faults import fault_of
from shared.adapters.queues import QueueName
from shared.adapters.trust import trusted

if TYPE_CHECKING:
    from shared.adapters.assembly import Foundation

PATIENCE = 5.0  # seconds for one channel
PEEKED = 32  # messages; storage gives no more at once


class Soundings:
    """`web.desk.Soundings` of this deployment."""

    def __init__(self, foundation: Foundation) -> None:
        self._settings = foundation.settings
        self._clients = foundation.clients
        self._stores = foundation.stores

    async def ahead(self) -> timedelta:
        """Say how far this machine's clock is ahead of storage's, to a second."""
        told: list[str] = []

        def note(answer: Any) -> None:
            told.append(str(answer.http_response.headers.get("Date", "")))

        queue = self._stores.queue(QueueName.ENROLLMENTS)
        before = datetime.now(UTC)
        try:
            await queue.get_queue_properties(raw_response_hook=note)
        except ResourceNotFoundError:
            pass  # it, too, says what time it is
        except AzureError as error:
            raise fault_of(error, "storage.clock") from error
        middle = before + (datetime.now(UTC) - before) / 2
        return middle - parsedate_to_datetime(told[-1])

    async def oldest(self, queue: str) -> timedelta | None:
        """Give the age of the oldest message that anybody may take now; None: there is none."""
        try:
            found = await self._stores.queue(queue).peek_messages(max_messages=PEEKED)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise fault_of(error, f"{queue}.peek") from error
        put = [one.inserted_on for one in found if one.inserted_on is not None]
        return datetime.now(UTC) - min(put) if put else None

    async def channels(self) -> Mapping[str, str]:
        """Knock at every channel that is set: "" if it answers, else what happened."""
        settings = self._settings
        asked = {}
        if settings.teams_webhook:
            asked["teams"] = self._host(settings.teams_webhook)
        if settings.topic_endpoint:
            asked["topic"] = self._host(settings.topic_endpoint)
        if settings.acs_endpoint:
            asked["acs"] = self._acs(settings.acs_endpoint)
        if settings.smtp_url:
            asked["smtp"] = self._smtp(settings.smtp_url)
        said = await asyncio.gather(*asked.values())
        return dict(zip(asked, said, strict=True))

    async def _host(self, url: str) -> str:
        import aiohttp

        parts = urlsplit(url)  # the path of a webhook is its secret
        limit = aiohttp.ClientTimeout(PATIENCE)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=True) as http,
                http.head(
                    f"{parts.scheme}://{parts.netloc}/", ssl=trusted(self._settings.cloud.ca_file)
                ),
            ):
                return ""
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{parts.hostname} does not answer: {type(error).__name__}"

    async def _acs(self, endpoint: str) -> str:
        from azure.core.pipeline import AsyncPipeline, policies
        from azure.core.rest import HttpRequest

        from shared.adapters.acs_email import API, SCOPE

        request = HttpRequest(
            "GET",
            f"{endpoint.rstrip('/')}/emails/operations/{uuid4()}",
            params={"api-version": API},
        )
        token = policies.AsyncBearerTokenCredentialPolicy(self._clients.credential(), SCOPE)
        pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(
            self._clients.transport(), policies=[policies.RequestIdPolicy(), token]
        )
        try:
            answer = await pipeline.run(request)
        except AzureError as error:
            return f"{urlsplit(endpoint).hostname} does not answer: {type(error).__name__}"
        status = answer.http_response.status_code
        if status in {401, 403}:
            return f"HTTP {status}: the identity may not send there"
        return "" if status < 500 else f"HTTP {status}"

    async def _smtp(self, url: str) -> str:
        import aiosmtplib

        from shared.adapters.smtp import client_of, relay

        server = relay(url)
        client = client_of(server, trusted(self._settings.cloud.ca_file), patience=PATIENCE)
        try:
            await client.connect()
            await client.quit()
        except aiosmtplib.SMTPAuthenticationError as error:
            return f"{server.host} refuses the login: {error.code}"
        except (aiosmtplib.SMTPException, OSError) as error:
            return f"{server.host} does not answer: {type(error).__name__}"
        return ""
