// The workbook: the coverage page's numbers from telemetry, for who already lives in the portal.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Log Analytics workspace that holds the telemetry.')
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'vm-backup-enrollment')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'VM backup enrollment'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: workspaceId
    serializedData: loadTextContent('../workbook.json')
  }
}

@description('Resource id of the workbook.')
output id string = workbook.id
