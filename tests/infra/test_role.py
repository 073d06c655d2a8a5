"""The role: assembled from blocks, nothing too wide, nothing missing, nothing unused.

The product's adapters walk through everything they do, on a simulator that knows only this role.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio

from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.records import ChangeKind
from shared.domain.rules.declared import Hardening
from shared.errors import AzureFault
from shared.ports import Change
from simulator.parts import all_routes, load_parts
from tests.contract.stages import DISK, GOLD, LAG, SUB, VAULT, VM, SimulatorStage, simulated
from tests.infra.bicep import INFRA, read

BLOCKS = json.loads((INFRA / "role.json").read_text(encoding="utf-8"))
BUILT_IN = json.loads((INFRA / "built-in-roles.json").read_text(encoding="utf-8"))
UNUSED = {"storageReads": "Azure Backup refuses unmanaged disks, so nothing reads their account"}
WALKED = tuple(block for block in BLOCKS if block not in UNUSED)
SCOPE = f"/subscriptions/{SUB}"
GRAPH = (
    "Microsoft.ResourceGraph/resources/read"  # needs no right: rows are what the caller may read
)


def actions(*blocks: str) -> list[str]:
    return [action for block in blocks for action in BLOCKS[block]["actions"]]


# --- as written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_says_why_and_has_no_wildcard_and_no_delete(block):
    assert BLOCKS[block]["why"].endswith(".")
    for action in BLOCKS[block]["actions"]:
        assert "*" not in action
        assert not action.lower().endswith("/delete")


def test_no_action_is_in_two_blocks():
    listed = [action.lower() for action in actions(*BLOCKS)]

    assert len(listed) == len(set(listed))


def test_writes_and_actions_are_these_and_no_others():
    strong = {one for one in actions(*BLOCKS) if not one.endswith("/read")}

    assert {one.split("/", 1)[1] for one in strong} == {
        "Vaults/backupFabrics/protectionContainers/protectedItems/write",
        "Vaults/backupFabrics/protectionContainers/protectedItems/backup/action",
        "locations/backupPreValidateProtection/action",
        "Vaults/write",
        "subscriptions/resourceGroups/write",
        "Vaults/backupPolicies/write",
        "virtualMachines/write",
    }


@pytest.mark.parametrize(
    "path", ["main.bicep", "subscription.bicep", "management-group.bicep", "modules/role.bicep"]
)
def test_what_can_be_granted_is_what_there_is(path):
    assert {*read(INFRA / path).params["grants"].allowed, "enroll"} == set(BLOCKS)


@pytest.mark.parametrize("path", ["modules/role.bicep", "management-group.bicep"])
def test_a_role_is_enroll_and_the_granted_blocks(path):
    file = read(INFRA / path)
    (permissions,) = file.resources["role"].body["properties"]["permissions"]

    assert file.variables["blocks"].text.startswith("loadJsonContent(")
    assert file.variables["chosen"].text == (
        "[for block in concat(['enroll'], grants): blocks[block].actions]"
    )
    assert permissions["actions"].text == "flatten(chosen)"
    assert permissions["dataActions"] == permissions["notActions"] == []


def test_actions_exist_in_azure_as_the_simulator_knows_it():
    known = {route.action.lower() for route in all_routes(load_parts())}

    assert {action for action in actions(*BLOCKS) if action.lower() not in known} == {
        # listing subscriptions and groups asks for no right in the simulator; in Azure, for these
        "Microsoft.Resources/subscriptions/read",
    }


def test_built_in_roles_are_used_by_name_and_all_used():
    text = "".join(path.read_text(encoding="utf-8") for path in INFRA.rglob("*.bicep"))

    assert not any(guid in text for guid in BUILT_IN.values()), "name them in built-in-roles.json"
    assert [name for name in BUILT_IN if f".{name}" not in text] == []


# --- as enforced ---------------------------------------------------------------------------------


@asynccontextmanager
async def under(monkeypatch: pytest.MonkeyPatch, *granted: str) -> AsyncIterator[SimulatorStage]:
    """Open a stage whose identity has only these actions, in the first subscription."""
    async with simulated() as stage:
        identity = stage._sim.identity
        monkeypatch.setitem(os.environ, "IDENTITY_ENDPOINT", identity["endpoint"])
        monkeypatch.setitem(os.environ, "IDENTITY_HEADER", identity["header"])
        role = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/r1"
        given = f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/a1"
        world = stage._sim.world
        world.put(
            role,
            {
                "id": role,
                "name": "r1",
                "type": "Microsoft.Authorization/roleDefinitions",
                "properties": {"roleName": "ours", "permissions": [{"actions": list(granted)}]},
            },
            None,
        )
        world.put(
            given,
            {
                "id": given,
                "type": "Microsoft.Authorization/roleAssignments",
                "properties": {
                    "roleDefinitionId": role,
                    "principalId": identity["principalId"],
                    "principalType": "ServicePrincipal",
                    "scope": SCOPE,
                },
            },
            None,
        )
        yield stage


async def walk(stage: SimulatorStage) -> dict[str, object]:
    """Do everything the adapters do; give per step what came of it."""
    await stage.pass_time(LAG)
    item, fresh = item_of(VAULT, VM), virtual_machine(SUB, "rg-Web", "nobody")

    async def jobs() -> int:
        since = stage.clock.now() - timedelta(1)
        return sum([len(page) async for page in stage.backup.jobs(VAULT, since=since)])

    async def back_up() -> str:
        until = stage.clock.now() + timedelta(days=30)
        await stage.backup.back_up_now(item, request_id="a-2", keep_until=until)
        return "asked"

    async def policies() -> int:
        return len(await stage.directory.policies(VAULT))

    async def enroll() -> str:
        change = Change(kind=ChangeKind.ENROLL, vm=VM, vault=VAULT, policy=GOLD, request_id="a-1")
        accepted = await stage.backup.send(change)
        return (await stage.backup.operation(VAULT, accepted.operation)).status

    async def settled() -> str:
        await stage.pass_time(400.0)
        found = await stage.backup.item(item)
        return found.state if found else "none"

    async def network() -> object:
        vm = await stage.machines.machine(VM)
        return await stage.networks.interfaces(vm) if vm else "no vm"

    async def index_without_graph() -> object:
        await stage.pass_time(1000.0)  # what the index knows is too old
        faults = stage._sim.world.gateway.faults
        faults.order({"match": {"action": GRAPH}, "nth": "all", "fault": {"status": 503}})
        try:
            return await stage.index.room(VAULT)
        finally:
            faults.clear()

    async def policy() -> object:
        gold = await stage.setup.policy(GOLD)
        await stage.setup.put_policy(GOLD, gold or {})
        return gold

    async def vault() -> object:
        group = f"{SCOPE}/resourceGroups/rg-new"
        made = ArmId.parse(f"{group}/providers/Microsoft.RecoveryServices/vaults/made")
        await stage.setup.put_vault(made, "westeurope", Hardening())
        return await stage.setup.vault(made)

    async def tags() -> object:
        return await stage.estate.group_tags([(SUB, "rg-web")])

    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "vm": lambda: stage.machines.machine(VM),
        "no vm": lambda: stage.machines.machine(fresh),
        "vaults": stage.directory.vaults,
        "policies": policies,
        "index": lambda: stage.index.room(VAULT),
        "vms": lambda: stage.estate.vms(SUB, ""),
        "items": lambda: stage.estate.items([SUB], ""),
        "subscriptions": stage.estate.subscriptions,
        "subscription tags": lambda: stage.estate.subscription_tags([SUB]),
        "group tags": tags,
        "disks": lambda: stage.estate.disks([DISK]),
        "locks": lambda: stage.estate.locks(VM),
        "network": network,
        "regions": lambda: stage.directory.regions(SUB),
        "validation": lambda: stage.backup.pre_validate(VM, "westeurope", VAULT),
        "enroll": enroll,
        "settled": settled,
        "index without Graph": index_without_graph,
        "jobs": jobs,
        "backup": back_up,
        "policy": policy,
        "vault": vault,
    }
    found: dict[str, object] = {}
    for name, step in steps.items():
        try:
            found[name] = await step()
        except AzureFault as fault:
            found[name] = f"{fault.status} {fault.code}"
    return found


async def test_under_the_role_everything_works(monkeypatch):
    async with under(monkeypatch, *actions(*WALKED)) as stage:
        found = await walk(stage)
        refused = [call for call in stage._sim.world.calls.since() if call.status in {401, 403}]

    assert refused == []
    assert {name: str(what) for name, what in found.items() if re.match(r"\d{3} ", str(what))} == {}
    assert (found["enroll"], found["settled"], found["backup"]) == (
        "InProgress",
        "IRPending",
        "asked",
    )


# No route of ARM's asks for these: Resource Graph shows rows by the first two, and Azure Backup itself
# checks the third on the VM.
UNLOGGED = {
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Compute/disks/read",
    "Microsoft.Compute/virtualMachines/write",
}


async def test_the_role_is_what_the_adapters_call_and_no_more(monkeypatch):
    async with under(monkeypatch, *actions(*WALKED)) as stage:
        await walk(stage)
        called = {call.action.lower() for call in stage._sim.world.calls.since() if call.action}

    granted = {action.lower() for action in actions(*WALKED)}
    assert called - {GRAPH.lower()} == granted - {action.lower() for action in UNLOGGED}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole() -> dict[str, object]:
    """What comes of everything under the whole role."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with under(monkeypatch, *actions(*WALKED)) as stage:
            return await walk(stage)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(one, marks=[] if one in UNLOGGED else pytest.mark.matrix)
        for one in actions(*WALKED)
    ],
)
async def test_without_this_one_action_something_fails(monkeypatch, whole, missing):
    left = [action for action in actions(*WALKED) if action != missing]
    async with under(monkeypatch, *left) as stage:
        broken = await walk(stage)

    assert {name for name in whole if str(whole[name]) != str(broken[name])} != set()
