"""Remedies about vaults and policies."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.findings import Remedy
from shared.domain.model import Vault, Vm, region_of
from shared.domain.quoting import ps, sh
from shared.domain.rules.declared import DeclaredPolicy, NewVaults
from shared.domain.rules.model import TagTest, Tier, VaultSet
from shared.domain.rules.selectors import is_glob


def wanted_tags(vaults: VaultSet) -> dict[str, str]:
    """Give the tags that make a vault one of a set, where the set asks for plain values."""
    found = {}
    for name, test in vaults.tags.items():
        match test:
            case str():
                value = test
            case TagTest():
                value = test.any_of[0] if test.any_of else ("yes" if test.present else "")
            case _:
                value = test[0] if test else ""
        if value and not is_glob(value):
            found[name] = value
    return found


def no_vault(new: NewVaults, vaults: VaultSet, vm: Vm, near: Sequence[Vault]) -> tuple[Remedy, ...]:
    """Create a vault in the region, or let the rules choose one that is there."""
    remedies = [_create(new, vaults, vm, suffix="")]
    if new.create:
        made = Remedy(
            text="The rules let an operator make the vault, hardened and with its policies.",
            az="python -m ops policies ensure --yes",
        )
        remedies.insert(0, made)
    tags = wanted_tags(vaults)
    if near and tags:
        pairs = [f"{name}={value}" for name, value in tags.items()]
        table = "; ".join(f"{ps(name)}={ps(value)}" for name, value in tags.items())
        remedies.append(
            Remedy(
                text=f"Or, if vault {near[0].name} is meant for this, tag it so that the rules"
                " choose it.",
                az=f"az tag update --resource-id {sh(str(near[0].id))} --operation Merge --tags "
                + " ".join(map(sh, pairs)),
                powershell=f"Update-AzTag -ResourceId {ps(str(near[0].id))} -Operation Merge"
                f" -Tag @{{{table}}}",
            )
        )
    if vaults.ids:
        remedies.append(
            Remedy(text="Then add the new vault's id to the vault set in the rules file.")
        )
    return tuple(remedies)


def another_vault(new: NewVaults, vaults: VaultSet, vm: Vm) -> tuple[Remedy, ...]:
    return (_create(new, vaults, vm, suffix="-2"),)


def _create(new: NewVaults, vaults: VaultSet, vm: Vm, suffix: str) -> Remedy:
    region = region_of(vm.location)
    subscription = new.subscription or vm.id.subscription
    group = new.group.replace("{region}", region)
    name = (new.name.replace("{region}", region) + suffix)[:50]
    redundancy = (vaults.redundancy or new.hardening.redundancy).value
    tags = new.hardening.tags | wanted_tags(vaults)
    az_tags = " --tags " + " ".join(sh(f"{k}={v}") for k, v in tags.items()) if tags else ""
    ps_tags = (
        " -Tag @{" + "; ".join(f"{ps(k)}={ps(v)}" for k, v in tags.items()) + "}" if tags else ""
    )
    return Remedy(
        text=f"Create vault {name} in {region}; its redundancy can only be set while it is empty."
        " It takes a minute or two; afterwards everything waiting is enrolled by itself.",
        # Creating a group that exists would wipe its tags, so both commands ask first.
        az=f'[ "$(az group exists --subscription {sh(subscription)} --name {sh(group)})" = true ]'
        f" || az group create --subscription {sh(subscription)} --name {sh(group)} --location"
        f" {sh(region)}\n"
        f"az backup vault create --subscription {sh(subscription)} --resource-group {sh(group)}"
        f" --name {sh(name)} --location {sh(region)}{az_tags}\n"
        f"az backup vault backup-properties set --subscription {sh(subscription)}"
        f" --resource-group {sh(group)} --name {sh(name)} --backup-storage-redundancy"
        f" {redundancy}",
        powershell=f"Set-AzContext -Subscription {ps(subscription)}\n"
        f"if (-not (Get-AzResourceGroup -Name {ps(group)} -ErrorAction SilentlyContinue))"
        f" {{ New-AzResourceGroup -Name {ps(group)} -Location {ps(region)} }}\n"
        f"$vault = New-AzRecoveryServicesVault -ResourceGroupName {ps(group)} -Name {ps(name)}"
        f" -Location {ps(region)}{ps_tags}\n"
        f"Set-AzRecoveryServicesBackupProperty -Vault $vault -BackupStorageRedundancy {redundancy}",
        link="https://learn.microsoft.com/azure/backup/backup-create-recovery-services-vault",
    )


def unsupported_region(vm: Vm) -> Remedy:
    return Remedy(
        text=f"A vault cannot be made in {region_of(vm.location)}. Move the VM to a region with"
        " Azure Backup, or protect it by other means and exclude it in the rules.",
    )


def name_taken(vm: Vm, vault: Vault) -> Remedy:
    return Remedy(
        text=f"Let the rules choose another vault than {vault.name} for subscription"
        f" {vm.id.subscription} (a rule with `subscriptions`), so that the two never meet.",
    )


def redundancy(vault: Vault, wanted: str, *, locked: bool) -> tuple[Remedy, ...]:
    if locked:
        return (
            Remedy(
                text=f"Make a new vault that is {wanted} and let the rules choose it for new VMs;"
                " what is in this one stays as it is.",
            ),
        )
    return (
        Remedy(
            text=f"Set {wanted} now, before the first VM comes in.",
            az=f"az backup vault backup-properties set --subscription"
            f" {sh(vault.id.subscription)} --resource-group {sh(vault.id.group)}"
            f" --name {sh(vault.name)} --backup-storage-redundancy {wanted}",
            powershell=f"$vault = Get-AzRecoveryServicesVault -ResourceGroupName"
            f" {ps(vault.id.group)} -Name {ps(vault.name)}\n"
            f"Set-AzRecoveryServicesBackupProperty -Vault $vault -BackupStorageRedundancy {wanted}",
        ),
    )


def soft_delete(vault: Vault) -> Remedy:
    return Remedy(
        text="Turn soft delete on, so that deleted backups can be brought back for 14 days.",
        az=f"az backup vault backup-properties set --subscription {sh(vault.id.subscription)}"
        f" --resource-group {sh(vault.id.group)} --name {sh(vault.name)}"
        " --soft-delete-feature-state Enable",
        powershell=f"$vault = Get-AzRecoveryServicesVault -ResourceGroupName {ps(vault.id.group)}"
        f" -Name {ps(vault.name)}\n"
        "Set-AzRecoveryServicesVaultProperty -VaultId $vault.ID -SoftDeleteFeatureState Enable",
    )


def customer_key(vault: Vault) -> tuple[Remedy, ...]:
    """Grant the vault's identity what it needs of the key vault, in both of its ways."""
    key_vault = (vault.key or "").partition("://")[2].partition(".")[0]
    reader = vault.key_reader if vault.key_reader and "/" not in vault.key_reader else ""
    name = sh(key_vault) if key_vault else "<key-vault>"
    identity = sh(reader) if reader else "<object-id-of-the-identity>"
    role = "Key Vault Crypto Service Encryption User"
    scope = f'"$(az keyvault show --name {name} --query id --output tsv)"'
    return (
        Remedy(
            text="On a key vault with role assignments: give the vault's identity the role that"
            " uses keys for encryption. A key that is rotated, disabled or purged stops backups too.",
            az=f"az role assignment create --role '{role}' --assignee-object-id {identity}"
            f" --assignee-principal-type ServicePrincipal --scope {scope}",
            powershell="$key = Get-AzKeyVault -VaultName"
            f" {ps(key_vault) if key_vault else '<key-vault>'}\n"
            f"New-AzRoleAssignment -RoleDefinitionName '{role}' -Scope $key.ResourceId -ObjectId"
            f" {ps(reader) if reader else '<object-id-of-the-identity>'}",
            link="https://learn.microsoft.com/azure/backup/encryption-at-rest-with-cmk",
        ),
        Remedy(
            text="On a key vault with access policies: let the vault's identity get, list, wrap and"
            " unwrap keys.",
            az=f"az keyvault set-policy --name {name} --object-id {identity}"
            " --key-permissions get list wrapKey unwrapKey",
        ),
    )


