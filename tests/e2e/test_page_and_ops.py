"""The page and the command line against the whole service: real worker, storage, ARM over TLS.

One estate for the file: it takes a while to come up. Truth is `assumed` for nothing here: what is
compared is the page with the command line, and both with what ARM holds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from demo import scenario
from shared.web.routes import ROUTES
from simulator import role
from simulator.access import ASSIGNMENT
from simulator.estate import EVENT_SUBSCRIPTION, EVENT_VERSION, Estate, up_running
from tests.e2e.terminal import ROOT, ops

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
PASSWORD = "an e2e password"
APP = "/subscriptions/20000000-0000-4000-8000-00000000000a/resourceGroups/rg/providers/Microsoft.Web/sites/none"
BASIC = "Basic " + base64.b64encode(f"x:{PASSWORD}".encode()).decode()
PAGE = {"Authorization": BASIC, "Accept": "text/html"}
LAST = "vm08"  # waits for the vault that comes late
SETTLED = {"first-backup", "protected", "blocked", "excluded", "elsewhere", "ignored"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate() -> AsyncIterator[Estate]:
    """The demo's estate, played until every VM stands somewhere."""
    async with up_running(
        seed=scenario.seed(),
        rules=ROOT / "demo" / "rules.yaml",
        speed=60.0,
        start=datetime.fromisoformat(scenario.START),
        settings={
            "LOCAL_SIGN_IN": PASSWORD,
            "SWEEP_SECONDS": "180",
            "DIRECTORY_SECONDS": "120",
            "OPERATORS": "operators@contoso.example",
        },
    ) as running:
        for attempt in range(180):
            if attempt == 60:  # at 60 a busy machine sweeps less often than once in 6 min
                running.clock.set_speed(4.0)
            body = await exported(running)
            found = {vm["name"]: vm["standing"] for vm in body["vms"]}
            settled = found.get(LAST) == "first-backup" and {*body["standings"]} <= SETTLED
            if settled and LAST in await configured(running):
                break
            await asyncio.sleep(0.5)
        running.clock.set_speed(4.0)
        yield running


async def exported(estate: Estate) -> dict[str, Any]:
    async with estate.http.get(f"{estate.url}/api/coverage/export.json", headers=PAGE) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def configured(estate: Estate) -> str:
    """Give the page of the jobs that attached a policy."""
    url = f"{estate.url}/api/coverage/jobs?operation=ConfigureBackup&status=Completed"
    async with estate.http.get(url, headers=PAGE) as answer:
        return await answer.text()


async def test_the_page_counts_what_the_service_did(estate):
    body = await exported(estate)
    names = {vm["name"]: vm["standing"] for vm in body["vms"]}

    assert body["standings"]["first-backup"] >= 6
    assert body["standings"]["blocked"] >= 3
    assert body["doubts"] == {}
    assert names["vm07"] == "ignored"
    assert body["protected"] == body["standings"].get("protected", 0)


async def test_the_page_answers_in_time_and_only_to_those_who_signed_in(estate):
    await estate.http.get(f"{estate.url}/api/coverage", headers=PAGE)
    started = time.perf_counter()
    async with estate.http.get(f"{estate.url}/api/coverage", headers=PAGE) as answer:
        text = await answer.text()
    took = time.perf_counter() - started
    async with estate.http.get(f"{estate.url}/api/coverage") as stranger:
        refused = stranger.status
    async with estate.http.get(f"{estate.url}/api/health") as anybody:
        health = anybody.status

    assert "Protected with proof" in text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert took < 2.0
    assert (refused, health) == (401, 200)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nobody"),
        pytest.param({"x-functions-key": "wrong"}, id="a wrong key"),
        pytest.param({"Authorization": "Bearer x.y.z"}, id="no token"),
        pytest.param({"X-MS-CLIENT-PRINCIPAL": "eyJjbGFpbXMiOltdfQ=="}, id="a forged principal"),
    ],
)
async def test_no_route_of_the_host_answers_strangers(estate, headers):
    for route in ROUTES:
        url = f"{estate.url}/api/{route.path}"
        async with estate.http.request(route.method, url, headers=headers) as answer:
            assert answer.status == 401, route


async def test_events_still_arrive_at_an_app_that_lets_nobody_else_in(estate):
    assert {one.state for one in estate.grid.deliveries} == {"delivered"}


async def test_jobs_come_from_resource_graph_with_their_age(estate):
    text = await configured(estate)

    assert "read 2026-" in text
    assert "vm01" in text


