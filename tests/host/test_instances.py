"""Instances that die: by SIGKILL, by a timeout, by themselves (local-host §3 and §4)."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.host import fleet as fleet_module
from tests.host.rig import rig, variant

pytestmark = pytest.mark.host


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_requests_go_to_the_instances_in_turn():
    async with rig(workers=2) as host:
        seen = [
            json.loads((await host.ask("GET", "/api/hello", headers=host.key()))[1])["instance"]
            for _ in range(6)
        ]
        assert sorted(set(seen)) == ["0.0", "1.1"]
        assert seen[::2] == [seen[0]] * 3


async def test_a_killed_instance_is_restarted_and_its_messages_reappear_after_ten_minutes():
    async with rig(speed=0) as host:
        await host.send("work", "sleep 30")
        await host.until(lambda: host.runs("work", state="running"), "the run")
        host.fleet.kill(0)
        await host.until(lambda: host.runs("work", state="lost"), "the death")
        await host.until(host.fleet.ready, "another instance")
        host.advance(599)
        await asyncio.sleep(0.5)
        assert len(host.runs("work")) == 1
        host.advance(2)
        await host.until(lambda: len(host.runs("work")) == 2, "the message again")
        again = host.runs("work")[1]
        assert (again.dequeue_count, again.message_id) == (2, host.runs("work")[0].message_id)
        assert again.instance != host.runs("work")[0].instance


async def test_on_a_running_clock_storage_itself_brings_the_messages_of_the_dead_back():
    async with rig(speed=60) as host:
        await host.send("work", "sleep 30")
        await host.until(lambda: host.runs("work", state="running"), "the run")
        killed = host.sim.clock.now()
        host.fleet.kill(0)
        await host.until(lambda: len(host.runs("work")) == 2, "the message again", within=25)
        waited = host.runs("work")[1].began - killed
        assert timedelta(minutes=9) < waited < timedelta(minutes=13)


async def test_a_request_that_an_instance_took_with_it_is_a_502_and_the_next_waits_for_another():
    async with rig() as host:
        asking = asyncio.create_task(host.ask("GET", "/api/slow"))
        await host.until(lambda: host.runs("slow", state="running"), "the run")
        host.fleet.kill(0)
        assert (await asking)[0] == 502
        await host.until(lambda: host.fleet.deaths, "the death")
        assert (await host.ask("GET", "/api/things/1"))[0] == 200


async def test_a_timeout_ends_everything_in_flight_at_once_and_the_worker_restarts(
    tmp_path: Path,
):
    app = variant(tmp_path, {"functionTimeout": "00:00:02"})
    async with rig(app=app) as host:
        await host.send("work", "hang")
        await host.until(lambda: host.runs("work", state="running"), "the run")
        status, _ = await host.ask("GET", "/api/slow")
        assert status == 500
        await host.until(lambda: len(host.runs("work")) >= 2, "the message again", within=5)
        first, second = host.runs("work")[:2]
        assert first.state == "failed"
        assert 2.0 <= (first.ended - first.began).total_seconds() < 3
        assert "Timeout" in first.error
        assert (second.dequeue_count, second.instance) == (2, "0.1")
        assert {run.state for run in host.runs("slow")} == {"failed"}


async def test_a_cancelled_error_that_escapes_gives_no_answer_until_the_timeout(tmp_path: Path):
    app = variant(tmp_path, {"functionTimeout": "00:00:01"})
    async with rig(app=app) as host:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await host.ask("GET", "/api/cancelled"))[0] == 500
        assert 1.0 <= loop.time() - began < 3
        assert "Timeout" in host.runs("cancelled")[0].error


async def test_a_blocked_event_loop_is_ended_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet_module, "STUCK_PATIENCE", 0.2)
    monkeypatch.setattr(fleet_module, "LOOK", 0.1)
    app = variant(tmp_path, {"functionTimeout": "00:00:01"})
    async with rig(app=app) as host:
        assert (await host.ask("GET", "/api/blocked"))[0] == 502
        await host.until(lambda: host.runs("blocked", state="lost"), "the end")
        assert (await host.ask("GET", "/api/things/1"))[0] == 200


async def test_a_worker_that_exits_fails_its_messages_at_once():
    async with rig(speed=0) as host:
        await host.send("work", "sleep 30")
        await host.until(lambda: host.runs("work", state="running"), "the run")
        assert (await host.ask("GET", "/api/exits"))[0] == 502
        await host.until(lambda: len(host.runs("work")) == 2, "the message again")
        assert host.runs("work")[1].dequeue_count == 2


async def test_instances_end_with_their_parent():
    async with rig(workers=2) as host:
        pids = [child.program.pid for child in host.fleet.children.values()]
        host.fleet.children[0].program.stdin.close()  # what a parent's death looks like
        await host.until(lambda: host.fleet.deaths, "the orphan's end")
        assert ended(pids[0])
    assert all(ended(pid) for pid in pids)


async def test_a_stop_lets_what_runs_finish():
    async with rig() as host:
        await host.send("work", "sleep 0.5")
        await host.until(lambda: host.runs("work", state="running"), "the run")
        fleet = host.fleet
    assert [one.state for one in fleet.invocations.listed] == ["ok"]
