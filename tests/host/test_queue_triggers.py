"""Queue triggers end to end: input, poison, release, metadata (local-host §4)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.host.rig import Rig

pytestmark = [pytest.mark.host, pytest.mark.asyncio(loop_scope="module")]


def only(told: list[dict[str, object]]) -> dict[str, object]:
    [one] = told
    return one


async def test_a_trigger_never_makes_its_queue(host: Rig):
    await asyncio.sleep(0.3)
    assert "text-work" not in await queues(host)


async def test_a_queue_message_carries_its_metadata(host: Rig):
    await host.send("work", "héllo")
    told = only(await host.seen("work"))
    assert told["body"] == "héllo"
    assert told["dequeue_count"] == 1
    assert told["receipt"] is True
    inserted, expires, visible = (
        datetime.fromisoformat(str(told[name])) for name in ("inserted", "expires", "next_visible")
    )
    assert expires - inserted == timedelta(days=7)
    assert timedelta(seconds=598) < visible - inserted < timedelta(seconds=604)


async def test_a_str_parameter_gets_the_text_alone(host: Rig):
    await host.send("text-work", "just text")
    told = only(await host.seen("text_work"))
    assert (told["kind"], told["body"]) == ("str", "just text")


async def test_members_of_a_json_body_override_the_metadata_whatever_their_case(host: Rig):
    await host.send("work", '{"ID": "mine", "dequeuecount": 7}')
    told = only(await host.seen("work"))
    assert (told["id"], told["dequeue_count"]) == ("mine", 7)


async def test_every_queue_run_starts_a_trace_of_its_own(host: Rig):
    await host.send("work", "one")
    await host.send("work", "two")
    told = await host.seen("work", 2)
    assert len({str(one["traceparent"]).split("-")[1] for one in told}) == 2


async def test_five_failures_with_the_release_delay_between_them_end_in_the_poison_queue(
    host: Rig,
):
    await host.send("work", "fail always")
    told = only(await host.seen("buried", within=20))
    runs = [run for run in host.runs("work", state="failed") if "fail always" in run.error]
    assert [run.dequeue_count for run in runs] == [1, 2, 3, 4, 5]
    assert all(
        later.began - earlier.began >= timedelta(seconds=0.9) for earlier, later in pairwise(runs)
    )
    assert (told["body"], told["dequeue_count"]) == ("fail always", 1)
    assert await host.storage.count("work") == 0


async def test_a_message_that_is_no_base64_is_poison_without_a_run(host: Rig):
    before = len(host.runs("work"))
    await host.storage.create_queue("work")
    await host.storage.put("work", "~ not base64 ~")
    for _ in range(200):
        if await host.storage.count("work-poison"):
            break
        await asyncio.sleep(0.05)
    assert await host.storage.count("work-poison") == 1
    assert await host.storage.count("work") == 0
    assert len(host.runs("work")) == before


async def test_a_switched_off_function_does_not_listen(host: Rig):
    await host.send("switched-off", "x")
    await asyncio.sleep(0.5)
    assert host.runs("switched_off") == []
    assert await host.storage.count("switched-off") == 1


async def test_names_in_percent_signs_and_connections_are_settings(host: Rig):
    await host.send("walk", "x")
    assert only(await host.seen("walk"))["dequeue_count"] == 1


async def queues(host: Rig) -> set[str]:
    names = {"text-work", "work"}
    found = set()
    for name in names:
        status, _, _ = await host.storage._call("GET", "queue", name, {"comp": "metadata"})
        if status == 200:
            found.add(name)
    return found
