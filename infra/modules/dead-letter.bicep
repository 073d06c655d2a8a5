// Where Event Grid puts events it could not deliver. An account of its own, because it may have to
// allow the shared key that Event Grid then uses, and nothing else may live behind that key.
// The blobs hold whole events, personal data included: they are deleted after two weeks.

@description('Region of the account.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the account: 3-24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Event Grid signs in with the account key instead of an identity.')
param allowSharedKey bool

@description('Principal id of the identity that Event Grid and `ops replay` use.')
param principalId string

@description('Days until a dead-lettered event is deleted.')
@minValue(1)
@maxValue(90)
param keepDays int

var roles = loadJsonContent('../built-in-roles.json')

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: allowSharedKey
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // Event Grid cannot reach private endpoints; it is a trusted service of the firewall only
    // when it signs in with an identity.
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: allowSharedKey ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: false
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'undelivered'
  properties: {
    publicAccess: 'None'
  }
}

resource expiry 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'forget'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['undelivered/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: keepDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, roles.storageBlobDataContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Blob endpoint, for `ops replay`.')
output blobUri string = account.properties.primaryEndpoints.blob