async def test_an_exclusion_made_on_the_page_changes_what_the_service_does(estate):
    blocked = next(vm for vm in (await exported(estate))["vms"] if vm["standing"] == "blocked")
    vm = (
        f"/subscriptions/{blocked['subscription']}/resourceGroups/{blocked['group']}"
        f"/providers/Microsoft.Compute/virtualMachines/{blocked['name']}"
    )
    form = {"id": vm, "what": "exclude", "reason": "retired with the e2e test"}
    async with estate.http.post(
        f"{estate.url}/api/coverage/act", data=form, headers=PAGE, allow_redirects=False
    ) as answer:
        assert answer.status == 303, await answer.text()
    standing = ""
    for _ in range(60):
        vms = (await exported(estate))["vms"]
        standing = next(one["standing"] for one in vms if one["name"] == blocked["name"])
        if standing == "excluded":
            break
        await asyncio.sleep(0.5)
    code, out, _ = await ops(estate, "decisions", "-o", "json")

    assert standing == "excluded"
    assert code == 0
    assert [row["by"] for row in json.loads(out)] == ["local operator"]


async def test_the_command_line_tells_the_same_numbers_as_the_page(estate):
    code, out, err = await ops(estate, "coverage", "-o", "json")
    body = await exported(estate)
    rows = {row["name"]: row["VMs"] for row in json.loads(out) if row["what"] != "cause"}

    assert code == 0, err
    assert (rows["protected"], rows["of"]) == (body["protected"], body["of"])
    assert "Unclosed" not in err


async def test_a_plan_of_a_settled_estate_changes_nothing(estate):
    code, out, err = await ops(estate, "plan", "-o", "json")
    plan = json.loads(out)

    assert code == 0, err
    assert len(plan) >= 13
    assert [row["vm"] for row in plan if row["would"]] == []


async def test_explain_says_the_same_here_and_there(estate):
    vm = next(one for one in (await exported(estate))["vms"] if one["name"] == "vm07")
    path = (
        f"/subscriptions/{vm['subscription']}/resourceGroups/{vm['group']}"
        "/providers/Microsoft.Compute/virtualMachines/vm07"
    )
    code, out, err = await ops(estate, "explain", path)
    async with estate.http.get(
        f"{estate.url}/api/coverage/vm", params={"id": path}, headers=PAGE
    ) as answer:
        page = await answer.text()
    headline = out.splitlines()[2]

    assert code == 0, err
    assert headline.startswith("Not ours: in a resource group managed by")
    assert headline.rstrip(".") in page


async def test_the_doctor_finds_a_subscription_that_somebody_removed(estate):
    # a person runs the doctor, who may read more than the service: event subscriptions, for one
    identity, reader = estate.sim.identity["principalId"], "70000000-0000-4000-8000-000000000002"
    role.grant(estate.world, identity, ["*/read"], reader)
    well, out, err = await ops(estate, "doctor", "--app-id", APP, "-o", "json")
    failures = [row for row in json.loads(out) if row["result"] == "failure"]
    assert (well, failures) == (0, []), err

    subscription = min(estate.world.subscriptions)
    path = (
        f"/subscriptions/{subscription}/providers/Microsoft.EventGrid"
        f"/eventSubscriptions/{EVENT_SUBSCRIPTION}"
    )
    assert estate.arm("DELETE", path, api_version=EVENT_VERSION).status < 300
    ill, out, _ = await ops(estate, "doctor", "--app-id", APP, "-o", "json")
    failures = [row for row in json.loads(out) if row["result"] == "failure"]

    assert ill == 1
    assert [row["what"] for row in failures] == [f"events of {subscription}"]
    assert f"onboard {subscription}" in failures[0]["fix"]


async def complaints(estate: Estate) -> dict[str, str]:
    """Ask the app what it finds wrong with itself."""
    async with estate.http.get(f"{estate.url}/api/doctor", headers=PAGE) as answer:
        assert answer.status == 200, await answer.text()
        checks = (await answer.json())["checks"]
    return {one["what"]: one["says"] for one in checks if one["result"] != "ok"}


async def test_the_app_notices_that_its_own_role_was_removed_in_a_subscription(estate):
    before = await complaints(estate)
    subscription = min(estate.world.subscriptions)
    scope = f"/subscriptions/{subscription}"
    removed = [
        body
        for rid, body in estate.world.list(type=ASSIGNMENT)
        if rid.text.startswith(f"{scope}/")
        and body["properties"]["principalId"] == estate.sim.identity["principalId"]
    ]
    assert removed
    for body in removed:
        assert estate.arm("DELETE", body["id"], api_version="2022-04-01").status < 300
    estate.advance(180)  # what it knew of subscriptions is asked anew
    found = await complaints(estate)
    for body in removed:
        put = {"properties": body["properties"]}
        assert estate.arm("PUT", body["id"], put, api_version="2022-04-01").status < 300

    assert found.keys() - before.keys() >= {f"subscription {subscription}"}
    assert found[f"subscription {subscription}"] == "the identity cannot see it"


async def test_nothing_failed_meanwhile(estate):
    assert [f"{one.function}: {one.error}" for one in estate.failed()] == []
