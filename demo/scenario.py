"""The demo's estate: two subscriptions, vaults, and fourteen VMs, each with a story.

Plain data in the simulator's seed format (docs/simulator.md). Nothing here knows the product.
"""

from __future__ import annotations

import json
import sys
from typing import Any

Body = dict[str, Any]

TENANT = "10000000-0000-4000-8000-000000000001"
MAIN = "20000000-0000-4000-8000-00000000000a"
SECOND = "20000000-0000-4000-8000-00000000000b"
START = "2026-03-02T09:00:00Z"
MORNING = "2026-03-03T07:00:00Z"
PLAYED = 900  # simulated seconds before the jump
CHANGED_AT = 22 * 3600 + 90  # the morning's tag change

_OLD = "2025-11-03T08:00:00Z"


def seed() -> Body:
    """Give the seed of the demo."""
    return {
        "tenantId": TENANT,
        "subscriptions": [
            {"subscriptionId": MAIN, "displayName": "Production", "tags": {}},
            {"subscriptionId": SECOND, "displayName": "Research", "tags": {}},
        ],
        "resources": [*_groups(), *_vaults(), *_existing()],
        "timeline": _timeline(),
        # VM 12's event arrives four times, in both schemas; every event somewhat out of order
        "knobs": {
            "eventgrid.echoes": [{"resource": f"/virtualMachines/{vm_name(12)}", "times": 3}],
            "eventgrid.reorder": 4,
        },
    }


def main() -> None:
    """Print the seed."""
    sys.stdout.write(json.dumps(seed()) + "\n")


def vm_name(number: int) -> str:
    """Give the name of the VM in the table's row."""
    return f"vm{number:02d}"


def _group(name: str, subscription: str = MAIN, **more: Any) -> Body:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
        **more,
    }


def _groups() -> list[Body]:
    return [
        _group("rg-app"),
        _group("rg-backup"),
        _group("rg-build-01"),
        _group("rg-team-x"),
        _group("rg-lab", SECOND),
        _group(
            "MC_rg-app_aks_westeurope",
            managedBy=f"/subscriptions/{MAIN}/resourceGroups/rg-app/providers"
            "/Microsoft.ContainerService/managedClusters/aks",
        ),
    ]


def _vault(
    name: str, region: str, group: str = "rg-backup", subscription: str = MAIN, *, central: bool
) -> Body:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{group}/providers"
        f"/Microsoft.RecoveryServices/vaults/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults",
        "location": region,
        "tags": {"backup-vault": "central"} if central else {"team": "x"},
        "sku": {"name": "Standard"},
        "properties": {"provisioningState": "Succeeded"},
    }


def _policy(vault: Body, name: str, days: int, *, hourly: bool = False) -> Body:
    at = "2026-01-01T22:00:00Z"
    retention = {
        "retentionPolicyType": "LongTermRetentionPolicy",
        "dailySchedule": {
            "retentionTimes": [at],
            "retentionDuration": {"count": days, "durationType": "Days"},
        },
    }
    properties: Body = {
        "backupManagementType": "AzureIaasVM",
        "instantRPDetails": {},
        "retentionPolicy": retention,
        "instantRpRetentionRangeInDays": 2,
        "timeZone": "UTC",
        "protectedItemsCount": 0,
    }
    if hourly:
        properties["policyType"] = "V2"
        properties["schedulePolicy"] = {
            "schedulePolicyType": "SimpleSchedulePolicyV2",
            "scheduleRunFrequency": "Daily",
            "dailySchedule": {"scheduleRunTimes": [at]},
        }
    else:
        properties["schedulePolicy"] = {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": [at],
            "scheduleWeeklyFrequency": 0,
        }
    return {
        "id": f"{vault['id']}/backupPolicies/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": properties,
    }


def _policies(vault: Body) -> list[Body]:
    return [
        _policy(vault, "gold-daily", 90),
        _policy(vault, "gold-hourly", 90, hourly=True),
        _policy(vault, "silver-daily", 30),
        _policy(vault, "bronze-daily", 14),
        _policy(vault, "bronze-enhanced", 14, hourly=True),
    ]


_WEST = _vault("rsv-west", "westeurope", central=True)
_NORTH = _vault("rsv-north", "northeurope", central=True)
_TEAM = _vault("rsv-team-x", "westeurope", "rg-team-x", central=False)
_LAB = _vault("rsv-lab", "koreacentral", "rg-lab", SECOND, central=True)


def _vaults() -> list[Body]:
    return [_WEST, *_policies(_WEST), _NORTH, *_policies(_NORTH), _TEAM, *_policies(_TEAM)]


