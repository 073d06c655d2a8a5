"""What vaults and backup refuse at once: each with status, code and the words a client sees.

Truth is with each refusal in ``simulator/backup/refusals.py``: a real answer, a documented text, or
an assumption.
"""

from __future__ import annotations

from typing import Any

import pytest

from simulator.backup.names import VmName
from tests.simulator.backup_lab import (
    GROUP,
    LOCATION,
    OTHER,
    SECOND_VAULT,
    SOMEBODY,
    SUBSCRIPTION,
    VAULT,
    VM_TYPE,
    daily_policy,
    enable_body,
    error_of,
    item_path,
    lab,
    policy_id,
    vault_body,
    vm,
    vm_id,
)

FORMAT = "BMSUserErrorInvalidConfigureProtectionRequest"
INPUT = "BMSUserErrorInvalidInput"
POLICY = "BMSUserErrorInvalidPolicyInput"
GONE = "BMSUserErrorDataSourceObjectNotFound"


def _without(body: dict[str, Any], member: str) -> dict[str, Any]:
    return {"properties": {k: v for k, v in body["properties"].items() if k != member}}


def _with(**changed: Any) -> dict[str, Any]:
    return {"properties": enable_body()["properties"] | changed}


@pytest.mark.parametrize(
    "body, code",
    [
        pytest.param({}, INPUT, id="no properties"),
        pytest.param({"properties": []}, INPUT, id="properties are a list"),
        pytest.param(_without(enable_body(), "protectedItemType"), INPUT, id="no type"),
        pytest.param(_with(protectedItemType="AzureVmWorkload"), INPUT, id="another type"),
        pytest.param(_without(enable_body(), "sourceResourceId"), INPUT, id="no VM"),
        pytest.param(_without(enable_body(), "policyId"), INPUT, id="no policy"),
        pytest.param(_with(policyId=""), INPUT, id="empty policy"),
        pytest.param(_with(sourceResourceId=vm_id("other")), FORMAT, id="VM of another name"),
        pytest.param(_with(sourceResourceId="vm1"), FORMAT, id="VM id that is no id"),
        pytest.param(
            _with(policyId=policy_id(vault=SECOND_VAULT)), FORMAT, id="policy of another vault"
        ),
        pytest.param(_with(policyId=policy_id("nowhere")), FORMAT, id="policy that is not there"),
        pytest.param(_with(policyId="DefaultPolicy"), FORMAT, id="policy name instead of id"),
        pytest.param(
            _with(policyId=policy_id("HourlyLogBackup")),
            "BMSUserErrorInvalidPolicyForGivenProvider",
            id="policy for databases",
        ),
        pytest.param(_with(protectionState="Protected"), INPUT, id="state of a GET"),
        pytest.param(
            _with(protectionState="ProtectionStopped"), INPUT, id="stop that names a policy"
        ),
        pytest.param(
            _with(extendedProperties={"diskExclusionProperties": {"diskLunList": "0"}}),
            INPUT,
            id="LUNs that are no list",
        ),
        pytest.param(
            _with(
                extendedProperties={
                    "diskExclusionProperties": {"diskLunList": [0], "isInclusionList": "yes"}
                }
            ),
            INPUT,
            id="inclusion that is no boolean",
        ),
        pytest.param(_with(isRehydrate=True), GONE, id="undelete of nothing"),
    ],
)
def test_a_put_with_a_wrong_body_is_refused_with_400(body, code):
    reply = lab(vault_body(SECOND_VAULT)).ask("PUT", item_path(), body, caller=SOMEBODY)
    assert error_of(reply) == (404 if code == GONE else 400, code)
    assert "x-ms-failure-cause" not in reply.headers
    assert set(reply.body["error"]) == {"code", "message", "target", "details", "innerError"}


def test_a_put_without_json_is_refused():
    status, _ = error_of(lab().ask("PUT", item_path(), "text"))
    assert status == 400


