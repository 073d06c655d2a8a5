"""Role definitions: the built-in ones the product meets (facts §8.1) and how actions match.

The built-in action lists are those of the live definitions, cut to what the simulator routes.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Self

from simulator.arm import Json


@cache
def _pattern(action: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in action.lower().split("*")))


def _covers(actions: tuple[str, ...], action: str) -> bool:
    return any(_pattern(pattern).fullmatch(action.lower()) for pattern in actions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a role definition permits on the management plane."""

    id: str
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def permits(self, action: str) -> bool:
        return _permits(self, action)

    @classmethod
    def parse(cls, body: dict[str, Json]) -> Self:
        properties = body.get("properties")
        fields = properties if isinstance(properties, dict) else {}
        permissions = fields.get("permissions")
        rows = (
            [row for row in permissions if isinstance(row, dict)]
            if isinstance(permissions, list)
            else []
        )
        return cls(
            id=str(body.get("name", "")),
            name=str(fields.get("roleName", "")),
            actions=tuple(str(action) for row in rows for action in row.get("actions") or ()),
            not_actions=tuple(str(a) for row in rows for a in row.get("notActions") or ()),
        )


@cache
def _permits(role: Role, action: str) -> bool:
    return _covers(role.actions, action) and not _covers(role.not_actions, action)


_RSV = "Microsoft.RecoveryServices/"
_FABRIC = _RSV + "Vaults/backupFabrics/"
_CONTAINERS = _FABRIC + "protectionContainers/"
_ITEMS = _CONTAINERS + "protectedItems/"

_COMMON = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.ResourceHealth/availabilityStatuses/read",
    "Microsoft.Insights/alertRules/*",
    "Microsoft.Support/*",
)

BACKUP_CONTRIBUTOR = "5e467623-bb1f-42f4-a55d-6e525e11384b"
BACKUP_OPERATOR = "00c29273-979b-4161-815c-10b084fb9324"
BACKUP_READER = "a795c7a0-d4a2-40c1-ae25-d81f01202912"
VM_CONTRIBUTOR = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"

_ROLES = (
    Role(id=OWNER, name="Owner", actions=("*",)),
    Role(
        id=CONTRIBUTOR,
        name="Contributor",
        actions=("*",),
        not_actions=(
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    Role(id=READER, name="Reader", actions=("*/read",)),
    Role(
        id=BACKUP_CONTRIBUTOR,
        name="Backup Contributor",
        actions=(
            *_COMMON,
            "Microsoft.Network/virtualNetworks/read",
            _RSV + "locations/*",
            _FABRIC + "operationResults/*",
            _CONTAINERS + "*",
            _FABRIC + "refreshContainers/action",
            _RSV + "Vaults/backupJobs/*",
            _RSV + "Vaults/backupJobsExport/action",
            _RSV + "Vaults/backupOperationResults/*",
            _RSV + "Vaults/backupOperations/read",
            _RSV + "Vaults/backupPolicies/*",
            _RSV + "Vaults/backupProtectableItems/*",
            _RSV + "Vaults/backupProtectedItems/*",
            _RSV + "Vaults/backupProtectionContainers/*",
            _RSV + "Vaults/backupUsageSummaries/read",
            _RSV + "Vaults/backupconfig/*",
            _RSV + "Vaults/backupstorageconfig/*",
            _RSV + "Vaults/backupResourceGuardProxies/*",
            _RSV + "Vaults/usages/read",
            _RSV + "Vaults/read",
            _RSV + "Vaults/write",
            "Microsoft.Resources/deployments/*",
        ),
    ),
    Role(
        id=BACKUP_OPERATOR,
        name="Backup Operator",
        actions=(
            *_COMMON,
            "Microsoft.Network/virtualNetworks/read",
            _FABRIC + "operationResults/read",
            _CONTAINERS + "operationResults/read",
            _ITEMS + "backup/action",
            _ITEMS + "operationResults/read",
            _ITEMS + "operationsStatus/read",
            _ITEMS + "read",
            _ITEMS + "recoveryPoints/read",
            _ITEMS + "write",
            _CONTAINERS + "read",
            _FABRIC + "refreshContainers/action",
            _RSV + "Vaults/backupJobs/*",
            _RSV + "Vaults/backupOperationResults/*",
            _RSV + "Vaults/backupOperations/read",
            _RSV + "Vaults/backupPolicies/read",
            _RSV + "Vaults/backupProtectableItems/*",
            _RSV + "Vaults/backupProtectedItems/read",
            _RSV + "Vaults/backupProtectionContainers/read",
            _RSV + "Vaults/backupUsageSummaries/read",
            _FABRIC + "backupProtectionIntent/write",
            _RSV + "Vaults/usages/read",
            _RSV + "Vaults/read",
            _RSV + "locations/backupStatus/action",
            _RSV + "locations/backupPreValidateProtection/action",
            _RSV + "locations/backupValidateFeatures/action",
            "Microsoft.Resources/deployments/*",
        ),
    ),
    Role(
        id=BACKUP_READER,
        name="Backup Reader",
        actions=(
            *_COMMON,
            _RSV + "Vaults/*/read",
            _RSV + "Vaults/read",
            _RSV + "locations/*/read",
            _RSV + "locations/backupStatus/action",
            _RSV + "locations/backupValidateFeatures/action",
        ),
    ),
    Role(
        id=VM_CONTRIBUTOR,
        name="Virtual Machine Contributor",
        actions=(
            *_COMMON,
            "Microsoft.Compute/availabilitySets/*",
            "Microsoft.Compute/locations/*",
            "Microsoft.Compute/virtualMachines/*",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/disks/delete",
            "Microsoft.Network/locations/*",
            "Microsoft.Network/networkInterfaces/*",
            "Microsoft.Network/networkSecurityGroups/read",
            "Microsoft.Network/virtualNetworks/read",
            _RSV + "locations/*",
            _FABRIC + "backupProtectionIntent/write",
            _FABRIC + "protectionContainers/protectedItems/*/read",
            _ITEMS + "read",
            _ITEMS + "write",
            _RSV + "Vaults/backupPolicies/read",
            _RSV + "Vaults/backupPolicies/write",
            _RSV + "Vaults/read",
            _RSV + "Vaults/usages/read",
            _RSV + "Vaults/write",
            "Microsoft.Resources/deployments/*",
        ),
    ),
)

BUILT_IN: dict[str, Role] = {role.id: role for role in _ROLES}
