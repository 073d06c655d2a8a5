"""Shapes of the recorded years, member by member and in order, and restores as jobs.

Truth: recorded (report §3.2, §3.3); each list of names is what a recording of that year has.
"""

from __future__ import annotations

import pytest

from tests.simulator.backup_lab import VAULT, error_of, item_path, lab, operation_id

ON_DEMAND = {"properties": {"objectType": "IaasVMBackupRequest"}}
HEAD = [
    "friendlyName",
    "virtualMachineId",
    "protectionStatus",
    "protectionState",
    "healthStatus",
    "lastBackupStatus",
    "lastBackupTime",
    "protectedItemDataId",
]
KIND = [
    "protectedItemType",
    "backupManagementType",
    "workloadType",
    "containerName",
    "sourceResourceId",
    "policyId",
    "policyName",
]
TAIL = ["vaultId", "isArchiveEnabled", "softDeleteRetentionPeriod"]


@pytest.mark.parametrize(
    "era, members",
    [
        pytest.param("2019", [*HEAD, *KIND], id="2019"),
        pytest.param("2021", ["kpisHealths", *HEAD, *KIND], id="2021"),
        pytest.param(
            "2022",
            ["kpisHealths", *HEAD, "ConfiguredRPGenerationFrequency", *KIND, *TAIL],
            id="January 2023",
        ),
        pytest.param("2023", [*HEAD, *KIND, *TAIL], id="2023"),
        pytest.param("2024", [*HEAD, "sourceSideScanning", *KIND, *TAIL], id="2024"),
        pytest.param("2025", [*HEAD, "policyType", *KIND, *TAIL], id="2025"),
    ],
)
def test_an_item_has_the_members_of_its_year_in_order(era, members):
    sim = lab(knobs={"backup.era": era})
    sim.enable()
    assert list(sim.item()) == members


@pytest.mark.parametrize(
    "era, members, actions",
    [
        pytest.param("2019", ["jobType", "duration", "actionsInfo"], [1], id="2019"),
        pytest.param(
            "2021", ["jobType", "containerName", "duration", "actionsInfo"], [1], id="2021"
        ),
        pytest.param(
            "2024",
            ["jobType", "actionsInfo", "containerName", "duration"],
            ["Cancellable"],
            id="2024",
        ),
    ],
)
def test_a_backup_job_has_the_members_of_its_year_in_order(era, members, actions):
    sim = lab(knobs={"backup.era": era})
    sim.enable()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    job = sim.jobs(_filter="operation eq 'Backup'")[0]
    assert list(job) == [
        *members,
        "virtualMachineVersion",
        "entityFriendlyName",
        "backupManagementType",
        "operation",
        "status",
        "startTime",
        "activityId",
    ]
    assert job["actionsInfo"] == actions


@pytest.mark.parametrize(
    "era, members",
    [
        pytest.param("2021", ["taskId", "duration", "status"], id="2021"),
        pytest.param(
            "2024", ["taskId", "startTime", "endTime", "duration", "status", "taskType"], id="2024"
        ),
    ],
)
def test_tasks_have_the_members_of_their_year(era, members):
    sim = lab(knobs={"backup.era": era})
    sim.enable()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    (entry,) = sim.get(f"{VAULT}/backupJobs", _filter="operation eq 'Backup'")["value"]
    job = sim.get(f"{VAULT}/backupJobs/{entry['name']}")["properties"]
    assert [list(task) for task in job["extendedInfo"]["tasksList"]] == [members, members]


@pytest.mark.parametrize(
    "era, content_type, signed",
    [
        pytest.param("2021", "application/json", False, id="2021"),
        pytest.param("2023", "application/json; charset=utf-8", False, id="2023"),
        pytest.param("2024", "application/json; charset=utf-8", True, id="2024"),
    ],
)
def test_headers_are_those_of_their_year(era, content_type, signed):
    sim = lab(knobs={"backup.era": era})
    reply = sim.put_item()
    assert ("&s=" in reply.headers["Azure-AsyncOperation"]) is signed
    assert sim.ask("GET", f"{VAULT}/backupJobs").content_type == content_type


def test_there_was_no_soft_delete_and_no_enhanced_policy_in_2019():
    sim = lab(knobs={"backup.era": "2019"})
    assert [entry["name"] for entry in sim.get(f"{VAULT}/backupPolicies")["value"]] == [
        "HourlyLogBackup",
        "DefaultPolicy",
        "EnhancedPolicy",
    ]  # the seeded vault was made before the knob was turned
    new = VAULT.replace("vault1", "old-vault")
    made = sim.ask("PUT", new, {"location": "westeurope", "sku": {"name": "Standard"}})
    assert (made.status, made.body["properties"]) == (201, {"provisioningState": "Succeeded"})
    assert len(sim.get(f"{new}/backupPolicies")["value"]) == 2
    config = sim.get(f"{new}/backupconfig/vaultconfig")["properties"]
    assert config["softDeleteFeatureState"] == "Disabled"
    assert sim.ask("DELETE", new).status == 200


def _restore(sim, kind: str = "RestoreDisks", **more: str):
    sim.enable()
    sim.world.knobs.turn({"backup.durations": {"backup": 60}})
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(100)
    sim.world.knobs.turn({"backup.durations": {}})
    (point,) = sim.get(f"{item_path()}/recoveryPoints")["value"]
    group = VAULT.split("/providers")[0]
    asked = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryType": kind,
        "storageAccountId": f"{group}/providers/Microsoft.Storage/storageAccounts/store",
        **more,
    }
    url = f"{item_path()}/recoveryPoints/{point['name']}/restore"
    return sim.ask("POST", url, {"properties": asked})


def test_a_restore_has_one_id_for_operation_and_job():
    """Report §6.11."""
    sim = lab()
    reply = _restore(sim, targetResourceGroupId=VAULT.split("/providers")[0])
    assert reply.status == 202
    sim.advance(4)
    done = sim.operation(reply)
    assert done["properties"]["jobId"] == operation_id(reply)
    job = sim.get(f"{VAULT}/backupJobs/{operation_id(reply)}")["properties"]
    assert (job["operation"], job["status"]) == ("Restore", "InProgress")
    assert job["extendedInfo"]["propertyBag"]["Job Type"] == "Recover disks"
    assert job["extendedInfo"]["internalPropertyBag"] == {"restoreLocationType": "RestoreDisks"}
    assert job["extendedInfo"]["progressPercentage"] == 1.0
    sim.advance(100)
    job = sim.get(f"{VAULT}/backupJobs/{operation_id(reply)}")["properties"]
    assert job["status"] == "Completed"
    assert "Template Blob Uri" in job["extendedInfo"]["propertyBag"]


@pytest.mark.parametrize(
    "kind, task",
    [
        ("OriginalLocation", "Update the virtual machine"),
        ("AlternateLocation", "Create the restored virtual machine"),
    ],
)
def test_a_restore_to_a_vm_has_a_second_task(kind, task):
    sim = lab()
    reply = _restore(sim, kind)
    job = sim.get(f"{VAULT}/backupJobs/{operation_id(reply)}")["properties"]
    assert [entry["taskId"] for entry in job["extendedInfo"]["tasksList"]] == [
        "Transfer data from vault",
        task,
    ]


def test_a_restore_that_is_not_one_is_refused():
    sim = lab()
    assert error_of(_restore(sim, "Elsewhere")) == (400, "BMSUserErrorInvalidInput")
    url = f"{item_path()}/recoveryPoints/17/restore"
    assert error_of(sim.ask("POST", url, {"properties": {}})) == (404, "ResourceNotFound")
