// Optional Recovery Services vaults, from a list like `declared.vaults` of the rules file. Policies
// are not here: `ops policies ensure` compares and applies them, because a policy edit cuts existing
// recovery points and must be shown as a diff first (docs/deploy.md).

@description('Region of the vault.')
param location string

@description('Tags; one of them is what a vault set of the rules looks for.')
param tags object

@description('Name: 2-50 letters, digits, hyphens, starting with a letter.')
@minLength(2)
@maxLength(50)
param name string

@description('Redundancy of backup storage. It cannot be changed after the first item.')
@allowed(['GeoRedundant', 'ZoneRedundant', 'LocallyRedundant'])
param redundancy string

@description('Restore in the paired region; only with GeoRedundant, and never to be switched off.')
param crossRegionRestore bool

@description('Days that deleted backup data can be brought back.')
@minValue(14)
@maxValue(180)
param softDeleteDays int

resource vault 'Microsoft.RecoveryServices/vaults@2025-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'RS0'
    tier: 'Standard'
  }
  properties: {
    publicNetworkAccess: 'Enabled'
    redundancySettings: {
      standardTierStorageRedundancy: redundancy
      crossRegionRestore: crossRegionRestore ? 'Enabled' : 'Disabled'
    }
    securitySettings: {
      softDeleteSettings: {
        softDeleteState: 'Enabled'
        softDeleteRetentionPeriodInDays: softDeleteDays
      }
      immutabilitySettings: {
        // Locked cannot be undone: a person's step.
        state: 'Unlocked'
      }
    }
  }
}

@description('Resource id of the vault.')
output id string = vault.id
