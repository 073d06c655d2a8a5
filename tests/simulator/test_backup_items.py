"""The other wishes of a PUT, DELETE, lists and containers: an item's whole life.

Truth: report §1.2, §3.1, §6.17 to 6.25 (recorded), facts §1.6 to 1.10.
"""

from __future__ import annotations

import pytest

from tests.simulator.backup_lab import (
    SECOND_VAULT,
    VAULT,
    daily_policy,
    enable_body,
    error_of,
    item_path,
    lab,
    operation_id,
    policy_id,
    vault_body,
    vm,
)

STOP = {
    "properties": enable_body()["properties"]
    | {"protectionState": "ProtectionStopped", "policyId": ""}
}
UNDELETE_CLI = {"properties": STOP["properties"] | {"isRehydrate": True}}
UNDELETE_TERRAFORM = {
    "properties": {"protectedItemType": "Microsoft.Compute/virtualMachines", "isRehydrate": True}
}
VMS = "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"


def test_moving_to_another_policy_takes_seconds_and_changes_the_counts():
    sim = lab()
    sim.ask("PUT", policy_id("gold"), {"properties": daily_policy()})
    sim.enable()
    assert sim.get(policy_id())["properties"]["protectedItemsCount"] == 1
    reply = sim.put_item(policy="gold")
    sim.advance(4.5)
    assert sim.operation(reply)["status"] == "Succeeded"
    assert sim.item()["policyName"] == "gold"
    assert sim.get(policy_id())["properties"]["protectedItemsCount"] == 0
    assert sim.get(policy_id("gold"))["properties"]["protectedItemsCount"] == 1


def test_the_count_is_right_alone_and_zero_in_the_list():
    sim = lab()
    sim.enable()
    listed = sim.get(f"{VAULT}/backupPolicies")["value"]
    assert {entry["properties"]["protectedItemsCount"] for entry in listed} == {0}


def test_a_stopped_item_keeps_its_data_and_has_no_policy():
    sim = lab()
    sim.enable()
    reply = sim.ask("PUT", item_path(), STOP)
    sim.advance(5)
    assert sim.operation(reply)["status"] == "Succeeded"
    item = sim.item()
    assert (item["protectionState"], item["policyId"], item["policyName"]) == (
        "ProtectionStopped",
        "",
        "",
    )
    assert (item["protectionStatus"], item["healthStatus"]) == ("Healthy", "Passed")
    assert sim.jobs()[0]["operation"] == "DisableBackup"


def test_a_stopped_item_resumes_with_an_enable_body():
    sim = lab()
    sim.enable()
    sim.ask("PUT", item_path(), STOP)
    sim.advance(30)
    sim.put_item()
    sim.advance(5)
    assert sim.item()["protectionState"] == "IRPending"


def test_disks_can_be_chosen_and_every_put_replaces_the_choice():
    sim = lab()
    chosen = {"diskExclusionProperties": {"diskLunList": [0, 1], "isInclusionList": True}}
    sim.ask("PUT", item_path(), enable_body(extendedProperties=chosen))
    sim.advance(400)
    assert sim.item()["extendedProperties"] == chosen
    chosen["diskExclusionProperties"] = {"diskLunList": [], "isInclusionList": True}
    sim.ask("PUT", item_path(), enable_body(extendedProperties=chosen))
    sim.advance(10)
    assert sim.item()["extendedProperties"] == chosen
    sim.ask("PUT", item_path(), enable_body(extendedProperties={"diskExclusionProperties": None}))
    sim.advance(10)
    assert "extendedProperties" not in sim.item()


def test_an_item_suspends_in_an_immutable_vault_and_keeps_its_policy():
    sim = lab(vault_body(securitySettings={"immutabilitySettings": {"state": "Unlocked"}}))
    sim.enable()
    suspend = {"properties": STOP["properties"] | {"protectionState": "BackupsSuspended"}}
    sim.ask("PUT", item_path(), suspend)
    sim.advance(10)
    assert sim.item()["protectionState"] == "BackupsSuspended"
    assert sim.item()["policyName"] == "DefaultPolicy"
    sim.advance(2 * 86_400)
    assert {job["operation"] for job in sim.jobs()} == {"ConfigureBackup", "DisableBackup"}


def test_a_soft_deleted_item_stays_listed_with_the_time_it_was_deleted():
    sim = lab()
    sim.enable()
    deleted_at = sim.world.clock.now()
    reply = sim.ask("DELETE", item_path())
    assert (reply.status, reply.body) == (202, None)
    assert f"{VAULT}/backupOperations/" in reply.headers["Azure-AsyncOperation"]
    assert f"{VAULT}/backupOperationResults/" in reply.headers["Location"]
    sim.advance(13.5)
    assert sim.operation(reply)["status"] == "Succeeded"
    item = sim.item()
    assert item["protectionState"] == "ProtectionStopped"
    assert item["isScheduledForDeferredDelete"] is True
    assert item["deferredDeleteTimeInUTC"] == f"{deleted_at:%Y-%m-%dT%H:%M:%S}Z"
    assert item["deferredDeleteTimeRemaining"].startswith("13.23:59:4")
    assert item["softDeleteRetentionPeriod"] == 14
    assert sim.get(f"{VAULT}/backupProtectedItems", _filter=VMS)["value"]
    assert sim.jobs()[0]["operation"] == "DeleteBackupData"


