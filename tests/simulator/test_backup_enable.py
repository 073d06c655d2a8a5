"""Enabling a VM: the 202, the operation under all its URLs, the job, the item, and what goes wrong.

Truth: report §1.1, §3.1, §6 and facts §1.6, §2 (recorded), unless a test says otherwise.
"""

from __future__ import annotations

import pytest

from tests.simulator.backup_lab import (
    SECOND_VAULT,
    VAULT,
    enable_body,
    error_of,
    item_path,
    lab,
    operation_id,
    vault_body,
    vm,
    vm_id,
)


def test_a_put_answers_202_without_a_body_and_says_where_and_when_to_look():
    reply = lab().put_item()
    assert (reply.status, reply.body) == (202, None)
    assert reply.headers["Retry-After"] == "60"
    where = item_path().replace("%3B", ";")
    assert f"{where}/operationsStatus/" in reply.headers["Azure-AsyncOperation"]
    assert f"{where}/operationResults/" in reply.headers["Location"]
    assert operation_id(reply) in reply.headers["Location"]


def test_a_polling_url_is_signed_and_thousands_of_characters_long():
    url = lab().put_item().headers["Azure-AsyncOperation"]
    assert len(url) > 3000
    assert all(f"&{name}=" in url for name in "tcsh")


def test_an_operation_runs_and_then_succeeds_with_a_job_and_an_end_that_is_its_start():
    sim = lab()
    reply = sim.put_item()
    running = sim.operation(reply)
    assert running["status"] == "InProgress"
    assert running["endTime"] == "0001-01-01T00:00:00"
    assert "properties" not in running
    sim.advance(400)
    done = sim.operation(reply)
    assert done["status"] == "Succeeded"
    assert done["endTime"] == done["startTime"]
    assert done["properties"]["objectType"] == "OperationStatusJobExtendedInfo"


def test_one_operation_answers_alike_under_the_item_and_under_the_vault():
    sim = lab()
    reply = sim.put_item()
    of_item = sim.get(f"{item_path()}/operationsStatus/{operation_id(reply)}")
    assert of_item == sim.operation(reply)


def test_the_result_url_answers_202_until_there_is_an_item():
    sim = lab()
    url = f"{item_path()}/operationResults/{operation_id(sim.put_item())}"
    waiting = sim.ask("GET", url)
    assert (waiting.status, waiting.body) == (202, None)
    assert waiting.headers["Location"]
    sim.advance(400)
    assert sim.get(url)["properties"]["protectionState"] == "IRPending"


def test_an_enabled_vm_is_pending_and_has_no_backup():
    sim = lab()
    sim.enable()
    item = sim.item()
    assert item["protectionState"] == "IRPending"
    assert item["lastBackupTime"] == "2001-01-01T00:00:00Z"
    assert item["lastBackupStatus"] == ""
    assert item["policyName"] == "DefaultPolicy"
    assert item["vaultId"] == f"https://management.azure.com{VAULT}"
    assert "lastRecoveryPoint" not in item
    assert "healthDetails" not in item


def test_the_job_carries_the_callers_own_request_id():
    sim = lab()
    sim.ask("PUT", item_path(), enable_body(), request_id="my-own-id")
    sim.advance(400)
    (job,) = sim.jobs()
    assert job["activityId"] == "my-own-id"
    assert (job["operation"], job["status"]) == ("ConfigureBackup", "Completed")


@pytest.mark.parametrize("visible", [False, True], ids=["hidden", "visible"])
def test_a_knob_shows_or_hides_the_item_while_its_operation_runs(visible):
    """Assumed both ways: no recording reads the item in between."""
    sim = lab(knobs={"backup.item.visible_while_enabling": visible})
    sim.put_item()
    seen = sim.ask("GET", item_path())
    assert seen.status == (200 if visible else 404)
    listed = sim.get(f"{VAULT}/backupProtectedItems")["value"]
    assert len(listed) == int(visible)


