"""Backup policies of a vault: the three every new one owns, and the ones people write.

``protectedItemsCount`` is right in the single GET and 0 in the list (report §6.21).
"""

from datetime import datetime, timedelta

from simulator.arm import Call, Reply
from simulator.backup import asynchronous, backups, filters, refusals
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, time_text
from simulator.backup.names import MANAGEMENT, POLICY_TYPE, is_policy_name, vault_prefix
from simulator.backup.paging import page
from simulator.backup.policy_checks import checked
from simulator.backup.records import JobKind, Policy, Vault
from simulator.backup.state import BackupState
from simulator.backup.vault_lookup import vault_of
from simulator.world import Cause, World

_BORN_BEFORE, _HALF_HOUR = timedelta(hours=10), timedelta(minutes=30)
_RETENTION_30: Fields = {"count": 30, "durationType": "Days"}


def built_in(state: BackupState, vault: Vault, at: datetime) -> None:
    """Give a new vault its policies.

    The default one runs ten hours after the vault was made, at the half hour before: so in all 37
    recorded vaults, whatever their region.
    """
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    start = time_text(midnight + (at + _BORN_BEFORE - midnight) // _HALF_HOUR * _HALF_HOUR)
    morning = time_text(midnight + timedelta(hours=8))
    daily: Fields = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": [start],
        "scheduleWeeklyFrequency": 0,
    }
    hourly: Fields = {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": 4,
            "scheduleWindowStartTime": morning,
            "scheduleWindowDuration": 12,
        },
    }
    bodies: dict[str, Fields] = {
        "HourlyLogBackup": _log_backup(daily, start),
        "DefaultPolicy": {"schedulePolicy": daily, **_vm_policy(start)},
        "EnhancedPolicy": {"policyType": "V2", "schedulePolicy": hourly, **_vm_policy(morning)},
    }
    if state.era < Era.Y2022:
        del bodies["EnhancedPolicy"]
    for name, body in bodies.items():
        kept = body if name == "HourlyLogBackup" else checked(body, state.era)
        vault.policies[name.lower()] = Policy(name=name, properties=kept, changed_at=at)


def _vm_policy(start: str) -> Fields:
    return {
        "backupManagementType": MANAGEMENT,
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": {"retentionTimes": [start], "retentionDuration": _RETENTION_30},
        },
        "instantRpRetentionRangeInDays": 2,
        "timeZone": "UTC",
    }


def _log_backup(daily: Fields, start: str) -> Fields:
    return {
        "backupManagementType": "AzureWorkload",
        "workLoadType": "SQLDataBase",
        "settings": {"timeZone": "UTC", "issqlcompression": False, "isCompression": False},
        "subProtectionPolicy": [
            {
                "policyType": "Full",
                "schedulePolicy": daily,
                "retentionPolicy": {
                    "retentionPolicyType": "LongTermRetentionPolicy",
                    "dailySchedule": {
                        "retentionTimes": [start],
                        "retentionDuration": _RETENTION_30,
                    },
                },
            },
            {
                "policyType": "Log",
                "schedulePolicy": {
                    "schedulePolicyType": "LogSchedulePolicy",
                    "scheduleFrequencyInMins": 60,
                },
                "retentionPolicy": {
                    "retentionPolicyType": "SimpleRetentionPolicy",
                    "retentionDuration": _RETENTION_30,
                },
            },
        ],
    }


def body_of(policy: Policy, prefix: str, count: int) -> Fields:
    return {
        "id": f"{prefix}/backupPolicies/{policy.name}",
        "name": policy.name,
        "type": POLICY_TYPE,
        "properties": {**policy.properties, "protectedItemsCount": count},
    }


def list_policies(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.POLICIES)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    listed = [
        policy
        for policy in vault.policies.values()
        if filters.fits(wanted, "backupManagementType", policy.management)
    ]
    body = page(world, call, listed, lambda policy: body_of(policy, prefix, 0))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def policy_of(vault: Vault, name: str) -> Policy:
    policy = vault.policies.get(name.lower())
    if policy is None:
        raise refusals.object_not_found("backup policy", name)
    return policy


def get_policy(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    policy = policy_of(vault, call.params["policy"])
    return _shown(world, call, vault, policy)


def _shown(world: World, call: Call, vault: Vault, policy: Policy) -> Reply:
    body = body_of(policy, vault_prefix(call.resource_id, vault.vault_id), len(policy.members))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def put_policy(world: World, call: Call) -> Reply:
    """Create or change a policy; one with items answers 202 and a job for each (bms24)."""
    vault = vault_of(world, call)
    name = call.params["policy"]
    if not is_policy_name(name):
        raise refusals.bad_input(f"The policy name '{name}' is not valid.")
    state = world.backup
    kept = checked(fields_of(call.fields().get("properties")), state.era)
    old = vault.policies.get(name.lower())
    if old is not None and (not old.for_vms or old.is_enhanced != (kept.get("policyType") == "V2")):
        raise refusals.bad_policy()
    if old is None:
        old = Policy(name=name, properties=kept, changed_at=state.now())
        vault.policies[old.key] = old
    old.properties, old.changed_at = kept, state.now()
    state.tell(vault)
    world.publish("write", call.resource_id, Cause.of(call))
    backups.plan(state, vault, old, afresh=True)
    if not old.members:
        return _shown(world, call, vault, old)
    jobs = [
        asynchronous.settled_job(
            state, vault, vault.items[key], JobKind.CONFIGURE, call.client_request_id
        )
        for key in sorted(old.members)
    ]
    operation = asynchronous.begin(
        state, vault, "policy", max(job.ends_at for job in jobs), item=old.key
    )
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{call.resource_id}/operations/{operation.operation_id}",
        result_path=f"{call.resource_id}/operationResults/{operation.operation_id}",
    )


def policy_operation(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    operation = asynchronous.operation_of(vault, call.params["operation"])
    return asynchronous.status(world, operation)


def policy_operation_result(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    operation = asynchronous.operation_of(vault, call.params["operation"])
    if operation.ends_at > world.now():
        return asynchronous.still_running(world, call)
    return _shown(world, call, vault, policy_of(vault, call.params["policy"]))


def delete_policy(world: World, call: Call) -> Reply:
    """200 with an empty body when it was there (recorded), 204 when not (bms24)."""
    vault = vault_of(world, call)
    policy = vault.policies.get(call.params["policy"].lower())
    if policy is None:
        return Reply(status=204)
    if policy.members:
        raise refusals.policy_in_use()
    del vault.policies[policy.key]
    world.backup.tell(vault)
    world.publish("delete", call.resource_id, Cause.of(call))
    return Reply(status=200, raw=b"")
