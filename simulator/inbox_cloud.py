"""Two more far ends of a notice: Communication Services Email and an Event Grid custom topic.

Email (facts §9.2): an operation per ``Operation-Id``, which runs for one look and then ended; the
same id again is the same mail. Over its limits it refuses and keeps nothing. The topic takes
batches of CloudEvents and recognises no repeat. Both answer under ``/_sim/inbox/`` like the other
inboxes; failures are ordered the same way. The texts of errors are assumed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.arm import Json
from simulator.clock import SimClock
from simulator.inbox import Inbox, OrderedFault, add_inbox, failed
from simulator.world import World

MANAGED = "azurecomm.net"  # a sender below it is of a domain that Azure manages
TOPIC_PATH = "/api/events"
LARGEST_BATCH = 1024 * 1024  # bytes, of all events together
_SECOND = 1  # seconds that an operation asks to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Requests a minute and an hour."""

    minute: int
    hour: int


@dataclass(slots=True, eq=False)
class Meter:
    """Counts what was let through; says how long to wait for the rest."""

    clock: SimClock
    taken: list[datetime] = field(default_factory=list)

    def wait(self, limits: Limits) -> int:
        """Take one, or give the seconds until one may be taken."""
        now = self.clock.now()
        self.taken = [at for at in self.taken if now - at < timedelta(hours=1)]
        for most, span in (
            (limits.minute, timedelta(minutes=1)),
            (limits.hour, timedelta(hours=1)),
        ):
            within = [at for at in self.taken if now - at < span]
            if len(within) >= most:
                return max(1, int((within[-most] + span - now).total_seconds()) + 1)
        self.taken.append(now)
        return 0


@dataclass(slots=True, eq=False)
class Mails:
    """One Communication Services resource."""

    inbox: Inbox
    sends: Meter
    looks: Meter
    operations: dict[str, str] = field(default_factory=dict)  # id to status
    ends: dict[str, Json] = field(default_factory=dict)  # error with which operations end, if any
    own: tuple[Limits, Limits] = (Limits(minute=30, hour=100), Limits(minute=60, hour=200))
    managed: tuple[Limits, Limits] = (Limits(minute=5, hour=10), Limits(minute=10, hour=20))
    asked: list[str] = field(default_factory=list)  # methods, in order

    def clear(self) -> None:
        self.inbox.clear()
        for kept in (self.operations, self.ends, self.asked, self.sends.taken, self.looks.taken):
            kept.clear()

    def limits(self, sender: str) -> tuple[Limits, Limits]:
        return self.managed if sender.lower().endswith(MANAGED) else self.own


@dataclass(slots=True, eq=False)
class Cloud:
    mails: Mails
    topic: Inbox

    @classmethod
    def of(cls, world: World) -> "Cloud":
        clock = world.clock
        mails = Mails(Inbox(clock), Meter(clock), Meter(clock))
        return cls(mails=mails, topic=Inbox(clock))


_clouds: WeakKeyDictionary[World, Cloud] = WeakKeyDictionary()


def cloud_of(world: World) -> Cloud:
    if world not in _clouds:
        _clouds[world] = Cloud.of(world)
    return _clouds[world]


def attach(world: World) -> None:
    """Empty both when a world starts again."""
    cloud = cloud_of(world)
    cloud.mails.clear()
    cloud.topic.clear()


def add_routes(app: web.Application, world: World) -> None:
    cloud = cloud_of(world)
    app.router.add_post("/emails:send", _send(cloud.mails))
    app.router.add_get("/emails/operations/{name}", _look(cloud.mails))
    app.router.add_post(TOPIC_PATH, _published(cloud.topic))
    add_inbox(app, "acs", cloud.mails.inbox)
    add_inbox(app, "topic", cloud.topic)


# --- mail ----------------------------------------------------------------------------------------


def _send(mails: Mails) -> Handler:
    async def send(request: web.Request) -> web.StreamResponse:
        mails.asked.append("POST")
        body = await _json(request)
        name = request.headers.get("Operation-Id", "")

        def taken() -> web.Response:
            if name not in mails.operations:
                mails.operations[name] = "Running"
                mails.inbox.keep({"status": 202, "message": body, "operation": name})
            where = f"{request.url.origin()}/emails/operations/{name}?api-version=2023-03-31"
            return web.json_response(
                {"id": name, "status": mails.operations[name]},
                status=202,
                headers={"Operation-Location": where, "retry-after": str(_SECOND)},
            )

        return await _answered(mails.inbox, request, body, _wrong_mail(mails, request, body), taken)

    return send


