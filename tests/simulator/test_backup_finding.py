"""Finding VMs and their protection: discovery, status by region, Resource Graph rows, seeds.

Truth: report §1.1, §3.1, §6.19 and facts §1.4, §1.5, §4.5a; pre-validation and features are
specified only.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from simulator.backup import rows
from simulator.world import SYSTEM, Cause
from tests.simulator.backup_lab import (
    LOCATION,
    SECOND_VAULT,
    SUBSCRIPTION,
    VAULT,
    enable_body,
    item_path,
    lab,
    policy_id,
    vault_body,
    vm,
    vm_id,
)

STATUS = f"{LOCATION}/westeurope/backupStatus"
ASKED = {"resourceType": "VM", "resourceId": vm_id()}
REFRESH = f"{VAULT}/backupFabrics/Azure/refreshContainers"
VMS = "backupManagementType eq 'AzureIaasVM'"


def _protectable(sim, vault: str = VAULT) -> list[str]:
    listed = sim.get(f"{vault}/backupProtectableItems", _filter=VMS)["value"]
    return [entry["properties"]["friendlyName"] for entry in listed]


def test_a_new_vm_is_protectable_after_a_refresh():
    sim = lab()
    sim.advance(60)
    body = vm("fresh", timeCreated="2026-03-02T08:00:30Z")
    sim.world.put(body["id"], body, None)
    assert _protectable(sim) == ["vm1"]
    reply = sim.ask("POST", REFRESH)
    assert (reply.status, reply.body) == (202, None)
    assert "api-version=2019-05-13-preview" in reply.headers["Azure-AsyncOperation"]
    where = reply.headers["Location"].split("?")[0].split("localhost")[1]
    waiting = sim.ask("GET", where)
    assert (waiting.status, waiting.body) == (202, None)
    assert waiting.headers["Location"]
    sim.advance(15)
    done = sim.ask("GET", where)
    assert (done.status, done.body) == (204, None)
    assert _protectable(sim) == ["fresh", "vm1"]  # by name, as recorded


def test_a_protectable_item_has_four_spellings_of_its_name():
    (entry,) = lab().get(f"{VAULT}/backupProtectableItems", _filter=VMS)["value"]
    short = "iaasvmcontainerv2;rg1;vm1"
    assert entry["name"] == short
    assert entry["id"].endswith(
        f"/protectionContainers/IaasVMContainer;{short}/protectableItems/vm;{short}"
    )
    assert entry["properties"]["protectionState"] == "NotProtected"


def test_a_protected_vm_is_not_protectable_and_a_stopped_one_is_elsewhere():
    sim = lab(vault_body(SECOND_VAULT))
    sim.enable()
    assert _protectable(sim) == _protectable(sim, SECOND_VAULT) == []
    stop = {"protectionState": "ProtectionStopped", "policyId": ""}
    sim.ask("PUT", item_path(), {"properties": enable_body()["properties"] | stop})
    sim.advance(30)
    assert _protectable(sim) == []
    assert _protectable(sim, SECOND_VAULT) == ["vm1"]


def test_vms_of_other_regions_are_not_protectable():
    assert _protectable(lab(vm("far", location="northeurope"))) == ["vm1"]


def test_status_knows_a_vm_is_not_protected_and_tells_its_names_in_lower_case():
    sim = lab(vm("VM7", group="RG7"))
    body = sim.ask("POST", STATUS, {"resourceType": "VM", "resourceId": vm_id("VM7", group="RG7")})
    assert body.body == {
        "protectionStatus": "NotProtected",
        "fabricName": "Azure",
        "containerName": "iaasvmcontainer;iaasvmcontainerv2;rg7;vm7",
        "protectedItemName": "vm;iaasvmcontainerv2;rg7;vm7",
        "protectedItemsCount": 0,
        "objectType": "BackupStatusResponse",
    }


def test_status_tells_vault_and_policy_of_a_protected_vm():
    sim = lab()
    sim.put_item()
    assert sim.ask("POST", STATUS, ASKED).body["protectionStatus"] == "Protecting"
    sim.advance(400)
    body = sim.ask("POST", STATUS.replace("/sub", "/Sub"), ASKED).body
    assert body["protectionStatus"] == "Protected"
    assert (body["vaultId"], body["policyName"]) == (VAULT, "DefaultPolicy")


@pytest.mark.parametrize("word", ["NotProtected", "Protected"])
def test_status_of_a_soft_deleted_vm_is_what_a_knob_says(word):
    """No recording asks; "not protected" does not mean "free" (facts §10.7)."""
    sim = lab(knobs={"backup.status.stopped": word})
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    assert sim.ask("POST", STATUS, ASKED).body["protectionStatus"] == word


def test_prevalidation_says_no_with_http_200():
    sim = lab(vm("far", location="northeurope"))
    url = f"{LOCATION}/westeurope/backupPreValidateProtection"
    asked = ASKED | {"vaultId": VAULT, "properties": ""}
    assert sim.ask("POST", url, asked).body["status"] == "Succeeded"
    sim.enable()
    again = sim.ask("POST", url, asked)
    assert (again.status, again.body["status"]) == (200, "Failed")
    assert again.body["errorCode"] == "VirtualMachineAlreadyProtected"
    far = sim.ask("POST", url, asked | {"resourceId": vm_id("far")})
    assert far.body["errorCode"] == "UserErrorVmVaultLocationMismatch"
    nobody = sim.ask("POST", url, asked | {"resourceId": vm_id("nobody")})
    assert nobody.body["errorCode"] == "UserErrorVmNotFoundV2"


def test_features_are_supported():
    url = f"{LOCATION}/westeurope/backupValidateFeatures"
    asked = {"featureType": "AzureVMResourceBackup", "vmSize": "Standard_D2s_v5"}
    assert lab().ask("POST", url, asked).body == {"supportStatus": "Supported"}


ITEMS = "microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems"


def _rows(sim, kind: str, lag: float = 0):
    moment = sim.world.now() - timedelta(seconds=lag)
    found = [offered.at(moment) for offered in rows(sim.world, frozenset(sim.world.subscriptions))]
    return [row for row in found if row and row["type"] == kind]


def test_graph_shows_items_in_both_spellings():
    sim = lab()
    sim.enable()
    (row,) = _rows(sim, ITEMS)
    assert row["properties"]["protectionState"] == "IRPending"
    assert row["properties"]["currentProtectionState"] == "ProtectionConfigured"
    assert row["properties"]["dataSourceInfo"]["resourceID"] == vm_id()
    assert (row["subscriptionId"], row["resourceGroup"]) == (SUBSCRIPTION, "rg1")


def test_graph_is_late_and_shows_what_was_true_before():
    sim = lab()
    sim.enable()
    assert _rows(sim, ITEMS, lag=600) == []
    sim.advance(700)
    sim.put_item(policy="EnhancedPolicy")
    sim.advance(10)
    stop = {"protectionState": "ProtectionStopped", "policyId": ""}
    sim.ask("PUT", item_path(), {"properties": enable_body()["properties"] | stop})
    sim.advance(10)
    (late,) = _rows(sim, ITEMS, lag=600)
    assert late["properties"]["policyName"] == "DefaultPolicy"
    (fresh,) = _rows(sim, ITEMS)
    assert fresh["properties"]["currentProtectionState"] == "ProtectionStopped"


def test_graph_forgets_a_purged_item_late():
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(14 * 86_400 + 60)
    assert _rows(sim, ITEMS) == []
    (late,) = _rows(sim, ITEMS, lag=600)
    assert late["properties"]["currentProtectionState"] == "SoftDeleted"


def test_graph_shows_policies_and_jobs():
    sim = lab()
    sim.put_item()
    kind = "microsoft.recoveryservices/vaults/backupjobs"
    (running,) = _rows(sim, kind)
    assert running["properties"]["status"] == "InProgress"
    sim.advance(400)
    (done,) = _rows(sim, kind)
    assert done["properties"]["status"] == "Completed"
    (late,) = _rows(sim, kind, lag=390)
    assert late["properties"]["status"] == "InProgress"
    assert "endTime" not in late["properties"]
    assert len(_rows(sim, "microsoft.recoveryservices/vaults/backuppolicies")) == 3
    sim.advance(15 * 86_400)
    assert all(row["properties"]["operation"] == "Backup" for row in _rows(sim, kind))


def _seeded_item(name: str = "vm1", vault: str = VAULT, **properties):
    path = item_path(name, vault=vault).replace("%3B", ";")
    given = {"sourceResourceId": vm_id(name), "policyId": policy_id(vault=vault)} | properties
    return {"id": path, "properties": given}


def test_a_seeded_item_is_there_with_its_policy_counted_whatever_the_order():
    item = _seeded_item(protectionState="Protected")
    sim = lab(item, vault_body(), vm())
    body = sim.item()
    assert (body["protectionState"], body["lastBackupStatus"]) == ("Protected", "Completed")
    assert body["lastRecoveryPoint"]
    assert sim.get(policy_id())["properties"]["protectedItemsCount"] == 1
    assert sim.get(VAULT)["properties"]["backupStorageVersion"] == "V2"
    assert len(sim.get(f"{item_path()}/recoveryPoints")["value"]) == 1


def test_a_seeded_item_is_backed_up_by_its_seeded_policy():
    policy = {
        "id": policy_id("gold"),
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "schedulePolicy": {
                "schedulePolicyType": "SimpleSchedulePolicy",
                "scheduleRunFrequency": "Daily",
                "scheduleRunTimes": ["2026-03-02T12:00:00Z"],
            },
            "timeZone": "UTC",
        },
    }
    sim = lab(_seeded_item(policyId=policy_id("gold")), policy)
    sim.advance(8 * 3600)
    assert sim.item()["protectionState"] == "Protected"


def test_a_seeded_soft_deleted_item_goes_in_its_time():
    item = _seeded_item(
        protectionState="ProtectionStopped",
        policyId="",
        isScheduledForDeferredDelete=True,
        deferredDeleteTimeInUTC="2026-02-18T08:00:00Z",
    )
    sim = lab(item)
    assert sim.item()["deferredDeleteTimeRemaining"].startswith("2.")
    sim.advance(2 * 86_400 + 60)
    assert sim.ask("GET", item_path()).status == 404


def test_a_seeded_item_of_another_vault_protects_its_vm():
    sim = lab(vault_body(SECOND_VAULT), _seeded_item(vault=SECOND_VAULT))
    assert sim.ask("POST", STATUS, ASKED).body["vaultId"] == SECOND_VAULT
    reply = sim.put_item()
    sim.advance(400)
    assert sim.operation(reply)["status"] == "Failed"


def test_a_classic_item_is_listed_and_never_matches_an_arm_vm():
    short = "iaasvmcontainer;rg1;vm1"
    classic = {
        "id": f"{VAULT}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{short}"
        f"/protectedItems/VM;{short}",
        "properties": {
            "sourceResourceId": vm_id().replace("Microsoft.Compute", "Microsoft.ClassicCompute")
        },
    }
    sim = lab(classic)
    (entry,) = sim.get(f"{VAULT}/backupProtectedItems")["value"]
    assert entry["properties"]["protectedItemType"] == "Microsoft.ClassicCompute/virtualMachines"
    assert sim.ask("POST", STATUS, ASKED).body["protectionStatus"] == "NotProtected"
    sim.enable()
    assert len(sim.get(f"{VAULT}/backupProtectedItems")["value"]) == 2


def test_seeded_jobs_points_and_settings_are_there():
    job = {
        "id": f"{VAULT}/backupJobs/aaaaaaaa-0000-4000-8000-000000000001",
        "properties": {
            "operation": "Backup",
            "status": "Failed",
            "containerName": "iaasvmcontainerv2;rg1;vm1",
            "entityFriendlyName": "vm1",
            "startTime": "2026-03-01T23:00:00Z",
            "endTime": "2026-03-01T23:10:00Z",
        },
    }
    item = _seeded_item()
    point = {
        "id": f"{item['id']}/recoveryPoints/17",
        "properties": {"recoveryPointTime": "2026-03-01T22:00:00Z"},
    }
    config = {
        "id": f"{VAULT}/backupconfig/vaultconfig",
        "properties": {"softDeleteFeatureState": "Disabled"},
    }
    sim = lab(item, point, config, job)
    assert sim.jobs()[0]["status"] == "Failed"
    assert sim.get(f"{item_path()}/recoveryPoints")["value"][0]["name"] == "17"
    settings = sim.get(f"{VAULT}/backupconfig/vaultconfig")["properties"]
    assert settings["softDeleteFeatureState"] == "Disabled"


def test_a_vault_deleted_elsewhere_takes_its_items_with_it():
    sim = lab()
    sim.enable()
    sim.world.delete(VAULT, Cause(principal=SYSTEM, correlation_id="c", operation_name="delete"))
    assert sim.ask("GET", VAULT).status == 404
    assert sim.ask("POST", STATUS, ASKED).body["protectionStatus"] == "NotProtected"


def test_thousands_of_items_do_not_slow_a_single_look():
    vms = 3000
    items = [_seeded_item(f"m{n}", protectionState="Protected") for n in range(vms)]
    sim = lab(*items, vm("probe"))
    started = time.perf_counter()
    for n in range(0, vms, 100):
        assert sim.item(f"m{n}")["protectionState"] == "Protected"
    sim.put_item("probe")
    assert sim.ask("POST", STATUS, ASKED | {"resourceId": vm_id("m7")}).body["vaultId"] == VAULT
    assert time.perf_counter() - started < 1.0
    assert len(sim.get(f"{VAULT}/backupProtectedItems")["value"]) == 200
