// Azure US Government. The cloud itself follows from where `az cloud set` points; nothing here
// names an endpoint. Check that Flex Consumption and Python 3.13 are offered in the region.
using '../main.bicep'

param environmentName = 'vm-backup'
param location = 'usgovvirginia'
param operators = ['backup-team@example.com']
param alertMails = ['backup-team@example.com']
param deadLetter = 'none'
param useSmtp = true
param mailFrom = 'vm-backup@example.com'
