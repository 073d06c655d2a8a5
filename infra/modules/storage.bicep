// The product's own storage account: queues, tables, the rules file, the deployment package and
// the Functions host's leases. No shared key exists here: everything signs in with an identity.

@description('Region of the account.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the account: 3-24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Redundancy. Zone-redundant outlives a data center; decisions of people are kept here.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param redundancy string

@description('Reachable by private endpoints only.')
param private bool

@description('Principal id of the service identity.')
param principalId string

@description('Principal id of the person or pipeline that uploads package and rules; empty: nobody.')
param deployerId string

@description('Kind of the deployer: User, or ServicePrincipal for a pipeline.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param deployerType string

var roles = loadJsonContent('../built-in-roles.json')

// As function_app.py binds them; the tests hold these lists against the code.
var queues = [
  'enrollments'
  'enrollments-poison'
  'enrollments-backlog'
  'enrollments-backlog-poison'
  'sweeps'
  'sweeps-poison'
  'notices'
  'notices-poison'
]

// As shared/adapters/stores.py names them.
var tables = [
  'ledger'
  'due'
  'inflight'
  'looks'
  'places'
  'changes'
  'sweeps'
  'notes'
  'coverage'
  'notices'
  'outbox'
  'decisions'
  'parked'
]

var containers = [
  'deployments'
  'rules'
]

// Owner of blobs is what the Functions host asks for its leases (facts §7.2).
var serviceRoles = [
  roles.storageBlobDataOwner
  roles.storageQueueDataContributor
  roles.storageTableDataContributor
]

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for containerName in containers: {
    parent: blobs
    name: containerName
    properties: {
      publicAccess: 'None'
    }
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for queueName in queues: {
    parent: queueService
    name: queueName
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [
  for tableName in tables: {
    parent: tableService
    name: tableName
  }
]

resource serviceAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in serviceRoles: {
    scope: account
    name: guid(account.id, principalId, role)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource deployerAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  scope: account
  name: guid(account.id, deployerId, roles.storageBlobDataContributor)
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Name of the account.')
output name string = account.name

@description('Queue endpoint.')
output queueUri string = account.properties.primaryEndpoints.queue

@description('Table endpoint.')
output tableUri string = account.properties.primaryEndpoints.table

@description('Blob endpoint.')
output blobUri string = account.properties.primaryEndpoints.blob
