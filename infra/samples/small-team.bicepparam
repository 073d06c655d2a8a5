// One subscription, one team: events, sweep, a Teams channel and mail to two people.
using '../main.bicep'

param environmentName = 'vm-backup'
param location = 'westeurope'
param operators = ['backup-team@example.com']
param alertMails = ['backup-team@example.com']
param useTeamsWebhook = true
param languages = ['en']
param storageRedundancy = 'Standard_LRS'