def policy_missing(
    declared: Sequence[DeclaredPolicy], vault: Vault, wanted: tuple[str, ...]
) -> tuple[Remedy, ...]:
    known = [policy.name for policy in declared if policy.name in wanted]
    if known:
        return (
            Remedy(
                text=f"The rules declare {', '.join(known)}; an operator can create them.",
                az=f"python -m ops policies ensure --vault {sh(vault.name)}",
            ),
        )
    return (
        Remedy(
            text=f"Create policy {wanted[0]} in vault {vault.name} (the second line writes a"
            " default policy to a file; change schedule and retention in it first).",
            az=_policy_commands(vault, wanted[0]),
            powershell=f"$vault = Get-AzRecoveryServicesVault -ResourceGroupName"
            f" {ps(vault.id.group)} -Name {ps(vault.name)}\n"
            "$schedule = Get-AzRecoveryServicesBackupSchedulePolicyObject -WorkloadType AzureVM\n"
            "$retention = Get-AzRecoveryServicesBackupRetentionPolicyObject -WorkloadType AzureVM\n"
            f"New-AzRecoveryServicesBackupProtectionPolicy -VaultId $vault.ID -Name"
            f" {ps(wanted[0])} -WorkloadType AzureVM -SchedulePolicy $schedule"
            " -RetentionPolicy $retention",
        ),
    )