def _machine(
    number: int,
    *,
    group: str = "rg-app",
    subscription: str = MAIN,
    region: str = "westeurope",
    created: str = "",
    tags: Body | None = None,
    image: Body | None = None,
    security: str = "",
    disks: int = 0,
    ephemeral: bool = False,
    **more: Any,
) -> Body:
    name = vm_name(number)
    compute = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"
    os_disk: Body = {
        "osType": "Linux",
        "name": f"{name}-os",
        "createOption": "FromImage",
        "caching": "ReadWrite",
        "managedDisk": {
            "storageAccountType": "Premium_LRS",
            "id": f"{compute}/disks/{name}-os",
        },
        "diskSizeGB": 30,
    }
    if ephemeral:
        os_disk["diffDiskSettings"] = {"option": "Local"}
    properties: Body = {
        "vmId": f"30000000-0000-4000-8000-{number:012d}",
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": image
            or {
                "publisher": "Canonical",
                "offer": "ubuntu-24_04-lts",
                "sku": "server",
                "version": "latest",
            },
            "osDisk": os_disk,
            "dataDisks": [
                {
                    "lun": lun,
                    "name": f"{name}-data{lun:02d}",
                    "createOption": "Empty",
                    "managedDisk": {
                        "storageAccountType": "Premium_LRS",
                        "id": f"{compute}/disks/{name}-data{lun:02d}",
                    },
                    "diskSizeGB": 64,
                }
                for lun in range(disks)
            ],
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
    if security:
        properties["securityProfile"] = {
            "securityType": security,
            "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
        }
    return {
        "id": f"{compute}/virtualMachines/{name}",
        "name": name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": region,
        "tags": tags or {},
        "properties": properties,
        **more,
    }


def _gold(**more: str) -> Body:
    return {"backup-tier": "gold", "owner": "owner@contoso.example", **more}


_ELSEWHERE = _machine(10, group="rg-team-x", created=_OLD, tags=_gold())


def _existing() -> list[Body]:
    """VM 10 is older than the service, and in another team's vault."""
    names = f"iaasvmcontainerv2;rg-team-x;{vm_name(10)}"
    return [
        _ELSEWHERE,
        {
            "id": f"{_TEAM['id']}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{names}"
            f"/protectedItems/VM;{names}",
            "name": f"VM;{names}",
            "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers"
            "/protectedItems",
            "properties": {
                "protectedItemType": "Microsoft.Compute/virtualMachines",
                "sourceResourceId": _ELSEWHERE["id"],
                "policyId": f"{_TEAM['id']}/backupPolicies/gold-daily",
                "protectionState": "Protected",
                "lastBackupStatus": "Completed",
                "lastBackupTime": "2026-03-01T22:10:00Z",
                "lastRecoveryPoint": "2026-03-01T22:10:00Z",
            },
        },
    ]


def _timeline() -> list[Body]:
    created = [
        (5, _machine(1, tags=_gold())),
        (
            8,
            _machine(
                2,
                image={
                    "id": f"/subscriptions/{MAIN}/resourceGroups/rg-app/providers"
                    "/Microsoft.Compute/galleries/images/images/golden/versions/1.4.2"
                },
                tags={"owner": "owner@contoso.example"},
            ),
        ),
        (
            12,
            _machine(
                3,
                tags=_gold(),
                _sim={
                    "enable": {
                        "fails": "job",
                        "code": "UserErrorGuestAgentStatusUnavailable",
                        "message": "VM agent is unable to communicate with the Azure Backup "
                        "Service.",
                        "times": 1,
                    }
                },
            ),
        ),
        (
            15,
            _machine(
                4,
                security="TrustedLaunch",
                tags={**_gold(), "backup-tier": "silver", "role": "database"},
            ),
        ),
        (20, _machine(5, disks=33, ephemeral=True, tags=_gold())),
        (25, _machine(6, group="rg-build-01", tags=_gold())),
        (
            30,
            _machine(
                7,
                group="MC_rg-app_aks_westeurope",
                tags={"aks-managed-poolName": "nodepool1"},
            ),
        ),
        (
            35,
            _machine(8, group="rg-lab", subscription=SECOND, region="koreacentral", tags=_gold()),
        ),
        (40, _machine(9, tags={**_gold(), "backup-tier": "glod"})),
        (45, _ELSEWHERE),
        (50, _machine(11, tags=_gold())),
        (60, _machine(12, tags=_gold())),
        (75, _machine(13, region="northeurope", tags=_gold())),
        (80, _machine(14, tags=_gold())),
    ]
    timeline: list[Body] = [{"at": at, "put": body} for at, body in created]
    timeline += [
        {"at": 72, "fault": _throttle()},
        {"at": 100, "delete": _machine(11)["id"]},
        *({"at": 420, "put": body} for body in [_LAB, *_policies(_LAB)]),
        {
            "at": CHANGED_AT,
            "put": _machine(14, tags={**_gold(), "backup-tier": "bronze"}),
        },
    ]
    return sorted(timeline, key=lambda entry: entry["at"])


def _throttle() -> Body:
    """VM 13's vault answers its first PUT with 429 and 324 seconds."""
    return {
        "match": {"method": "PUT", "path": "/vaults/rsv-north/.*/protectedItems/"},
        "nth": "first",
        "count": 1,
        "fault": {
            "status": 429,
            "code": "ResourceRequestsThrottled",
            "message": "Number of requests for action 'Microsoft.RecoveryServices/vaults"
            "/backupFabrics/protectionContainers/protectedItems/write' exceeded the limit of "
            "'150' for time interval '01:00:00'. Please try again after '324' seconds.",
            "headers": {"Retry-After": "324"},
        },
    }


if __name__ == "__main__":
    main()
