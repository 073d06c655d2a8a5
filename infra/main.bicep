// Stage 1: everything but the event subscriptions, which are validated against the running app and
// therefore come after the code (stage 2: subscription.bicep, run by hooks/postdeploy.sh).
targetScope = 'subscription'

@description('Name of the environment; part of every resource\'s name.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Region of the service. VMs of every region are served from it.')
param location string

@description('Resource group of the service; created.')
param resourceGroupName string = 'rg-${environmentName}'

@description('Tags of every resource.')
param tags object = {}

@description('Subscriptions whose VMs are served; empty: every one the identity can read.')
param subscriptions array = [
  subscription().subscriptionId
]

@description('observe decides and reports, changes nothing; enforce enrolls. Read `ops plan` before.')
@allowed(['observe', 'enforce'])
param mode string = 'observe'

@description('In enforce, VMs created before this UTC time are touched only by `ops backfill`.')
param enrollSince string = '9999-12-31T00:00:00Z'

@description('Role blocks besides enroll (role.json); grant one only while its feature is on.')
@allowed(['firstBackup', 'networkReads', 'locks', 'storageReads', 'preValidation', 'vaultCreation', 'policyWriting', 'vmWrite'])
param grants array = []

@description('Instance cap of the app; the governor divides Azure\'s budgets by it.')
@minValue(1)
@maxValue(1000)
param instances int = 4

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemory int = 2048

@description('Warm instances of the event trigger; 0 is enough (docs/cost.md).')
@minValue(0)
param alwaysReady int = 0

@description('How a new package takes over: Recreate, or RollingUpdate (preview).')
@allowed(['Recreate', 'RollingUpdate'])
param updateStrategy string = 'Recreate'

@description('Also listen to Resource Notifications. Needs subscribeToResources on each subscription.')
param resourceNotifications bool = false

@description('Where undelivered events go: identity; sharedKey, allowed on that account only; none: the sweep finds the VM.')
@allowed(['identity', 'sharedKey', 'none'])
param deadLetter string = 'identity'

@description('Days until a dead-lettered event is deleted; it holds personal data.')
@minValue(1)
@maxValue(90)
param deadLetterDays int = 14

@description('Storage and secrets answer on private endpoints only; the app leaves through a subnet.')
param privateNetworking bool = false

@description('Address space of the network, with privateNetworking.')
param addressSpace string = '10.90.0.0/24'

@description('Range of the app\'s subnet, at least a /27.')
param appRange string = '10.90.0.0/26'

@description('Range of the private endpoints\' subnet, at least a /28.')
param endpointRange string = '10.90.0.64/27'

@description('Create private DNS zones; false where a central team links them by policy.')
param createZones bool = true

@description('Ranges (CIDR) of operators and pipeline; any: the app answers only them and Event Grid.')
param operatorRanges array = []

@description('Redundancy of the product\'s storage account.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('Who hears of the service\'s own troubles (setting OPERATORS).')
param operators array = []

@description('Mail addresses of the action group; empty: alerts only show in the portal.')
param alertMails array = []

@description('Where docs/runbook.md is published; alerts link to its sections.')
param runbookUrl string = 'docs/runbook.md'

@description('Key Vault holds teams-webhook-url. Set the secret first, then this.')
param useTeamsWebhook bool = false

@description('Key Vault holds smtp-url. Set the secret first, then this.')
param useSmtp bool = false

@description('Sender of mails.')
param mailFrom string = ''

@description('Azure Communication Services endpoint for mail; empty: SMTP.')
param acsEndpoint string = ''

@description('Event Grid custom topic for outcomes; empty: none. Grant the identity EventGrid Data Sender on it.')
param topicEndpoint string = ''

@description('Entra application whose tokens open the coverage page; empty: the page is shut.')
param authClientId string = ''

@description('Languages of notices, the first is the default: en, ko.')
param languages array = ['en']

@description('OTLP endpoint besides Azure Monitor; empty: none.')
param otlpEndpoint string = ''

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logDays int = 30

@description('Daily cap of telemetry in GB; -1: none.')
param logCapGb int = 1

@description('Any other setting by name (README, Settings), in place of its default.')
param tuning object = {}

@description('Vaults to create, as `declared.vaults` of the rules file; their groups must exist.')
param vaults array = []

@description('Principal id of who deploys: may upload package and rules and set secrets; empty: nobody.')
param deployerId string = ''

