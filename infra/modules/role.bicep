// The service's role in one subscription, assembled from the named blocks of ../role.json: "enroll"
// and what is granted besides. No wildcard and no delete, which a test enforces on the blocks.
targetScope = 'subscription'

@description('Principal id of the service identity.')
param principalId string

@description('Blocks besides enroll; grant one only while its feature is on.')
@allowed(['firstBackup', 'networkReads', 'locks', 'storageReads', 'preValidation', 'vaultCreation', 'policyWriting', 'vmWrite'])
param grants array

var blocks = loadJsonContent('../role.json')
var chosen = [for block in concat(['enroll'], grants): blocks[block].actions]

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  // Names of custom roles are unique in a tenant, hence the subscription in it.
  name: guid(subscription().id, principalId, 'vm-backup-enrollment')
  properties: {
    roleName: 'VM backup enrollment (${subscription().subscriptionId})'
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
    assignableScopes: [subscription().id]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
    description: 'VM backup enrollment'
  }
}

@description('Resource id of the role.')
output roleId string = role.id
