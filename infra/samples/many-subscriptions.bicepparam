// A management group of many subscriptions: deploy this, then management-group.bicep. Every
// subscription that the identity can read is in scope, and new ones join by policy.
using '../main.bicep'

param environmentName = 'vm-backup'
param location = 'northeurope'
param subscriptions = []
param grants = ['firstBackup', 'locks']
param instances = 8
param resourceNotifications = false
param operators = ['cloud-platform@example.com']
param alertMails = ['cloud-platform@example.com', 'on-call@example.com']
param acsEndpoint = 'https://contoso-mail.europe.communication.azure.com'
param mailFrom = 'backup@notify.example.com'
param logDays = 90
param logCapGb = 5
param tuning = {
  CHANGES_PER_HOUR: '1000'
  CHANGES_PER_DAY: '5000'
}
