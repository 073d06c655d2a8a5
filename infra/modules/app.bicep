// The function app on Flex Consumption: plan, app, settings. The settings here are the product's
// whole table (shared/settings.py); a test compares name by name and default by default.

@description('Region.')
param location string

@description('Tags of every resource; the app carries azd-service-name besides.')
param tags object

@description('Name of the function app.')
param name string

@description('Name of the plan. A Flex Consumption plan holds one app.')
param planName string

@description('Resource id of the user-assigned identity.')
param identityId string

@description('Client id of the user-assigned identity.')
param identityClientId string

@description('Blob endpoint of the product\'s storage account.')
param blobUri string

@description('Queue endpoint of the product\'s storage account.')
param queueUri string

@description('Table endpoint of the product\'s storage account.')
param tableUri string

@description('Name of the Key Vault.')
param vaultName string

@description('Connection string of Application Insights (an address, not a key).')
param monitorConnection string

@description('Subnet for outbound traffic; empty: none.')
param subnetId string

@description('Answer only Event Grid and the operators\' ranges.')
param restrictInbound bool

@description('Address ranges (CIDR) of operators and of the deployment pipeline.')
param operatorRanges array

@description('Instance cap of the app, told to the governor as INSTANCES: budgets are divided by it.')
@minValue(1)
@maxValue(1000)
param instances int

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemory int

@description('Instances of on_vm_event that are always warm.')
@minValue(0)
param alwaysReady int

@description('How a new package takes over: all instances at once, or one after another (preview).')
@allowed(['Recreate', 'RollingUpdate'])
param updateStrategy string

@description('Subscriptions in scope; empty: every one the identity can read.')
param subscriptions array

@description('observe or enforce.')
@allowed(['observe', 'enforce'])
param mode string

@description('In enforce, VMs created before this UTC time are touched only by backfill.')
param enrollSince string

@description('Who hears of the service\'s own troubles.')
param operators array

@description('Key Vault holds teams-webhook-url.')
param useTeamsWebhook bool

@description('Key Vault holds smtp-url.')
param useSmtp bool

@description('Sender of mails.')
param mailFrom string

@description('Azure Communication Services endpoint for mail; empty: SMTP.')
param acsEndpoint string

@description('Event Grid custom topic for outcomes; empty: none.')
param topicEndpoint string

@description('Entra application whose tokens open the coverage page; empty: the page is shut.')
param authClientId string

@description('Languages of notices, the first is the default.')
param languages array

@description('OTLP endpoint besides Azure Monitor; empty: none.')
param otlpEndpoint string

@description('Any other setting of the table, by name, in place of its default.')
param tuning object

var clouds = {
  AzureCloud: 'public'
  AzureUSGovernment: 'usgov'
  AzureChinaCloud: 'china'
}

// A reference names no version, so a rotated secret is picked up within a day, or at a restart.
var references = {
  teams: '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=teams-webhook-url)'
  smtp: '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=smtp-url)'
}

var settings = {
  AzureWebJobsStorage__queueServiceUri: queueUri
  AzureWebJobsStorage__tableServiceUri: tableUri
  AzureWebJobsStorage__blobServiceUri: blobUri
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AZURE_CLIENT_ID: identityClientId
  TENANT_ID: tenant().tenantId
  SUBSCRIPTIONS: join(subscriptions, ',')
  MODE: mode
  ENROLL_SINCE: enrollSince
  RULES_URI: '${blobUri}rules/rules.yaml'
  RULES_CHECK_SECONDS: '60'
  AZURE_CLOUD: clouds[environment().name]
  CLOCK: 'system'
  INSTANCES: string(instances)
  CHANGES_PER_HOUR: '500'
  CHANGES_PER_DAY: '2000'
  DIRECTORY_SECONDS: '900'
  INDEX_SECONDS: '900'
  SWEEP_SECONDS: '900'
  PLACE_CAP: '240'
  VAULT_IN_FLIGHT: '480'
  BACKUP_API_VERSION: '2025-02-01'
  VAULT_API_VERSION: '2025-08-01'
  COMPUTE_API_VERSION: '2024-07-01'
  OWNER_TAGS: 'owner,contact,backup-owner'
  OPERATORS: join(operators, ',')
  TEAMS_WEBHOOK_URL: useTeamsWebhook ? references.teams : ''
  SMTP_URL: useSmtp ? references.smtp : ''
  MAIL_FROM: mailFrom
  ACS_ENDPOINT: acsEndpoint
  TOPIC_ENDPOINT: topicEndpoint
  PAGE_URL: 'https://${app.properties.defaultHostName}'
  AUTH_CLIENT_ID: authClientId
  LANGUAGES: join(languages, ',')
  TELEMETRY_EXPORTER: 'azuremonitor'
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitorConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // The worker announces OpenTelemetry and the host stops relaying our lines a second time. The
  // worker's own Azure Monitor flag stays unset: the product owns its providers.
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
}

// Unset rather than empty: the host takes a value that is present for an endpoint.
var furtherSettings = empty(otlpEndpoint) ? {} : {
  OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
}

var eventGridRule = [
  {
    name: 'event-grid'
    description: 'Event Grid cannot reach private endpoints'
    action: 'Allow'
    priority: 100
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
  }
]

var operatorRules = [
  for (range, position) in operatorRanges: {
    name: 'operators-${position}'
    description: 'Operators and the deployment pipeline'
    action: 'Allow'
    priority: 200 + position
    ipAddress: range
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'service'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobUri}deployments'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        // The cap holds for the whole app. Each queue function scales by itself below it, with
        // batchSize + newBatchThreshold messages an instance (host.json), so N instances at most
        // share Azure's budgets; the governor is told the same N.
        maximumInstanceCount: instances
        instanceMemoryMB: instanceMemory
        // Event Grid waits 30 s for an answer, which a cold start fits into; a warm instance only
        // makes the first event of a quiet hour faster, and costs money while idle (docs/cost.md).
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'function:on_vm_event'
            instanceCount: alwaysReady
          }
        ]
      }
      siteUpdateStrategy: {
        type: updateStrategy
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: restrictInbound ? 'Deny' : 'Allow'
      ipSecurityRestrictions: restrictInbound ? concat(eventGridRule, operatorRules) : []
      scmIpSecurityRestrictionsDefaultAction: restrictInbound ? 'Deny' : 'Allow'
      scmIpSecurityRestrictions: restrictInbound ? operatorRules : []
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(settings, furtherSettings, tuning)
}

resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = [
  for door in ['scm', 'ftp']: {
    parent: app
    name: door
    properties: {
      allow: false
    }
  }
]

@description('Resource id of the function app.')
output id string = app.id

@description('Name of the function app.')
output name string = app.name

@description('Address of the function app.')
output url string = 'https://${app.properties.defaultHostName}'
