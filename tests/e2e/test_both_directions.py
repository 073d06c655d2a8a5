"""People and Azure Policy act on the same items while the service runs; the service sees it.

What people send is what az and the portal send. Nothing tells the service of it: no event, no call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from bench import estates
from simulator.estate import Estate, up_running
from simulator.gateway import Incoming
from simulator.world import SYSTEM

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
SPEED = 60.0
NIGHT = 16 * 3600.0
GRAPH_LAG = 1500.0  # simulated seconds until Resource Graph shows what was done to an item
PATIENCE = 60.0  # real seconds
STOP = {"protectionState": "ProtectionStopped", "policyId": ""}
REHYDRATE = {"isRehydrate": True}
STOPPED, DELETED, REPOLICED, SAME_VAULT, OTHER_VAULT, OUTSIDE = range(6)
#: A vault that no rule names: somebody made it for themselves.
PRIVATE = {**estates.vault("rsv-private"), "tags": {}}


class Desk:
    """A person with rights on the vaults, and what the service says of a VM."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate

    def item(self, number: int) -> str:
        """Find the VM's item in whatever vault it lies."""
        vm = estates.machine(number)
        names = f"iaasvmcontainerv2;{vm['id'].split('/')[4]};{vm['name']}"
        vault = next(
            vault
            for vault in self.estate.world.backup.vaults.values()
            if any(item.friendly_name == vm["name"] for item in vault.items.values())
        )
        return (
            f"{vault.body['id']}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{names}"
            f"/protectedItems/VM;{names}"
        )

    def put(self, number: int, **properties: Any) -> None:
        body = {
            "properties": {
                "protectedItemType": "Microsoft.Compute/virtualMachines",
                "sourceResourceId": estates.machine(number)["id"],
                **properties,
            }
        }
        reply = self.estate.arm("PUT", self.item(number), body, api_version="2025-02-01")
        assert reply.status in {200, 202}, reply

    def delete(self, number: int) -> None:
        reply = self.estate.arm("DELETE", self.item(number), api_version="2025-02-01")
        assert reply.status in {200, 202, 204}, reply

    def policy(self, number: int, name: str) -> str:
        return f"{self.item(number).partition('/backupFabrics')[0]}/backupPolicies/{name}"

    async def told(self, number: int) -> dict[str, Any]:
        host: Any = self.estate.ready()["host"]
        async with self.estate.http.get(
            f"{host['url']}/api/vms/explain",
            params={"vm": estates.machine(number)["id"]},
            headers={"x-functions-key": host["keys"]["master"]},
        ) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def until(self, **states: str) -> None:
        """Play on until every VM has its state, given as ``vm3="Protected"``."""
        seen: dict[str, str] = {}
        ends = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < ends:
            seen = {one: str((await self.told(int(one[2:]))).get("state")) for one in states}
            if seen == states:
                return
            await asyncio.sleep(0.5)
        assert seen == states, self.estate.summary()

    def puts(self, number: int) -> int:
        """Count the service's own PUTs of the VM's item."""
        service = self.estate.world.directory.managed_identity.object_id
        name = estates.machine(number)["name"]
        return sum(
            call.method == "PUT" and call.caller == service and call.path.endswith(name)
            for call in self.estate.world.calls.since(0)
        )


def _estate() -> dict[str, Any]:
    seed = estates.seed(vaults=2, groups=6)
    return {**seed, "resources": [*seed["resources"], PRIVATE, *estates.policies(PRIVATE)]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    """Three VMs after their first night."""
    async with up_running(
        seed=_estate(),
        rules=estates.RULES,
        speed=SPEED,
        settings={"SWEEP_SECONDS": "180", "INDEX_SECONDS": "180", "OPERATORS": "o@contoso.example"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        found = Desk(estate)
        for number in (STOPPED, DELETED, REPOLICED):
            estate.put(estates.machine(number))
        await found.until(vm0="Enrolled", vm1="Enrolled", vm2="Enrolled")
        estate.advance(NIGHT)
        await found.until(vm0="Protected", vm1="Protected", vm2="Protected")
        yield found


async def test_what_people_do_to_items_is_seen_and_left_as_they_want_it(desk):
    before = [desk.puts(number) for number in (STOPPED, DELETED, REPOLICED)]
    desk.put(STOPPED, **STOP)
    desk.delete(DELETED)
    wanted = desk.policy(REPOLICED, "gold-1")
    desk.put(REPOLICED, policyId=wanted)
    desk.estate.advance(GRAPH_LAG)

    await desk.until(vm0="Stopped", vm1="SoftDeleted", vm2="Protected")
    row = (await desk.told(REPOLICED))["row"]
    assert row["policy"].lower() == wanted.lower()  # longer retention: never shortened again
    assert [desk.puts(number) for number in (STOPPED, DELETED, REPOLICED)] == before

    desk.put(STOPPED, policyId=desk.policy(STOPPED, "gold-0"))  # of its tier
    desk.put(DELETED, **REHYDRATE)
    desk.estate.advance(GRAPH_LAG)

    await desk.until(vm0="Protected", vm1="Stopped")
    desk.put(DELETED, policyId=desk.policy(DELETED, "silver-0"))
    desk.estate.advance(GRAPH_LAG)
    await desk.until(vm1="Protected")
    assert [desk.puts(number) for number in (STOPPED, DELETED, REPOLICED)] == before


@pytest.mark.parametrize(
    "number, vault, state",
    [
        pytest.param(SAME_VAULT, "", "Enrolled", id="same vault"),
        pytest.param(OTHER_VAULT, "other", "Enrolled", id="another vault of the rules"),
        pytest.param(OUTSIDE, PRIVATE["id"], "ProtectedElsewhere", id="a vault outside the rules"),
    ],
)
async def test_azure_policy_may_enroll_the_vm_between_our_look_and_our_put(
    desk, number, vault, state
):
    """Azure takes the first; we find it there, in whichever vault, and repeat nothing."""
    gateway = desk.estate.world.gateway
    faithful, met = gateway.answer, []

    def overtaken(incoming: Incoming) -> Any:
        mine = incoming.principal is not SYSTEM and incoming.method == "PUT"
        if mine and incoming.path.endswith(estates.machine(number)["name"]) and not met:
            met.append(incoming.path)
            _by_azure_policy(desk, incoming.path, number, vault)
        return faithful(incoming)

    gateway.answer = overtaken
    try:
        desk.estate.put(estates.machine(number))
        await desk.estate.wait_until(lambda: met, PATIENCE, "our PUT")
        desk.estate.advance(GRAPH_LAG)
        await desk.until(**{f"vm{number}": state})
    finally:
        gateway.answer = faithful

    told = await desk.told(number)
    assert desk.puts(number) == 1
    assert told["row"]["vault"].lower() == desk.item(number).partition("/backupFabrics")[0].lower()


def _by_azure_policy(desk: Desk, path: str, number: int, wanted: str) -> None:
    """Enroll the VM as a DeployIfNotExists policy does: in the vault it was given as a parameter."""
    vault = path.partition("/backupFabrics")[0]
    if wanted == "other":
        vault = vault[:-1] + ("1" if vault.endswith("0") else "0")
    elif wanted:
        vault = wanted
    body = {
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "sourceResourceId": estates.machine(number)["id"],
            "policyId": f"{vault}/backupPolicies/silver-1",
        }
    }
    where = vault + "/backupFabrics" + path.partition("/backupFabrics")[2]
    reply = desk.estate.arm("PUT", where, body, api_version="2025-02-01")
    assert reply.status == 202, reply
