// What `azd up` uses: values of the azd environment (`azd env set NAME VALUE`), else defaults.
// SUBSCRIPTIONS=all: every subscription the identity can read (see management-group.bicep).
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'vm-backup')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param mode = readEnvironmentVariable('MODE', 'observe')
param enrollSince = readEnvironmentVariable('ENROLL_SINCE', '9999-12-31T00:00:00Z')
param subscriptions = readEnvironmentVariable('SUBSCRIPTIONS', '') == 'all' ? [] : split(readEnvironmentVariable('SUBSCRIPTIONS', readEnvironmentVariable('AZURE_SUBSCRIPTION_ID', '')), ',')
param grants = empty(readEnvironmentVariable('GRANTS', '')) ? [] : split(readEnvironmentVariable('GRANTS', ''), ',')
param alertMails = empty(readEnvironmentVariable('ALERT_MAILS', '')) ? [] : split(readEnvironmentVariable('ALERT_MAILS', ''), ',')
param operators = empty(readEnvironmentVariable('OPERATORS', '')) ? [] : split(readEnvironmentVariable('OPERATORS', ''), ',')
param deadLetter = readEnvironmentVariable('DEAD_LETTER', 'identity')
param useTeamsWebhook = bool(readEnvironmentVariable('USE_TEAMS_WEBHOOK', 'false'))
param useSmtp = bool(readEnvironmentVariable('USE_SMTP', 'false'))
param mailFrom = readEnvironmentVariable('MAIL_FROM', '')
param authClientId = readEnvironmentVariable('AUTH_CLIENT_ID', '')
param resourceNotifications = bool(readEnvironmentVariable('RESOURCE_NOTIFICATIONS', 'false'))
param deployerId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param deployerType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
