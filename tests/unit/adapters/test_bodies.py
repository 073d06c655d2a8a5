"""Azure's bodies of all years become our values; what is odd is unknown, never an error."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.bodies import reading
from shared.adapters.bodies.items import parse_item
from shared.adapters.bodies.jobs import parse_job, parse_operation
from shared.adapters.bodies.machines import parse_vm
from shared.adapters.bodies.policies import parse_policy
from shared.adapters.bodies.vaults import parse_vault
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.model import (
    Frequency,
    OsType,
    PolicyKind,
    ProtectionState,
    Retention,
    Schedule,
    SecurityType,
)

SUB = "11111111-1111-4111-8111-111111111111"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v"
ITEM = (
    f"{VAULT}/backupFabrics/Azure/protectionContainers/IaasVMContainer;iaasvmcontainerv2;rg;vm"
    "/protectedItems/VM;iaasvmcontainerv2;rg;vm"
)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ASKED = virtual_machine(SUB, "rg", "vm")


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, expected",
    [
        pytest.param("2024-04-28T06:37:10.9025932Z", (2024, 4, 28, 6, 37, 10, 902593), id="7"),
        pytest.param("2024-04-28T06:37:10Z", (2024, 4, 28, 6, 37, 10), id="no fraction"),
        pytest.param("2024-04-28T08:37:10.5+02:00", (2024, 4, 28, 6, 37, 10, 500000), id="zone"),
        pytest.param("2024-04-28T06:37:10", (2024, 4, 28, 6, 37, 10), id="no zone"),
        pytest.param("2001-01-01T00:00:00Z", None, id="never, for the backup service"),
        pytest.param("0001-01-01T00:00:00", None, id="never, for .NET"),
        pytest.param("soon", None, id="no time"),
        pytest.param(None, None, id="null"),
        pytest.param(7, None, id="a number"),
    ],
)
def test_times_are_read_in_every_form_azure_writes(value, expected):
    found = reading.moment({"at": value}, "at")

    assert found == (datetime(*expected, tzinfo=UTC) if expected else None)


def test_an_object_sent_as_text_is_read_like_one():
    body = {"properties": json.dumps({"a": {"b": "c"}})}

    assert reading.text(body, "properties", "a", "b") == "c"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = [
    "id",
    "properties",
    "instanceView",
    "statuses",
    "vmAgent",
    "storageProfile",
    "osDisk",
    "dataDisks",
    "tags",
    "zones",
    "extensions",
    "resources",
    "osProfile",
    "plan",
    "securityProfile",
    "backupManagementType",
    "schedulePolicy",
    "retentionPolicy",
    "dailySchedule",
    "scheduleRunTimes",
    "extendedProperties",
    "diskExclusionProperties",
    "lastBackupTime",
    "errorDetails",
    "startTime",
    "error",
]
bodies = st.recursive(
    json_values | st.sampled_from([VM, ITEM, VAULT, "AzureIaasVM", "Daily", "2024-01-01"]),
    lambda inner: (
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=3)
    ),
    max_leaves=20,
).filter(lambda value: isinstance(value, dict))


@given(bodies)
def test_no_body_is_so_odd_that_reading_it_fails(body):
    parse_vault(body)
    parse_policy(body)
    parse_item(body, NOW)
    parse_job(body)
    with suppress(ValueError):  # no VM's body at all
        parse_vm(body, ASKED)
    with suppress(ValueError):  # no operation's
        parse_operation(body)


# --- virtual machines ----------------------------------------------------------------------------


def vm(**properties):
    return {"id": VM, "location": "East US 2", "tags": {"Env": "prod"}, "properties": properties}


def test_a_ready_vm_is_read():
    body = vm(
        vmId="uid",
        provisioningState="Succeeded",
        timeCreated="2024-04-28T06:35:00.1234567+00:00",
        hardwareProfile={"vmSize": "Standard_D2s_v5"},
        securityProfile={"securityType": "TrustedLaunch", "encryptionAtHost": True},
        priority="Spot",
        osProfile={
            "computerName": "host",
            "linuxConfiguration": {"provisionVMAgent": True},
            "allowExtensionOperations": True,
        },
        networkProfile={"networkInterfaces": [{"id": "/nic"}]},
        virtualMachineScaleSet={"id": "/vmss"},
        storageProfile={
            "imageReference": {
                "publisher": "Canonical",
                "offer": "o",
                "sku": "s",
                "version": "latest",
                "exactVersion": "22.1",
            },
            "osDisk": {
                "osType": "Linux",
                "name": "os",
                "createOption": "FromImage",
                "diffDiskSettings": {"option": "Local"},
                "managedDisk": {"storageAccountType": "Premium_LRS"},
            },
            "dataDisks": [
                {
                    "lun": 3,
                    "name": "d",
                    "createOption": "Attach",
                    "diskSizeGB": 64,
                    "writeAcceleratorEnabled": True,
                    "managedDisk": {
                        "id": f"{GROUP.upper()}/providers/Microsoft.Compute/disks/d",
                        "storageAccountType": "UltraSSD_LRS",
                    },
                },
                {"lun": 4, "name": "blob", "vhd": {"uri": "https://x"}},
            ],
        },
        instanceView={
            "osName": "ubuntu",
            "osVersion": "22.04",
            "computerName": "seen",
            "vmAgent": {
                "vmAgentVersion": "2.9",
                "statuses": [
                    {
                        "code": "ProvisioningState/succeeded",
                        "displayStatus": "Ready",
                        "message": "Guest Agent is running",
                    }
                ],
            },
            "statuses": [
                {"code": "ProvisioningState/succeeded"},
                {"code": "PowerState/running"},
            ],
        },
    )

    found = parse_vm(body | {"zones": ["1"], "managedBy": "/aks"}, ASKED)

    assert (found.id, found.uid, found.location) == (ASKED, "uid", "eastus2")
    assert (found.power, found.agent.ready, found.os) == ("running", True, OsType.LINUX)
    assert (found.image.publisher, found.image.version) == ("Canonical", "22.1")
    assert (found.security, found.encryption_at_host) == (SecurityType.TRUSTED_LAUNCH, True)
    assert (found.os_disk.ephemeral, found.os_disk.unmanaged) == (True, False)
    assert [(d.lun, d.storage_type, d.unmanaged) for d in found.data_disks] == [
        (3, "UltraSSD_LRS", False),
        (4, None, True),
    ]
    assert found.data_disks[0].id == ArmId.parse(f"{GROUP}/providers/Microsoft.Compute/disks/D")
    assert (found.created, found.computer_name) == (
        datetime(2024, 4, 28, 6, 35, 0, 123456, tzinfo=UTC),
        "seen",
    )
    assert (found.managed_by, found.scale_set, found.priority) == ("/aks", "/vmss", "Spot")
    assert (found.has_os_profile, found.provision_agent, found.zones) == (True, True, ("1",))


@pytest.mark.parametrize(
    "view, ready",
    [
        pytest.param(
            {
                "vmAgent": {
                    "vmAgentVersion": "Unknown",
                    "statuses": [
                        {"code": "ProvisioningState/Unavailable", "displayStatus": "Not Ready"}
                    ],
                }
            },
            False,
            id="just created",
        ),
        pytest.param({"vmAgent": {"vmAgentVersion": "2.9", "statuses": []}}, False, id="silent"),
        pytest.param({}, None, id="deallocated"),
        pytest.param(None, None, id="no view"),
    ],
)
def test_the_agent_is_ready_not_ready_or_not_told(view, ready):
    agent = parse_vm(vm(instanceView=view), ASKED).agent

    assert (agent.ready if agent is not None else None) is ready


@pytest.mark.parametrize(
    "properties, extra",
    [
        pytest.param(
            {"storageProfile": {"osDisk": {"encryptionSettings": {"enabled": True}}}},
            {},
            id="settings",
        ),
        pytest.param(
            {"instanceView": {"disks": [{"encryptionSettings": [{"enabled": True}]}]}},
            {},
            id="the disks' view",
        ),
        pytest.param(
            {},
            {
                "resources": [
                    {
                        "properties": {
                            "publisher": "Microsoft.Azure.Security",
                            "type": "AzureDiskEncryptionForLinux",
                        }
                    }
                ]
            },
            id="extension",
        ),
        pytest.param(
            {
                "instanceView": {
                    "extensions": [{"type": "Microsoft.Azure.Security.AzureDiskEncryption"}]
                }
            },
            {},
            id="the extensions' view",
        ),
    ],
)
def test_disk_encryption_is_seen_wherever_it_shows(properties, extra):
    assert parse_vm(vm(vmId="u", **properties) | extra, ASKED).disk_encryption
    assert not parse_vm(vm(vmId="u"), ASKED).disk_encryption


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(
            {"storageProfile": {"osDisk": {"encryptionSettings": {"diskEncryptionKey": {"sourceVault": {"id": "/kv"}}}}}},
            id="settings",
        ),
        pytest.param(
            {"instanceView": {"disks": [{}, {"encryptionSettings": [{"diskEncryptionKey": {"sourceVault": {"id": "/kv"}}}]}]}},
            id="the disks' view",
        ),
    ],
)  # fmt: skip
def test_the_key_vault_of_disk_encryption_is_read_where_azure_shows_it(properties):
    assert parse_vm(vm(vmId="u", **properties), ASKED).key_vault == "/kv"
    assert parse_vm(vm(vmId="u"), ASKED).key_vault is None


def test_a_vm_that_may_hibernate_says_so():
    able = vm(vmId="u", additionalCapabilities={"hibernationEnabled": True})
    assert parse_vm(able, ASKED).can_hibernate
    assert not parse_vm(vm(vmId="u"), ASKED).can_hibernate


def test_a_failed_and_a_hibernated_vm_say_so():
    view = {
        "statuses": [
            {"code": "ProvisioningState/failed/AllocationFailed", "message": "no room"},
            {"code": "HibernationState/Hibernated"},
        ]
    }

    found = parse_vm(vm(instanceView=view), ASKED)

    assert (found.failure, found.hibernated, found.power) == ("no room", True, None)


# --- vaults --------------------------------------------------------------------------------------


def test_a_vault_of_today_is_read():
    found = parse_vault(
        {
            "id": VAULT,
            "location": "eastus2euap",
            "tags": None,
            "properties": {
                "provisioningState": "Succeeded",
                "privateEndpointStateForBackup": "None",
                "backupStorageVersion": "Unassigned",
                "securitySettings": {
                    "immutabilitySettings": None,
                    "softDeleteSettings": {"softDeleteState": "AlwaysON"},
                    "multiUserAuthorization": "Disabled",
                },
                "redundancySettings": {
                    "standardTierStorageRedundancy": "GeoRedundant",
                    "crossRegionRestore": "Disabled",
                },
                "publicNetworkAccess": "Enabled",
            },
        }
    )

    assert (found.redundancy, found.cross_region_restore) == ("GeoRedundant", False)
    assert (found.soft_delete, found.immutability) == ("AlwaysON", None)
    assert (found.multi_user_authorization, found.private_endpoints) == (False, False)
    assert (found.public_access, found.storage_version, found.tags) == (True, "Unassigned", {})


def test_a_vault_of_2019_tells_little_and_is_still_a_vault():
    found = parse_vault({"id": VAULT, "properties": {"provisioningState": "Succeeded"}})

    assert (found.name, found.soft_delete, found.public_access) == ("v", None, None)


@pytest.mark.parametrize(
    "kek, identity, reader",
    [
        pytest.param({"useSystemAssignedIdentity": True}, {"principalId": "p"}, "p", id="its own"),
        pytest.param(
            {"userAssignedIdentity": "/ids/A"},
            {"userAssignedIdentities": {"/IDS/a": {"principalId": "q"}}},
            "q",
            id="user-assigned",
        ),
        pytest.param({"userAssignedIdentity": "/ids/A"}, {}, "/ids/A", id="not shown further"),
        pytest.param({}, {"principalId": "p"}, None, id="unknown"),
    ],
)
def test_a_vault_with_a_customers_key_says_which_and_who_reads_it(kek, identity, reader):
    encryption = {"keyVaultProperties": {"keyUri": "https://kv.vault.azure.net/keys/k/1"}}
    body = {
        "id": VAULT,
        "identity": identity,
        "properties": {"encryption": encryption | {"kekIdentity": kek}},
    }

    found = parse_vault(body)

    assert (found.key, found.key_reader) == ("https://kv.vault.azure.net/keys/k/1", reader)


# --- policies ------------------------------------------------------------------------------------


def policy(**properties):
    return {
        "id": f"{VAULT}/backupPolicies/p",
        "properties": {"backupManagementType": "AzureIaasVM"} | properties,
    }


DAYS = {"retentionDuration": {"count": 30, "durationType": "Days"}}


def long_term(**tiers):
    return {"retentionPolicyType": "LongTermRetentionPolicy", **tiers}


@pytest.mark.parametrize(
    "schedule, expected",
    [
        pytest.param(
            {"scheduleRunFrequency": "Daily", "scheduleRunTimes": ["2024-04-28T16:30:00Z"]},
            Schedule(frequency=Frequency.DAILY, times=(time(16, 30),)),
            id="V1 daily",
        ),
        pytest.param(
            {
                "scheduleRunFrequency": "Weekly",
                "scheduleRunDays": ["Sunday", "Friday"],
                "scheduleRunTimes": ["2024-04-28T16:30:00Z"],
            },
            Schedule(frequency=Frequency.WEEKLY, times=(time(16, 30),), days=("Sunday", "Friday")),
            id="V1 weekly",
        ),
        pytest.param(
            {
                "scheduleRunFrequency": "Hourly",
                "hourlySchedule": {
                    "interval": 4,
                    "scheduleWindowStartTime": "2024-04-28T08:00:00Z",
                    "scheduleWindowDuration": 12,
                },
            },
            Schedule(
                frequency=Frequency.HOURLY, times=(time(8),), interval_hours=4, window_hours=12
            ),
            id="V2 hourly",
        ),
        pytest.param(
            {
                "scheduleRunFrequency": "Daily",
                "dailySchedule": {"scheduleRunTimes": ["2024-04-28T16:30:00.000Z"]},
            },
            Schedule(frequency=Frequency.DAILY, times=(time(16, 30),)),
            id="V2 daily",
        ),
        pytest.param(
            {
                "scheduleRunFrequency": "Weekly",
                "weeklySchedule": {
                    "scheduleRunDays": ["Monday"],
                    "scheduleRunTimes": ["2024-04-28T16:30:00Z"],
                },
            },
            Schedule(frequency=Frequency.WEEKLY, times=(time(16, 30),), days=("Monday",)),
            id="V2 weekly",
        ),
        pytest.param({"scheduleRunFrequency": "Monthly"}, None, id="of the future"),
        pytest.param(
            {"scheduleRunFrequency": "Daily", "scheduleRunTimes": ["noon"]}, None, id="no time"
        ),
        pytest.param({"scheduleRunFrequency": "Hourly"}, None, id="hourly without hours"),
        pytest.param(None, None, id="none"),
    ],
)
def test_schedules_are_read_or_unknown(schedule, expected):
    assert parse_policy(policy(schedulePolicy=schedule)).schedule == expected


@pytest.mark.parametrize(
    "retention, expected",
    [
        pytest.param(long_term(dailySchedule=DAYS), Retention(daily_days=30), id="daily"),
        pytest.param(
            long_term(
                dailySchedule=DAYS,
                weeklySchedule={"retentionDuration": {"count": 5, "durationType": "Weeks"}},
                monthlySchedule={"retentionDuration": {"count": 6, "durationType": "Months"}},
                yearlySchedule={"retentionDuration": {"count": 7, "durationType": "Years"}},
            ),
            Retention(daily_days=30, weekly_weeks=5, monthly_months=6, yearly_years=7),
            id="all tiers",
        ),
        pytest.param(
            {"retentionPolicyType": "SimpleRetentionPolicy"} | DAYS,
            Retention(daily_days=30),
            id="simple",
        ),
        pytest.param(
            long_term(
                dailySchedule=DAYS,
                weeklySchedule={"retentionDuration": {"count": 5, "durationType": "Invalid"}},
            ),
            None,
            id="one tier unreadable makes all unknown",
        ),
        pytest.param(long_term(), None, id="no tier"),
        pytest.param(None, None, id="none"),
    ],
)
def test_retention_is_read_or_unknown(retention, expected):
    assert parse_policy(policy(retentionPolicy=retention)).retention == expected


def test_a_policy_without_a_type_is_standard():
    assert parse_policy(policy()).kind is PolicyKind.STANDARD
    assert parse_policy(policy(policyType="V2")).kind is PolicyKind.ENHANCED
    assert parse_policy(policy(policyType="")).kind is PolicyKind.STANDARD


def test_a_policy_for_something_else_is_none():
    assert parse_policy(policy(backupManagementType="AzureWorkload")) is None


# --- items ---------------------------------------------------------------------------------------


def item(**properties):
    known = {
        "backupManagementType": "AzureIaasVM",
        "protectionState": "Protected",
        "sourceResourceId": VM,
        "policyId": f"{VAULT.replace('/subscriptions', '/Subscriptions')}/backupPolicies/p",
    }
    return {"id": ITEM, "properties": known | properties}


def test_a_protected_item_is_read():
    found = parse_item(
        item(
            policyName="p",
            lastBackupStatus="Completed",
            lastBackupTime="2024-04-28T06:37:10.9Z",
            lastRecoveryPoint="2024-04-28T06:37:20Z",
            healthStatus="Passed",
            extendedProperties={
                "diskExclusionProperties": {"diskLunList": [0, 1], "isInclusionList": False}
            },
        ),
        NOW,
    )

    assert (found.source, found.state) == (ASKED, ProtectionState.PROTECTED)
    assert found.policy == ArmId.parse(f"{VAULT}/backupPolicies/P")
    assert (found.excluded_luns, found.has_recovery_point) == ((0, 1), True)
    assert found.vault == ArmId.parse(VAULT)


@pytest.mark.parametrize(
    "properties, state",
    [
        pytest.param({"protectionState": "IRPending"}, ProtectionState.PENDING, id="pending"),
        pytest.param({"protectionState": "irpending"}, ProtectionState.PENDING, id="any case"),
        pytest.param(
            {"protectionState": "ProtectionStopped"}, ProtectionState.STOPPED, id="stopped"
        ),
        pytest.param(
            {"protectionState": "ProtectionStopped", "isScheduledForDeferredDelete": True},
            ProtectionState.SOFT_DELETED,
            id="soft deleted",
        ),
        pytest.param(
            {"protectionState": "", "isScheduledForDeferredDelete": "true"},
            ProtectionState.SOFT_DELETED,
            id="soft deleted, as text",
        ),
        pytest.param(
            {"protectionState": None, "currentProtectionState": "SoftDeleted"},
            ProtectionState.SOFT_DELETED,
            id="Graph: soft deleted",
        ),
        pytest.param(
            {"protectionState": "", "currentProtectionState": "ProtectionConfigured"},
            ProtectionState.PENDING,
            id="Graph: configured, no point",
        ),
        pytest.param(
            {
                "protectionState": "",
                "currentProtectionState": "ProtectionConfigured",
                "lastRecoveryPoint": "2024-01-01T00:00:00Z",
            },
            ProtectionState.PROTECTED,
            id="Graph: configured, a point",
        ),
        pytest.param(
            {"protectionState": "", "currentProtectionState": "ConfiguringProtectionFailed"},
            ProtectionState.FAILED,
            id="Graph: failed",
        ),
        pytest.param({"protectionState": "Novel"}, ProtectionState.INVALID, id="of the future"),
    ],
)
def test_the_state_is_read_in_both_spellings(properties, state):
    assert parse_item(item(**properties), NOW).state is state


def test_graphs_way_to_name_the_vm_and_the_policy_is_understood():
    found = parse_item(
        item(
            sourceResourceId="",
            policyId="",
            dataSourceInfo={"resourceID": VM},
            policyInfo={"policyId": f"{VAULT}/backupPolicies/p"},
        ),
        NOW,
    )

    assert (found.source, found.policy_name) == (ASKED, "p")


@pytest.mark.parametrize(
    "properties, left",
    [
        pytest.param(
            {"deferredDeleteTimeRemaining": "13.23:59:42.8656002"},
            timedelta(days=13, hours=23, minutes=59, seconds=42),
            id="what remains counts from now",
        ),
        pytest.param(
            {"deferredDeleteTimeRemaining": "03:00:00"}, timedelta(hours=3), id="less than a day"
        ),
        pytest.param(
            {"deferredDeleteTimeInUTC": "2026-03-01T09:00:00Z", "softDeleteRetentionPeriod": 14},
            timedelta(days=13),
            id="the delete and the period",
        ),
        pytest.param({"deferredDeleteTimeInUTC": "2026-03-01T09:00:00Z"}, None, id="not told"),
    ],
)
def test_a_deleted_item_says_when_it_vanishes(properties, left):
    found = parse_item(item(isScheduledForDeferredDelete=True, **properties), NOW)

    assert found.deferred_delete == (NOW + left if left is not None else None)


def test_a_classic_item_has_no_source_and_another_workload_is_none():
    classic = f"{GROUP}/providers/Microsoft.ClassicCompute/virtualMachines/old"

    assert parse_item(item(sourceResourceId=classic), NOW).source is None
    assert parse_item(item(backupManagementType="AzureStorage"), NOW) is None


# --- jobs ----------------------------------------------------------------------------------------


def job(**properties):
    known = {
        "operation": "ConfigureBackup",
        "status": "Completed",
        "startTime": "2024-04-28T06:37:10.9Z",
        "endTime": "2024-04-28T06:37:41.5Z",
        "activityId": "request",
        "entityFriendlyName": "vm",
        "containerName": "iaasvmcontainerv2;rg;vm",
    }
    return {"id": f"{VAULT}/backupJobs/j", "name": "j", "properties": known | properties}


def test_a_job_is_read():
    found = parse_job(job())

    assert (found.id, found.operation, found.status) == ("j", "ConfigureBackup", "Completed")
    assert (found.request_id, found.vm_name) == ("request", "vm")
    assert found.ended - found.started == timedelta(seconds=30.6)


def test_a_failed_job_says_why():
    found = parse_job(
        job(
            status="Failed",
            errorDetails=[
                {
                    "errorCode": 400136,
                    "errorTitle": "UserErrorVmNotFoundV2",
                    "errorString": "Virtual machine doesn't exist.",
                    "recommendations": ["Select another."],
                },
                {"errorCode": 1073871825, "errorString": "x"},
            ],
        )
    )

    assert found.errors == (
        ("UserErrorVmNotFoundV2", "Virtual machine doesn't exist.", ("Select another.",)),
        ("1073871825", "x", ()),
    )


def test_a_running_job_has_no_end_whatever_its_body_says():
    assert parse_job(job(status="InProgress")).ended is None
    assert parse_job(job(endTime="0001-01-01T00:00:00")).ended is None


def test_a_job_without_a_start_is_none():
    assert parse_job(job(startTime=None)) is None


def test_an_operation_is_read():
    done = {"status": "Succeeded", "properties": {"objectType": "x", "jobId": "j"}}
    failed = {"status": "Failed", "error": {"code": "C", "message": "m"}}

    assert parse_operation(done).job == "j"
    assert (parse_operation(failed).code, parse_operation(failed).message) == ("C", "m")
