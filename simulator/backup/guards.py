"""Resource guard proxies of a vault: enough to require a second approval (facts §1.6, recorded)."""

from datetime import timedelta

from simulator.arm import Call, Json, Reply
from simulator.backup import refusals
from simulator.backup.formats import Fields, fields_of, text_of, time_text
from simulator.backup.names import VAULT_TYPE, VmName, vault_prefix
from simulator.backup.vault_bodies import settled
from simulator.backup.vault_lookup import vault_of
from simulator.world import Cause, World

#: How long an unlock lasts; recorded answers say half an hour.
_UNLOCKED = timedelta(minutes=30)
_RSV = "Microsoft.RecoveryServices/vaults"
_ITEM = f"{_RSV}/backupFabrics/protectionContainers/protectedItems"
#: The operations a guard protects, with the request that approves each (recorded April 2024).
_OPERATIONS = (
    (f"{_ITEM}/delete", "deleteProtectedItemRequests"),
    (f"{_ITEM}/write", "updateProtectedItemRequests"),
    (f"{_RSV}/backupPolicies/write", "updateProtectionPolicyRequests"),
    (f"{_RSV}/backupResourceGuardProxies/delete", "deleteResourceGuardProxyRequests"),
    (f"{_RSV}/backupSecurityPIN/action", "getBackupSecurityPINRequests"),
    (f"{_RSV}/backupconfig/write", "disableSoftDeleteRequests"),
    (f"{_ITEM}/write#stopProtectionWithRetainData", "stopProtectionWithRetainDataRequests"),
    (f"{_RSV}/write#reduceImmutabilityState", "reduceImmutabilityStateRequests"),
    (f"{_ITEM}/recoveryPoints/restore/action", "triggerRestoreRequests"),
)


def list_guards(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    value: list[Json] = [_body(world, name, kept, prefix) for name, kept in vault.guards.items()]
    return Reply(status=200, body={"value": value}, content_type=world.backup.era.content_type)


def get_guard(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    name = call.params["guard"]
    kept = vault.guards.get(name)
    if kept is None:
        raise refusals.object_not_found("resource guard proxy", name)
    body = _body(world, name, kept, vault_prefix(call.resource_id, vault.vault_id))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def put_guard(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    guard = text_of(fields_of(call.fields().get("properties")).get("resourceGuardResourceId"))
    words = guard.split("/")
    if len(words) != 9 or words[7].lower() != "resourceguards":
        raise refusals.bad_input("resourceGuardResourceId")
    known = world.subscriptions
    foreign = world.orders_for(guard).get("foreign") is True
    if foreign or (known and words[2].lower() not in known):
        action = "Microsoft.DataProtection/resourceGuards/read"
        raise refusals.linked_tenant(action, call.resource_id, call.tenant, words[2])
    vault.guards[call.params["guard"]] = {
        "guard": guard.replace("/resourceGroups/", "/resourcegroups/"),
        "at": time_text(world.now()),
    }
    settled(world.backup, vault)
    world.publish("write", call.resource_id, Cause.of(call))
    return get_guard(world, call)


def delete_guard(world: World, call: Call) -> Reply:
    """Answer 200 with an empty object, as recorded; 204 if there was none."""
    vault = vault_of(world, call)
    if vault.guards.pop(call.params["guard"], None) is None:
        return Reply(status=204)
    settled(world.backup, vault)
    world.publish("delete", call.resource_id, Cause.of(call))
    return Reply(status=200, body={}, content_type=world.backup.era.content_type)


def unlock_delete(world: World, call: Call) -> Reply:
    """Let the item named in the body be deleted for a while; without one, the proxy itself."""
    vault = vault_of(world, call)
    if call.params["guard"] not in vault.guards:
        raise refusals.object_not_found("resource guard proxy", call.params["guard"])
    asked = call.fields()
    if not asked.get("resourceGuardOperationRequests"):
        raise refusals.guard_needed(world)
    until = world.now() + _UNLOCKED
    if target := text_of(asked.get("resourceToBeDeleted")):
        words = target.split("/")
        try:
            name = VmName.of_path(words[-3], words[-1])
        except (ValueError, IndexError):
            raise refusals.bad_input("resourceToBeDeleted") from None
        vault.unlocked_until[name.key] = until
    body: Fields = {"unlockDeleteExpiryTime": time_text(until)}
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def _body(world: World, name: str, kept: Fields, prefix: str) -> Fields:
    """Write a proxy; what the guard itself says comes from its own body, if the world has one."""
    guard = text_of(kept.get("guard"))
    itself = fields_of(fields_of(world.get(guard)).get("properties"))
    guarded = itself.get("resourceGuardOperations")
    chosen = (
        {text_of(fields_of(one).get("vaultCriticalOperation")) for one in guarded}
        if isinstance(guarded, list)
        else {action for action, _ in _OPERATIONS}
    )
    operations: list[Json] = [
        {"vaultCriticalOperation": action, "defaultResourceRequest": f"{guard}/{request}/default"}
        for action, request in _OPERATIONS
        if action in chosen
    ]
    return {
        "id": f"{prefix}/backupResourceGuardProxies/{name}",
        "name": name,
        "type": f"{VAULT_TYPE}/backupResourceGuardProxies",
        "properties": {
            "resourceGuardResourceId": guard,
            "resourceGuardOperationDetails": operations,
            "lastUpdatedTime": kept.get("at"),
            "description": text_of(itself.get("description")),
        },
    }
