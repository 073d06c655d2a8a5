"""Clocks: the system's, and a simulated one that answers over HTTP on this machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from shared.adapters.clock import SimulatedClock, SystemClock, clock_of
from shared.errors import AzureFault, BadSettings

pytestmark = pytest.mark.enable_socket  # a clock on this machine is asked over HTTP
THEN = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
async def served():
    """A clock that tells whatever is in `told`."""
    told: dict = {}
    app = web.Application()

    async def answer(_request):
        return web.json_response({"real": time.time(), **told})

    app.router.add_get("/clock", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    clock = SimulatedClock(f"http://127.0.0.1:{port}/clock")
    yield told, clock
    await clock.aclose()
    await runner.cleanup()


def test_the_system_clock_is_aware_and_real():
    clock = clock_of("system")

    assert isinstance(clock, SystemClock)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert clock.real_seconds(7) == 7


@pytest.mark.parametrize("url", ["https://clock.example/now", "http://10.0.0.1/clock", "noon"])
def test_a_clock_of_another_machine_is_refused(url):
    with pytest.raises(BadSettings, match="CLOCK"):
        clock_of(url)


def test_a_simulated_clock_tells_nothing_before_it_is_read():
    with pytest.raises(RuntimeError):
        clock_of("http://localhost:1/clock").now()


async def test_a_simulated_clock_runs_on_at_its_speed(served):
    told, clock = served
    told |= {"now": THEN.isoformat(), "speed": 60.0, "real": time.time() - 2}

    await clock.synchronize()

    assert timedelta(seconds=119) < clock.now() - THEN < timedelta(seconds=420)
    assert clock.real_seconds(120) == 2


async def test_a_jump_is_seen_at_the_next_reading(served):
    told, clock = served
    told |= {"now": THEN.isoformat(), "speed": 1.0}
    await clock.synchronize()

    told["now"] = (THEN + timedelta(hours=9)).isoformat()
    await clock.synchronize()

    assert clock.now() >= THEN + timedelta(hours=9)


async def test_a_clock_that_stands_still_stands_still(served):
    told, clock = served
    told |= {"now": THEN.isoformat(), "speed": 0.0}

    await clock.synchronize()

    assert clock.now() == THEN
    assert clock.real_seconds(3) == 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"now": "soon", "speed": 1}, id="no time"),
        pytest.param({"now": THEN.isoformat(), "speed": "fast"}, id="no speed"),
    ],
)
async def test_a_clock_that_talks_nonsense_is_a_fault(served, answer):
    told, clock = served
    told |= answer

    with pytest.raises(AzureFault):
        await clock.synchronize()


async def test_a_clock_that_is_not_there_is_a_fault():
    clock = SimulatedClock("http://127.0.0.1:9/clock")

    with pytest.raises(AzureFault):
        await clock.synchronize()
    await clock.aclose()
