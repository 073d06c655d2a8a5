"""What users do with az around VM backup, each command with its exit code and what its JSON says.

The commands are one story: a vault, its policies, a VM that is protected, changed, stopped, resumed,
deleted, brought back and let go. Each check stands on what the ones before it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
GROUP = "rg-az"
VAULT = "vault1"
IN_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
VAULT_ID = f"{IN_GROUP}/providers/Microsoft.RecoveryServices/vaults/{VAULT}"
VM_ID = f"{IN_GROUP}/providers/Microsoft.Compute/virtualMachines/vm1"
CONTAINER = f"IaasVMContainer;iaasvmcontainerv2;{GROUP};vm1"
ITEM = f"VM;iaasvmcontainerv2;{GROUP};vm1"
ITEM_ID = f"{VAULT_ID}/backupFabrics/Azure/protectionContainers/{CONTAINER}/protectedItems/{ITEM}"

V = ("-g", GROUP, "-v", VAULT)
OF_ITEM = (*V, "-c", CONTAINER, "-i", ITEM)
KIND = ("--backup-management-type", "AzureIaasVM", "--workload-type", "VM")
VERSION = "api-version=2024-04-01"

type Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Check:
    """One command; ``says`` is what its error must tell, ``holds`` what its JSON must."""

    name: str
    args: tuple[str, ...]
    holds: Predicate = lambda found: True
    exit: int = 0
    says: str = ""


def p(found: Any) -> Any:
    return found["properties"]


def is_job(operation: str, status: str = "Completed") -> Predicate:
    return lambda job: (
        p(job)["operation"] == operation
        and p(job)["status"] == status
        and p(job)["jobType"] == "AzureIaaSVMJob"
        and p(job)["entityFriendlyName"] == "vm1"
    )


def took(job: Any, least: float, most: float) -> bool:
    """Read az's own spelling of a duration, H:MM:SS.ffffff."""
    hours, minutes, seconds = p(job)["duration"].split(":")
    return least <= int(hours) * 3600 + int(minutes) * 60 + float(seconds) <= most


def item_says(**wanted: Any) -> Predicate:
    return lambda item: {name: p(item).get(name) for name in wanted} == wanted


def rest(method: str, path: str, body: Any = None, version: str = VERSION) -> tuple[str, ...]:
    sent = () if body is None else ("--body", json.dumps(body))
    return ("rest", "--method", method, "--url", f"{path}?{version}", *sent)


SIGNED_IN = (
    Check(
        "account show",
        ("account", "show"),
        lambda a: a["id"] == SUBSCRIPTION and a["state"] == "Enabled",
    ),
    Check("group list", ("group", "list"), lambda gs: [g["name"] for g in gs] == [GROUP]),
    Check(
        "vm list",
        ("vm", "list"),
        lambda vms: {vm["name"] for vm in vms} == {"vm1", "vm2", "vm3"},
    ),
    Check(
        "vm show",
        ("vm", "show", "-g", GROUP, "-n", "vm1"),
        lambda vm: (
            vm["id"] == VM_ID
            and vm["location"] == "westeurope"
            and vm["provisioningState"] == "Succeeded"
        ),
    ),
    Check(
        "vm show -d",
        ("vm", "show", "-d", "-g", GROUP, "-n", "vm1"),
        lambda vm: vm["powerState"] == "VM running",
    ),
    Check(
        "vm get-instance-view",
        ("vm", "get-instance-view", "-g", GROUP, "-n", "vm1"),
        lambda vm: vm["instanceView"]["vmAgent"]["statuses"][0]["displayStatus"] == "Ready",
    ),
    Check(
        "vm show of none",
        ("vm", "show", "-g", GROUP, "-n", "none"),
        exit=3,
        says="(ResourceNotFound)",
    ),
)