def test_the_result_of_a_delete_is_202_and_then_an_empty_200():
    sim = lab()
    sim.enable()
    reply = sim.ask("DELETE", item_path())
    url = f"{VAULT}/backupOperationResults/{operation_id(reply)}"
    assert sim.ask("GET", url).status == 202
    sim.advance(20)
    done = sim.ask("GET", url)
    assert (done.status, done.body, done.raw) == (200, None, b"")


@pytest.mark.parametrize(
    "body", [UNDELETE_CLI, UNDELETE_TERRAFORM], ids=["as the CLI asks", "as Terraform asks"]
)
def test_an_undeleted_item_is_stopped_and_needs_a_second_put(body):
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    reply = sim.ask("PUT", item_path(), body)
    assert reply.status == 202
    sim.advance(13)
    item = sim.item()
    assert item["protectionState"] == "ProtectionStopped"
    assert "isScheduledForDeferredDelete" not in item
    assert item["softDeleteRetentionPeriod"] == 0
    assert sim.jobs()[0]["operation"] == "Undelete"
    sim.put_item()
    sim.advance(10)
    assert sim.item()["policyName"] == "DefaultPolicy"


def test_a_soft_deleted_item_goes_when_its_time_is_over():
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(14 * 86_400 - 60)
    assert sim.item()["deferredDeleteTimeRemaining"].startswith("00:0")
    sim.advance(120)
    assert sim.ask("GET", item_path()).status == 404


def test_an_undeleted_item_outlives_its_planned_end():
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    sim.ask("PUT", item_path(), UNDELETE_CLI)
    sim.advance(20 * 86_400)
    assert sim.item()["protectionState"] == "ProtectionStopped"


def test_an_item_is_deleted_for_good_where_soft_delete_is_off():
    sim = lab()
    config = {"properties": {"softDeleteFeatureState": "Disabled"}}
    assert sim.ask("PATCH", f"{VAULT}/backupconfig/vaultconfig", config).status == 200
    sim.enable()
    reply = sim.ask("DELETE", item_path())
    sim.advance(90)
    assert sim.operation(reply)["status"] == "InProgress"  # 101 to 119 s recorded
    sim.advance(30)
    assert sim.ask("GET", item_path()).status == 404
    text = "backupManagementType eq 'AzureIaasVM'"
    assert sim.get(f"{VAULT}/backupProtectionContainers", _filter=text)["value"] == []
    assert sim.put_item().status == 202


def test_deleting_what_is_not_there_is_204():
    assert lab().ask("DELETE", item_path()).status == 204


@pytest.mark.parametrize(
    "text, count",
    [
        pytest.param(VMS, 3, id="all VMs"),
        pytest.param("backupManagementType eq 'AzureWorkload'", 0, id="databases"),
        pytest.param("policyName eq 'EnhancedPolicy'", 1, id="of a policy"),
        pytest.param("friendlyName eq 'VM2'", 1, id="by name in any case"),
        pytest.param("containerName eq 'iaasvmcontainerv2;rg1;vm3'", 1, id="by container"),
        pytest.param(VMS.replace("eq", "EQ").replace(" and ", "  AND "), 3, id="loud"),
        pytest.param("", 3, id="no filter"),
    ],
)
def test_items_are_listed_by_what_a_filter_asks(text, count):
    sim = lab(vm("vm2"), vm("vm3"))
    for name, policy in (
        ("vm1", "DefaultPolicy"),
        ("vm2", "EnhancedPolicy"),
        ("vm3", "DefaultPolicy"),
    ):
        sim.put_item(name, policy)
    sim.advance(400)
    query = {"_filter": text} if text else {}
    assert len(sim.get(f"{VAULT}/backupProtectedItems", **query)["value"]) == count


def test_a_long_list_comes_in_pages_that_repeat_nothing():
    sim = lab(*[vm(f"m{n}") for n in range(7)], knobs={"backup.page": 3})
    for number in range(7):
        sim.put_item(f"m{number}")
    sim.advance(400)
    seen: list[str] = []
    page = sim.get(f"{VAULT}/backupProtectedItems", _filter=VMS)
    while True:
        seen += [entry["name"] for entry in page["value"]]
        if "nextLink" not in page:
            break
        assert page["nextLink"].startswith("https://")
        token = page["nextLink"].split("$skipToken=")[1].replace("%3D", "=")
        assert "%24filter" in page["nextLink"] or "$filter" in page["nextLink"]
        page = sim.get(f"{VAULT}/backupProtectedItems", _filter=VMS, _skipToken=token)
    assert len(seen) == len(set(seen)) == 7


def test_a_soft_deleted_container_is_listed_as_registered():
    """Report §6.22."""
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    text = "backupManagementType eq 'AzureIaasVM' and status eq 'Registered'"
    (container,) = sim.get(f"{VAULT}/backupProtectionContainers", _filter=text)["value"]
    assert container["properties"]["registrationStatus"] == "SoftDeleted"
    text = "backupManagementType eq 'AzureIaasVM'"
    assert sim.get(f"{VAULT}/backupDeletedProtectionContainers", _filter=text)["value"]


def test_expanding_an_item_tells_how_many_points_it_has():
    sim = lab()
    sim.enable()
    sim.advance(86_400)
    expanded = sim.get(item_path(), _filter="expand eq 'extendedInfo'")
    assert expanded["properties"]["extendedInfo"]["recoveryPointCount"] == 1


def test_items_of_two_vaults_stay_apart():
    sim = lab(vault_body(SECOND_VAULT))
    sim.enable()
    assert sim.get(f"{SECOND_VAULT}/backupProtectedItems")["value"] == []
    assert error_of(sim.ask("GET", item_path(vault=SECOND_VAULT)))[0] == 404
