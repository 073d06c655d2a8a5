"""Event Grid: what a change of a resource becomes, and its delivery to event subscriptions.

A part of the simulated Azure (:mod:`simulator.parts`). At least once, in no order, with the
documented retries and dead-lettering; a test can order duplicates, delay and disorder.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.control import SIMULATOR
from simulator.eventgrid import subscriptions
from simulator.eventgrid.grid import Grid, declare, grid_of, shown
from simulator.world import World

ROUTES = subscriptions.ROUTES
LAST = 1000


def attach(world: World) -> None:
    """Listen to a world's changes."""
    declare(world.knobs)
    grid = grid_of(world)
    grid.forget()
    if grid.changed not in world.changes:
        world.changes.append(grid.changed)


def add_routes(app: web.Application, world: World) -> None:
    """Serve ``/_sim/events`` and deliver while the server runs."""
    grid = grid_of(world)

    async def delivering(_app: web.Application) -> AsyncIterator[None]:
        grid.base_url = lambda: str(app[SIMULATOR]()["control"])
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            running = asyncio.create_task(grid.run(session), name="event grid")
            yield
            await _end(running, *grid.sending)

    app.cleanup_ctx.append(delivering)
    app.router.add_get("/_sim/events", _listed(grid))
    app.router.add_get("/_sim/events/validate", _validated(grid))


def _listed(grid: Grid) -> Handler:
    async def listed(_request: web.Request) -> web.Response:
        """Show what was published and what became of each delivery, newest last."""
        return web.json_response(
            {
                "pending": grid.pending,
                "events": [shown(event) for event in list(grid.published)[-LAST:]],
                "deliveries": [one.shown() for one in list(grid.deliveries)[-LAST:]],
            }
        )

    return listed


def _validated(grid: Grid) -> Handler:
    async def validated(request: web.Request) -> web.Response:
        """Accept a handshake by hand: what opening the validation URL does."""
        accepted = grid.validate(request.query.get("id", ""))
        text = "Webhook successfully validated as a subscription endpoint" if accepted else ""
        return web.Response(status=200 if accepted else 400, text=text)

    return validated


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
