"""What the service decides on the answers it asks for: an assumed one of these is a risk.

Held against the product's real requests by every test that has a simulated Azure.
"""

from collections.abc import Mapping

#: Every operation the product asks for, and what is decided on its answer.
DECIDES: Mapping[str, str] = {
    "BackupJobs_List": "why an enrollment or a backup failed; whether the first backup was made",
    "BackupOperationStatuses_Get": "whether a change is over, and how it ended",
    "BackupPolicies_List": "which policies a vault has, where Resource Graph is shut; what a policy keeps before a VM is put under it",
    "BackupProtectedItems_List": "which VMs a vault holds, where Resource Graph is behind or shut",
    "Backups_Trigger": "a first backup before the schedule",
    "ManagementLocks_ListAtScope": "a read-only lock that covers the VM: its backups fail",
    "Networkinterfaces_Get": "a closer look at the network: which subnet and rules the VM is under",
    "Networksecuritygroups_Get": "a closer look at the network: whether the way out is shut; a remark",
    "ProtectedItems_CreateOrUpdate": "the enrollment itself: refused, or accepted and followed",
    "ProtectedItems_Get": "whether the VM is protected, stopped or soft-deleted, and by which policy",
    "ProtectionIntent_Validate": "with `pre_validate`: Azure's own word before the enrollment",
    "ProtectionPolicies_CreateOrUpdate": "`ops policies ensure`: whether a policy was written",
    "ProtectionPolicies_Get": "what a policy keeps, how often, and whether it takes the VM",
    "ProtectionPolicyOperationResults_Get": "`ops policies ensure`: when a policy's change is over",
    "Providers_Get": "in which regions a vault can be made",
    "RoleAssignments_ListForScope": "`ops doctor`: which rights the service was given",
    "RoleDefinitions_Get": "`ops doctor`: what those roles allow",
    "ResourceGroups_CreateOrUpdate": "`ops policies ensure`: the group of a declared vault",
    "ResourceGroups_Get": "the group's tags: which rule matches and who owns the VM",
    "Resources": "which VMs, vaults and items there are: sweep, orphans, coverage; tags of groups",
    "Routetables_Get": "a closer look at the network: whether a route leads elsewhere; a remark",
    "Vaults_CreateOrUpdate": "`ops policies ensure`: whether a vault was made",
    "Vaults_Get": "`ops policies ensure`: what of a vault differs from what is declared",
    "Vaults_GetOperationStatus": "`ops policies ensure`: when a vault is there",
    "Vaults_ListBySubscriptionId": "which vaults may take the VM: region, state, immutability",
    "Systemtopics_ListBySubscription": "`ops doctor`: where events of a subscription go",
    "VirtualMachines_Get": "whether the VM is ready: state, power, agent, disks, security, identity",
    "Virtualnetworks_Subnets_Get": "a closer look at the network: the subnet's rules and routes",
    "eventSubscriptions_GetFullUrl": "`ops doctor`: whether events go to this very app",
    "eventSubscriptions_List": "`ops doctor`: whether events are delivered, filtered, kept when lost",
    "systemTopics/eventSubscriptions_GetFullUrl": "`ops doctor`: the same, below a system topic",
    "systemTopics/eventSubscriptions_List": "`ops doctor`: the same, below a system topic",
}

#: Behavior within otherwise known operations that nothing recorded or documented tells, by the knob
#: that turns it, and how the service is built not to depend on it, or what it then decides.
ASSUMED_BEHAVIOR: Mapping[str, str] = {
    "backup.item.visible_while_enabling": "an enable is followed by its operation and job; the item"
    " alone proves nothing before they end",
    "backup.deleted_while_enabling": "both ends are handled: a failed job of a VM that is gone, and"
    " an orphan that is told",
    "backup.guard.code": "a guard's refusal is known by its words, whatever its code",
    "backup.guard.status": "the same, whatever its status",
    "backup.quota.day_code": "the service stops at a cap of its own below Azure's 250; the code, if met,"
    " reads as a full vault",
    "backup.quota.policy": "no number of VMs per policy is presumed: a refusal decides",
    "backup.region_mismatch": "vaults of another region are never asked; a refusal is told as it is",
    "backup.trusted_launch.standard": "the rule's `trusted_launch` decides, not a guess at versions",
    "graph.lag_seconds": "a VM that Resource Graph does not show yet is found by the next sweep",
    "graph.backup_lag_seconds": "what the service wrote itself outranks Graph until it agrees",
    "rbac.propagation_seconds": "a right that is missing is tried again, not remembered for good",
    "compute.events_per_write": "any event of a VM leads to one look, however many are published",
}

#: What the simulator does otherwise than Azure, on purpose, where no recording shows it.
DIFFERENCES: Mapping[str, str] = {
    "Resources": "of Kusto only what the product and az send; anything else is refused by name",
    "Restores_Trigger": "the job runs; no disks are made",
    "ProtectionPolicyOperationResults_Get": "202 while it runs, as ARM says; bms knows 200 alone",
}
