"""The HTTP face of one instance: HTTP functions, the Event Grid webhook, the admin calls.

Keys as in Azure: the header wins over ``?code=``, the master key passes everything. Paths are
found below ``host.json``'s route prefix; a wrong method is a 404, as routes are per method.
"""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from aiohttp import web
from azure_functions_runtime.bindings.datumdef import Datum

from simulator.host.channel import Keys
from simulator.host.hostfile import HttpOptions
from simulator.host.routes import RouteTemplate
from simulator.host.timers import Timer
from simulator.host.webhook import Webhook
from simulator.host.worker import Binder, Function, Request, Worker, new_trace

ALL_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "PATCH", "PUT", "OPTIONS", "TRACE"})
LARGEST_BODY = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One HTTP trigger."""

    function: Function
    route: RouteTemplate
    methods: frozenset[str]
    level: str

    @classmethod
    def of(cls, function: Function) -> "Endpoint":
        methods = function.trigger.settings.get("methods") or []
        listed = methods if isinstance(methods, list) else [methods]
        return cls(
            function=function,
            route=RouteTemplate.parse(function.trigger.text("route") or function.name),
            methods=frozenset(str(method).upper() for method in listed) or ALL_METHODS,
            level=(function.trigger.text("authLevel") or "function").lower(),
        )


@dataclass(slots=True, kw_only=True)
class Face:
    """All that this instance answers over HTTP."""

    endpoints: list[Endpoint]
    options: HttpOptions
    keys: Keys
    worker: Worker
    bind: Binder
    webhook: Webhook
    timers: Mapping[str, Timer]
    waiting: int = 0
    background: set["asyncio.Task[object]"] = field(default_factory=set)
    slots: asyncio.Semaphore | None = None

    def __post_init__(self) -> None:
        self.endpoints.sort(key=lambda endpoint: endpoint.route.rank)
        if self.options.max_concurrent is not None:
            self.slots = asyncio.Semaphore(self.options.max_concurrent)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        low = path.lower()
        if low in {"", "admin/host/ping"}:
            return web.Response(text="")
        if low == "runtime/webhooks/eventgrid":
            if not self._passes(request, self.keys.system.get("eventgrid_extension", "")):
                return web.Response(status=401)
            return await self.webhook.answer(request)
        if low.startswith("admin/"):
            return await self._admin(request, path)
        return await self._function(request)

    async def _function(self, request: web.Request) -> web.StreamResponse:
        prefix = self.options.route_prefix
        raw = request.raw_path.split("?", 1)[0].strip("/")
        if prefix:
            if not f"{raw}/".lower().startswith(f"{prefix}/".lower()):
                return web.Response(status=404)
            raw = raw[len(prefix) + 1 :]
        for endpoint in self.endpoints:
            params = endpoint.route.match(raw)
            if params is None or request.method not in endpoint.methods:
                continue
            if not self._admits(request, endpoint.level):
                return web.Response(status=401)
            return await self._limited(request, endpoint, params)
        return web.Response(status=404)

    async def _limited(
        self, request: web.Request, endpoint: Endpoint, params: dict[str, str]
    ) -> web.StreamResponse:
        most = self.options.max_outstanding
        if most is not None and self.waiting >= most:
            return web.Response(status=429, text="429 Too Many Requests")
        self.waiting += 1
        try:
            if self.slots is None:
                return await self._invoke(request, endpoint, params)
            async with self.slots:
                return await self._invoke(request, endpoint, params)
        finally:
            self.waiting -= 1

    async def _invoke(
        self, request: web.Request, endpoint: Endpoint, params: dict[str, str]
    ) -> web.StreamResponse:
        outcome = await self.worker.run(
            Request(
                function=endpoint.function,
                cause="http",
                value=await _datum(request, params),
                traceparent=new_trace(request.headers.get("traceparent", "")),
                tracestate=request.headers.get("tracestate", ""),
            ),
            self.bind,
        )
        return _response(outcome.returned) if outcome.ok else web.Response(status=500)

    async def _admin(self, request: web.Request, path: str) -> web.StreamResponse:
        if not self._passes(request, ""):
            return web.Response(status=401)
        match request.method, path.lower().split("/"), path.split("/"):
            case "GET", ["admin", "host", "status"], _:
                return web.json_response({"state": "Running", "errors": []})
            case "GET", ["admin", "functions"], _:
                return web.json_response([{"name": one.name} for one in self.worker.functions])
            case "POST", ["admin", "functions", _], [_, _, name]:
                return await self._start(request, name)
        return web.Response(status=404)

    async def _start(self, request: web.Request, name: str) -> web.StreamResponse:
        """Run a function that is not HTTP, with the posted input, and answer at once."""
        named = {one.name.lower(): one for one in self.worker.functions}
        function = named.get(name.lower())
        if function is None:
            return web.Response(status=404)
        try:
            given = json.loads(await request.read() or b"{}")
            text = str(given.get("input", ""))
        except (ValueError, AttributeError):
            return web.Response(status=400)
        timer = self.timers.get(function.name)
        if timer is not None:
            started: asyncio.Task[object] = asyncio.create_task(
                timer.run(None, past_due=False, cause="admin")
            )
        else:
            kind = "json" if function.trigger.type == "eventGridTrigger" else "string"
            started = asyncio.create_task(
                self.worker.run(
                    Request(function=function, cause="admin", value=Datum(text, kind)), self.bind
                )
            )
        self.background.add(started)
        started.add_done_callback(self.background.discard)
        return web.Response(status=202)

    def _admits(self, request: web.Request, level: str) -> bool:
        match level:
            case "anonymous":
                return True
            case "function":
                return self._passes(request, self.keys.host)
            case _:
                return self._passes(request, "")

    def _passes(self, request: web.Request, key: str) -> bool:
        given = request.headers.get("x-functions-key") or request.query.get("code", "")
        return any(
            hmac.compare_digest(given.encode(), one.encode())
            for one in (self.keys.master, key)
            if one
        )


async def _datum(request: web.Request, params: dict[str, str]) -> Datum:
    """Write a request as the host does: lower-case headers, no empty query values, no chunked body."""
    body = await request.read() if request.content_length else b""
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": {
                name.lower(): Datum(value, "string") for name, value in request.headers.items()
            },
            "params": {name: Datum(value, "string") for name, value in params.items()},
            "query": {
                name: Datum(value, "string") for name, value in request.query.items() if value
            },
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _response(value: Datum | None) -> web.StreamResponse:
    """Write what a function returned; the library has refused None and dict before."""
    match value:
        case Datum(type="http", value=parts):
            answer = web.Response(
                status=int(parts["status_code"].value), body=_bytes(parts["body"])
            )
            for name, header in parts["headers"].items():
                answer.headers[name] = header.value
            for cookie in parts.get("cookies") or ():
                _set_cookie(answer, cookie)
            return answer
        case Datum(type="string", value=str(text)):
            return web.Response(text=text)
        case Datum(type="json", value=str(text)):
            return web.Response(text=text, content_type="application/json")
        case Datum(type="bytes", value=bytes(content)):
            return web.Response(body=content, content_type="application/octet-stream")
        case _:
            return web.Response(status=204)


def _set_cookie(answer: web.Response, cookie: SimpleCookie) -> None:
    for morsel in cookie.values():
        answer.headers.add("Set-Cookie", morsel.OutputString())


def _bytes(datum: Datum) -> bytes:
    return datum.value if isinstance(datum.value, bytes) else str(datum.value).encode()
