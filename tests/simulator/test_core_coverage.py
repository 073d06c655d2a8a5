"""COVERAGE.md tells every route, and is what the routes say today."""

from simulator.__main__ import main
from simulator.assembly import build
from simulator.coverage import FILE, present
from simulator.reliance import ASSUMED_BEHAVIOR, DECIDES, DIFFERENCES


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


def test_what_is_assumed_and_decided_upon_comes_first() -> None:
    text = present()
    titles = ("Our risks: assumed operations", "Our risks: assumed behavior", "assumed\n")
    places = [text.index(f"\n## {title}") for title in (*titles, "specified\n", "recorded\n")]
    assert places == sorted(places)
    risks = text[places[0] : places[1]]
    assert "| Resources |" in risks
    assert "KeyVault" not in risks


def test_what_decisions_depend_on_exists() -> None:
    world = build()
    assert DECIDES.keys() <= {route.operation for route in world.gateway.routes}
    assert DIFFERENCES.keys() <= {route.operation for route in world.gateway.routes}
    assert ASSUMED_BEHAVIOR.keys() <= {knob["name"] for knob in world.knobs.listed()}
