// Own-health alerts: what is in ../alerts.json, one rule each. A rule's query gives one row even
// when nothing was recorded, so that silence can be measured (absence is the illness that matters).

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of the rules\' names.')
param prefix string

@description('Log Analytics workspace that holds the telemetry.')
param workspaceId string

@description('Mail addresses that alerts go to; empty: the rules only show in the portal.')
param mailTo array

@description('Where the runbook is published; alerts link to its sections.')
param runbookUrl string

var alerts = loadJsonContent('../alerts.json')

var receivers = [
  for (address, position) in mailTo: {
    name: 'operator-${position}'
    emailAddress: address
    useCommonAlertSchema: true
  }
]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-operators'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'vm-backup'
    emailReceivers: receivers
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in alerts: {
    name: '${prefix}-${alert.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: alert.title
      description: '${alert.means} ${runbookUrl}#${alert.section}'
      severity: alert.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: alert.every
      windowSize: alert.window
      autoMitigate: true
      // Telemetry arrives late after a deployment; the first day's rules would cry for nothing.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: alert.query
            metricMeasureColumn: 'value'
            timeAggregation: 'Maximum'
            operator: alert.operator
            threshold: alert.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: alert.periods
              minFailingPeriodsToAlert: alert.periods
            }
          }
        ]
      }
      actions: {
        actionGroups: [group.id]
        customProperties: {
          runbook: '${runbookUrl}#${alert.section}'
        }
      }
    }
  }
]

@description('Resource id of the action group.')
output actionGroupId string = group.id
