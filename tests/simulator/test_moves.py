"""A VM that moves keeps what it is and loses its id; its protected item stays behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.backup_lab import (
    GROUP,
    OTHER,
    SOMEBODY,
    SUBSCRIPTION,
    Lab,
    error_of,
    item_path,
    lab,
    policy_id,
    resource_group,
    vm,
    vm_id,
)

ELSEWHERE = f"/subscriptions/{OTHER}/resourceGroups/rg9"
SAME = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg9"
RESOURCES = "2021-04-01"


def place() -> Lab:
    return lab(*(resource_group(one) for one in (GROUP, SAME, ELSEWHERE)))


def move(sim: Lab, *ids: str, to: str = ELSEWHERE, **more: Any):
    body = {"resources": list(ids), "targetResourceGroup": to}
    return sim.ask("POST", f"{GROUP}/moveResources", body, version=RESOURCES, **more)


@pytest.mark.parametrize("to", [SAME, ELSEWHERE], ids=["group", "subscription"])
def test_its_id_changes_and_its_vm_id_stays(to):
    """Specified: Resources - Move Resources; a move changes an id and nothing else."""
    sim = place()
    before = sim.get(vm_id(), version="2024-03-01")
    accepted = move(sim, vm_id(), to=to)
    assert accepted.status == 202
    polled = accepted.headers["location"].partition("?")[0].partition("//")[2]
    polled = "/" + polled.partition("/")[2]
    assert sim.ask("GET", polled, version=RESOURCES).status == 202
    sim.advance(61)
    assert sim.ask("GET", polled, version=RESOURCES).status == 204

    after = sim.get(vm_id().replace(GROUP, to), version="2024-03-01")
    assert after["properties"]["vmId"] == before["properties"]["vmId"]
    assert after["properties"]["timeCreated"] == before["properties"]["timeCreated"]
    assert after["id"] == vm_id().replace(GROUP, to)
    assert sim.ask("GET", vm_id(), version="2024-03-01").status == 404


def test_what_moves_with_it_is_spoken_of_by_its_new_id():
    disk = f"{GROUP}/providers/Microsoft.Compute/disks/d1"
    os_disk = {"osType": "Linux", "name": "d1", "managedDisk": {"id": disk}}
    sim = lab(
        *(resource_group(one) for one in (GROUP, ELSEWHERE)),
        vm(storageProfile={"osDisk": os_disk}),
        {"id": disk, "location": "westeurope", "type": "Microsoft.Compute/disks", "name": "d1"},
    )
    move(sim, vm_id(), disk)
    sim.advance(61)
    found = sim.get(vm_id().replace(GROUP, ELSEWHERE), version="2024-03-01")["properties"]
    shown = found["storageProfile"]["osDisk"]["managedDisk"]["id"]
    assert shown == disk.replace(GROUP, ELSEWHERE)
    assert sim.get(shown, version="2024-03-02")["name"] == "d1"


def test_its_item_stays_behind_and_makes_no_more_points():
    """Assumed from the special cases of VMs: items are not said to follow."""
    sim = place()
    sim.enable()
    assert move(sim, vm_id()).status == 202
    sim.advance(61)
    assert sim.item()["sourceResourceId"] == vm_id()
    sim.advance(2 * 86_400)
    jobs = [one for one in sim.jobs() if one["operation"] == "Backup"]
    assert jobs
    assert {one["status"] for one in jobs} == {"Failed"}


def test_a_vm_that_is_backed_up_moves_only_after_its_backups_were_stopped():
    """Specified: move guidance for VMs with Azure Backup (stop, delete the collection, move)."""
    sim = place()
    sim.enable()
    sim.advance(2 * 86_400)
    assert error_of(move(sim, vm_id())) == (409, "ResourceMoveProviderValidationFailed")
    stop = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": vm_id(),
        "protectionState": "ProtectionStopped",
        "policyId": "",
    }
    assert sim.ask("PUT", item_path(), {"properties": stop}).status == 202
    sim.advance(60)
    assert move(sim, vm_id()).status == 202
    sim.advance(61)
    assert sim.item()["protectionState"] == "ProtectionStopped"


@pytest.mark.parametrize(
    "ids, to, refused",
    [
        pytest.param((vm_id("none"),), ELSEWHERE, (404, "ResourceNotFound"), id="no resource"),
        pytest.param((vm_id(),), f"{ELSEWHERE}x", (404, "ResourceGroupNotFound"), id="no group"),
        pytest.param((vm_id(),), "rg9", (400, "InvalidRequestContent"), id="no id"),
        pytest.param((), ELSEWHERE, (400, "InvalidRequestContent"), id="nothing"),
        pytest.param((policy_id().partition("/backup")[0],), SAME, (501, "NotSimulated"), id="vault"),
    ],
)  # fmt: skip
def test_what_cannot_move_is_refused(ids, to, refused):
    assert error_of(move(place(), *ids, to=to)) == refused


def test_whoever_moves_needs_rights_on_both_groups():
    role = {
        "id": f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/"
        "00000000-0000-4000-8000-000000000007",
        "properties": {
            "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers"
            "/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c",
            "principalId": SOMEBODY.object_id,
            "principalType": "ServicePrincipal",
        },
    }
    sim = lab(*(resource_group(one) for one in (GROUP, ELSEWHERE)), role)
    assert error_of(move(sim, vm_id(), caller=SOMEBODY)) == (403, "AuthorizationFailed")


def test_the_move_itself_is_the_only_event():
    """Specified: events are for operations sent to ARM; nobody sends a write of the VM."""
    sim = place()
    seen = []
    sim.world.changes.append(seen.append)
    move(sim, vm_id())
    sim.advance(61)
    assert [(one.kind, one.resource_id) for one in seen] == [("action", GROUP)]
