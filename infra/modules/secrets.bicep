// Key Vault for what channels need: the Teams webhook and the mail account. The deployment never
// sees a secret's value; a person or pipeline sets it (docs/runbook.md, "Rotate a secret").

@description('Region of the vault.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the vault: 3-24 letters, digits, hyphens.')
@minLength(3)
@maxLength(24)
param name string

@description('Reachable by private endpoint only.')
param private bool

@description('Principal id of the service identity: may read secrets.')
param principalId string

@description('Principal id of whoever sets secrets; empty: grant it by hand.')
param deployerId string

@description('Kind of the deployer.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param deployerType string

@description('Log Analytics workspace that keeps who read what.')
param workspaceId string

var roles = loadJsonContent('../built-in-roles.json')

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource serviceAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, roles.keyVaultSecretsUser)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource deployerAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  scope: vault
  name: guid(vault.id, deployerId, roles.keyVaultSecretsOfficer)
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsOfficer)
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the vault.')
output id string = vault.id

@description('Name of the vault.')
output name string = vault.name

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
