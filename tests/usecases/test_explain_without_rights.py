"""Explain a VM that the service may not read: what was known, the right that lacks, its grant."""

from __future__ import annotations

import json

import pytest

from shared.errors import AzureFault, Disposition
from shared.explaining import explained
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm()
DENIED = fault(
    "AuthorizationFailed",
    status=403,
    disposition=Disposition.PARK,
    message="The client 'c' with object id 'o' does not have authorization to perform action "
    f"'Microsoft.Compute/virtualMachines/read' over scope '{VM.id}' or the scope is invalid.",
)


@pytest.fixture
def house():
    made = House()
    made.region(worlds.vault())
    made.machines.add(VM)
    return made


async def test_the_ledgers_row_is_shown_with_the_right_that_lacks(house):
    await house.event(VM.id)
    await house.play(600)
    house.machines.fail(VM.id, DENIED)

    told = await explained(house.ports, VM.id)
    body = json.loads(told.json)
    (missing,) = body["explanation"]["findings"]

    assert (body["state"], body["decision"]) == ("Enrolled", "")
    assert body["row"]["vault"] == str(worlds.vault().id)
    assert missing["code"] == "OUR_RIGHTS"
    assert "Microsoft.Compute/virtualMachines/read" in missing["text"]
    assert "--role Reader" in missing["remedies"][0]["az"]
    assert f"--scope /subscriptions/{VM.id.subscription}" in missing["remedies"][0]["az"]
    assert f"Last known: Enrolled in {worlds.vault().id.name}/" in told.text
    assert "sh> az role assignment create" in told.text


async def test_a_vm_that_was_never_seen_is_explained_too(house):
    house.machines.fail(VM.id, DENIED)

    told = await explained(house.ports, VM.id)

    assert json.loads(told.json)["row"] is None
    assert "The ledger does not know it either." in told.text


async def test_what_is_no_matter_of_rights_is_still_a_fault(house):
    house.machines.fail(VM.id, fault("InternalServerError", status=500))

    with pytest.raises(AzureFault, match="InternalServerError"):
        await explained(house.ports, VM.id)