def test_the_same_put_again_is_a_policy_update_with_a_job_of_its_own():
    sim = lab()
    sim.enable()
    again = sim.put_item()
    sim.advance(10)
    assert sim.operation(again)["status"] == "Succeeded"
    assert [job["operation"] for job in sim.jobs()] == ["ConfigureBackup", "ConfigureBackup"]


def test_the_same_put_while_it_runs_is_the_same_wish():
    """Report §6.35: a PUT repeated after a 504 met no conflict."""
    sim = lab()
    first, second = sim.put_item(), sim.put_item()
    sim.advance(400)
    assert sim.operation(first)["status"] == sim.operation(second)["status"] == "Succeeded"
    assert len(sim.get(f"{VAULT}/backupProtectedItems")["value"]) == 1


def test_names_may_come_in_any_case_and_keep_the_first_one():
    sim = lab()
    sim.ask("PUT", item_path().replace("rg1%3Bvm1", "RG1%3BVM1"), enable_body())
    sim.advance(400)
    body = sim.get(item_path().lower().replace("%3b", ";"))
    assert body["name"] == "VM;iaasvmcontainerv2;RG1;VM1"


def test_ids_begin_with_the_vault_as_the_request_spelled_it():
    sim = lab()
    sim.enable()
    listed = sim.get(VAULT.replace("/subscriptions/", "/Subscriptions/") + "/backupProtectedItems")
    assert listed["value"][0]["id"].startswith("/Subscriptions/")
    assert listed["value"][0]["properties"]["policyId"].startswith("/Subscriptions/")


@pytest.mark.parametrize(
    "age, slowest, fastest",
    [
        pytest.param(5, 135, 89, id="a VM of five seconds waits for its agent"),
        pytest.param(3600, 95, 30, id="a VM of an hour does not"),
    ],
)
def test_enabling_takes_as_long_as_recorded_for_the_age_of_the_vm(age, slowest, fastest):
    taken = []
    for index in range(12):
        sim = lab(vm(f"vm{index}x", timeCreated="2026-03-02T08:00:00Z"))
        sim.advance(age)
        reply = sim.put_item(f"vm{index}x")
        seconds = 0
        while sim.operation(reply)["status"] == "InProgress":
            sim.advance(1)
            seconds += 1
        taken.append(seconds)
    assert fastest <= min(taken)
    assert max(taken) <= slowest


def test_most_enables_of_old_vms_take_31_seconds():
    ends = 0
    for index in range(40):
        sim = lab(vm(f"old{index}"))
        sim.put_item(f"old{index}")
        sim.advance(32.5)
        ends += sim.jobs()[0]["status"] == "Completed"
    assert ends >= 26  # recorded: about five in six


def test_a_duration_can_be_ordered():
    sim = lab(knobs={"backup.durations": {"enable": 5}})
    reply = sim.put_item()
    sim.advance(5)
    assert sim.operation(reply)["status"] == "Succeeded"


def test_an_ordered_failure_arrives_in_operation_and_job():
    order = {"enable": {"fails": "job", "code": "UserErrorGuestAgentStatusUnavailable", "times": 1}}
    sim = lab(vm("vm1", sim=order))
    reply = sim.put_item()
    sim.advance(400)
    failed = sim.operation(reply)
    assert failed["status"] == "Failed"
    assert failed["error"]["code"] == "UserErrorGuestAgentStatusUnavailable"
    (job,) = sim.jobs()
    assert job["status"] == "Failed"
    assert job["errorDetails"][0]["errorCode"] == 400196
    assert error_of(sim.ask("GET", item_path())) == (404, "BMSUserErrorDataSourceObjectNotFound")
    sim.enable()
    assert sim.item()["protectionState"] == "IRPending"


