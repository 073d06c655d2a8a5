// One deployment for a whole management group: the role above all its subscriptions, and an Azure
// Policy that gives every new subscription its event subscription. Run after stage 1.
targetScope = 'managementGroup'

@description('Region that keeps the policy assignment\'s identity and the deployments\' record.')
param location string

@description('Resource id of the function app (output SERVICE_APP_ID).')
param appId string

@description('Principal id of the service identity (output SERVICE_PRINCIPAL_ID).')
param principalId string

@description('Role blocks besides enroll, as in stage 1.')
@allowed(['firstBackup', 'networkReads', 'locks', 'storageReads', 'preValidation', 'vaultCreation', 'policyWriting', 'vmWrite'])
param grants array = []

@description('Enforce the policy; false only reports subscriptions that are not onboarded.')
param enforcePolicy bool = true

var blocks = loadJsonContent('role.json')
var builtIn = loadJsonContent('built-in-roles.json')
var chosen = [for block in concat(['enroll'], grants): blocks[block].actions]
var app = split(appId, '/')
// What the policy's own identity needs: write event subscriptions, and point them at the app.
var policyRoles = [
  builtIn.eventGridEventSubscriptionContributor
]

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(managementGroup().id, principalId, 'vm-backup-enrollment')
  properties: {
    roleName: 'VM backup enrollment (${managementGroup().name})'
    description: 'Puts VMs under backup. May not delete anything. Blocks: enroll ${join(grants, ' ')}'
    type: 'CustomRole'
    permissions: [
      {
        actions: flatten(chosen)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [managementGroup().id]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
    description: 'VM backup enrollment'
  }
}

resource definition 'Microsoft.Authorization/policyDefinitions@2023-04-01' = {
  name: 'vm-backup-enrollment-onboard'
  properties: {
    displayName: 'Subscriptions send VM events to the backup enrollment service'
    description: 'Deploys an event subscription on ARM write and delete events of virtual machines.'
    policyType: 'Custom'
    mode: 'All'
    metadata: {
      category: 'Backup'
      version: '1.0.0'
    }
    parameters: {
      functionId: {
        type: 'String'
        metadata: {
          displayName: 'Function'
          description: 'Resource id of the function on_vm_event.'
        }
      }
      location: {
        type: 'String'
        metadata: {
          displayName: 'Location'
          description: 'Region that keeps the deployment\'s record.'
        }
      }
    }
    policyRule: {
      if: {
        field: 'type'
        equals: 'Microsoft.Resources/subscriptions'
      }
      then: {
        effect: 'deployIfNotExists'
        details: {
          type: 'Microsoft.EventGrid/eventSubscriptions'
          name: 'vm-backup-enrollment'
          existenceScope: 'subscription'
          deploymentScope: 'subscription'
          roleDefinitionIds: [
            tenantResourceId('Microsoft.Authorization/roleDefinitions', builtIn.eventGridEventSubscriptionContributor)
          ]
          deployment: {
            location: '[parameters(\'location\')]'
            properties: {
              mode: 'incremental'
              // A policy carries ARM JSON; the tests hold its filters equal to modules/events.bicep.
              template: loadJsonContent('policy-onboard.json')
              parameters: {
                functionId: {
                  value: '[parameters(\'functionId\')]'
                }
              }
            }
          }
        }
      }
    }
  }
}

resource policy 'Microsoft.Authorization/policyAssignments@2023-04-01' = {
  name: 'vm-backup-onboard'
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    displayName: 'Subscriptions send VM events to the backup enrollment service'
    policyDefinitionId: definition.id
    enforcementMode: enforcePolicy ? 'Default' : 'DoNotEnforce'
    parameters: {
      functionId: {
        value: '${appId}/functions/on_vm_event'
      }
      location: {
        value: location
      }
    }
  }
}

resource policyAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for id in policyRoles: {
    name: guid(managementGroup().id, policy.name, id)
    properties: {
      principalId: policy.identity.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: tenantResourceId('Microsoft.Authorization/roleDefinitions', id)
      description: 'VM backup enrollment: onboarding policy'
    }
  }
]

// The destination is write-checked too: an event subscription may not point at an app that its
// creator could not write.
module destination 'modules/app-access.bicep' = {
  scope: resourceGroup(app[2], app[4])
  name: 'vm-backup-policy-access'
  params: {
    appName: last(app)
    principalId: policy.identity.principalId
  }
}

@description('Resource id of the policy assignment, for a remediation task on existing subscriptions.')
output policyAssignmentId string = policy.id

@description('Resource id of the role.')
output roleId string = role.id
