"""Images in the simulator: whatever a VM was made from, the service enrolls it (row F10).

The use cases on the product's Azure adapters; only storage and notices are in memory.
"""

from __future__ import annotations

import os

import pytest

from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.messages import Cause, WorkItem
from shared.domain.model import ProtectionState
from shared.domain.states import State
from shared.ports import Ports
from shared.reconcile import reconcile
from shared.watch import watch
from tests.contract.stages import GROUP, LAG, SUB, SimulatorStage, simulated
from tests.unit.domain import worlds
from tests.unit.domain.test_images import ALIASES
from tests.usecases.house import House

RULES = """
version: 1
tiers: {tag: backup-tier, default: gold, names: {gold: {standard: DefaultPolicy, enhanced: gold}}}
vaults: {central: {tags: {backup: "yes"}}}
default: {}
"""
GALLERY = f"{GROUP}/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0"
CUSTOM = f"{GROUP}/providers/Microsoft.Compute/images/golden"
OTHERS = {
    "gallery": {"id": GALLERY},
    "custom": {"id": CUSTOM},
    "migrated": None,
}


def body(name: str, image: dict | None, system: str) -> dict:
    disk = {"osType": system, "name": f"{name}-os", "createOption": "FromImage", "diskSizeGB": 64}
    profile = {"osDisk": disk | ({} if image else {"createOption": "Attach"})}
    properties = {
        "vmId": f"uid-{name}",
        "provisioningState": "Succeeded",
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": profile | ({"imageReference": image} if image else {}),
    }
    if image:
        properties["osProfile"] = {"computerName": name[:15], "adminUsername": "azureuser"}
    return {
        "id": str(virtual_machine(SUB, "rg-Web", name)),
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "properties": properties,
    }


def bodies() -> list[dict]:
    found = []
    for name, (system, publisher, offer, sku) in ALIASES.items():
        image = {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"}
        found.append(body(name, image, system.value))
    return found + [body(name, image, "Linux") for name, image in OTHERS.items()]


def ports_of(stage: SimulatorStage, house: House) -> Ports:
    house.rules.rules = worlds.rules(RULES)
    return Ports(
        settings=house.settings,
        clock=stage.clock,
        machines=stage.machines,
        backup=stage.backup,
        directory=stage.directory,
        networks=stage.networks,
        setup=stage.setup,
        index=stage.index,
        estate=stage.estate,
        pace=stage.pace,
        ledger=house.ledger,
        coverage=house.coverage,
        people=house.people,
        parked=house.parked,
        queues=house.queues,
        rules=house.rules,
        notices=house.notices,
    )


async def test_every_alias_and_gallery_custom_and_migrated_images_are_enrolled(
    monkeypatch: pytest.MonkeyPatch,
):
    house = House()
    async with simulated(*bodies()) as stage:
        identity = stage._sim.identity
        monkeypatch.setitem(os.environ, "IDENTITY_ENDPOINT", identity["endpoint"])
        monkeypatch.setitem(os.environ, "IDENTITY_HEADER", identity["header"])
        await stage.pass_time(LAG)
        ports = ports_of(stage, house)
        vms = [virtual_machine(SUB, "rg-Web", name) for name in (*ALIASES, *OTHERS)]
        first = stage._sim.world.calls.total

        for number, vm in enumerate(vms):
            work = WorkItem(vm=str(vm), seen_at=stage.clock.now(), cause=Cause.EVENT)
            assert await reconcile(ports, work, f"m{number}") == "Enroll"
        spent = len(stage._sim.world.calls.since(first))
        for _ in range(8):
            await stage.pass_time(60)
            await watch(ports)

        rows = {vm.name: (await house.ledger.read(vm))[0] for vm in vms}
        assert {
            name: row.state for name, row in rows.items() if row.state is not State.ENROLLED
        } == {}
        for vm in vms:
            item = await stage.backup.item(item_of(ArmId.parse(rows[vm.name].vault), vm))
            assert (item.state, item.source) == (ProtectionState.PENDING, vm)
        assert house.notices.reported == []
        assert house.notices.operators == []
        # a GET and a PUT for each, and what all of them share: vaults, policies, items, tags, locks
        assert spent <= 2 * len(vms) + 8
