"""ARM's front door: what happens to a request before and after a resource provider sees it.

Order: route, api-version, subscription, body, ordered faults, access, budget, locks, handler,
common headers, log. The server calls it for every authenticated request; timelines call it too.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from urllib.parse import urlencode

from simulator.access import Access
from simulator.arm import (
    BY_GATEWAY,
    Call,
    Json,
    Principal,
    Refusal,
    Reply,
    Route,
)
from simulator.budgets import PROVIDER_COUNT, Budgets
from simulator.calls import LoggedCall
from simulator.checks import check_group, check_subscription, check_version, kind_of
from simulator.faults import Faults
from simulator.locks import check_locks
from simulator.registration import check_registered
from simulator.routing import Match, Router
from simulator.world import World

NOT_SIMULATED = "NotSimulated"
#: Resource Graph needs no action of its own: its rows are what the caller may read (facts §8.3).
UNGUARDED = frozenset({"Microsoft.ResourceGraph/resources/read"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request as it came off the wire, its caller already known."""

    method: str
    path: str
    principal: Principal
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""


class Gateway:
    """Answers requests for one world through its routes."""

    def __init__(self, world: World, routes: Iterable[Route]) -> None:
        self._world = world
        world.knobs.declare("wire.latency_ms", 0, "real milliseconds every ARM answer takes")
        self.routes = tuple(routes)
        self._router = Router(self.routes)
        self.access = Access(world)
        self.budgets = Budgets(world)
        self.faults = Faults(world)
        #: the name of the fault the last answer was ordered to have, if any
        self.last_fault = ""
        #: the right that the last request asked for, if it has a route
        self.last_action = ""

    def answer(self, incoming: Incoming) -> Reply:
        """Answer one request; never raises for what a client did."""
        world = self._world
        began = time.perf_counter()
        world.schedule.run(world.clock.now())
        request_id = world.new_guid()
        correlation_id = incoming.headers.get("x-ms-correlation-request-id") or request_id
        match = self._router.match(incoming.method, incoming.path)
        call: Call | None = None
        code = fault = ""
        headers: dict[str, str] = {}
        try:
            if match is None:
                raise _not_simulated(incoming)
            call = self._call(incoming, match, request_id, correlation_id)
            reply, fault = self._guarded(match.route, call, headers)
        except Refusal as refusal:
            reply, code = refusal.reply(), refusal.code
            if refusal.headers.get("x-ms-failure-cause") == "gateway":
                headers.pop(PROVIDER_COUNT, None)  # the provider never saw the request (recorded)
        reply.headers = {
            **headers,
            **reply.headers,
            **self._common_headers(incoming, request_id, correlation_id),
        }
        if not code and reply.status >= 400:
            code = _code_of(reply.body)
        route = match.route if match else None
        self.last_fault = fault
        self.last_action = route.action if route else ""
        log = world.calls
        log.add(
            LoggedCall(
                sequence=log.next_sequence(),
                at=world.now(),
                method=incoming.method,
                path=incoming.path,
                query=urlencode(incoming.query),
                template=route.template if route else "",
                operation=route.operation if route else "",
                action=route.action if route else "",
                status=reply.status,
                code=code,
                subscription=call.subscription if call else "",
                caller=incoming.principal.object_id,
                request_id=request_id,
                client_request_id=incoming.headers.get("x-ms-client-request-id", ""),
                duration=time.perf_counter() - began,
                received=len(incoming.raw),
                sent=len(written(reply)),
                fault=fault,
            )
        )
        return reply

    @property
    def namespaces(self) -> set[str]:
        """The provider namespaces that have routes, in lower case."""
        return self._router.namespaces

    def operation(self, method: str, path: str) -> str:
        """Name what a request asks for; "" for what has no route."""
        match = self._router.match(method, path)
        return match.route.operation if match else ""

    def default_version(self, method: str, path: str) -> str:
        match = self._router.match(method, path)
        return match.route.api_versions.default() if match else ""

    def _guarded(self, route: Route, call: Call, headers: dict[str, str]) -> tuple[Reply, str]:
        world = self._world
        check_version(route, call)
        check_subscription(world, call)
        order = self.faults.take(call, route)
        if order is not None and (faulty := order.instead(call)) is not None:
            if order.known.counted:
                headers.update(self.budgets.charge(call, route))
            return faulty, order.name
        check_registered(world, call, kind_of(route).split("/")[0])
        if route.action and route.action not in UNGUARDED:
            self.access.authorize(call.principal, route.action, scope_of(call))
        check_group(world, call)
        headers.update(self.budgets.charge(call, route))
        check_locks(world, call, route)
        reply = route.handler(world, call)
        if order is not None:
            return order.after(reply, call), order.name
        return reply, ""

    def _call(self, incoming: Incoming, match: Match, request_id: str, correlation_id: str) -> Call:
        words = incoming.path.strip("/").split("/")
        in_subscription = len(words) > 1 and words[0].lower() == "subscriptions"
        query = {_key(name): value for name, value in incoming.query.items()}
        return Call(
            method=incoming.method,
            path=incoming.path,
            params=match.params,
            query=query,
            body=_parsed(incoming.raw),
            raw=incoming.raw,
            headers=incoming.headers,
            principal=incoming.principal,
            tenant=self._world.tenant_id,
            subscription=words[1] if in_subscription else "",
            api_version=query.get("api-version", ""),
            now=self._world.now(),
            request_id=request_id,
            correlation_id=correlation_id,
            action=match.route.action,
        )

    def _common_headers(
        self, incoming: Incoming, request_id: str, correlation_id: str
    ) -> dict[str, str]:
        headers = {
            "date": format_datetime(self._world.now(), usegmt=True),
            "cache-control": "no-cache",
            "pragma": "no-cache",
            "expires": "-1",
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": correlation_id,
            "x-ms-routing-request-id": f"SIMULATED:{self._world.now():%Y%m%dT%H%M%SZ}:{request_id}",
            "strict-transport-security": "max-age=31536000; includeSubDomains",
            "x-content-type-options": "nosniff",
        }
        if client := incoming.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = client
        return headers


