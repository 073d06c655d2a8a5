// Stage 2, once per subscription: the service's role in it and its event subscriptions. Run by
// hooks/postdeploy.sh for every subscription in scope, or by hand for one more (docs/deploy.md).
targetScope = 'subscription'

@description('Region that keeps the deployment\'s record; topics themselves are global.')
param location string

@description('Resource id of the function app (output SERVICE_APP_ID).')
param appId string

@description('Principal id of the service identity (output SERVICE_PRINCIPAL_ID).')
param principalId string

@description('Grant the role here; false where the management group grants it.')
param assignRole bool = true

@description('Role blocks besides enroll, as in stage 1.')
@allowed(['firstBackup', 'networkReads', 'locks', 'storageReads', 'preValidation', 'vaultCreation', 'policyWriting', 'vmWrite'])
param grants array = []

@description('Group of a system topic that is made here.')
param eventsGroupName string = 'rg-vm-backup-events'

@description('Existing system topic for this subscription\'s ARM events; empty: one is made.')
param topicName string = ''

@description('Group of that existing system topic.')
param topicGroupName string = ''

@description('Also listen to Resource Notifications.')
param resourceNotifications bool = false

@description('Existing system topic for Resource Notifications; empty: one is made.')
param notificationsTopicName string = ''

@description('Group of that existing system topic.')
param notificationsTopicGroupName string = ''

@description('Where undelivered events go: identity, sharedKey or none.')
@allowed(['identity', 'sharedKey', 'none'])
param deadLetter string = 'none'

@description('Dead-letter storage account (output SERVICE_DEAD_LETTER_ID); empty with none.')
param deadLetterAccountId string = ''

@description('User-assigned identity that writes dead letters (output SERVICE_IDENTITY_ID).')
param identityId string = ''

@description('Tags of every resource.')
param tags object = {}

var makesTopic = empty(topicName) || (resourceNotifications && empty(notificationsTopicName))

resource eventsGroup 'Microsoft.Resources/resourceGroups@2024-03-01' = if (makesTopic) {
  name: eventsGroupName
  location: location
  tags: tags
}

module role 'modules/role.bicep' = if (assignRole) {
  name: 'vm-backup-role'
  params: {
    principalId: principalId
    grants: grants
  }
}

module armEvents 'modules/events.bicep' = {
  scope: resourceGroup(empty(topicName) ? eventsGroupName : topicGroupName)
  name: 'vm-backup-events'
  dependsOn: [eventsGroup]
  params: {
    subscriptionId: subscription().subscriptionId
    appId: appId
    kind: 'arm'
    topicName: empty(topicName) ? 'vm-backup-arm' : topicName
    topicExists: !empty(topicName)
    deadLetter: deadLetter
    deadLetterAccountId: deadLetterAccountId
    identityId: identityId
    tags: tags
  }
}

module notifications 'modules/events.bicep' = if (resourceNotifications) {
  scope: resourceGroup(empty(notificationsTopicName) ? eventsGroupName : notificationsTopicGroupName)
  name: 'vm-backup-notifications'
  dependsOn: [eventsGroup]
  params: {
    subscriptionId: subscription().subscriptionId
    appId: appId
    kind: 'notifications'
    topicName: empty(notificationsTopicName) ? 'vm-backup-notifications' : notificationsTopicName
    topicExists: !empty(notificationsTopicName)
    deadLetter: deadLetter
    deadLetterAccountId: deadLetterAccountId
    identityId: identityId
    tags: tags
  }
}

@description('Event subscription on ARM events.')
output eventSubscriptionId string = armEvents.outputs.eventSubscriptionId
