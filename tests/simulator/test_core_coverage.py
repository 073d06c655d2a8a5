"""COVERAGE.md tells every route, and is what the routes say today."""

from simulator.__main__ import main
from simulator.assembly import build
from simulator.coverage import FILE, coverage
from tests.simulator.core import CORE_PARTS


def test_coverage_is_what_the_routes_say() -> None:
    assert main(["coverage", "--check"]) == 0, "run python -m simulator coverage"


def test_every_route_is_in_it() -> None:
    text = FILE.read_text()
    for route in build().gateway.routes:
        assert f"`{route.method} {route.template}`" in text


def test_every_route_names_its_source_and_every_provider_route_its_action() -> None:
    for route in build().gateway.routes:
        assert route.source
        provider = "/providers/" in route.template
        assert route.action.count("/") >= 1 or not provider, route


def test_what_is_assumed_comes_first() -> None:
    world = build(parts=CORE_PARTS)
    text = coverage(world.gateway.routes, world.knobs.listed())
    places = [text.index(f"\n## {word}\n") for word in ("assumed", "specified", "recorded")]
    assert places == sorted(places)
