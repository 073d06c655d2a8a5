"""The estates of the benches, in the simulator's seed format: vaults, policies, groups, VMs.

Plain data. VMs are ordinary Linux machines of one region; every tenth wants another tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from azure.data.tables.aio import TableServiceClient

from shared.adapters.keys import in_subscription
from shared.adapters.tables import body_of
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.rules import parse
from shared.domain.states import State

Body = dict[str, Any]

TENANT = "10000000-0000-4000-8000-000000000001"
MAIN = "20000000-0000-4000-8000-00000000000a"
NEIGHBOR = "20000000-0000-4000-8000-00000000000b"
REGION = "westeurope"
FIRST_OTHER = 500_000  # the number of the first VM that was there before the bench
CREATED = "2026-01-05T08:00:00Z"
RULES = Path(__file__).with_name("rules.yaml")
CENTRAL = {"backup-vault": "central"}


def seed(*, vaults: int = 5, groups: int = 50, filled: int = 0, deleted: int = 0) -> Body:
    """Give two subscriptions with their groups and vaults.

    ``filled`` and ``deleted`` are active and soft-deleted items in each vault, of the past.
    """
    mine = [vault(f"rsv-{number}") for number in range(vaults)]
    theirs = vault("rsv-neighbor", subscription=NEIGHBOR)
    resources = [group(group_name(number)) for number in range(groups)]
    resources += [group("rg-backup"), group("rg-web", NEIGHBOR), group("rg-backup", NEIGHBOR)]
    for one in (*mine, theirs):
        resources += [one, *policies(one)]
    resources += [body for vm, kept in others(vaults, filled) for body in (vm, kept)]
    resources += [
        item(one, gone(one, number), deleted=True) for one in mine for number in range(deleted)
    ]
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


def others(vaults: int, filled: int) -> list[tuple[Body, Body]]:
    """Give the VMs that have been protected for long, each with its item."""
    found: list[tuple[Body, Body]] = []
    for vault_number in range(vaults):
        of = vault(f"rsv-{vault_number}")
        for number in range(filled):
            vm = machine(FIRST_OTHER + vault_number * filled + number, created=CREATED)
            found.append((vm, item(of, vm, deleted=False)))
    return found


def gone(of: Body, number: int) -> Body:
    """Give a VM that is no more."""
    return machine(FIRST_OTHER + 90_000, created=CREATED) | {"name": f"{of['name']}-gone-{number}"}


def row(vm: Body, kept: Body, version: str, at: datetime) -> Row:
    """Give what the ledger has of a VM that has been protected for long."""
    return Row(
        vm=vm["id"],
        state=State.PROTECTED,
        since=at - timedelta(days=30),
        seen_at=at - timedelta(hours=1),
        uid=vm["properties"]["vmId"],
        region=REGION,
        tags=vm["tags"],
        rules_version=version,
        vault=str(kept["id"]).partition("/backupFabrics/")[0],
        policy=kept["properties"]["policyId"],
        first_seen=at - timedelta(days=30),
        enrolled_at=at - timedelta(days=30),
        protected_at=at - timedelta(days=30),
    )


async def plant(connection: str, rows: Sequence[Row]) -> None:
    """Write the ledger in transactions, which the product has no use for."""
    by_subscription: dict[str, list[dict[str, Any]]] = {}
    for one in rows:
        vm = ArmId.parse(one.vm)
        columns = {"state": one.state, **body_of(one)}
        entity = {"PartitionKey": vm.subscription, "RowKey": in_subscription(vm), **columns}
        by_subscription.setdefault(vm.subscription, []).append(entity)
    async with TableServiceClient.from_connection_string(connection) as service:
        table = await service.create_table_if_not_exists("ledger")
        for entities in by_subscription.values():
            for start in range(0, len(entities), 100):
                some = entities[start : start + 100]
                await table.submit_transaction([("upsert", entity) for entity in some])


def version() -> str:
    """Give the version of the benches' rules, as the app computes it."""
    return parse(RULES.read_text(encoding="utf-8"), str(RULES)).version


def item(of: Body, vm: Body, *, deleted: bool, policy: str = "silver-2") -> Body:
    """Give the item of a VM in a vault."""
    group_of = str(vm["id"]).split("/")[4]
    names = f"iaasvmcontainerv2;{group_of};{vm['name']}"
    properties: Body = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": str(vm["id"]).rpartition("/")[0] + f"/{vm['name']}",
        "policyId": "" if deleted else f"{of['id']}/backupPolicies/{policy}",
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
