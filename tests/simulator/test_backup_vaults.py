"""Vaults, their slow operations, settings and policies.

Truth: report §1.3, §1.4, §3.3 and facts §1.3, §1.11, §6.1.
"""

from __future__ import annotations

import base64

import pytest

from tests.simulator.backup_lab import (
    GROUP,
    OTHER,
    SECOND_VAULT,
    SUBSCRIPTION,
    VAULT,
    daily_policy,
    error_of,
    item_path,
    lab,
    policy_id,
    vault_body,
)

NEW = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/new-vault"
BODY = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}}
VAULTS = "/providers/Microsoft.RecoveryServices/vaults"


def _create(sim):
    reply = sim.ask("PUT", NEW, BODY, version="2025-08-01")
    assert reply.status == 201
    return reply, reply.headers["Azure-AsyncOperation"].split("?")[0].split("localhost")[1]


def test_a_new_vault_is_provisioning_and_its_operation_says_when_it_is_there():
    sim = lab(knobs={"backup.vault.first_404": "never", "backup.durations": {"vault": 30}})
    reply, where = _create(sim)
    assert reply.body["properties"]["provisioningState"] == "Provisioning"
    assert reply.headers["Retry-After"] == "60"
    assert "Location" not in reply.headers
    name = where.rsplit("/", 1)[1]
    assert base64.b64decode(name).decode().startswith("2047;")
    assert sim.get(where) == {"id": where, "name": name, "status": "InProgress"}
    sim.advance(31)
    assert sim.get(where)["status"] == "Succeeded"
    vault = sim.get(NEW)
    assert vault["properties"]["provisioningState"] == "Succeeded"
    assert vault["properties"]["backupStorageVersion"] == "Unassigned"
    assert vault["etag"].startswith("W/\"datetime'2026-03-02T08%3A00%3A30")


def test_the_first_look_at_a_new_vault_may_meet_a_404():
    """15 recordings: not replicated yet."""
    sim = lab(knobs={"backup.vault.first_404": "always"})
    _, where = _create(sim)
    assert error_of(sim.ask("GET", where)) == (404, "ResourceNotFound")
    assert sim.ask("GET", where).status == 200


def test_a_new_vault_owns_three_policies():
    sim = lab()
    _create(sim)
    listed = sim.get(f"{NEW}/backupPolicies")["value"]
    assert [entry["name"] for entry in listed] == [
        "HourlyLogBackup",
        "DefaultPolicy",
        "EnhancedPolicy",
    ]
    default, enhanced = (entry["properties"] for entry in listed[1:])
    assert "policyType" not in default
    assert enhanced["policyType"] == "V2"
    assert enhanced["schedulePolicy"]["hourlySchedule"]["interval"] == 4
    text = "backupManagementType eq 'AzureIaasVM'"
    assert len(sim.get(f"{NEW}/backupPolicies", _filter=text)["value"]) == 2


def test_the_default_policy_runs_ten_hours_after_its_vault_was_made_at_the_half_hour_before():
    """So in all 37 recorded vaults, whatever their region and year."""
    sim = lab(vault_body(VAULT))
    sim.advance(3 * 3600 + 14 * 60)  # 11:14, as on 7 August 2019
    sim.ask("PUT", NEW, BODY)
    schedule = sim.get(policy_id(vault=NEW))["properties"]["schedulePolicy"]
    assert schedule["scheduleRunTimes"] == ["2026-03-02T21:00:00Z"]


def test_an_existing_vault_is_replaced_at_once():
    sim = lab()
    reply = sim.ask("PUT", VAULT, BODY | {"tags": {"tier": "gold"}})
    assert reply.status == 200
    assert sim.get(VAULT)["tags"] == {"tier": "gold"}


def test_a_patch_is_an_operation_with_two_urls():
    sim = lab(knobs={"backup.durations": {"vault": 30}})
    asked = {"properties": {"publicNetworkAccess": "Disabled"}}
    reply = sim.ask("PATCH", VAULT, asked)
    assert (reply.status, reply.body) == (202, None)
    assert "/operationStatus/" in reply.headers["Azure-AsyncOperation"]
    result = reply.headers["Location"].split("?")[0].split("localhost")[1]
    assert sim.ask("GET", result).status == 202
    sim.advance(31)
    assert sim.get(result)["properties"]["publicNetworkAccess"] == "Disabled"