def _wrong_mail(mails: Mails, request: web.Request, body: Json) -> web.Response | None:
    if not request.headers.get("Authorization"):
        return _error(401, "Denied", "The request carries no credential.")
    if "api-version" not in request.query:
        return _error(400, "MissingApiVersion", "api-version is missing.")
    try:
        UUID(request.headers.get("Operation-Id", ""))
    except ValueError:
        return _error(400, "InvalidOperationId", "Operation-Id is no UUID.")
    match body:
        case {
            "senderAddress": str(sender),
            "content": {"subject": str()},
            "recipients": {"to": [{"address": str()}, *_]},
        }:
            if wait := mails.sends.wait(mails.limits(sender)[0]):
                return _error(429, "TooManyRequests", "Over the limit of mails.", wait)
            return None
        case _:
            return _error(400, "BadRequest", "senderAddress, subject or a recipient is missing.")


def _look(mails: Mails) -> Handler:
    async def look(request: web.Request) -> web.StreamResponse:
        mails.asked.append("GET")
        name = request.match_info["name"]
        if wait := mails.looks.wait(mails.own[1]):
            return _error(429, "TooManyRequests", "Over the limit of looks.", wait)
        status = mails.operations.get(name)
        if status is None:
            return _error(404, "NotFound", "There is no such operation.")
        answer: dict[str, Json] = {"id": name, "status": status}
        if status == "Running":
            mails.operations[name] = "Failed" if mails.ends else "Succeeded"
        elif status == "Failed":
            answer["error"] = dict(mails.ends)
        return web.json_response(answer, headers={"retry-after": str(_SECOND)})

    return look


# --- topic ---------------------------------------------------------------------------------------


def _published(topic: Inbox) -> Handler:
    async def published(request: web.Request) -> web.StreamResponse:
        body = await _json(request)
        wrong = _wrong_batch(request, body)
        events = body if isinstance(body, list) else []

        def taken() -> web.Response:
            for event in events:
                topic.keep({"status": 200, "message": event})
            return web.Response(status=200)

        return await _answered(topic, request, body, wrong, taken)

    return published


def _wrong_batch(request: web.Request, body: Json) -> web.Response | None:
    if not (request.headers.get("aeg-sas-key") or request.headers.get("Authorization")):
        return _error(401, "Unauthorized", "The request carries no credential.")
    if request.content_type != "application/cloudevents-batch+json":
        return _error(415, "UnsupportedMediaType", f"{request.content_type} is no batch.")
    if (request.content_length or 0) > LARGEST_BATCH:
        return _error(413, "RequestEntityTooLarge", "The batch is larger than 1 MB.")
    for event in body if isinstance(body, list) else [None]:
        match event:
            case {"specversion": "1.0", "id": str(), "source": str(), "type": str()}:
                continue
            case _:
                return _error(400, "BadRequest", "An event is no CloudEvent 1.0.")
    return None


# --- both ----------------------------------------------------------------------------------------


async def _answered(
    box: Inbox,
    request: web.Request,
    body: Json,
    wrong: web.Response | None,
    taken: Callable[[], web.Response],
) -> web.StreamResponse:
    """Fail as ordered, refuse what is wrong, or take it."""
    fault: OrderedFault | None = box.take_fault()
    if fault is not None:
        if fault.accepts and wrong is None:
            taken()
        return await failed(box, fault, body, request)
    if wrong is not None:
        box.refuse({"status": wrong.status, "message": body})
        return wrong
    return taken()


async def _json(request: web.Request) -> Json:
    raw = await request.read()
    try:
        parsed: Json = json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
    return parsed


def _error(status: int, code: str, text: str, wait: int = 0) -> web.Response:
    headers = {"x-ms-error-code": code}
    if wait:
        headers["Retry-After"] = str(wait)
    return web.json_response(
        {"error": {"code": code, "message": text}}, status=status, headers=headers
    )
