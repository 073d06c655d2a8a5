#!/bin/sh
# Stage 2, run by azd after the code is deployed: role and event subscriptions in every subscription
# in scope, the rules file, and what only a person may do. Safe to run again. Its settings are the
# outputs of stage 1, which `azd hooks run postdeploy` hands it.
set -eu

: "${SERVICE_APP_ID:?run azd provision first, or set the outputs of infra/main.bicep}"
: "${SERVICE_PRINCIPAL_ID:?}" "${SERVICE_IDENTITY_ID:?}" "${SERVICE_STORAGE_NAME:?}"
: "${SERVICE_RESOURCE_GROUP:?}" "${SERVICE_VAULT_NAME:?}" "${AZURE_LOCATION:?}"
subscriptions=${SERVICE_SUBSCRIPTIONS:-}
dead_letter=${SERVICE_DEAD_LETTER:-none}
notifications=${SERVICE_RESOURCE_NOTIFICATIONS:-false}
rules=${RULES_FILE:-rules.yaml}
pause=${HOOK_PAUSE:-20}
here=$(dirname "$0")
ours=vm-backup-arm
ours_too=vm-backup-notifications

# "a,b" -> ["a","b"]
as_list() { [ -z "$1" ] && echo '[]' || echo "[\"$(echo "$1" | sed 's/,/","/g')\"]"; }

# One system topic a source and type may exist: name, group and identities of the one there is.
topic_of() { # subscription, topic type
  topics=$(az eventgrid system-topic list --subscription "$1" --output tsv --query \
    "[?topicType=='$2' || topicType=='$(echo "$2" | tr '[:upper:]' '[:lower:]')'].[name, resourceGroup, join(' ', keys(not_null(identity.userAssignedIdentities, \`{}\`)))]") \
    || return 1
  echo "$topics" | head -n 1
}

deploy() { # subscription, dead-letter mode, further parameters...
  target=$1 mode=$2
  shift 2
  account=''
  [ "$mode" = none ] || account=${SERVICE_DEAD_LETTER_ID:-}
  az deployment sub create --subscription "$target" --name vm-backup-onboard \
    --location "$AZURE_LOCATION" --template-file "$here/../subscription.bicep" --output none \
    --parameters appId="$SERVICE_APP_ID" principalId="$SERVICE_PRINCIPAL_ID" \
    grants="$(as_list "${SERVICE_GRANTS:-}")" resourceNotifications="$notifications" \
    deadLetter="$mode" deadLetterAccountId="$account" identityId="$SERVICE_IDENTITY_ID" "$@"
}

onboard() { # subscription
  mode=$dead_letter
  tab=$(printf '\t')
  set -- "$1"
  for kind in Microsoft.Resources.Subscriptions Microsoft.ResourceNotifications.Resources; do
    [ "$kind" = Microsoft.Resources.Subscriptions ] || [ "$notifications" = true ] || continue
    found=$(topic_of "$1" "$kind") || return 1 # not knowing is no reason to make another
    name=$(echo "$found" | cut -d "$tab" -f 1)
    [ -n "$name" ] && [ "$name" != "$ours" ] && [ "$name" != "$ours_too" ] || continue
    group=$(echo "$found" | cut -d "$tab" -f 2)
    echo "  uses the system topic $name of group $group, which was there"
    if [ "$kind" = Microsoft.Resources.Subscriptions ]; then
      set -- "$@" topicName="$name" topicGroupName="$group"
    else
      set -- "$@" notificationsTopicName="$name" notificationsTopicGroupName="$group"
    fi
    case "$(echo "$found" | tr '[:upper:]' '[:lower:]')" in
      *"$(echo "$SERVICE_IDENTITY_ID" | tr '[:upper:]' '[:lower:]')"*) ;;
      *) [ "$mode" != identity ] || mode=without ;;
    esac
  done
  if [ "$mode" = without ]; then
    echo "  no dead-letter here: that topic does not carry the service's identity; the sweep is the net"
    mode=none
  fi
  target=$1
  shift
  # The app may need a moment until its functions are known, a fresh role until it is believed.
  for try in 1 2 3; do
    deploy "$target" "$mode" "$@" && return 0
    [ "$try" = 3 ] || sleep "$pause"
  done
  if [ "$mode" = identity ]; then
    echo "  Event Grid refused, perhaps the identity on a global topic: trying without dead-letter"
    deploy "$target" none "$@" && {
      echo "  no dead-letter here: set DEAD_LETTER=sharedKey to allow a key on that account only"
      return 0
    }
  fi
  return 1
}

upload_rules() {
  set -- --account-name "$SERVICE_STORAGE_NAME" --container-name rules --name rules.yaml --auth-mode login
  there=$(az storage blob exists "$@" --query exists --output tsv) || return 1
  if [ "$there" = true ]; then
    echo "rules: the account has a rules.yaml; it is left as it is"
  elif [ -f "$rules" ]; then
    az storage blob upload "$@" --file "$rules" --output none || return 1
    echo "rules: $rules uploaded"
  else
    echo "rules: none yet. Copy rules.sample.yaml to rules.yaml, make it yours, run this again;"
    echo "       until then nothing is enrolled."
  fi
}

failed=0
if [ -z "$subscriptions" ]; then
  echo "every readable subscription is in scope: onboard them by infra/management-group.bicep"
fi
for subscription in $(echo "$subscriptions" | tr ',' ' '); do
  echo "onboarding subscription $subscription"
  onboard "$subscription" || {
    echo "  NOT onboarded: see the error above, then run this again (docs/runbook.md#not-onboarded)"
    failed=1
  }
done
upload_rules || {
  echo "rules: not uploaded. From where the account is reachable:"
  echo "  az storage blob upload --auth-mode login --account-name $SERVICE_STORAGE_NAME --container-name rules --name rules.yaml --file $rules"
}

cat <<CHECKLIST

What only a person may grant or do
  1. Teams: make a Workflows webhook, then
     az keyvault secret set --vault-name $SERVICE_VAULT_NAME --name teams-webhook-url --value URL
     azd env set USE_TEAMS_WEBHOOK true && azd provision
  2. Mail: the same with smtp-url and USE_SMTP, or ACS_ENDPOINT and its role on the mail resource
  3. Coverage page: an Entra application with the roles Backup.Reader and Backup.Operator, then
     azd env set AUTH_CLIENT_ID ID && azd provision
  4. Vaults in other subscriptions than those onboarded: the service's role there (docs/deploy.md)
  5. Resource Notifications: subscribeToResources for who runs this, on each subscription
  6. Read the plan, then leave observe mode:
     python -m ops plan
     azd env set MODE enforce && azd env set ENROLL_SINCE \$(date -u +%Y-%m-%dT%H:%M:%SZ) && azd provision
CHECKLIST
exit "$failed"