@pytest.mark.parametrize(
    "container, item",
    [
        pytest.param("iaasvmcontainerv2;rg1;vm1", "VM;iaasvmcontainerv2;rg1;vm1", id="no prefix"),
        pytest.param(
            "IaasVMContainer;iaasvmcontainerv2;rg1;vm1",
            "VM;iaasvmcontainerv2;rg1;vm2",
            id="item of another container",
        ),
        pytest.param("IaasVMContainer;iaasvmcontainerv2;rg1;", "VM;x", id="nothing after ;"),
        pytest.param(
            "IaasVMContainer;iaasvmcontainer;rg1;vm1",
            "VM;iaasvmcontainer;rg1;vm1",
            id="classic VM",
        ),
        pytest.param(
            "IaasVMContainer;iaasvmcontainerv2;rg1;vm1;x",
            "VM;iaasvmcontainerv2;rg1;vm1;x",
            id="one word too many",
        ),
    ],
)
def test_a_put_to_bad_names_is_refused(container, item):
    path = f"{VAULT}/backupFabrics/Azure/protectionContainers/{container}/protectedItems/{item}"
    assert error_of(lab().ask("PUT", path, enable_body())) == (400, FORMAT)


def test_only_the_azure_fabric_exists():
    path = item_path().replace("backupFabrics/Azure", "backupFabrics/Windows")
    assert error_of(lab().ask("PUT", path, enable_body())) == (400, FORMAT)


def test_a_vm_that_is_not_there_is_refused():
    assert error_of(lab().put_item("nobody")) == (400, FORMAT)


def test_a_vm_of_another_region_is_refused_at_once():
    sim = lab(vm("vm1", location="northeurope"))
    assert error_of(sim.put_item()) == (400, FORMAT)


def test_a_vm_of_another_region_can_be_refused_in_the_job():
    sim = lab(vm("vm1", location="northeurope"), knobs={"backup.region_mismatch": "job"})
    reply = sim.put_item()
    sim.advance(400)
    assert sim.operation(reply)["error"]["code"] == "UserErrorVmVaultLocationMismatch"


def test_a_vm_of_the_same_name_in_another_subscription_collides():
    twin = vm("vm1", subscription=OTHER)
    sim = lab(twin)
    sim.enable()
    reply = sim.ask("PUT", item_path(), enable_body(subscription=OTHER))
    assert error_of(reply) == (400, "VirtualMachineAlreadyProtected")


def test_an_enhanced_item_does_not_go_back_to_a_standard_policy():
    sim = lab()
    sim.enable(policy="EnhancedPolicy")
    assert error_of(sim.put_item())[0] == 400


def test_another_wish_while_one_is_carried_out_meets_a_lock():
    sim = lab()
    sim.enable()
    assert sim.put_item(policy="EnhancedPolicy").status == 202
    stop = _with(protectionState="ProtectionStopped", policyId="")
    assert error_of(sim.ask("PUT", item_path(), stop)) == (409, "BMSUserErrorObjectLocked")
    assert error_of(sim.ask("DELETE", item_path())) == (409, "BMSUserErrorObjectLocked")


def test_deleting_a_soft_deleted_item_again_is_accepted_and_changes_nothing():
    """Recorded in January 2021, twice in a row."""
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    before = sim.item()

    assert sim.ask("DELETE", item_path()).status == 202
    sim.advance(30)

    left = "deferredDeleteTimeRemaining"
    assert {**sim.item(), left: ""} == {**before, left: ""}
    assert [job["operation"] for job in sim.jobs()][:2] == ["DeleteBackupData"] * 2


def test_a_soft_deleted_item_must_be_undeleted_before_it_is_enabled():
    sim = lab()
    sim.enable()
    sim.ask("DELETE", item_path())
    sim.advance(30)
    assert error_of(sim.put_item()) == (400, FORMAT)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(item_path(), id="item"),
        pytest.param(f"{item_path()}/recoveryPoints", id="points of an item"),
        pytest.param(
            f"{VAULT}/backupFabrics/Azure/protectionContainers/"
            f"{VmName(group='rg1', vm='vm1').container}",
            id="container",
        ),
    ],
)
def test_reading_what_is_not_registered_is_a_404_of_the_service(path):
    assert error_of(lab().ask("GET", path)) == (404, GONE)


