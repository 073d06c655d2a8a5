"""Roles: who may do what, in the recorded words when not (facts §2.1, §8.1)."""

import pytest

from simulator.arm import Principal, PrincipalKind
from simulator.roles import BACKUP_CONTRIBUTOR, BACKUP_OPERATOR, BACKUP_READER, BUILT_IN, READER
from tests.simulator.core import CALLER, GROUP, OTHER, SUB, Azure, azure, code_of, vm_body, vm_id

DEFINITIONS = "/providers/Microsoft.Authorization/roleDefinitions/"
ITEMS = "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/"
VAULTS = "Microsoft.RecoveryServices/Vaults/"


def granted(scope: str, role: str, principal: str = CALLER, name: str = "a1") -> dict:
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "properties": {
            "roleDefinitionId": DEFINITIONS + role,
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "scope": scope,
        },
    }


def test_without_any_assignment_everybody_is_owner() -> None:
    assert azure(vm_body("vm1")).get(vm_id("vm1")).status == 200


def test_a_reader_reads_and_is_refused_the_rest_in_the_recorded_words() -> None:
    a = azure(vm_body("vm1"), granted(f"/subscriptions/{SUB}", READER))
    assert a.get(vm_id("vm1")).status == 200
    refused = a.ask("PATCH", vm_id("vm1"), {"tags": {}})
    assert (refused.status, code_of(refused)) == (403, "AuthorizationFailed")
    assert refused.body["error"]["message"] == (
        f"The client 'app-1' with object id '{CALLER}' does not have authorization to perform "
        f"action 'Microsoft.Compute/virtualMachines/write' over scope '{vm_id('vm1')}' or the "
        "scope is invalid. If access was recently granted, please refresh your credentials."
    )
    assert refused.headers["x-ms-failure-cause"] == "gateway"


def test_a_role_ends_where_its_scope_ends() -> None:
    a = azure(vm_body("vm1"), granted(GROUP, READER))
    assert a.get(vm_id("vm1")).status == 200
    assert a.get(vm_id("vm1", group="rg-Web2")).status == 403
    assert a.get(f"/subscriptions/{SUB}/providers/Microsoft.Compute/virtualMachines").status == 403


def test_a_custom_role_counts_with_its_exceptions() -> None:
    role = {
        "id": DEFINITIONS + "custom-1",
        "properties": {
            "roleName": "VM editor",
            "permissions": [
                {
                    "actions": ["Microsoft.Compute/*"],
                    "notActions": ["Microsoft.Compute/virtualMachines/delete"],
                }
            ],
        },
    }
    a = azure(vm_body("vm1"), role, granted(GROUP, "custom-1"))
    assert a.ask("PATCH", vm_id("vm1"), {"tags": {}}).status == 200
    assert a.ask("DELETE", vm_id("vm1")).status == 403


@pytest.mark.parametrize(
    "role,action,permitted",
    [
        (BACKUP_OPERATOR, ITEMS + "write", True),
        (BACKUP_OPERATOR, ITEMS + "delete", False),
        (BACKUP_OPERATOR, VAULTS + "backupPolicies/write", False),
        (BACKUP_OPERATOR, VAULTS + "backupconfig/read", False),
        (BACKUP_OPERATOR, "Microsoft.RecoveryServices/locations/backupStatus/action", True),
        (BACKUP_CONTRIBUTOR, ITEMS + "delete", True),
        (BACKUP_CONTRIBUTOR, VAULTS + "delete", False),
        (BACKUP_READER, ITEMS + "read", True),
        (BACKUP_READER, ITEMS + "write", False),
        (BACKUP_READER, "Microsoft.RecoveryServices/locations/backupStatus/action", True),
        (READER, "Microsoft.RecoveryServices/locations/backupStatus/action", False),
        (READER, "MICROSOFT.COMPUTE/virtualmachines/READ", True),
    ],
)
def test_the_built_in_roles_permit_what_their_definitions_say(
    role: str, action: str, permitted: bool
) -> None:
    """Recorded: live definitions of May 2024 (facts §8.1)."""
    assert BUILT_IN[role].permits(action) is permitted


def test_a_grant_takes_effect_after_the_propagation_delay() -> None:
    someone = Principal(object_id="someone", app_id="", kind=PrincipalKind.SERVICE)
    a = azure(
        vm_body("vm1"),
        granted(f"/subscriptions/{SUB}", READER, principal="nobody"),
        knobs={"rbac.propagation_seconds": 300},
        timeline=[{"at": 10, "put": granted(GROUP, READER, "someone", "late")}],
    )
    a.principal = someone
    a.wait(20)
    assert a.get(vm_id("vm1")).status == 403
    a.wait(300)
    assert a.get(vm_id("vm1")).status == 200


def test_a_withdrawn_role_stops_mattering_at_once_without_a_delay() -> None:
    grant = granted(GROUP, READER)
    others = granted(GROUP, READER, principal="nobody", name="a2")
    a = azure(vm_body("vm1"), grant, others, timeline=[{"at": 10, "delete": grant["id"]}])
    assert a.get(vm_id("vm1")).status == 200
    a.wait(10)
    assert a.get(vm_id("vm1")).status == 403


def test_a_caller_sees_only_subscriptions_it_has_a_role_in() -> None:
    a = azure(vm_body("vm1"), granted(GROUP, READER))
    listed = a.get("/subscriptions").body["value"]
    assert [row["subscriptionId"] for row in listed] == [SUB]
    assert a.get(f"/subscriptions/{OTHER}").status == 403


def test_the_linked_scope_of_a_write_can_be_asked_for() -> None:
    a: Azure = azure(vm_body("vm1"), granted(GROUP, READER))
    world = a.world
    assert world.allows(a.principal, "Microsoft.Compute/virtualMachines/read", vm_id("vm1"))
    assert not world.allows(a.principal, "Microsoft.Compute/virtualMachines/write", vm_id("vm1"))
