"""Which channels this deployment has, from its settings; assembled once per process."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.adapters.notice_store import TableNoticeStore
from shared.adapters.stores import Stores
from shared.adapters.trust import trusted
from shared.domain.letters import Links
from shared.domain.routing import Routing
from shared.notify import Notifier
from shared.outbox import Channel
from shared.ports import Clock, Queues, RulesSource
from shared.postman import Postman
from shared.settings import Settings

if TYPE_CHECKING:
    import aiohttp
    from azure.core import AsyncPipelineClient
    from azure.eventgrid.aio import EventGridPublisherClient

    from shared.adapters.clients import Clients

TIMEOUT = 30.0  # seconds for one post
DEFAULT = "default"  # name of the webhook in TEAMS_WEBHOOK_URL


def channels(settings: Settings, clients: Clients, clock: Clock) -> dict[str, Channel]:
    """Build every channel that is set. Nothing is opened yet."""
    found: dict[str, Channel] = {}
    if settings.teams_webhook:
        from shared.adapters.teams import TeamsChannel

        webhooks = {DEFAULT: settings.teams_webhook}
        found["teams"] = TeamsChannel(webhooks, _session(settings), instances=settings.instances)
    if settings.acs_endpoint and settings.mail_from:
        from shared.adapters.acs_email import AcsEmailChannel

        found["acs"] = AcsEmailChannel(
            _acs_client(settings.acs_endpoint, clients),
            settings.acs_endpoint,
            parseaddr(settings.mail_from)[1],
            clock,
        )
    if settings.topic_endpoint:
        from shared.adapters.topic import TopicChannel

        found["topic"] = TopicChannel(
            _topic_client(settings.topic_endpoint, clients),
            f"vm-backup-auto-enrollment/{settings.tenant_id}",
        )
    if settings.smtp_url and settings.mail_from:
        from shared.adapters.smtp import SmtpChannel, relay

        found["smtp"] = SmtpChannel(
            relay(settings.smtp_url),
            settings.mail_from,
            trust=lambda: trusted(settings.cloud.ca_file),
        )
    return found


def routing_of(settings: Settings, present: dict[str, Channel]) -> Routing:
    """Say what can be reached: Communication Services before SMTP, where both are set."""
    return Routing(
        owner_tags=settings.owner_tags,
        operators=settings.operators,
        mail=tuple(name for name in ("acs", "smtp") if name in present),
        teams=(DEFAULT,) if "teams" in present else (),
        sandbox=settings.observing,
    )


def notifier_of(
    settings: Settings,
    clock: Clock,
    stores: Stores,
    queues: Queues,
    rules: RulesSource,
    clients: Clients,
) -> Notifier:
    """Put the outbox together."""
    present = channels(settings, clients, clock)
    return Notifier(
        TableNoticeStore(stores),
        queues,
        clock,
        Postman(channels=present, clock=clock),
        routing=routing_of(settings, present),
        rules=rules,
        links=Links(
            portal=settings.cloud.portal, tenant=settings.tenant_id, page=settings.page_url
        ),
        languages=settings.languages or ("en",),
    )


def _session(settings: Settings) -> Callable[[], aiohttp.ClientSession]:
    """Give the one session for webhooks, made when the first letter leaves."""

    @cache
    def session() -> aiohttp.ClientSession:
        import aiohttp

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted(settings.cloud.ca_file), limit=8),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, connect=10),
            trust_env=True,
        )

    return session


def _acs_client(endpoint: str, clients: Clients) -> AsyncPipelineClient[Any, Any]:
    """Give a client for the two calls; the outbox alone decides about repeats."""
    from azure.core import AsyncPipelineClient
    from azure.core.pipeline import policies

    from shared.adapters.acs_email import SCOPE

    return AsyncPipelineClient(
        base_url=endpoint.rstrip("/"),
        transport=clients.transport(),
        policies=[
            policies.RequestIdPolicy(),
            policies.AsyncBearerTokenCredentialPolicy(clients.credential(), SCOPE),
            policies.ContentDecodePolicy(),
        ],
    )


def _topic_client(endpoint: str, clients: Clients) -> Callable[[], EventGridPublisherClient]:
    @cache
    def client() -> EventGridPublisherClient:
        from azure.eventgrid.aio import EventGridPublisherClient

        return EventGridPublisherClient(
            endpoint, clients.credential(), transport=clients.transport(), retry_total=0
        )

    return client
