"""Puts one simulated Azure together: a world, its parts, its seed; and takes it back to empty."""

from collections.abc import Mapping
from datetime import datetime

from simulator.arm import Json
from simulator.clock import SimClock
from simulator.gateway import Gateway
from simulator.parts import PARTS, Part, all_routes, load_parts
from simulator.profiles import PROFILES
from simulator.seeds import plant
from simulator.tokens import Directory
from simulator.world import START, World


def build(
    *,
    seed: Mapping[str, Json] | None = None,
    profile: str = "doc",
    start: datetime = START,
    speed: float = 1.0,
    parts: tuple[Part, ...] | None = None,
    rng_seed: int = 1,
) -> World:
    """Build a world; raise ValueError for a profile or a seed that is wrong."""
    if profile not in PROFILES:
        raise ValueError(f"a profile is one of {', '.join(PROFILES)}, not {profile!r}")
    world = World(clock=SimClock(start, speed), seed=rng_seed)
    world.parts = parts if parts is not None else load_parts(PARTS)
    _attach(world)
    world.knobs.turn({"budgets.profile": profile})
    world.initial_knobs = {"budgets.profile": profile}
    if seed is not None:
        plant(world, seed)
    return world


def reset(world: World, seed: Mapping[str, Json] | None = None) -> None:
    """Forget everything, as if the process had just started at the clock's present time."""
    world.clear()
    _attach(world)
    world.knobs.restore()
    world.knobs.turn(world.initial_knobs)
    if seed is not None:
        plant(world, seed)


def _attach(world: World) -> None:
    world.directory = Directory(world)
    world.gateway = Gateway(world, all_routes(world.parts))
    for part in world.parts:
        part.attach(world)