A_VAULT = (
    Check(
        "vault create",
        ("backup", "vault", "create", "-g", GROUP, "-n", VAULT, "-l", "westeurope"),
        lambda v: v["id"] == VAULT_ID and p(v)["provisioningState"] == "Succeeded",
    ),
    Check(
        "vault show",
        ("backup", "vault", "show", "-g", GROUP, "-n", VAULT),
        lambda v: (
            v["location"] == "westeurope"
            and v["sku"]["name"] == "Standard"
            and v["type"] == "Microsoft.RecoveryServices/vaults"
            and p(v)["securitySettings"]["softDeleteSettings"]["softDeleteState"] == "Enabled"
        ),
    ),
    Check(
        "vault show of none",
        ("backup", "vault", "show", "-g", GROUP, "-n", "none"),
        exit=3,
        says="(ResourceNotFound)",
    ),
    Check(
        "vault list",
        ("backup", "vault", "list", "-g", GROUP),
        lambda vs: [v["name"] for v in vs] == [VAULT],
    ),
    Check(
        "backup-properties show",
        ("backup", "vault", "backup-properties", "show", "-g", GROUP, "-n", VAULT),
        lambda found: (
            found[1]["properties"]["softDeleteFeatureState"] == "Enabled"
            and found[0]["properties"]["storageType"] == "GeoRedundant"
        ),
    ),
    Check(
        "policy list",
        ("backup", "policy", "list", *V),
        lambda ps: (
            [x["name"] for x in ps] == ["HourlyLogBackup", "DefaultPolicy", "EnhancedPolicy"]
        ),
    ),
    Check(
        "policy show",
        ("backup", "policy", "show", *V, "-n", "DefaultPolicy"),
        lambda x: (
            p(x)["backupManagementType"] == "AzureIaasVM"
            and p(x)["protectedItemsCount"] == 0
            and p(x)["instantRpRetentionRangeInDays"] == 2
            and p(x)["timeZone"] == "UTC"
            and p(x)["retentionPolicy"]["dailySchedule"]["retentionDuration"]["count"] == 30
        ),
    ),
    Check(
        "policy get-default-for-vm",
        ("backup", "policy", "get-default-for-vm", *V),
        lambda x: x["name"] == "DefaultPolicy",
    ),
    Check(
        "policy by az rest",
        rest(
            "put",
            f"{VAULT_ID}/backupPolicies/Weekly",
            {
                "properties": {
                    "backupManagementType": "AzureIaasVM",
                    "schedulePolicy": {
                        "schedulePolicyType": "SimpleSchedulePolicy",
                        "scheduleRunFrequency": "Daily",
                        "scheduleRunTimes": ["2026-03-02T21:30:00.000Z"],
                    },
                    "retentionPolicy": {
                        "retentionPolicyType": "LongTermRetentionPolicy",
                        "dailySchedule": {
                            "retentionTimes": ["2026-03-02T21:30:00.000Z"],
                            "retentionDuration": {"count": 90, "durationType": "Days"},
                        },
                    },
                    "timeZone": "UTC",
                }
            },
        ),
        lambda x: p(x)["schedulePolicy"]["scheduleRunTimes"] == ["2026-03-02T21:30:00Z"],
    ),
    Check(
        "items of a policy nobody has",
        ("backup", "policy", "list-associated-items", *V, "-n", "DefaultPolicy"),
        lambda items: items == [],
    ),
)