def test_a_vaults_own_identity_needs_no_operation_but_users_do():
    """Report §6.16: 200 or 202 for the same kind of request."""
    sim = lab(knobs={"backup.durations": {"vault": 1}})
    users = {f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me": {}}
    asked = {"identity": {"type": "UserAssigned", "userAssignedIdentities": users}}
    assert sim.ask("PATCH", VAULT, asked).status == 202
    sim.advance(2)
    assert set(sim.get(VAULT)["identity"]["userAssignedIdentities"]) == set(users)
    own = sim.ask("PATCH", VAULT, {"identity": {"type": "SystemAssigned"}})
    assert (own.status, list(own.body["identity"])) == (200, ["tenantId", "principalId", "type"])
    taken = sim.ask("PATCH", VAULT, {"identity": {"type": "None"}})
    assert (taken.status, taken.body["identity"]) == (200, {"type": "None"})


@pytest.mark.parametrize("ends", ["succeeded", "404"])
def test_a_deleted_vaults_operation_is_seen_to_end_or_dies_with_it(ends):
    sim = lab(knobs={"backup.vault.delete_ends": ends, "backup.durations": {"vault": 30}})
    reply = sim.ask("DELETE", VAULT)
    assert reply.status == 202
    where = reply.headers["Azure-AsyncOperation"].split("?")[0].split("localhost")[1]
    assert sim.get(where)["status"] == "InProgress"
    sim.advance(31)
    if ends == "404":
        assert error_of(sim.ask("GET", where)) == (404, "ResourceNotFound")
    else:
        assert sim.get(where)["status"] == "Succeeded"
    assert sim.ask("GET", VAULT).status == 404
    assert sim.world.get(VAULT) is None


def test_vaults_are_listed_by_subscription_and_by_group():
    other = f"/subscriptions/{OTHER}/resourceGroups/rg9{VAULTS}/vault9"
    sim = lab(vault_body(SECOND_VAULT), vault_body(other))
    names = [v["name"] for v in sim.get(f"/subscriptions/{SUBSCRIPTION}{VAULTS}")["value"]]
    assert names == ["vault1", "vault2"]
    assert [v["name"] for v in sim.get(f"/subscriptions/{OTHER}{VAULTS}")["value"]] == ["vault9"]
    assert len(sim.get(f"{GROUP}{VAULTS}")["value"]) == 2


def test_a_list_leaves_out_what_only_the_backup_service_knows():
    listed = lab().get(f"{GROUP}{VAULTS}")["value"][0]["properties"]
    assert not {"backupStorageVersion", "securitySettings", "redundancySettings"} & set(listed)


def test_the_first_item_fixes_the_storage_version():
    sim = lab()
    sim.enable()
    assert sim.get(VAULT)["properties"]["backupStorageVersion"] == "V2"


def test_soft_delete_is_one_switch_with_two_names():
    sim = lab()
    path = f"{VAULT}/backupconfig/vaultconfig"
    changed = sim.ask(
        "PATCH",
        path,
        {"properties": {"softDeleteFeatureState": "Disabled", "enhancedSecurityState": "Enabled"}},
    )
    assert changed.status == 200
    assert changed.body["properties"] == {
        "enhancedSecurityState": "Enabled",
        "softDeleteFeatureState": "Disabled",
        "softDeleteRetentionPeriodInDays": 14,
        "isSoftDeleteFeatureStateEditable": True,
    }
    settings = sim.get(VAULT)["properties"]["securitySettings"]["softDeleteSettings"]
    assert settings["softDeleteState"] == "Disabled"


def test_storage_can_be_patched_before_the_first_item():
    sim = lab()
    path = f"{VAULT}/backupstorageconfig/vaultstorageconfig"
    assert sim.get(path)["properties"]["storageTypeState"] == "Unlocked"
    asked = {"properties": {"storageType": "LocallyRedundant"}}
    assert sim.ask("PATCH", path, asked).status == 204
    redundancy = sim.get(VAULT)["properties"]["redundancySettings"]
    assert redundancy["standardTierStorageRedundancy"] == "LocallyRedundant"


def test_usages_count_the_items_of_a_vault():
    sim = lab()
    sim.enable()
    usages = {u["name"]["value"]: u["currentValue"] for u in sim.get(f"{VAULT}/usages")["value"]}
    assert usages["ProtectedItemCount"] == usages["IaaSVMProtectedItemCount"] == 1
    text = "type eq 'BackupProtectedItemCountSummary'"
    (summary,) = sim.get(f"{VAULT}/backupUsageSummaries", _filter=text)["value"]
    assert (summary["name"]["value"], summary["currentValue"]) == ("AzureIaasVM", 1)


def test_a_vault_is_encrypted_by_microsoft_unless_a_key_is_given():
    sim = lab(knobs={"backup.durations": {"vault": 1}})
    path = f"{VAULT}/backupEncryptionConfigs/backupResourceEncryptionConfig"
    assert sim.get(path)["properties"]["encryptionAtRestType"] == "MicrosoftManaged"
    key = {"keyVaultProperties": {"keyUri": "https://kv/keys/k"}, "kekIdentity": {}}
    sim.ask("PATCH", VAULT, {"properties": {"encryption": key}})
    sim.advance(2)
    assert sim.get(path)["properties"]["encryptionAtRestType"] == "CustomerManaged"


def test_a_policy_comes_back_in_the_services_own_words():
    """Report §6.29: ``.000Z`` goes out, ``Z`` comes back; the sent count is ignored."""
    sim = lab()
    asked = daily_policy(at="2026-03-02T23:00:00.000Z", protectedItemsCount=7)
    reply = sim.ask("PUT", policy_id("gold"), {"properties": asked})
    assert reply.status == 200
    kept = reply.body["properties"]
    assert kept["schedulePolicy"] == {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": ["2026-03-02T23:00:00Z"],
        "scheduleWeeklyFrequency": 0,
    }
    assert list(kept) == [
        "backupManagementType",
        "instantRPDetails",
        "schedulePolicy",
        "retentionPolicy",
        "instantRpRetentionRangeInDays",
        "timeZone",
        "protectedItemsCount",
    ]
    assert kept["protectedItemsCount"] == 0


def test_a_policy_is_deleted_with_200_and_then_204():
    sim = lab()
    sim.ask("PUT", policy_id("gold"), {"properties": daily_policy()})
    assert sim.ask("DELETE", policy_id("gold")).status == 200
    assert sim.ask("DELETE", policy_id("gold")).status == 204


def test_a_trailing_slash_lists():
    """Report §6.20."""
    sim = lab()
    assert len(sim.get(f"{VAULT}/backupPolicies/")["value"]) == 3
    assert sim.get(f"{VAULT}/backupProtectedItems/")["value"] == []


def test_an_empty_guard_list_and_a_deleted_guard_answer_as_recorded():
    sim = lab()
    assert sim.get(f"{VAULT}/backupResourceGuardProxies") == {"value": []}
    proxy = f"{VAULT}/backupResourceGuardProxies/VaultProxy"
    guard = f"{GROUP}/providers/Microsoft.DataProtection/resourceGuards/guard"
    sim.ask("PUT", proxy, {"properties": {"resourceGuardResourceId": guard}})
    details = sim.get(proxy)["properties"]["resourceGuardOperationDetails"]
    assert len(details) == 9
    assert sim.get(VAULT)["properties"]["securitySettings"]["multiUserAuthorization"] == "Enabled"
    deleted = sim.ask("DELETE", proxy)
    assert (deleted.status, deleted.body) == (200, {})


def test_an_unlocked_item_of_a_guarded_vault_can_be_deleted_for_a_while():
    sim = lab()
    sim.enable()
    proxy = f"{VAULT}/backupResourceGuardProxies/VaultProxy"
    guard = f"{GROUP}/providers/Microsoft.DataProtection/resourceGuards/guard"
    sim.ask("PUT", proxy, {"properties": {"resourceGuardResourceId": guard}})
    asked = {
        "resourceGuardOperationRequests": [f"{guard}/deleteProtectedItemRequests/default"],
        "resourceToBeDeleted": item_path().replace("%3B", ";"),
    }
    unlocked = sim.ask("POST", f"{proxy}/unlockDelete", asked)
    assert unlocked.body["unlockDeleteExpiryTime"].startswith("2026-03-02T08:")
    sim.advance(3600)
    assert sim.ask("DELETE", item_path()).status == 400
    sim.ask("POST", f"{proxy}/unlockDelete", asked)
    assert sim.ask("DELETE", item_path()).status == 202


@pytest.mark.parametrize(
    "era, present, absent",
    [
        pytest.param("2019", set(), {"privateEndpointStateForBackup", "secureScore"}, id="2019"),
        pytest.param("2021", {"privateEndpointStateForBackup"}, {"secureScore"}, id="2021"),
        pytest.param(
            "2023", {"publicNetworkAccess", "securitySettings"}, {"secureScore"}, id="2023"
        ),
        pytest.param("2024", {"secureScore", "redundancySettings"}, set(), id="2024"),
    ],
)
def test_a_vault_looks_as_it_did_in_its_year(era, present, absent):
    sim = lab(knobs={"backup.era": era})
    _ = sim.ask("PUT", NEW, BODY)
    sim.advance(100)
    properties = set(sim.get(NEW)["properties"])
    assert present <= properties
    assert not absent & properties
