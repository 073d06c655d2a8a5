"""Bad input through the real host: each has a named outcome, and nothing is lost by it.

One estate for the file. Every case ends well in the end, which is what "loses nothing" means.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from demo import scenario
from demo.reality import Reality
from simulator.estate import Estate, up_running
from simulator.roles import OWNER

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # real seconds
PRINCIPAL = "40000000-0000-4000-8000-000000000001"
SCOPE = f"/subscriptions/{scenario.MAIN}"
GRANT = {
    "id": f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments"
    "/50000000-0000-4000-8000-000000000001",
    "type": "Microsoft.Authorization/roleAssignments",
    "properties": {
        "roleDefinitionId": f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}",
        "principalId": PRINCIPAL,
        "principalType": "ServicePrincipal",
        "scope": SCOPE,
    },
}


def seed() -> dict[str, Any]:
    told = scenario.seed()
    return {
        **told,
        "identity": {"principalId": PRINCIPAL, "clientId": PRINCIPAL[:-1] + "2"},
        "subscriptions": told["subscriptions"][:1],
        "resources": [
            GRANT,
            *(
                one
                for one in told["resources"]
                if scenario.MAIN in one["id"] and "/vm10" not in one["id"].lower()
            ),
        ],
        "timeline": [],
        "knobs": {"rbac.propagation_seconds": 0},
    }


def machine(name: str, region: str = "westeurope", **tags: str) -> dict[str, Any]:
    model = next(one["put"] for one in scenario.seed()["timeline"] if one["at"] == 5)
    body = json.loads(json.dumps(copy.deepcopy(model)).replace(scenario.vm_name(1), name))
    return {**body, "location": region, "tags": {**body["tags"], **tags}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate() -> AsyncIterator[Estate]:
    async with up_running(
        seed=seed(),
        rules=ROOT / "demo" / "rules.yaml",
        speed=60.0,
        start=datetime.fromisoformat(scenario.START),
        settings={"OPERATORS": "operators@contoso.example"},
    ) as running:
        yield running


async def state(estate: Estate, vm: dict[str, Any], *wanted: str, what: str = "") -> dict[str, Any]:
    """Wait until `explain` says that the VM is in one of these states, for this reason."""
    reality = Reality(estate, {"vm": vm["id"]})
    ends, told = time.monotonic() + PATIENCE, {}
    while time.monotonic() < ends:
        told = await reality.explained("vm")
        if told.get("state") in wanted and what in json.dumps(told):
            return told
        await asyncio.sleep(0.3)
    raise AssertionError(f"not {wanted} {what}: {json.dumps(told)[:1500]} {estate.summary()}")


async def parked(estate: Estate) -> list[dict[str, str]]:
    given = {**os.environ, **{name: str(value) for name, value in estate.settings.items()}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "replay", "list", "-o", "json",
        cwd=ROOT, env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    rows: list[dict[str, str]] = json.loads(out)
    return rows


def event(vm: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "e1",
        "topic": SCOPE,
        "subject": vm,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-03-02T09:00:00.1234567Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "resourceUri": vm,
            "operationName": "Microsoft.Compute/virtualMachines/write",
            "status": "Succeeded",
            **more,
        },
    }


async def test_a_batch_of_hostile_events_parks_each_and_enrolls_the_good_one(estate):
    good = machine("good")
    vm = good["id"]
    group = vm.split("/providers/")[0]
    odd = [
        vm.replace("/good", "/.."),
        vm.replace("rg-app", ".."),
        vm.replace("/good", "/a%2fb"),
        vm.replace("/good", "/a'b"),
        vm.replace("/good", "/a?x=1#y"),
        f"{group}/providers/Microsoft.Compute",
    ]
    huge = event(vm, padding="x" * 1_000_000)
    absent = vm.replace("/good", "/a;b")  # ARM decides about it, asked for exactly this name
    batch = [*(event(one) for one in odd), {"id": "no type"}, event(absent), event(vm)]
    estate.put(good)

    for events in (batch, [huge]):
        async with estate.http.post(
            estate.fleet.webhook("on_vm_event"),
            data=io.BytesIO(json.dumps(events).encode()),
            headers={"aeg-event-type": "Notification", "Content-Type": "application/json"},
        ) as answer:
            assert answer.status == 202, await answer.text()
    await state(estate, good, "Enrolled", "Protected")
    rows = await parked(estate)

    assert Counter(row["reason"] for row in rows) == {
        "bad-id": len(odd),
        "not-an-event": 1,
    }  # one of 1 MB is large and good
    asked = {(unquote(str(call["path"])), call["status"]) for call in estate.calls()}
    assert {status for path, status in asked if "a;b" in path} == {404}
    assert not [path for path, _ in asked if "/.." in path or "/a/b" in path or "a'b" in path]


async def test_an_unreachable_webhook_delays_a_card_and_loses_none(estate):
    blocked = machine("unheard", role="database", **{"backup-tier": "silver"})
    blocked["properties"]["securityProfile"] = {"securityType": "TrustedLaunch"}
    url = f"{estate.control}/_sim/inbox/teams"
    for fault in ({"reset": True}, {"status": 503}):
        async with estate.http.post(f"{url}/faults", json=fault) as answer:
            assert answer.status == 201
    before = len(estate.inbox("teams"))
    estate.put(blocked)

    await state(estate, blocked, "Blocked", what="POLICY_KIND")
    for _ in range(8):  # pauses between tries grow; after hours the fallback hears instead
        if len(estate.inbox("teams")) > before:
            break
        estate.advance(600)
        await asyncio.sleep(1)
    async with estate.http.get(f"{url}/refused") as answer:
        refused = len(await answer.json())
    heard = [card for card in estate.inbox("teams") if "/unheard" in json.dumps(card)]
    heard += [mail for mail in estate.inbox("mail") if "/unheard" in json.dumps(mail)]

    assert refused == 2
    assert len(heard) == 1


async def test_a_vault_that_disappears_is_named_and_its_return_enrolls(estate):
    vault = scenario._NORTH
    late = machine("late", "northeurope")
    assert estate.delete(vault["id"]).status < 300
    await estate.wait_until(lambda: estate.get(vault["id"]) is None, PATIENCE, "no vault")
    estate.put(late)

    told = await state(estate, late, "Blocked", "Waiting")
    assert "rsv-north" in json.dumps(told) or "NO_VAULT_IN_REGION" in json.dumps(told)
    for body in (vault, *scenario._policies(vault)):
        assert estate.put(body).status < 300
    for _ in range(4):
        estate.advance(900)
        estate.put(late)
        await asyncio.sleep(1)

    await state(estate, late, "Enrolled", "Protected")


async def test_bodies_that_are_not_arms_are_no_evidence_of_anything(estate):
    garbled = machine("garbled")
    order = {
        "match": {"method": "GET", "path": "/virtualMachines/garbled"},
        "count": 2,
        "fault": {"status": 200, "body": "<html>a proxy's page</html>"},
    }
    async with estate.http.post(f"{estate.control}/_sim/faults", json=order) as answer:
        assert answer.status < 300, await answer.text()
    estate.put(garbled)

    await state(estate, garbled, "Enrolled", "Protected")


async def test_a_role_taken_away_is_named_with_its_grant_and_given_back_nothing_is_lost(estate):
    somebody = copy.deepcopy(GRANT)
    somebody["id"] = somebody["id"][:-1] + "9"
    somebody["properties"]["principalId"] = PRINCIPAL[:-1] + "9"
    assert estate.put(somebody).status < 300  # a world without any assignment asks for none
    assert estate.delete(GRANT["id"]).status < 300
    unseen = machine("unseen")
    estate.put(unseen)

    told = await state(estate, unseen, "Stuck", "Waiting", what="OUR_RIGHTS")
    (missing,) = told["explanation"]["findings"]
    assert missing["code"] == "OUR_RIGHTS"
    assert "az role assignment create" in missing["remedies"][0]["az"]
    await estate.wait_until(
        lambda: any("OUR_RIGHTS" in json.dumps(mail) for mail in estate.inbox("mail")),
        PATIENCE,
        "the operators hear of it",
    )
    assert estate.put(GRANT).status < 300
    estate.advance(3700)

    await state(estate, unseen, "Enrolled", "Protected")


async def test_no_invocation_failed_but_those_that_were_given_garbage(estate):
    failed = [f"{one.function}: {one.error}" for one in estate.failed()]
    assert [one for one in failed if "enroll" not in one] == []
