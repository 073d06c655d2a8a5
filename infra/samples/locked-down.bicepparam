// Private storage and secrets, inbound only from Event Grid and two ranges, a dead-letter account
// without keys. The pipeline deploys from inside the second range.
using '../main.bicep'

param environmentName = 'vm-backup'
param location = 'germanywestcentral'
param privateNetworking = true
param addressSpace = '10.90.0.0/24'
param appRange = '10.90.0.0/26'
param endpointRange = '10.90.0.64/27'
param createZones = false
param operatorRanges = ['203.0.113.0/27', '198.51.100.16/28']
param deadLetter = 'identity'
param storageRedundancy = 'Standard_GZRS'
param deployerType = 'ServicePrincipal'
param deployerId = '00000000-0000-4000-8000-00000000c1c1'
param operators = ['backup-team@example.com']
param alertMails = ['backup-team@example.com']
param updateStrategy = 'Recreate'