def test_an_ordered_failure_arrives_in_the_operation_without_a_job():
    sim = lab(vm("vm1", sim={"enable": {"fails": "operation", "code": "CloudInternalError"}}))
    reply = sim.put_item()
    sim.advance(400)
    failed = sim.operation(reply)
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "CloudInternalError")
    assert "properties" not in failed
    assert sim.jobs() == []


def test_an_ordered_failure_arrives_at_once():
    orders = {
        vm_id(): {"fails": "4xx", "code": "BMSUserErrorObjectLocked", "status": 409, "times": 2}
    }
    sim = lab(knobs={"backup.enable.orders": orders})
    assert error_of(sim.put_item()) == (409, "BMSUserErrorObjectLocked")
    assert error_of(sim.put_item()) == (409, "BMSUserErrorObjectLocked")
    assert sim.put_item().status == 202


@pytest.mark.parametrize(
    "machine, code",
    [
        pytest.param(
            {"storageProfile": {"dataDisks": [{"lun": n} for n in range(33)]}},
            "UserErrorBCMUnsupportedDiskCount",
            id="33 data disks",
        ),
        pytest.param(
            {"storageProfile": {"osDisk": {"diffDiskSettings": {"option": "Local"}}}},
            "UserErrorUnsupportedDiskConfiguration",
            id="ephemeral OS disk",
        ),
        pytest.param(
            {"storageProfile": {"osDisk": {"vhd": {"uri": "https://x"}}}},
            "UserErrorUnsupportedStorageType",
            id="unmanaged disk",
        ),
        pytest.param(
            {
                "storageProfile": {
                    "dataDisks": [{"lun": 0, "managedDisk": {"storageAccountType": "UltraSSD_LRS"}}]
                }
            },
            "UserErrorUnsupportedStorageType",
            id="Ultra disk under a Standard policy",
        ),
        pytest.param(
            {"storageProfile": {"dataDisks": [{"lun": 0, "diskSizeGB": 70_000}]}},
            "UserErrorUnsupportedDiskSize",
            id="disk of 70 TB",
        ),
        pytest.param(
            {"securityProfile": {"securityType": "ConfidentialVM"}},
            "UserErrorTrustedLaunchNotSupportedWithStandardPolicy",
            id="Confidential VM under a Standard policy",
        ),
        pytest.param(
            {"provisioningState": "Updating"},
            "UserErrorVmNotInDesirableState",
            id="VM being updated",
        ),
    ],
)
def test_a_vm_that_cannot_be_protected_is_found_out_after_the_202(machine, code):
    """Facts §2.2, §3.2: the codes are documented, their arrival in the job is inferred."""
    sim = lab(vm("vm1", **machine))
    reply = sim.put_item()
    sim.advance(400)
    assert sim.operation(reply)["error"]["code"] == code
    assert sim.jobs()[0]["errorDetails"][0]["errorTitle"] == code


@pytest.mark.parametrize(
    "version, policy, outcome",
    [
        pytest.param("2024-04-01", "DefaultPolicy", "Failed", id="old client, Standard"),
        pytest.param("2025-02-01", "DefaultPolicy", "Succeeded", id="new client, Standard"),
        pytest.param("2024-04-01", "EnhancedPolicy", "Succeeded", id="old client, Enhanced"),
    ],
)
def test_a_standard_policy_takes_trusted_launch_since_2025(version, policy, outcome):
    sim = lab(vm("vm1", securityProfile={"securityType": "TrustedLaunch"}))
    reply = sim.ask("PUT", item_path(), enable_body(policy=policy), version=version)
    sim.advance(400)
    assert sim.operation(reply)["status"] == outcome


def test_a_plain_vm_under_the_name_of_a_trusted_launch_one_is_refused():
    """Documented (TSHOOT23): the old item stands in the way."""
    sim = lab(vm("vm1", securityProfile={"securityType": "TrustedLaunch"}))
    sim.enable(policy="EnhancedPolicy")
    sim.world.put(vm_id(), vm("vm1"), None)
    reply = sim.put_item(policy="EnhancedPolicy")
    sim.advance(10)
    code = sim.operation(reply)["error"]["code"]
    assert code == "UserErrorMigrationFromTrustedLaunchVMToNonTrustedVMNotAllowed"