PROTECTION = (
    Check(
        "check-vm before",
        ("backup", "protection", "check-vm", "--resource-group", GROUP, "--vm", "vm1"),
        lambda found: not found,
    ),
    Check(
        "status of an unprotected VM by az rest",
        rest(
            "post",
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices"
            "/locations/westeurope/backupStatus",
            {"resourceType": "VM", "resourceId": VM_ID},
        ),
        lambda found: (
            found["protectionStatus"] == "NotProtected"
            and found["protectedItemName"] == ITEM.lower()
        ),
    ),
    Check(
        "enable of a VM that is not there",
        ("backup", "protection", "enable-for-vm", *V, "--vm", "none", "-p", "DefaultPolicy"),
        exit=1,
        says="(ResourceNotFound)",
    ),
    Check(
        "protectable VMs",
        ("backup", "protectable-item", "list", *V, "--workload-type", "VM"),
        exit=2,
    ),
    Check(
        "enable-for-vm",
        ("backup", "protection", "enable-for-vm", *V, "--vm", "vm1", "-p", "DefaultPolicy"),
        lambda job: (
            is_job("ConfigureBackup")(job)
            and took(job, 30, 42)
            and p(job)["extendedInfo"]["propertyBag"]
            == {"VM Name": "vm1", "Policy Name": "DefaultPolicy"}
        ),
    ),
    Check(
        "enable-for-vm once more",
        ("backup", "protection", "enable-for-vm", *V, "--vm", "vm1", "-p", "DefaultPolicy"),
        exit=1,
        says="already Protected",
    ),
    Check(
        "enable-for-vm of another",
        ("backup", "protection", "enable-for-vm", *V, "--vm", "vm2", "-p", "EnhancedPolicy"),
        lambda job: p(job)["operation"] == "ConfigureBackup",
    ),
    Check(
        "policy counts",
        ("backup", "policy", "show", *V, "-n", "DefaultPolicy"),
        lambda x: p(x)["protectedItemsCount"] == 1,
    ),
    Check(
        "check-vm after",
        ("backup", "protection", "check-vm", "--resource-group", GROUP, "--vm", "vm1"),
        lambda found: found == VAULT_ID,
    ),
    Check(
        "container list",
        ("backup", "container", "list", *V, "--backup-management-type", "AzureIaasVM"),
        lambda cs: (
            [c["name"] for c in cs] == [CONTAINER, CONTAINER.replace(";vm1", ";vm2")]
            and p(cs[0])["registrationStatus"] == "Registered"
        ),
    ),
    Check(
        "container show",
        ("backup", "container", "show", *V, "-n", "vm1", "--backup-management-type", "AzureIaasVM"),
        lambda c: c["name"] == CONTAINER and p(c)["virtualMachineId"] == VM_ID,
    ),
    Check(
        "item list",
        ("backup", "item", "list", *V),
        lambda items: [i["name"] for i in items] == [ITEM, ITEM.replace(";vm1", ";vm2")],
    ),
    Check(
        "item show",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        lambda i: (
            i["id"] == ITEM_ID
            and item_says(
                protectionState="IRPending",
                protectionStatus="Healthy",
                healthStatus="Passed",
                policyId=f"{VAULT_ID}/backupPolicies/DefaultPolicy",
                policyName="DefaultPolicy",
                lastBackupStatus="",
                workloadType="VM",
                sourceResourceId=VM_ID,
                virtualMachineId=VM_ID,
            )(i)
            and p(i)["lastBackupTime"].startswith("2001-01-01")
        ),
    ),
    Check(
        "items of a policy",
        ("backup", "policy", "list-associated-items", *V, "-n", "DefaultPolicy"),
        lambda items: [i["name"] for i in items] == [ITEM],
    ),
)

JOBS = (
    Check(
        "backup-now",
        ("backup", "protection", "backup-now", *OF_ITEM, *KIND, "--retain-until", "01-05-2026"),
        is_job("Backup", "InProgress"),
    ),
    Check(
        "job list",
        ("backup", "job", "list", *V),
        lambda jobs: (
            [p(j)["operation"] for j in jobs] == ["Backup", "ConfigureBackup", "ConfigureBackup"]
        ),
    ),
    Check(
        "jobs in progress",
        ("backup", "job", "list", *V, "--status", "InProgress"),
        lambda jobs: [p(j)["operation"] for j in jobs] == ["Backup"],
    ),
)

AFTER_A_NIGHT = (
    Check(
        "item after its first backup",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        lambda i: (
            item_says(protectionState="Protected", lastBackupStatus="Completed")(i)
            and p(i)["healthDetails"][0]["title"] == "IaasVmHealthGreenDefault"
        ),
    ),
    Check(
        "recoverypoint list",
        ("backup", "recoverypoint", "list", *OF_ITEM, *KIND),
        lambda points: (
            len(points) >= 1
            and p(points[-1])["recoveryPointTierDetails"][-1]["type"] == "HardenedRP"
        ),
    ),
    Check(
        "item set-policy",
        ("backup", "item", "set-policy", *V, "-c", "vm1", "-n", "vm1", "-p", "Weekly", *KIND),
        is_job("ConfigureBackup"),
    ),
    Check(
        "item has the other policy",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        item_says(policyName="Weekly", protectionState="Protected"),
    ),
    Check(
        "update-for-vm leaves a disk out",
        (
            "backup",
            "protection",
            "update-for-vm",
            *OF_ITEM,
            "--disk-list-setting",
            "exclude",
            "--diskslist",
            "0",
        ),
        is_job("ConfigureBackup"),
    ),
    Check(
        "item leaves the disk out",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        lambda i: (
            p(i)["extendedProperties"]["diskExclusionProperties"]
            == {"diskLunList": [0], "isInclusionList": False}
        ),
    ),
)

