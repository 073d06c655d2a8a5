"""The simulator's Functions host runs the service from the deployment package alone."""

from __future__ import annotations

import zipfile

import pytest

from packaging_tools.build import build
from packaging_tools.contents import ROOT
from simulator.estate import up_running

S = "11111111-1111-4111-8111-111111111111"
VM = f"/subscriptions/{S}/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines/vm1"
BODY = {
    "id": VM,
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}},
        "osProfile": {"computerName": "vm1", "adminUsername": "someone"},
    },
}
SEED = {"subscriptions": [{"subscriptionId": S}], "timeline": [{"at": 0, "put": BODY}]}


@pytest.mark.e2e
@pytest.mark.timeout(90)
async def test_an_event_is_taken_and_looked_into_by_the_packaged_app(tmp_path):
    app = tmp_path / "app"
    with zipfile.ZipFile(build(tmp_path)) as package:
        package.extractall(app)

    async with up_running(seed=SEED, app=app, rules=ROOT / "rules.sample.yaml", speed=10) as estate:
        await estate.wait_until(
            lambda: any(one.state == "ok" for one in estate.invocations("enroll_vm")), 40, "a look"
        )
        assert [one.state for one in estate.invocations("on_vm_event")] == ["ok"]
        assert estate.failed() == []