def test_a_vm_of_another_vault_is_refused_in_the_job():
    sim = lab(vault_body(SECOND_VAULT))
    sim.enable()
    reply = sim.ask("PUT", item_path(vault=SECOND_VAULT), enable_body(vault=SECOND_VAULT))
    sim.advance(400)
    failed = sim.operation(reply, vault=SECOND_VAULT)
    assert "already registered" in failed["error"]["message"]


def test_a_vm_stopped_in_one_vault_can_be_protected_in_another():
    """Recorded (report §6.19)."""
    sim = lab(vault_body(SECOND_VAULT))
    sim.enable()
    stop = {"protectionState": "ProtectionStopped", "policyId": ""}
    sim.ask("PUT", item_path(), {"properties": enable_body()["properties"] | stop})
    sim.advance(30)
    reply = sim.ask("PUT", item_path(vault=SECOND_VAULT), enable_body(vault=SECOND_VAULT))
    sim.advance(400)
    assert sim.operation(reply, vault=SECOND_VAULT)["status"] == "Succeeded"


def test_a_full_vault_sends_the_next_vm_elsewhere():
    sim = lab(vm("vm2"), knobs={"backup.quota.vault": 1})
    sim.enable()
    reply = sim.put_item("vm2")
    sim.advance(400)
    assert sim.operation(reply)["error"]["code"] == "UserErrorProtectionQuotaExceeded"


def test_a_vault_takes_so_many_registrations_a_day_and_more_the_next():
    sim = lab(vm("vm2"), knobs={"backup.quota.day": 1})
    sim.enable()
    refused = sim.put_item("vm2")
    sim.advance(400)
    assert sim.operation(refused)["status"] == "Failed"
    sim.advance(86_400)
    sim.enable("vm2")
    assert sim.item("vm2")["policyName"] == "DefaultPolicy"


def test_a_failed_enable_gives_its_place_of_the_day_back():
    order = {"enable": {"fails": "job", "times": 1}}
    sim = lab(vm("vm1", sim=order), knobs={"backup.quota.day": 1})
    sim.put_item()
    sim.advance(400)
    sim.enable()
    assert sim.item()["protectionState"] == "IRPending"


@pytest.mark.parametrize("ends_as", ["fails", "orphan"])
def test_a_vm_deleted_while_it_is_enabled_fails_or_leaves_an_orphan(ends_as):
    """Assumed both ways."""
    sim = lab(knobs={"backup.deleted_while_enabling": ends_as})
    reply = sim.put_item()
    sim.world.delete(vm_id(), None)
    sim.advance(400)
    if ends_as == "fails":
        assert sim.operation(reply)["error"]["code"] == "UserErrorVmNotFoundV2"
    else:
        assert sim.item()["protectionState"] == "IRPending"


def test_an_enabled_item_is_published_as_a_write():
    sim = lab()
    seen = []
    sim.world.changes.append(lambda change: seen.append((change.kind, change.operation_name)))
    sim.enable()
    assert (
        "write",
        "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/write",
    ) in seen


def test_a_timeline_may_put_an_item_as_a_get_returns_it():
    sim = lab()
    body = enable_body(protectionState="Protected", friendlyName="vm1", lastBackupStatus="")
    assert sim.ask("PUT", item_path(), body).status == 202  # the lab asks as a timeline does
    sim.advance(400)
    assert sim.item()["protectionState"] == "IRPending"


def test_the_same_requests_give_the_same_answers():
    def story() -> list[object]:
        sim = lab(vm("vm2"))
        sim.enable()
        sim.enable("vm2")
        sim.advance(2 * 86_400)
        return sim.jobs()

    assert story() == story()
