"""The inboxes at the far end of a notice: a Teams Workflows webhook and a mail server.

They never de-duplicate: what was accepted twice is there twice. Failures are ordered per inbox
(``POST /_sim/inbox/teams/faults``), with or without accepting the message first. Facts §9.1: a
202 with an empty body says that the flow took it, not that anybody saw it.
"""

import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.arm import Json
from simulator.clock import SimClock
from simulator.mail import MailServer
from simulator.tls import AUTHORITY
from simulator.world import World

INVOKE = "/workflows/{flow}/triggers/manual/paths/invoke"
SIGNATURE = "simulated-signature"
TEAMS_PATH = (
    f"/workflows/enrollment/triggers/manual/paths/invoke?api-version=2016-06-01&sig={SIGNATURE}"
)
#: Largest message the Teams connector takes (facts §9.1).
LARGEST = 28 * 1024
CARD = "application/vnd.microsoft.card.adaptive"
BOXES = ("teams", "mail")


@dataclass(slots=True, kw_only=True)
class OrderedFault:
    """An order: fail the next ``count`` messages; ``accepts`` keeps them all the same."""

    status: int = 500
    count: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    accepts: bool = False
    slow: float = 0.0
    reset: bool = False

    @property
    def kept_as(self) -> int:
        """Give the status noted beside the message: 0 where the connection was cut."""
        return 0 if self.reset else self.status

    @classmethod
    def parse(cls, fields: dict[str, Json]) -> "OrderedFault":
        unknown = set(fields) - {*cls.__slots__}
        if unknown:
            raise ValueError(f"an inbox fault has no {', '.join(sorted(unknown))}")
        headers = fields.get("headers")
        return cls(
            status=int(str(fields.get("status", 500))),
            count=int(str(fields.get("count", 1))),
            headers={k: str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
            body=str(fields.get("body", "")),
            accepts=fields.get("accepts") is True,
            slow=float(str(fields.get("slow", 0.0))),
            reset=fields.get("reset") is True,
        )


@dataclass(slots=True, eq=False)
class Inbox:
    """What one channel has accepted, in order, and the failures ordered of it."""

    clock: SimClock
    messages: list[dict[str, Json]] = field(default_factory=list)
    refused: list[dict[str, Json]] = field(default_factory=list)
    faults: list[OrderedFault] = field(default_factory=list)

    def take_fault(self) -> OrderedFault | None:
        if not self.faults:
            return None
        fault = self.faults[0]
        fault.count -= 1
        if fault.count <= 0:
            self.faults.pop(0)
        return fault

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    def keep(self, message: dict[str, Json]) -> None:
        self.messages.append(self._stamped(message, len(self.messages)))

    def refuse(self, message: dict[str, Json]) -> None:
        self.refused.append(self._stamped(message, len(self.refused)))

    def clear(self) -> None:
        self.messages.clear()
        self.refused.clear()
        self.faults.clear()

    def _stamped(self, message: dict[str, Json], number: int) -> dict[str, Json]:
        at: datetime = self.clock.now()
        return {"number": number + 1, "at": at.isoformat(), **message}


@dataclass(slots=True, eq=False)
class Inboxes:
    teams: Inbox
    mail: Inbox
    smtp: MailServer

    @classmethod
    def of(cls, world: World) -> "Inboxes":
        mail = Inbox(world.clock)
        return cls(teams=Inbox(world.clock), mail=mail, smtp=MailServer(mail))

    def named(self, name: str) -> Inbox:
        return self.teams if name == "teams" else self.mail


_inboxes: WeakKeyDictionary[World, Inboxes] = WeakKeyDictionary()


def inboxes_of(world: World) -> Inboxes:
    """Return the world's inboxes; there is one set per world."""
    if world not in _inboxes:
        _inboxes[world] = Inboxes.of(world)
    return _inboxes[world]


def attach(world: World) -> None:
    """Empty the inboxes of a world that starts again."""
    boxes = inboxes_of(world)
    boxes.teams.clear()
    boxes.mail.clear()


def add_routes(app: web.Application, world: World) -> None:
    """Serve the Teams webhook, the mail server and what tests read of both."""
    boxes = inboxes_of(world)

    async def mail_serving(running: web.Application) -> AsyncIterator[None]:
        if (authority := running.get(AUTHORITY)) is None:
            yield  # an application that is not served, as in tests of a part alone
            return
        async with boxes.smtp.serving(authority.context):
            yield

    app.cleanup_ctx.append(mail_serving)
    app.router.add_post(INVOKE, _teams(boxes.teams))
    for name in BOXES:
        add_inbox(app, name, boxes.named(name))


def add_inbox(app: web.Application, name: str, box: Inbox) -> None:
    """Let tests read and empty an inbox, and order failures of it."""
    app.router.add_get(f"/_sim/inbox/{name}", _listed(box))
    app.router.add_delete(f"/_sim/inbox/{name}", _cleared(box))
    app.router.add_get(f"/_sim/inbox/{name}/refused", _refused(box))
    app.router.add_post(f"/_sim/inbox/{name}/faults", _ordered(box))


def _teams(box: Inbox) -> Handler:
    async def invoked(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        message = _read(raw)
        fault = box.take_fault()
        if fault is not None:
            if fault.accepts:
                box.keep({"status": fault.kept_as, "message": message})
            return await failed(box, fault, message, request)
        wrong = _wrong(request, raw, message)
        if wrong is not None:
            box.refuse({"status": wrong.status, "message": message})
            return wrong
        box.keep({"status": 202, "message": message})
        return web.Response(status=202)

    return invoked


async def failed(
    box: Inbox, fault: OrderedFault, message: Json, request: web.Request
) -> web.StreamResponse:
    """Answer as ordered; what the order accepts was kept by the caller."""
    if fault.slow:
        await box.clock.sleep(fault.slow)
    if not fault.accepts:
        box.refuse({"status": fault.kept_as, "message": message})
    if fault.reset and request.transport is not None:
        request.transport.abort()
    return web.Response(status=fault.status, headers=fault.headers, text=fault.body)


def _read(raw: bytes) -> Json:
    try:
        parsed: Json = json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
    return parsed


def _wrong(request: web.Request, raw: bytes, message: Json) -> web.Response | None:
    """Refuse what a flow made from the template cannot post (the texts are assumed)."""
    if not hmac.compare_digest(request.query.get("sig", ""), SIGNATURE):
        return _error(401, "DirectApiAuthorizationRequired", "The request is not signed.")
    if len(raw) > LARGEST:
        return _error(413, "RequestEntityTooLarge", f"{len(raw)} bytes are more than {LARGEST}.")
    if not isinstance(message, dict):
        return _error(400, "InvalidTemplate", "The body is no JSON object.")
    cards = message.get("attachments")
    if message.get("type") != "message" or not isinstance(cards, list) or not cards:
        return _error(400, "InvalidTemplate", "'attachments' is missing or empty.")
    for card in cards:
        content = card.get("content") if isinstance(card, dict) else None
        if not isinstance(content, dict) or card.get("contentType") != CARD:
            return _error(400, "InvalidTemplate", f"An attachment is no {CARD}.")
        if content.get("type") != "AdaptiveCard" or not content.get("version"):
            return _error(400, "InvalidBotRequest", "The card is no AdaptiveCard with a version.")
    return None


def _error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": text}}, status=status)


def _listed(box: Inbox) -> Handler:
    async def listed(_request: web.Request) -> web.Response:
        return web.json_response(box.messages)

    return listed


def _refused(box: Inbox) -> Handler:
    async def refused(_request: web.Request) -> web.Response:
        return web.json_response(box.refused)

    return refused


def _cleared(box: Inbox) -> Handler:
    async def cleared(_request: web.Request) -> web.Response:
        box.clear()
        return web.Response(status=204)

    return cleared


def _ordered(box: Inbox) -> Handler:
    async def ordered(request: web.Request) -> web.Response:
        try:
            box.faults.append(OrderedFault.parse(await request.json()))
        except (ValueError, TypeError, AttributeError) as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return web.json_response({"faults": len(box.faults)}, status=201)

    return ordered
