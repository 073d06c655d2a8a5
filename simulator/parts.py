"""The parts a simulated Azure is made of, in the order they attach to a world.

A part is a module. What it exposes is optional, except that it exposes something:

- ``ROUTES``: its ARM routes;
- ``attach(world)``: creates its state and declares its knobs, called once and again at reset;
- ``add_routes(app, world)``: its own endpoints below ``/_sim/`` or elsewhere (aiohttp);
  ``app.on_startup`` and ``app.cleanup_ctx`` start and stop what runs beside it;
- ``load(world, body)``: takes one ARM body of a seed, returns whether it was its own;
- ``rows(world, subscriptions)``: its rows for Resource Graph (:class:`simulator.graph_rows.GraphRow`).
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from simulator.arm import Route
from simulator.graph_rows import GraphRow, Offers
from simulator.world import Body, World

CORE: tuple[str, ...] = (
    "simulator.compute",
    "simulator.subscriptions",
    "simulator.containers",
    "simulator.generic",
    "simulator.tags",
    "simulator.authorization",
    "simulator.registration",
    "simulator.graph",
)
PARTS: tuple[str, ...] = (
    *CORE,
    "simulator.backup",
    "simulator.moves",
    "simulator.eventgrid",
    "simulator.inbox",
    "simulator.inbox_cloud",
    "simulator.inbox_page",
    "simulator.host.plane",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    routes: tuple[Route, ...]
    attach: Callable[[World], None]
    add_routes: Callable[[web.Application, World], None]
    load: Callable[[World, Body], bool]
    rows: Offers


def load_parts(names: tuple[str, ...] = PARTS) -> tuple[Part, ...]:
    """Import the parts; a part that is missing is an error, not a smaller Azure."""
    return tuple(_part(name) for name in names)


def _part(name: str) -> Part:
    module = importlib.import_module(name)
    return Part(
        name=name,
        routes=cast("tuple[Route, ...]", getattr(module, "ROUTES", ())),
        attach=getattr(module, "attach", _nothing),
        add_routes=getattr(module, "add_routes", _no_routes),
        load=getattr(module, "load", _not_mine),
        rows=getattr(module, "rows", _no_rows),
    )


def all_routes(parts: tuple[Part, ...]) -> Iterator[Route]:
    for part in parts:
        yield from part.routes


def _nothing(_world: World) -> None:
    """A part without state."""


def _no_routes(_app: web.Application, _world: World) -> None:
    """A part without endpoints of its own."""


def _not_mine(_world: World, _body: Body) -> bool:
    return False


def _no_rows(_world: World, _subscriptions: frozenset[str]) -> Iterable[GraphRow]:
    return ()