def _policy_commands(vault: Vault, name: str) -> str:
    where = (
        f"--subscription {sh(vault.id.subscription)} --resource-group {sh(vault.id.group)}"
        f" --vault-name {sh(vault.name)}"
    )
    return (
        f"az backup policy get-default-for-vm {where} > policy.json\n"
        f"az backup policy create {where} --name {sh(name)} --backup-management-type AzureIaasVM"
        " --policy policy.json"
    )


def policy_kind(
    declared: Sequence[DeclaredPolicy], vault: Vault, tier: Tier, tier_name: str
) -> tuple[Remedy, ...]:
    """Make the Enhanced twin, or let the rules take a Standard policy."""
    name = tier.enhanced[0] if tier.enhanced else f"{tier.standard[0]}-enhanced"
    if any(policy.name == name for policy in declared):
        make = Remedy(
            text=f"The rules declare the Enhanced policy {name}; an operator can create it.",
            az=f"python -m ops policies ensure --vault {sh(vault.name)}",
        )
    else:
        make = Remedy(
            text=f"Create the Enhanced policy {name} with the schedule and retention of tier"
            f" {tier_name} in vault {vault.name}"
            + ("" if tier.enhanced else f", and name it under tiers.{tier_name}.enhanced")
            + ".",
            powershell=f"$vault = Get-AzRecoveryServicesVault -ResourceGroupName"
            f" {ps(vault.id.group)} -Name {ps(vault.name)}\n"
            "$schedule = Get-AzRecoveryServicesBackupSchedulePolicyObject -WorkloadType AzureVM"
            " -BackupManagementType AzureVM -PolicySubType Enhanced\n"
            "$retention = Get-AzRecoveryServicesBackupRetentionPolicyObject -WorkloadType AzureVM\n"
            f"New-AzRecoveryServicesBackupProtectionPolicy -VaultId $vault.ID -Name {ps(name)}"
            " -WorkloadType AzureVM -BackupManagementType AzureVM -SchedulePolicy $schedule"
            " -RetentionPolicy $retention",
            link="https://learn.microsoft.com/azure/backup/backup-azure-vms-enhanced-policy",
        )
    return (
        make,
        Remedy(
            text="Or, for Trusted Launch without Ultra or Premium SSD v2 disks, let the rules take"
            " a Standard policy: `trusted_launch: prefer-enhanced`."
        ),
    )


def more_policies(vault: Vault) -> Remedy:
    return Remedy(
        text=f"Create another policy of the tier in vault {vault.name} and add it to the tier's"
        " list in the rules; VMs are spread over them.",
    )