@pytest.mark.parametrize(
    "tail",
    [
        "/backupPolicies/nowhere",
        "/backupJobs/00000000-0000-4000-8000-000000000000",
        "/backupOperations/00000000-0000-4000-8000-000000000000",
        "/backupResourceGuardProxies/VaultProxy",
    ],
)
def test_reading_what_a_vault_does_not_have_is_a_404(tail):
    assert error_of(lab().ask("GET", VAULT + tail)) == (404, "ResourceNotFound")


@pytest.mark.parametrize("tail", ["", "/backupPolicies", "/backupJobs", "/backupProtectedItems"])
def test_everything_of_a_vault_that_is_not_there_is_arms_own_404(tail):
    reply = lab().ask("GET", VAULT.replace("vault1", "nowhere") + tail)
    assert error_of(reply) == (404, "ResourceNotFound")
    assert reply.headers["x-ms-failure-cause"] == "gateway"
    assert "https://aka.ms/ARMResourceNotFoundFix" in reply.body["error"]["message"]


@pytest.mark.parametrize(
    "tail, text",
    [
        pytest.param("/backupJobs", "state eq 'InProgress'", id="unknown field"),
        pytest.param("/backupJobs", "status ne 'InProgress'", id="unknown operator"),
        pytest.param("/backupJobs", "status eq InProgress", id="value without quotes"),
        pytest.param("/backupJobs", "status eq 'Done'", id="status that does not exist"),
        pytest.param("/backupJobs", "operation eq 'Enable'", id="operation that does not exist"),
        pytest.param("/backupJobs", "startTime eq 'yesterday'", id="time that is none"),
        pytest.param("/backupJobs", "status eq 'Failed' or status eq 'x'", id="or"),
        pytest.param("/backupProtectedItems", "vmId eq 'x'", id="unknown field of items"),
        pytest.param("/backupProtectedItems", "itemType eq 'VM' itemType eq 'VM'", id="no and"),
        pytest.param("/backupProtectedItems", "backupManagementType eq 'VM'", id="management type"),
        pytest.param("/backupProtectableItems", "vaultId eq 'x'", id="field of protectable items"),
        pytest.param("/backupProtectionContainers", "friendlyName eq 'x'", id="no management type"),
    ],
)
def test_a_filter_the_list_does_not_know_is_refused(tail, text):
    assert error_of(lab().ask("GET", VAULT + tail, _filter=text)) == (400, INPUT)


def test_a_skip_token_of_nobody_is_refused():
    reply = lab().ask("GET", f"{VAULT}/backupJobs", _skipToken="bm90LW1pbmU=")
    assert error_of(reply) == (400, INPUT)


def _schedule(**changed: Any) -> dict[str, Any]:
    policy = daily_policy()
    return policy | {"schedulePolicy": policy["schedulePolicy"] | changed}


