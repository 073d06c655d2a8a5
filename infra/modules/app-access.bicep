// Lets one identity point event subscriptions at the function app.

@description('Name of the function app.')
param appName string

@description('Principal id that gets the right.')
param principalId string

var roles = loadJsonContent('../built-in-roles.json')

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: appName
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: app
  name: guid(app.id, principalId, roles.websiteContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.websiteContributor)
  }
}
