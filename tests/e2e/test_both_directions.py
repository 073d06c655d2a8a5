"""People and Azure Policy act on the same items while the service runs; the service sees it.

What people send is what az and the portal send; with ``--az`` the real az sends it (`make
conformance-az`). Nothing tells the service of it: no event, no call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from bench import estates
from shared.domain.ids import ArmId
from simulator.estate import Estate, up_running
from simulator.gateway import Incoming
from simulator.role import grant
from simulator.world import SYSTEM
from tests.conformance.az_session import CLIENT, Az, install, sign_in, surroundings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
SPEED = 60.0
NIGHT = 16 * 3600.0
GRAPH_LAG = 1500.0  # simulated seconds until Resource Graph shows what was done to an item
PATIENCE = 60.0  # real seconds
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

    def put(self, number: int, properties: dict[str, Any]) -> None:
        body = {
            "properties": {
                "protectedItemType": "Microsoft.Compute/virtualMachines",
                "sourceResourceId": estates.machine(number)["id"],
                **properties,
            }
        }
        reply = self.estate.arm("PUT", self.item(number), body, api_version="2025-02-01")
        assert reply.status in {200, 202}, reply

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


class Requests:
    """A person's hands: each act is the request that the portal sends."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def stop(self, number: int) -> None:
        self._desk.put(number, {"protectionState": "ProtectionStopped", "policyId": ""})

    async def delete(self, number: int) -> None:
        item = self._desk.item(number)
        reply = self._desk.estate.arm("DELETE", item, api_version="2025-02-01")
        assert reply.status in {200, 202, 204}, reply

    async def undelete(self, number: int) -> None:
        self._desk.put(number, {"isRehydrate": True})

    async def attach(self, number: int, policy: str, *, stopped: bool) -> None:
        """Give an item a policy, be it protected or stopped."""
        self._desk.put(number, {"policyId": self._desk.policy(number, policy)})


class Commands:
    """The same acts by the real az."""

    def __init__(self, desk: Desk, az: Az) -> None:
        self._desk, self._az = desk, az

    async def stop(self, number: int) -> None:
        await self._item("protection", "disable", number, "--yes")

    async def delete(self, number: int) -> None:
        await self._item("protection", "disable", number, "--delete-backup-data", "true", "--yes")

    async def undelete(self, number: int) -> None:
        await self._item("protection", "undelete", number)

    async def attach(self, number: int, policy: str, *, stopped: bool) -> None:
        """Give an item a policy, be it protected or stopped."""
        if stopped:
            await self._item("protection", "resume", number, "-p", policy)
        else:
            await self._item("item", "set-policy", number, "-p", policy)

    async def _item(self, group: str, verb: str, number: int, *more: str) -> None:
        vault = ArmId.parse(self._desk.item(number).partition("/backupFabrics")[0])
        name = estates.machine(number)["name"]
        named = "-n" if group == "item" else "-i"
        answer = await self._az.run(
            *("backup", group, verb, "--subscription", vault.subscription),
            *("-g", vault.group, "-v", vault.name, "-c", name, named, name),
            *("--backup-management-type", "AzureIaasVM", "--workload-type", "VM", *more),
        )
        assert answer.exit == 0, answer


@pytest_asyncio.fixture(
    params=["requests", pytest.param("az", marks=pytest.mark.real_az)],
    scope="module",
    loop_scope="module",
)
async def hands(
    desk: Desk, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Requests | Commands]:
    """What a person acts with."""
    if request.param == "requests":
        yield Requests(desk)
        return
    world, folder = desk.estate.world, tmp_path_factory.mktemp("az")
    grant(world, world.directory.person(CLIENT).object_id, ["*"], name="a-person")
    async with Az(install(), surroundings(desk.estate.sim, folder)) as az:
        answer = await sign_in(az, desk.estate.sim)
        assert answer.exit == 0, answer
        yield Commands(desk, az)


async def test_what_people_do_to_items_is_seen_and_left_as_they_want_it(desk, hands):
    before = [desk.puts(number) for number in (STOPPED, DELETED, REPOLICED)]
    wanted = "gold-1" if isinstance(hands, Requests) else "gold-2"
    await hands.stop(STOPPED)
    await hands.delete(DELETED)
    await hands.attach(REPOLICED, wanted, stopped=False)
    desk.estate.advance(GRAPH_LAG)

    await desk.until(vm0="Stopped", vm1="SoftDeleted", vm2="Protected")
    row = (await desk.told(REPOLICED))["row"]  # longer retention: never shortened again
    assert row["policy"].lower() == desk.policy(REPOLICED, wanted).lower()
    assert [desk.puts(number) for number in (STOPPED, DELETED, REPOLICED)] == before

    await hands.attach(STOPPED, "gold-0", stopped=True)  # of its tier
    await hands.undelete(DELETED)
    desk.estate.advance(GRAPH_LAG)

    await desk.until(vm0="Protected", vm1="Stopped")
    await hands.attach(DELETED, "silver-0", stopped=True)
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
