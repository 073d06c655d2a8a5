"""The control plane below ``/_sim/``: what a test orders from Azure, and what it asks of it.

Not Azure: no token, no api-version, plain JSON. Documented in docs/simulator.md.
"""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from simulator.arm import Json
from simulator.assembly import reset
from simulator.seeds import SeedError, plant
from simulator.world import World

type Ready = Callable[[], dict[str, Json]]
SIMULATOR: web.AppKey[Ready] = web.AppKey("simulator")
#: A long poll is answered after so many real seconds even if nothing happened.
LONG_POLL = 30.0


def add_routes(app: web.Application, world: World) -> None:
    """Serve the control plane of one world."""
    plane = _ControlPlane(world)
    app.router.add_routes(
        [
            web.get("/_sim/ready", plane.ready),
            web.get("/_sim/clock", plane.clock),
            web.post("/_sim/clock", plane.set_clock),
            web.post("/_sim/reset", plane.reset),
            web.post("/_sim/seed", plane.seed),
            web.get("/_sim/timeline", plane.timeline),
            web.get("/_sim/faults", plane.faults),
            web.post("/_sim/faults", plane.order_fault),
            web.delete("/_sim/faults", plane.clear_faults),
            web.get("/_sim/calls", plane.calls),
            web.delete("/_sim/calls", plane.clear_calls),
            web.get("/_sim/knobs", plane.knobs),
            web.post("/_sim/knobs", plane.turn_knobs),
            web.get("/_sim/resources", plane.resources),
            web.get("/_sim/resources/{id:.*}", plane.resource),
        ]
    )


class _ControlPlane:
    def __init__(self, world: World) -> None:
        self._world = world

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response(request.app[SIMULATOR]())

    async def clock(self, request: web.Request) -> web.Response:
        """Tell the time; with ``?after=EPOCH`` only after the clock jumped or changed its speed."""
        clock = self._world.clock
        after = request.query.get("after")
        if after is not None:
            deadline = time.monotonic() + LONG_POLL
            while clock.epoch <= int(after) and (left := deadline - time.monotonic()) > 0:
                await clock.changed_within(left)
        return self._told()

    async def set_clock(self, request: web.Request) -> web.Response:
        clock = self._world.clock
        try:
            match await _object(request):
                case {"advance": int() | float() as seconds}:
                    clock.advance(seconds)
                case {"to": str(text)}:
                    to = datetime.fromisoformat(text)
                    clock.advance((to - clock.now()).total_seconds())
                case {"speed": int() | float() as speed}:
                    clock.set_speed(speed)
                case other:
                    raise _bad(f"give one of advance, to, speed; not {other}")
        except (ValueError, TypeError) as wrong:
            raise _bad(str(wrong)) from wrong
        self._world.schedule.run(clock.now())
        await asyncio.sleep(0)  # let what slept on the clock see the jump first
        return self._told()

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything; a body is the seed to start again with."""
        seed = await _object(request) if request.can_read_body else None
        try:
            reset(self._world, seed)
        except SeedError as wrong:
            raise _bad(str(wrong)) from wrong
        return self._told()

    async def seed(self, request: web.Request) -> web.Response:
        """Add a seed to what is there; its timeline counts from now."""
        self._world.started = self._world.clock.now()
        try:
            plant(self._world, await _object(request))
        except ValueError as wrong:
            raise _bad(str(wrong)) from wrong
        return self._told()

    async def timeline(self, _request: web.Request) -> web.Response:
        return web.json_response(self._world.timeline)

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response([order.shown() for order in self._world.gateway.faults.orders])

    async def order_fault(self, request: web.Request) -> web.Response:
        try:
            order = self._world.gateway.faults.order(await _object(request))
        except ValueError as wrong:
            raise _bad(str(wrong)) from wrong
        return web.json_response(order.shown(), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._world.gateway.faults.clear()
        return web.Response(status=204)

    async def calls(self, request: web.Request) -> web.Response:
        log = self._world.calls
        if request.query.get("summary"):
            return web.json_response({"total": log.total, "counts": log.summary()})
        since = int(request.query.get("since", "0"))
        return web.json_response([call.shown() for call in log.since(since)])

    async def clear_calls(self, _request: web.Request) -> web.Response:
        self._world.calls.clear()
        return web.Response(status=204)

    async def knobs(self, _request: web.Request) -> web.Response:
        return web.json_response(self._world.knobs.listed())

    async def turn_knobs(self, request: web.Request) -> web.Response:
        try:
            self._world.knobs.turn(await _object(request))
        except ValueError as wrong:
            raise _bad(str(wrong)) from wrong
        return web.json_response(self._world.knobs.listed())

    async def resources(self, request: web.Request) -> web.Response:
        kind = request.query.get("type")
        self._world.schedule.run(self._world.clock.now())
        return web.json_response([body for _, body in self._world.list(type=kind)])

    async def resource(self, request: web.Request) -> web.Response:
        self._world.schedule.run(self._world.clock.now())
        body = self._world.get("/" + request.match_info["id"].strip("/"))
        if body is None:
            raise web.HTTPNotFound(text=json.dumps({"error": "there is no such resource"}))
        return web.json_response(body)

    def _told(self) -> web.Response:
        clock = self._world.clock
        return web.json_response(
            {
                "now": clock.now().isoformat(),
                "speed": clock.speed,
                "real": time.time(),
                "epoch": clock.epoch,
            }
        )


async def _object(request: web.Request) -> dict[str, Json]:
    try:
        body = json.loads(await request.read())
    except ValueError as broken:
        raise _bad(f"the body is no JSON: {broken}") from broken
    if not isinstance(body, dict):
        raise _bad("the body is a JSON object")
    return body


def _bad(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": why}), content_type="application/json")
