"""What a test sees of the Functions host and orders from it, below ``/_sim/host``.

A part of the simulated Azure without state of its own: it shows the fleet that runs beside a
world, if one does.
"""

import json
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.host.fleet import Fleet
from simulator.world import World

_fleets: WeakKeyDictionary[World, Fleet] = WeakKeyDictionary()


def connect(world: World, fleet: Fleet) -> None:
    """Let the control plane of a world show this fleet."""
    _fleets[world] = fleet


def add_routes(app: web.Application, world: World) -> None:
    """Serve ``/_sim/host`` and below."""

    def fleet() -> Fleet:
        if world not in _fleets:
            raise web.HTTPNotFound(text=json.dumps({"error": "no Functions host runs here"}))
        return _fleets[world]

    async def described(_request: web.Request) -> web.Response:
        return _json(fleet().described())

    async def invocations(request: web.Request) -> web.Response:
        """List invocations, oldest first; ``?function=`` and ``?state=`` choose."""
        listed = [
            one
            for one in fleet().invocations.listed
            if request.query.get("function", one.function) == one.function
            and request.query.get("state", one.state) == one.state
        ]
        return _json(listed)

    async def logs(request: web.Request) -> web.Response:
        wanted = request.query.get("contains", "")
        return _json([one for one in fleet().logs if wanted in one.text])

    async def kill(request: web.Request) -> web.Response:
        """SIGKILL an instance: ``{"instance": SLOT}``."""
        try:
            slot = int((await request.json())["instance"])
            fleet().kill(slot)
        except (ValueError, TypeError, KeyError) as wrong:
            return web.json_response({"error": f"no such instance: {wrong}"}, status=400)
        return web.Response(status=202)

    handlers: dict[tuple[str, str], Handler] = {
        ("GET", "/_sim/host"): described,
        ("GET", "/_sim/host/invocations"): invocations,
        ("GET", "/_sim/host/logs"): logs,
        ("POST", "/_sim/host/kill"): kill,
    }
    for (method, path), handler in handlers.items():
        app.router.add_route(method, path, handler)


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
