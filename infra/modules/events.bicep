// Event subscriptions of one subscription. A source has one system topic per type, in its own
// subscription: an existing one (perhaps another team's) is used, never replaced. An event
// subscription is validated against the running function: deploy the code first.

@description('Subscription whose VMs are listened to.')
param subscriptionId string

@description('Resource id of the function app.')
param appId string

@description('System topic of this kind in this resource group; created unless topicExists.')
param topicName string

@description('The system topic is there already and belongs to somebody: use it as it is.')
param topicExists bool

@description('arm: write and delete events of ARM. notifications: Resource Notifications.')
@allowed(['arm', 'notifications'])
param kind string

@description('Where undelivered events go: identity, sharedKey or none.')
@allowed(['identity', 'sharedKey', 'none'])
param deadLetter string

@description('Resource id of the dead-letter storage account; empty with none.')
param deadLetterAccountId string

@description('User-assigned identity that writes dead letters; empty without.')
param identityId string

@description('Tags of every resource.')
param tags object

var topicTypes = {
  arm: 'Microsoft.Resources.Subscriptions'
  notifications: 'Microsoft.ResourceNotifications.Resources'
}

// Exact operation names: "contains virtualMachines" would let the extension storm in, our own
// backup extension with it (facts §5.6). Tag writes are those on a VM. Case never matters.
var filters = {
  arm: {
    includedEventTypes: ['Microsoft.Resources.ResourceWriteSuccess', 'Microsoft.Resources.ResourceDeleteSuccess']
    isSubjectCaseSensitive: false
    enableAdvancedFilteringOnArrays: true
    advancedFilters: [
      {
        operatorType: 'StringIn'
        key: 'data.operationName'
        values: ['Microsoft.Compute/virtualMachines/write', 'Microsoft.Compute/virtualMachines/delete', 'Microsoft.Resources/tags/write']
      }
      {
        operatorType: 'StringContains'
        key: 'subject'
        values: ['/providers/Microsoft.Compute/virtualMachines/']
      }
    ]
  }
  notifications: {
    includedEventTypes: ['Microsoft.ResourceNotifications.Resources.CreatedOrUpdated', 'Microsoft.ResourceNotifications.Resources.Deleted']
    isSubjectCaseSensitive: false
    enableAdvancedFilteringOnArrays: true
    advancedFilters: [
      {
        operatorType: 'StringIn'
        key: 'data.resourceInfo.type'
        values: ['Microsoft.Compute/virtualMachines']
      }
    ]
  }
}

var container = {
  endpointType: 'StorageBlob'
  properties: {
    resourceId: deadLetterAccountId
    blobContainerName: 'undelivered'
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (!topicExists) {
  name: topicName
  location: 'global'
  tags: tags
  identity: deadLetter == 'identity' ? {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  } : {
    type: 'None'
  }
  properties: {
    source: '/subscriptions/${subscriptionId}'
    topicType: topicTypes[kind]
  }
}

resource existingTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource delivery 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: existingTopic
  name: 'vm-backup-enrollment'
  dependsOn: [topic]
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${appId}/functions/on_vm_event'
        // One event a call: a batch is redelivered whole when one of it fails.
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: filters[kind]
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterDestination: deadLetter == 'sharedKey' ? container : null
    deadLetterWithResourceIdentity: deadLetter == 'identity' ? {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: identityId
      }
      deadLetterDestination: container
    } : null
  }
}

@description('Resource id of the event subscription.')
output eventSubscriptionId string = delivery.id
