"""Serves one simulated Azure over https and http, and runs its clock.

The same application listens twice: https with a throw-away CA for ARM and Entra, plain http for
the control plane, the managed-identity endpoint and inboxes. ARM itself answers on https only.
"""

import asyncio
import contextlib
import logging
import math
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from simulator import control, identity
from simulator.arm import BY_GATEWAY, Json, Refusal, Reply, Wire
from simulator.assembly import build
from simulator.clock import SimClock
from simulator.gateway import Incoming, written
from simulator.parts import Part
from simulator.tls import AUTHORITY, create_authority
from simulator.world import START, World

log = logging.getLogger("simulator")

BODY_LIMIT = 16 * 1024 * 1024
#: The clock task never spins: at most a thousand looks a real second.
SHORTEST = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """A running simulator: where it listens, and its inside for tests in the same process."""

    arm_url: str
    control_url: str
    ca_file: Path
    world: World
    app: web.Application

    @property
    def clock(self) -> SimClock:
        return self.world.clock

    @property
    def identity(self) -> dict[str, str]:
        person = self.world.directory.managed_identity
        return {
            "endpoint": self.control_url + identity.MSI_PATH,
            "header": identity.IDENTITY_HEADER,
            "principalId": person.object_id,
            "clientId": person.app_id,
        }

    def ready(self) -> dict[str, Json]:
        """Describe where everything is, as the ready file and ``GET /_sim/ready`` give it."""
        subscriptions = self.world.subscriptions.values()
        return {
            "arm": self.arm_url,
            "control": self.control_url,
            "ca": str(self.ca_file),
            "tenant": self.world.tenant_id,
            "subscriptions": [one.subscription_id for one in subscriptions],
            "identity": self.identity,
        }


@contextlib.asynccontextmanager
async def running(
    *,
    seed: Mapping[str, Json] | None = None,
    profile: str = "doc",
    speed: float = 1.0,
    start: datetime = START,
    port: int = 0,
    parts: tuple[Part, ...] | None = None,
    rng_seed: int = 1,
) -> AsyncIterator[Simulator]:
    """Serve a simulated Azure on 127.0.0.1 until the block ends; port 0 takes free ones."""
    world = build(
        seed=seed, profile=profile, speed=speed, start=start, parts=parts, rng_seed=rng_seed
    )
    app = application(world)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    with tempfile.TemporaryDirectory(prefix="azure-simulator-") as folder:
        app[AUTHORITY] = authority = create_authority(Path(folder))
        served: list[Simulator] = []  # known only once it listens, and then no key may be added
        app[control.SIMULATOR] = lambda: served[-1].ready()  # noqa: PLW0108 - not yet in it
        await runner.setup()
        try:
            secure = web.TCPSite(runner, "127.0.0.1", port, ssl_context=authority.context)
            await secure.start()
            plain = web.TCPSite(runner, "127.0.0.1", 0)
            await plain.start()
            ports = [int(address[1]) for address in runner.addresses]
            world.arm_url = f"https://localhost:{ports[0]}"
            simulator = Simulator(
                arm_url=world.arm_url,
                control_url=f"http://127.0.0.1:{ports[1]}",
                ca_file=authority.ca_file,
                world=world,
                app=app,
            )
            served.append(simulator)
            async with _ticking(world):
                yield simulator
        finally:
            await runner.cleanup()


def application(world: World) -> web.Application:
    """Build the application of a world: control plane, identity, every part's own, then ARM."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app.on_response_prepare.append(_as_arm_sends)
    control.add_routes(app, world)
    identity.add_routes(app, world)
    for part in world.parts:
        part.add_routes(app, world)
    app.router.add_route("*", "/{path:.*}", _Arm(world).handle)
    return app


class _Arm:
    def __init__(self, world: World) -> None:
        self._world = world

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer an ARM request: authenticate, ask the gateway, send what it says."""
        url = urlsplit(request.raw_path)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            _check_secure(request)
            principal = self._world.directory.authenticate(headers.get("authorization", ""))
        except Refusal as refusal:
            return _plain(refusal.reply())
        if latency := self._world.knobs.number("wire.latency_ms"):
            await asyncio.sleep(latency / 1000)
        reply = self._world.gateway.answer(
            Incoming(
                method=request.method,
                path=url.path,
                principal=principal,
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                headers=headers,
                raw=await request.read(),
            )
        )
        if reply.wire is None:
            return _plain(reply)
        return await self._over(reply.wire, reply, request)

    async def _over(self, wire: Wire, reply: Reply, request: web.Request) -> web.StreamResponse:
        """Send an answer over an ordered bad wire."""
        if wire.delay:
            await self._world.clock.sleep(wire.delay)
        transport = request.transport
        if wire.reset and transport is not None:
            transport.abort()
        if wire.truncate is None or wire.reset:
            return _plain(reply)
        body = written(reply)
        response = web.StreamResponse(status=reply.status, headers=headers_of(reply))
        response.content_length = len(body)
        response.force_close()
        await response.prepare(request)
        await response.write(body[: wire.truncate])
        if transport is not None:
            transport.close()
        return response


def _check_secure(request: web.Request) -> None:
    if not request.secure:
        raise Refusal(
            403, "HttpsRequired", "This endpoint answers over https only.", headers=BY_GATEWAY
        )


def headers_of(reply: Reply) -> dict[str, str]:
    """Return the headers an answer is sent with: a body has a Content-Type, nothing has none."""
    headers = dict(reply.headers)
    if written(reply):
        headers["Content-Type"] = reply.content_type
    return headers


def _plain(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=written(reply) or None, headers=headers_of(reply))


async def _as_arm_sends(request: web.Request, response: web.StreamResponse) -> None:
    """Take off what aiohttp adds: an answer without a body has no Content-Type (report §6.7)."""
    response.headers.pop("Server", None)
    if response.content_length == 0 and not request.path.startswith("/_sim/"):
        response.headers.pop("Content-Type", None)


@contextlib.asynccontextmanager
async def _ticking(world: World) -> AsyncIterator[None]:
    """Run the world's schedule beside the requests, so that timelines play by themselves."""
    task = asyncio.create_task(_tick(world), name="simulator clock")
    task.add_done_callback(_say_why_it_stopped)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _say_why_it_stopped(task: asyncio.Task[None]) -> None:
    """A due callback that raises is a defect of the simulator: time would stand still unseen."""
    if not task.cancelled() and (defect := task.exception()) is not None:
        log.critical("simulator.clock_stopped", exc_info=defect)


async def _tick(world: World) -> None:
    while True:
        now = world.clock.now()
        world.schedule.run(now)
        due = world.schedule.next_due()
        left = world.clock.real_seconds((due - now).total_seconds()) if due else math.inf
        await world.clock.changed_within(max(left, SHORTEST))
