"""A transport that answers from a list, and Azure clients that use it.

wire = Wire()
wire.on("GET", r"/virtualMachines/vm1$", Answer(200, body))
clients = clients_on(wire)
...
assert wire.sent[0].query["$expand"] == "instanceView"
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.core.utils import case_insensitive_dict

from shared.adapters.clients import Clients
from shared.adapters.governor import Governor
from shared.settings import Settings, read
from tests.fakes.azure import FakeClock

TENANT = "22222222-2222-4222-8222-222222222222"
SUB = "11111111-1111-4111-8111-111111111111"


def settings_for(**changes: str) -> Settings:
    """Read settings as they are by default, with environment variables as given."""
    return read(
        {
            "TENANT_ID": TENANT,
            "RULES_URI": "rules.yaml",
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            **changes,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request, as it went out."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.url).path)

    @property
    def query(self) -> dict[str, str]:
        return {
            name.replace("%24", "$"): value for name, value in parse_qsl(urlsplit(self.url).query)
        }


@dataclass(frozen=True)
class Answer:
    """What comes back: JSON, text as it is, or nothing."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        match self.body:
            case None:
                return b""
            case str():
                return self.body.encode()
            case bytes():
                return self.body
        return json.dumps(self.body).encode()


class _Line:
    async def close(self) -> None:
        """Nothing is open."""


class Wire(AsyncHttpTransport):
    """Answers by method and path; the last answer of a list is given again and again."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._answers: list[tuple[str, re.Pattern[str], list[Answer | Exception]]] = []

    def on(self, method: str, path: str, *answers: Answer | Exception) -> None:
        """Answer what matches; what was said last counts first."""
        pattern = re.compile(path, re.IGNORECASE)
        self._answers.insert(0, (method, pattern, list(answers)))

    async def send(self, request: Any, *, stream: bool = False, **_: Any) -> Any:
        raw = request.content
        sent = Sent(
            method=request.method,
            url=request.url,
            headers=dict(request.headers),
            body=json.loads(raw) if raw else None,
        )
        self.sent.append(sent)
        for method, pattern, answers in self._answers:
            if method == sent.method and pattern.search(sent.path):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(answer, Exception):
                    raise answer
                return await _response(request, answer, stream=stream)
        raise AssertionError(f"nobody answers {sent.method} {sent.url}")

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


async def _response(request: Any, answer: Answer, *, stream: bool) -> Any:
    async def parts(**_: Any):
        yield answer.raw()

    kind = "application/json" if answer.body is not None else ""
    headers = {"Content-Type": kind} if kind else {}
    response = AsyncHttpResponseImpl(
        request=request,
        internal_response=_Line(),
        status_code=answer.status,
        reason="",
        content_type=kind,
        headers=case_insensitive_dict(headers | answer.headers),
        stream_download_generator=lambda **_: parts(),
    )
    if not stream:
        await response.read()
    return response


class Token:
    """A credential that needs nobody."""

    async def get_token(self, *_: Any, **__: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


def clients_on(
    wire: Wire,
    *,
    settings: Settings | None = None,
    clock: FakeClock | None = None,
    governor: Governor | None = None,
) -> Clients:
    """Make the product's clients on a fake transport; their waits pass at once."""
    settings = settings or settings_for()
    clock = clock or FakeClock(speed=1e6)
    return Clients(
        settings,
        clock,
        governor or Governor(settings, clock),
        credential=Token(),
        transport=wire,
    )