STOPPING = (
    Check(
        "disable, keep the points",
        ("backup", "protection", "disable", *OF_ITEM, *KIND, "--yes"),
        is_job("DisableBackup"),
    ),
    Check(
        "item is stopped",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        item_says(protectionState="ProtectionStopped", policyId="", policyName=""),
    ),
    Check(
        "resume",
        ("backup", "protection", "resume", *OF_ITEM, "-p", "DefaultPolicy", *KIND),
        is_job("ConfigureBackup"),
    ),
    Check(
        "item is protected again",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        item_says(protectionState="Protected", policyName="DefaultPolicy"),
    ),
    Check(
        "disable, delete the points",
        (
            "backup",
            "protection",
            "disable",
            *OF_ITEM,
            *KIND,
            "--delete-backup-data",
            "true",
            "--yes",
        ),
        lambda job: is_job("DeleteBackupData")(job) and took(job, 10, 14),
    ),
    Check(
        "item is soft-deleted",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        item_says(
            isScheduledForDeferredDelete=True,
            protectionState="ProtectionStopped",
            softDeleteRetentionPeriod=14,
        ),
    ),
    Check(
        "vault with a soft-deleted item",
        ("backup", "vault", "delete", "-g", GROUP, "-n", VAULT, "--yes"),
        exit=1,
    ),
    Check(
        "undelete",
        ("backup", "protection", "undelete", *OF_ITEM, *KIND),
        is_job("Undelete"),
    ),
    Check(
        "item is back, stopped",
        ("backup", "item", "show", *V, "-c", "vm1", "-n", "vm1", *KIND),
        lambda i: (
            item_says(protectionState="ProtectionStopped")(i)
            and not p(i).get("isScheduledForDeferredDelete")
        ),
    ),
)

GOING = (
    Check(
        "soft delete off",
        (
            "backup",
            "vault",
            "backup-properties",
            "set",
            "-g",
            GROUP,
            "-n",
            VAULT,
            "--soft-delete-feature-state",
            "Disable",
        ),
        lambda c: p(c)["softDeleteFeatureState"] == "Disabled",
    ),
    Check(
        "delete for good",
        (
            "backup",
            "protection",
            "disable",
            *OF_ITEM,
            *KIND,
            "--delete-backup-data",
            "true",
            "--yes",
        ),
        lambda job: is_job("DeleteBackupData")(job) and took(job, 100, 118),
    ),
    Check(
        "item is gone",
        ("backup", "item", "list", *V),
        lambda items: [i["name"] for i in items] == [ITEM.replace(";vm1", ";vm2")],
    ),
    Check(
        "the other one too",
        (
            "backup",
            "protection",
            "disable",
            *V,
            "-c",
            "vm2",
            "-i",
            "vm2",
            *KIND,
            "--delete-backup-data",
            "true",
            "--yes",
        ),
        lambda job: p(job)["operation"] == "DeleteBackupData",
    ),
    Check(
        "policy delete",
        ("backup", "policy", "delete", *V, "-n", "Weekly"),
    ),
    Check("vault delete", ("backup", "vault", "delete", "-g", GROUP, "-n", VAULT, "--yes")),
    Check(
        "no vault",
        ("backup", "vault", "list", "-g", GROUP),
        lambda vaults: vaults == [],
    ),
)

#: The whole story; the clock is moved by a night before the marked part.
STORY: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("signed in", SIGNED_IN),
    ("a vault", A_VAULT),
    ("protection", PROTECTION),
    ("jobs", JOBS),
    ("after a night", AFTER_A_NIGHT),
    ("stopping", STOPPING),
    ("going", GOING),
)
#: What a managed identity does, in the vault the story has begun with.
BY_IDENTITY = (*SIGNED_IN[:4], *A_VAULT[:3], PROTECTION[0], PROTECTION[4], PROTECTION[8])
