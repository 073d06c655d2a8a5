"""The estates of the benches, in the simulator's seed format: vaults, policies, groups, VMs.

Plain data. VMs are ordinary Linux machines of one region; every tenth wants another tier.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Body = dict[str, Any]

TENANT = "10000000-0000-4000-8000-000000000001"
MAIN = "20000000-0000-4000-8000-00000000000a"
NEIGHBOR = "20000000-0000-4000-8000-00000000000b"
REGION = "westeurope"
CREATED = "2026-01-05T08:00:00Z"
RULES = Path(__file__).with_name("rules.yaml")
CENTRAL = {"backup-vault": "central"}


def seed(*, vaults: int = 5, groups: int = 50, filled: int = 0, deleted: int = 0) -> Body:
    """Give two subscriptions with their groups and vaults.

    ``filled`` and ``deleted`` are other teams' active and soft-deleted items in each vault.
    """
    mine = [vault(f"rsv-{number}") for number in range(vaults)]
    theirs = vault("rsv-neighbor", subscription=NEIGHBOR)
    resources = [group(group_name(number)) for number in range(groups)]
    resources += [group("rg-backup"), group("rg-web", NEIGHBOR), group("rg-backup", NEIGHBOR)]
    for one in (*mine, theirs):
        resources += [one, *policies(one)]
    for one in mine:
        resources += [item(one, number, deleted=False) for number in range(filled)]
        resources += [item(one, filled + number, deleted=True) for number in range(deleted)]
    return {
        "tenantId": TENANT,
        "subscriptions": [
            {"subscriptionId": MAIN, "displayName": "Main", "tags": {}},
            {"subscriptionId": NEIGHBOR, "displayName": "Neighbor", "tags": {}},
        ],
        "resources": resources,
    }


def group_name(number: int) -> str:
    return f"rg-team-{number:02d}"


def group(name: str, subscription: str = MAIN) -> Body:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": REGION,
        "tags": {"cost": name},
        "properties": {"provisioningState": "Succeeded"},
    }


def vault(name: str, *, subscription: str = MAIN) -> Body:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/rg-backup/providers"
        f"/Microsoft.RecoveryServices/vaults/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults",
        "location": REGION,
        "tags": CENTRAL,
        "sku": {"name": "Standard"},
        "properties": {"provisioningState": "Succeeded"},
    }


def policies(of: Body) -> list[Body]:
    """Give three policies for each tier, since a policy takes a hundred VMs."""
    return [
        _policy(of, f"{tier}-{number}", days)
        for tier, days in (("gold", 90), ("silver", 30))
        for number in range(3)
    ]


def _policy(of: Body, name: str, days: int) -> Body:
    at = "2026-01-01T22:00:00Z"
    return {
        "id": f"{of['id']}/backupPolicies/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "instantRPDetails": {},
            "instantRpRetentionRangeInDays": 2,
            "timeZone": "UTC",
            "protectedItemsCount": 0,
            "schedulePolicy": {
                "schedulePolicyType": "SimpleSchedulePolicy",
                "scheduleRunFrequency": "Daily",
                "scheduleRunTimes": [at],
                "scheduleWeeklyFrequency": 0,
            },
            "retentionPolicy": {
                "retentionPolicyType": "LongTermRetentionPolicy",
                "dailySchedule": {
                    "retentionTimes": [at],
                    "retentionDuration": {"count": days, "durationType": "Days"},
                },
            },
        },
    }


def item(of: Body, number: int, *, deleted: bool) -> Body:
    """Give somebody else's item: a VM of a group that the bench does not create."""
    vault_name = str(of["name"])
    name = f"{vault_name}-other-{number:04d}"
    vm = (
        f"/subscriptions/{MAIN}/resourceGroups/rg-others/providers/Microsoft.Compute"
        f"/virtualMachines/{name}"
    )
    names = f"iaasvmcontainerv2;rg-others;{name}"
    properties: Body = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": vm,
        "policyId": "" if deleted else f"{of['id']}/backupPolicies/silver-2",
        "protectionState": "ProtectionStopped" if deleted else "Protected",
        "lastBackupStatus": "Completed",
        "lastBackupTime": "2026-03-01T22:10:00Z",
        "lastRecoveryPoint": "2026-03-01T22:10:00Z",
    }
    if deleted:
        properties |= {
            "isScheduledForDeferredDelete": True,
            "deferredDeleteTimeInUTC": "2026-03-14T00:00:00Z",
        }
    return {
        "id": f"{of['id']}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{names}"
        f"/protectedItems/VM;{names}",
        "name": f"VM;{names}",
        "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers"
        "/protectedItems",
        "properties": properties,
    }


def machine(
    number: int, *, subscription: str = MAIN, groups: int = 50, created: str = "", **order: Any
) -> Body:
    """Give a VM as its creator PUTs it; ``order`` says how its enable shall fail."""
    name = f"vm-{number:06d}"
    within = group_name(number % groups) if subscription == MAIN else "rg-web"
    compute = f"/subscriptions/{subscription}/resourceGroups/{within}/providers/Microsoft.Compute"
    properties: Body = {
        "vmId": f"30000000-0000-4000-8000-{number:012d}",
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "ubuntu-24_04-lts",
                "sku": "server",
                "version": "latest",
            },
            "osDisk": {
                "osType": "Linux",
                "name": f"{name}-os",
                "createOption": "FromImage",
                "caching": "ReadWrite",
                "managedDisk": {
                    "storageAccountType": "Premium_LRS",
                    "id": f"{compute}/disks/{name}-os",
                },
                "diskSizeGB": 30,
            },
            "dataDisks": [],
        },
        "osProfile": {
            "computerName": name,
            "adminUsername": "azureuser",
            "linuxConfiguration": {"provisionVMAgent": True},
            "allowExtensionOperations": True,
        },
        "networkProfile": {"networkInterfaces": []},
        "provisioningState": "Succeeded",
    }
    if created:
        properties["timeCreated"] = created
    body: Body = {
        "id": f"{compute}/virtualMachines/{name}",
        "name": name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": REGION,
        "tags": {"backup-tier": "gold" if number % 10 == 0 else "silver"},
        "properties": properties,
    }
    return body | ({"_sim": {"enable": order}} if order else {})