@pytest.mark.parametrize(
    "properties, code",
    [
        pytest.param({}, INPUT, id="no management type"),
        pytest.param(daily_policy(timeZone="Berlin"), POLICY, id="IANA-like time zone"),
        pytest.param(daily_policy(at="2026-03-02T23:10:00Z"), POLICY, id="not a half hour"),
        pytest.param(daily_policy(days=6), "BMSUserErrorPolicyRetentionInvalid", id="6 days"),
        pytest.param(
            daily_policy(days=10_000), "BMSUserErrorPolicyRetentionInvalid", id="27 years"
        ),
        pytest.param(daily_policy(policyType="V2"), POLICY, id="V2 with a Standard schedule"),
        pytest.param(daily_policy(instantRpRetentionRangeInDays=6), POLICY, id="6 instant days"),
        pytest.param(_schedule(scheduleRunFrequency="Hourly"), POLICY, id="hourly Standard"),
        pytest.param(_schedule(scheduleRunTimes=[]), POLICY, id="no time"),
        pytest.param(_schedule(scheduleRunFrequency="Weekly"), POLICY, id="weekly without days"),
        pytest.param(daily_policy() | {"retentionPolicy": {}}, POLICY, id="no retention"),
        pytest.param(
            daily_policy(tieringPolicy={"ArchivedRP": {"tieringMode": "TierRecommended"}}),
            POLICY,
            id="archive without months",
        ),
    ],
)
def test_a_policy_that_is_not_one_is_refused(properties, code):
    reply = lab().ask("PUT", policy_id("gold"), {"properties": properties})
    assert error_of(reply) == (400, code)


@pytest.mark.parametrize("name", ["ab", "1gold", "gold-", "go.ld", "g" * 151])
def test_a_policy_name_that_is_not_one_is_refused(name):
    reply = lab().ask("PUT", policy_id(name), {"properties": daily_policy()})
    assert error_of(reply) == (400, INPUT)


def test_a_policy_in_use_is_not_deleted():
    sim = lab()
    sim.enable()
    assert error_of(sim.ask("DELETE", policy_id())) == (400, "BMSUserErrorPolicyObjectInUse")


def test_a_policy_keeps_its_kind():
    reply = lab().ask("PUT", policy_id("EnhancedPolicy"), {"properties": daily_policy()})
    assert error_of(reply) == (400, POLICY)


@pytest.mark.parametrize(
    "name, body, expected",
    [
        pytest.param("v", {"location": "westeurope"}, (400, "InvalidResourceName"), id="short"),
        pytest.param("1v1", {"location": "x"}, (400, "InvalidResourceName"), id="digit first"),
        pytest.param(
            "v3", {"sku": {"name": "Standard"}}, (400, "LocationRequired"), id="no location"
        ),
        pytest.param("v3", {"location": "westeurope"}, (400, INPUT), id="no sku"),
        pytest.param(
            "vault1",
            {"location": "northeurope", "sku": {"name": "Standard"}},
            (409, "InvalidResourceLocation"),
            id="there, elsewhere",
        ),
    ],
)
def test_a_vault_that_is_not_one_is_refused(name, body, expected):
    path = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/{name}"
    assert error_of(lab().ask("PUT", path, body)) == expected


def test_a_vault_in_a_group_that_is_not_there_is_refused():
    path = VAULT.replace("rg1", "nowhere")
    body = {"location": "westeurope", "sku": {"name": "Standard"}}
    reply = lab().ask("PUT", path, body, caller=SOMEBODY)
    assert error_of(reply) == (404, "ResourceGroupNotFound")


def test_a_vault_with_items_is_not_deleted_and_soft_deleted_ones_are_named():
    sim = lab()
    sim.enable()
    assert error_of(sim.ask("DELETE", VAULT)) == (400, "BMSUserErrorVaultDeletionNotAllowed")
    sim.ask("DELETE", item_path())
    sim.advance(30)
    reply = sim.ask("DELETE", VAULT)
    assert error_of(reply) == (400, "ServiceResourceNotEmptyWithBackendMessage")
    assert "vm1" in reply.body["error"]["message"]


def test_redundancy_is_fixed_by_the_first_item():
    sim = lab()
    path = f"{VAULT}/backupstorageconfig/vaultstorageconfig"
    asked = {"properties": {"storageType": "LocallyRedundant"}}
    assert sim.ask("PUT", path, asked).status == 200
    sim.enable()
    asked["properties"]["storageType"] = "ZoneRedundant"
    assert error_of(sim.ask("PUT", path, asked)) == (400, "CloudStorageTypeNotModifiable")
    assert sim.get(path)["properties"]["storageTypeState"] == "Locked"