def scope_of(call: Call) -> str:
    """Return the id an action is checked at: a list is checked at the scope it lists."""
    words = call.resource_id.strip("/").split("/")
    low = [word.lower() for word in words]
    if "providers" not in low:
        return call.resource_id
    at = len(low) - 1 - low[::-1].index("providers")
    tail = words[at + 1 :]
    if len(tail) == 2:
        return "/" + "/".join(words[:at])
    return "/" + "/".join(words if len(tail) % 2 else words[:-1])


def written(reply: Reply) -> bytes:
    """Return the bytes of an answer; kept in ``raw``, so that they are written once."""
    if reply.raw is None:
        reply.raw = b"" if reply.body is None else json.dumps(reply.body).encode()
    return reply.raw


def _not_simulated(incoming: Incoming) -> Refusal:
    return Refusal(
        501,
        NOT_SIMULATED,
        f"{incoming.method} {incoming.path} is not simulated; see simulator/COVERAGE.md",
    )


def _parsed(raw: bytes) -> Json | None:
    if not raw.strip():
        return None
    try:
        return json.loads(raw)  # type: ignore[no-any-return] # json is untyped: Json is object
    except ValueError as broken:
        raise Refusal(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{broken}'.",
            headers=BY_GATEWAY,
        ) from broken


def _key(name: str) -> str:
    """OData options and api-version are case-insensitive; keep other names as sent."""
    return name.lower() if name.lower() == "api-version" else name


def _code_of(body: Json | None) -> str:
    match body:
        case {"error": {"code": str(code)}} | {"ErrorCode": str(code)}:
            return code
    return ""