@description('Kind of the deployer; ServicePrincipal for a pipeline.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param deployerType string = 'User'

var token = toLower(uniqueString(subscription().id, environmentName, location))
var allTags = union(tags, {
  'azd-env-name': environmentName
})
var servesHome = empty(subscriptions) || contains(subscriptions, subscription().subscriptionId)
var hardening = {
  redundancy: 'GeoRedundant'
  cross_region_restore: false
  soft_delete_days: 14
  tags: {}
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  name: 'identity'
  params: {
    location: location
    tags: allTags
    name: 'id-${environmentName}-${token}'
  }
}

module telemetry 'modules/telemetry.bicep' = {
  scope: group
  name: 'telemetry'
  params: {
    location: location
    tags: allTags
    workspaceName: 'log-${environmentName}-${token}'
    componentName: 'appi-${environmentName}-${token}'
    keepDays: logDays
    dailyCapGb: logCapGb
    principalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  name: 'storage'
  params: {
    location: location
    tags: allTags
    name: 'st${token}'
    redundancy: storageRedundancy
    private: privateNetworking
    principalId: identity.outputs.principalId
    deployerId: deployerId
    deployerType: deployerType
  }
}

module undelivered 'modules/dead-letter.bicep' = if (deadLetter != 'none') {
  scope: group
  name: 'dead-letter'
  params: {
    location: location
    tags: allTags
    name: 'dl${token}'
    allowSharedKey: deadLetter == 'sharedKey'
    principalId: identity.outputs.principalId
    keepDays: deadLetterDays
  }
}

module secrets 'modules/secrets.bicep' = {
  scope: group
  name: 'secrets'
  params: {
    location: location
    tags: allTags
    name: 'kv-${token}'
    private: privateNetworking
    principalId: identity.outputs.principalId
    deployerId: deployerId
    deployerType: deployerType
    workspaceId: telemetry.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  scope: group
  name: 'network'
  params: {
    location: location
    tags: allTags
    name: 'vnet-${environmentName}-${token}'
    addressSpace: addressSpace
    appRange: appRange
    endpointRange: endpointRange
    storageId: storage.outputs.id
    vaultId: secrets.outputs.id
    createZones: createZones
  }
}

module app 'modules/app.bicep' = {
  scope: group
  name: 'app'
  params: {
    location: location
    tags: allTags
    name: 'func-${environmentName}-${token}'
    planName: 'plan-${environmentName}-${token}'
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobUri: storage.outputs.blobUri
    queueUri: storage.outputs.queueUri
    tableUri: storage.outputs.tableUri
    vaultName: secrets.outputs.name
    monitorConnection: telemetry.outputs.connectionString
    subnetId: privateNetworking ? network.outputs.subnetId : ''
    restrictInbound: privateNetworking || !empty(operatorRanges)
    operatorRanges: operatorRanges
    instances: instances
    instanceMemory: instanceMemory
    alwaysReady: alwaysReady
    updateStrategy: updateStrategy
    subscriptions: subscriptions
    mode: mode
    enrollSince: enrollSince
    operators: operators
    useTeamsWebhook: useTeamsWebhook
    useSmtp: useSmtp
    mailFrom: mailFrom
    acsEndpoint: acsEndpoint
    topicEndpoint: topicEndpoint
    authClientId: authClientId
    languages: languages
    otlpEndpoint: otlpEndpoint
    tuning: tuning
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    location: location
    tags: allTags
    prefix: 'vm-backup-${environmentName}'
    workspaceId: telemetry.outputs.workspaceId
    mailTo: alertMails
    runbookUrl: runbookUrl
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    location: location
    tags: allTags
    workspaceId: telemetry.outputs.workspaceId
  }
}

module role 'modules/role.bicep' = if (servesHome) {
  name: 'vm-backup-role'
  params: {
    principalId: identity.outputs.principalId
    grants: grants
  }
}

module declaredVaults 'modules/vaults.bicep' = [
  for vault in vaults: if (toLower(vault.subscription) == subscription().subscriptionId) {
    scope: resourceGroup(vault.group)
    name: 'vault-${vault.name}'
    params: {
      location: vault.region
      name: vault.name
      tags: union(hardening, contains(vault, 'hardening') ? vault.hardening : {}).tags
      redundancy: union(hardening, contains(vault, 'hardening') ? vault.hardening : {}).redundancy
      crossRegionRestore: union(hardening, contains(vault, 'hardening') ? vault.hardening : {}).cross_region_restore
      softDeleteDays: union(hardening, contains(vault, 'hardening') ? vault.hardening : {}).soft_delete_days
    }
  }
]

@description('Resource group of the service.')
output SERVICE_RESOURCE_GROUP string = group.name

@description('Name of the function app.')
output SERVICE_APP_NAME string = app.outputs.name

@description('Resource id of the function app: the destination of every event subscription.')
output SERVICE_APP_ID string = app.outputs.id

@description('Address of the function app.')
output SERVICE_URL string = app.outputs.url

@description('Resource id of the service identity.')
output SERVICE_IDENTITY_ID string = identity.outputs.id

@description('Principal id of the service identity: whom to grant rights.')
output SERVICE_PRINCIPAL_ID string = identity.outputs.principalId

@description('Product storage account: rules go to its container rules.')
output SERVICE_STORAGE_NAME string = storage.outputs.name

@description('Key Vault of the channels\' secrets.')
output SERVICE_VAULT_NAME string = secrets.outputs.name

@description('Where undelivered events go: identity, sharedKey or none.')
output SERVICE_DEAD_LETTER string = deadLetter

@description('Dead-letter storage account; empty without.')
output SERVICE_DEAD_LETTER_ID string = deadLetter == 'none' ? '' : undelivered.outputs.id

@description('Blob endpoint of the dead-letter account, for `ops replay`; empty without.')
output SERVICE_DEAD_LETTER_URI string = deadLetter == 'none' ? '' : undelivered.outputs.blobUri

@description('Role blocks besides enroll, comma separated; `ops doctor` holds the role against them.')
output SERVICE_GRANTS string = join(grants, ',')

@description('Subscriptions to onboard, comma separated; empty: those of the management group.')
output SERVICE_SUBSCRIPTIONS string = join(subscriptions, ',')

@description('Whether Resource Notifications are listened to: true or false.')
output SERVICE_RESOURCE_NOTIFICATIONS string = toLower(string(resourceNotifications))

@description('Log Analytics workspace.')
output SERVICE_WORKSPACE_ID string = telemetry.outputs.workspaceId