def test_soft_delete_that_is_always_on_stays_on():
    sim = lab(vault_body(securitySettings={"softDeleteSettings": {"softDeleteState": "AlwaysON"}}))
    path = f"{VAULT}/backupconfig/vaultconfig"
    reply = sim.ask("PATCH", path, {"properties": {"softDeleteFeatureState": "Disabled"}})
    assert error_of(reply) == (400, INPUT)
    assert sim.get(path)["properties"]["isSoftDeleteFeatureStateEditable"] is False


@pytest.mark.parametrize(
    "call, body",
    [
        pytest.param("backupStatus", {}, id="status of nothing"),
        pytest.param("backupStatus", {"resourceType": "SQL", "resourceId": vm_id()}, id="SQL"),
        pytest.param("backupStatus", {"resourceType": "VM", "resourceId": "vm1"}, id="no id"),
        pytest.param(
            "backupStatus",
            {"resourceType": "VM", "resourceId": vm_id(subscription=OTHER)},
            id="VM of another subscription",
        ),
        pytest.param(
            "backupPreValidateProtection",
            {"resourceType": "VM", "resourceId": vm_id(), "vaultId": SECOND_VAULT},
            id="vault that is not there",
        ),
        pytest.param("backupValidateFeatures", {"featureType": "Other"}, id="another feature"),
    ],
)
def test_a_question_about_a_vm_that_is_not_one_is_refused(call, body):
    assert error_of(lab().ask("POST", f"{LOCATION}/westeurope/{call}", body)) == (400, INPUT)


@pytest.mark.parametrize(
    "body, expected",
    [
        pytest.param({}, (400, INPUT), id="no object type"),
        pytest.param(
            {"objectType": "IaasVMBackupRequest", "recoveryPointExpiryTimeInUTC": "tomorrow"},
            (400, INPUT),
            id="expiry that is no time",
        ),
        pytest.param(
            {"objectType": "IaasVMBackupRequest", "recoveryPointExpiryTimeInUTC": "2020-01-01"},
            (400, INPUT),
            id="expiry of the past",
        ),
    ],
)
def test_a_backup_request_that_is_not_one_is_refused(body, expected):
    sim = lab()
    sim.enable()
    reply = sim.ask("POST", f"{item_path()}/backup", {"properties": body})
    assert error_of(reply) == expected


ON_DEMAND = {"properties": {"objectType": "IaasVMBackupRequest"}}


def test_a_second_backup_while_one_runs_is_refused():
    sim = lab()
    sim.enable()
    assert sim.ask("POST", f"{item_path()}/backup", ON_DEMAND).status == 202
    again = sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    assert error_of(again) == (400, "UserErrorBackupOperationInProgress")


def test_the_tenth_backup_of_a_day_is_refused():
    sim = lab(knobs={"backup.durations": {"backup": 60}})
    sim.enable()
    for _ in range(9):
        assert sim.ask("POST", f"{item_path()}/backup", ON_DEMAND).status == 202
        sim.advance(100)
    assert error_of(sim.ask("POST", f"{item_path()}/backup", ON_DEMAND))[0] == 400


def test_a_stopped_item_is_not_backed_up_on_demand():
    sim = lab()
    sim.enable()
    sim.ask("PUT", item_path(), _with(protectionState="ProtectionStopped", policyId=""))
    sim.advance(30)
    reply = sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    assert error_of(reply) == (400, "UserErrorBcmDatasourceNotPresent")


IMMUTABLE = {"immutabilitySettings": {"state": "Locked"}}


def test_an_immutable_vault_lets_nothing_reduce_protection():
    sim = lab(vault_body(securitySettings=IMMUTABLE))
    sim.ask("PUT", policy_id("short-one"), {"properties": daily_policy(days=7)})
    sim.enable()
    denied = (400, "UserErrorOperationDeniedOnImmutableItem")
    stop = _with(protectionState="ProtectionStopped", policyId="")
    assert error_of(sim.ask("PUT", item_path(), stop)) == denied
    assert error_of(sim.ask("DELETE", item_path())) == denied
    assert error_of(sim.put_item(policy="short-one")) == denied
    unlock = {"properties": {"securitySettings": {"immutabilitySettings": {"state": "Disabled"}}}}
    assert error_of(sim.ask("PATCH", VAULT, unlock)) == denied


