// Optional private networking: the app leaves through a subnet, storage and secrets answer only on
// private endpoints. Inbound stays public by necessity (Event Grid cannot reach private endpoints)
// and is restricted in app.bicep.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the virtual network.')
param name string

@description('Address space of the network.')
param addressSpace string

@description('Range of the app\'s subnet, at least a /27; it is delegated and holds nothing else.')
param appRange string

@description('Range of the private endpoints\' subnet, at least a /28.')
param endpointRange string

@description('Resource id of the product\'s storage account.')
param storageId string

@description('Resource id of the Key Vault.')
param vaultId string

@description('Create private DNS zones; false where a central team links them by policy.')
param createZones bool

var vaultSuffix = {
  AzureCloud: 'vaultcore.azure.net'
  AzureUSGovernment: 'vaultcore.usgovcloudapi.net'
  AzureChinaCloud: 'vaultcore.azure.cn'
}

var endpoints = [
  {
    name: 'blob'
    target: storageId
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    name: 'queue'
    target: storageId
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    name: 'table'
    target: storageId
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    name: 'vault'
    target: vaultId
    zone: 'privatelink.${vaultSuffix[environment().name]}'
  }
]

resource closed 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'app-only'
        properties: {
          description: 'Only the app\'s subnet speaks to storage and secrets'
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: appRange
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nobody-else'
        properties: {
          description: 'Also not the rest of the network'
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressSpace]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appRange
          delegations: [
            {
              name: 'flex'
              properties: {
                // Flex Consumption's delegation; the provider Microsoft.App must be registered.
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointRange
          privateEndpointNetworkPolicies: 'Enabled'
          networkSecurityGroup: {
            id: closed.id
          }
        }
      }
    ]
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for entry in endpoints: {
    name: '${name}-${entry.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: '${network.id}/subnets/endpoints'
      }
      privateLinkServiceConnections: [
        {
          name: entry.name
          properties: {
            privateLinkServiceId: entry.target
            groupIds: [entry.name]
          }
        }
      ]
    }
  }
]

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for entry in endpoints: if (createZones) {
    name: entry.zone
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (entry, position) in endpoints: if (createZones) {
    parent: zone[position]
    name: name
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (entry, position) in endpoints: if (createZones) {
    parent: endpoint[position]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: entry.name
          properties: {
            privateDnsZoneId: zone[position].id
          }
        }
      ]
    }
  }
]

@description('Subnet for the app\'s outbound traffic.')
output subnetId string = '${network.id}/subnets/app'
