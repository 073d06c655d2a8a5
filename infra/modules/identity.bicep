// The one identity of the service: reads VMs and vaults, enrolls, reads its own storage and secrets.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the identity.')
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id of the identity.')
output id string = identity.id

@description('Principal (object) id of the identity.')
output principalId string = identity.properties.principalId

@description('Client (application) id of the identity.')
output clientId string = identity.properties.clientId