def test_suspending_needs_an_immutable_vault():
    sim = lab()
    sim.enable()
    suspend = _with(protectionState="BackupsSuspended", policyId="")
    assert error_of(sim.ask("PUT", item_path(), suspend)) == (400, INPUT)


def test_a_guarded_vault_wants_a_second_approval():
    sim = lab()
    sim.enable()
    proxy = f"{VAULT}/backupResourceGuardProxies/VaultProxy"
    guard = f"{GROUP}/providers/Microsoft.DataProtection/resourceGuards/guard"
    made = sim.ask("PUT", proxy, {"properties": {"resourceGuardResourceId": guard}})
    assert made.status == 200
    stop = _with(protectionState="ProtectionStopped", policyId="")
    refused = sim.ask("PUT", item_path(), stop)
    assert "requestid is either null or empty" in refused.body["error"]["message"]
    assert sim.ask("DELETE", item_path()).status == 400
    stop["properties"]["resourceGuardOperationRequests"] = [f"{guard}/x/default"]
    assert sim.ask("PUT", item_path(), stop).status == 202


def test_a_resource_guard_of_another_tenant_is_not_linked():
    """Recorded in December 2022."""
    elsewhere = "99999999-9999-4999-8999-999999999999"
    guard = GROUP.replace(SUBSCRIPTION, elsewhere)
    body = {
        "resourceGuardResourceId": f"{guard}/providers/Microsoft.DataProtection/resourceGuards/g"
    }
    reply = lab().ask("PUT", f"{VAULT}/backupResourceGuardProxies/VaultProxy", {"properties": body})
    assert error_of(reply) == (403, "LinkedAuthorizationFailed")


def _assignment(role: str, scope: str, number: int) -> dict[str, Any]:
    name = f"00000000-0000-4000-8000-00000000000{number}"
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "properties": {
            "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers"
            f"/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": SOMEBODY.object_id,
            "principalType": "ServicePrincipal",
        },
    }


BACKUP_CONTRIBUTOR = "5e467623-bb1f-42f4-a55d-6e525e11384b"
VM_CONTRIBUTOR = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"


def test_rights_on_the_vault_without_rights_on_the_vm_are_not_enough():
    """Facts §8.2; that it is write that is asked for is assumed."""
    vm_group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/machines"
    machine = vm("vm1", group="machines")
    rights = _assignment(BACKUP_CONTRIBUTOR, GROUP, 1)
    sim = lab(machine, rights)
    path, body = item_path(group="machines"), enable_body(group="machines")
    reply = sim.ask("PUT", path, body, caller=SOMEBODY)
    assert error_of(reply) == (403, "LinkedAuthorizationFailed")
    assert "Microsoft.Compute/virtualMachines/write" in reply.body["error"]["message"]
    sim = lab(machine, rights, _assignment(VM_CONTRIBUTOR, vm_group, 2))
    assert sim.ask("PUT", path, body, caller=SOMEBODY).status == 202


def test_a_vm_outside_the_tenant_is_refused():
    elsewhere = "99999999-9999-4999-8999-999999999999"
    body = enable_body(subscription=elsewhere)
    reply = lab().ask("PUT", item_path(), body)
    assert error_of(reply) == (403, "LinkedAuthorizationFailed")


def test_what_is_not_simulated_says_so():
    reply = lab().ask("POST", f"{VAULT}/backupSecurityPIN", {})
    assert error_of(reply) == (501, "NotSimulated")


def test_vm_type_is_compared_in_any_case():
    assert lab().ask("PUT", item_path(), _with(protectedItemType=VM_TYPE.upper())).status == 202
