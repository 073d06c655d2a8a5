"""The Resource Graph queries of the product, all in one place (facts §4.5, §4.5a).

Every walk is by key: `order by key` and "after the last key seen", so that rows that come or go
meanwhile neither repeat nor hide others, which skip tokens do (vendor's guidance for pagination,
2026-02). Kusto compares texts with `strcmp`; `<` and `>` on texts are an error there.

Backup rows are read under both spellings and both shapes (`properties` an object or its text);
only the columns that `bodies.items` reads travel, since an estate has many items.
"""

from __future__ import annotations

VMS = """resources
| where type =~ 'microsoft.compute/virtualmachines'
| extend key = strcat(tolower(resourceGroup), '|', tolower(name)){after}
| order by key asc
| project key, id, location, tags, uid = tostring(properties.vmId), created = tostring(properties.timeCreated)"""

_ITEM_COLUMNS = "id, backupManagementType = tostring(p.backupManagementType), protectionState = tostring(p.protectionState), currentProtectionState = tostring(p.currentProtectionState), sourceResourceId = tostring(p.sourceResourceId), virtualMachineId = tostring(p.virtualMachineId), dataSourceInfo = p.dataSourceInfo, policyId = tostring(p.policyId), policyInfo = p.policyInfo, policyName = tostring(p.policyName), lastBackupStatus = tostring(p.lastBackupStatus), lastBackupTime = tostring(p.lastBackupTime), lastRecoveryPoint = tostring(p.lastRecoveryPoint), healthStatus = tostring(p.healthStatus), isScheduledForDeferredDelete = tostring(p.isScheduledForDeferredDelete), deferredDeleteTimeInUTC = tostring(p.deferredDeleteTimeInUTC), deferredDeleteTimeRemaining = tostring(p.deferredDeleteTimeRemaining), softDeleteRetentionPeriod = tostring(p.softDeleteRetentionPeriod), extendedProperties = p.extendedProperties"

ITEMS = f"""recoveryservicesresources
| where type =~ 'microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems'
| extend key = tolower(id), p = parse_json(properties){{after}}
| where tostring(p.backupManagementType) =~ 'AzureIaasVM'
| order by key asc
| project {_ITEM_COLUMNS}"""

# The items of one subscription's VMs, wherever their vaults lie, in the order of `VMS`.
ITEMS_OF = f"""recoveryservicesresources
| where type =~ 'microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems'
| extend p = parse_json(properties)
| where tostring(p.backupManagementType) =~ 'AzureIaasVM'
| extend source = split(tolower(coalesce(tostring(p.sourceResourceId), tostring(p.virtualMachineId), tostring(p.dataSourceInfo.resourceID))), '/')
| where tostring(source[2]) == {{subscription}}
| extend key = strcat(tostring(source[4]), '|', tostring(source[8]), '|', tolower(id)){{after}}{{through}}
| order by key asc
| project key, {_ITEM_COLUMNS}"""

# What counts as soft-deleted is told by `bodies.items`, so its columns are kept apart here.
HELD = """recoveryservicesresources
| where type =~ 'microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems'
| extend p = parse_json(properties)
| where tostring(p.backupManagementType) =~ 'AzureIaasVM'
| extend vault = tostring(split(tolower(id), '/backupfabrics/')[0]), policyId = tolower(coalesce(tostring(p.policyId), tostring(p.policyInfo.policyId))), currentProtectionState = tostring(p.currentProtectionState), isScheduledForDeferredDelete = tostring(p.isScheduledForDeferredDelete)
| summarize held = count() by vault, policyId, currentProtectionState, isScheduledForDeferredDelete
| extend key = strcat(vault, '|', policyId, '|', currentProtectionState, '|', isScheduledForDeferredDelete){after}
| order by key asc"""

POLICIES = """recoveryservicesresources
| where type =~ 'microsoft.recoveryservices/vaults/backuppolicies'
| extend key = tolower(id){after}
| order by key asc
| project id, properties"""

SUBSCRIPTIONS = """resourcecontainers
| where type =~ 'microsoft.resources/subscriptions'
| extend key = tolower(id){after}
| order by key asc
| project id, subscriptionId, tenantId, tags, state = tostring(properties.state)"""

GROUPS = """resourcecontainers
| where type =~ 'microsoft.resources/subscriptions/resourcegroups'
| extend key = tolower(id){after}
| order by key asc
| project id, subscriptionId, resourceGroup, tags, managedBy"""

DISKS = """resources
| where type =~ 'microsoft.compute/disks'
| extend key = tolower(id){after}
| where key in ({keys})
| order by key asc
| project id, sku, properties"""

# Times are ISO texts of one form, so their order as texts is their order in time.
JOBS = """recoveryservicesresources
| where type =~ 'microsoft.recoveryservices/vaults/backupjobs'
| extend key = tolower(id), p = parse_json(properties){after}
| where tostring(p.backupManagementType) =~ 'AzureIaasVM' and strcmp(tostring(p.startTime), {since}) >= 0
| order by key asc
| project id, entityFriendlyName = tostring(p.entityFriendlyName), operation = tostring(p.operation), status = tostring(p.status), startTime = tostring(p.startTime), endTime = tostring(p.endTime), errorDetails = p.errorDetails"""

_AFTER = "\n| where strcmp(key, {key}) > 0"
_THROUGH = "\n| where strcmp(key, {key}) <= 0"


def walk(query: str, after: str = "") -> str:
    """Give the query for the rows after a key."""
    condition = _AFTER.replace("{key}", quoted(after)) if after else ""
    return query.replace("{after}", condition, 1)  # once: names in the query may say anything


def items_of(subscription: str, through: str) -> str:
    """Give the query for the items of a subscription's VMs, up to and with a VM's key."""
    condition = _THROUGH.replace("{key}", quoted(beyond(through))) if through else ""
    query = ITEMS_OF.replace("{subscription}", quoted(subscription.lower()), 1)
    return query.replace("{through}", condition, 1)


def beyond(vm: str) -> str:
    """Give the key after all items of a VM, and before the next VM."""
    return f"{vm}|~"


def quoted(text: str) -> str:
    """Give a Kusto text literal. Ids are parsed before they come here; this is the second lock."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
