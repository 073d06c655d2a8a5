"""Recovery Services vaults: create, change and delete them, and their own slow operations.

A vault's operation has another id and other URLs than a backup operation (report §6.8); the first
look at a new one may answer 404, and after a delete the polling URL dies with the vault, which is
success (report §1.4).
"""

from simulator.arm import BY_GATEWAY, Call, Json, Refusal, Reply
from simulator.backup import policies, refusals
from simulator.backup.durations import Kind, length
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, text_of
from simulator.backup.names import is_vault_name, region
from simulator.backup.records import Config, Failure, Vault
from simulator.backup.state import BackupState
from simulator.backup.vault_bodies import (
    changed,
    in_list,
    learned_of,
    new_body,
    redundancy,
    settled,
)
from simulator.backup.vault_lookup import vault_of
from simulator.backup.vault_operations import (
    CREATE,
    DELETE,
    PATCH,
    begin_vault_operation,
    polling_headers,
)
from simulator.checks import ensure_group
from simulator.paging import paged
from simulator.world import Cause, World

#: Share of creates whose first look met a 404: 15 of 257 recorded.
_FIRST_404 = 0.06


def get_vault(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    return Reply(status=200, body=vault.body, content_type=world.backup.era.content_type)


def list_vaults(world: World, call: Call) -> Reply:
    """List the vaults of a subscription or of a group."""
    subscription = call.params["s"].lower()
    group = call.params.get("rg", "").lower()
    listed = [
        vault
        for vault in world.backup.vaults.values()
        if vault.subscription.lower() == subscription
        and (not group or vault.group.lower() == group)
    ]
    if group and not listed:
        _check_group(world, call)
    rows: list[Json] = [in_list(vault.body) for vault in listed]
    return paged(world, call, rows, int(world.knobs.number("resources.page_size")))


def _check_group(world: World, call: Call) -> None:
    group = f"/subscriptions/{call.params['s']}/resourceGroups/{call.params['rg']}"
    if world.get(group) is None:
        raise Refusal(
            404,
            "ResourceGroupNotFound",
            f"Resource group '{call.params['rg']}' could not be found.",
            headers=BY_GATEWAY,
        )


def put_vault(world: World, call: Call) -> Reply:
    """Create a vault (201 and an operation), or replace its settings."""
    name = call.params["v"]
    if not is_vault_name(name):
        raise refusals.bad_vault_name(name)
    asked = call.fields()
    location = text_of(asked.get("location"))
    if not location:
        raise refusals.location_required()
    sku = text_of(fields_of(asked.get("sku")).get("name"))
    if sku.lower() not in {"standard", "rs0"}:
        raise refusals.bad_input(f"sku '{sku}'")
    group = f"/subscriptions/{call.params['s']}/resourceGroups/{call.params['rg']}"
    if world.get(group) is None and world.subscriptions:
        _check_group(world, call)
    state = world.backup
    old = state.vaults.get(call.resource_id.lower())
    if old is not None:
        if region(old.location) != region(location):
            raise refusals.location_fixed(name, old.group, old.location, location)
        return _change(world, call, old, asked)
    vault = create(state, call.resource_id, asked)
    if not state.era.vault_create_waits:
        settled(state, vault, written=True)
        world.publish("write", vault.vault_id, Cause.of(call), vault.body)
        return Reply(status=201, body=vault.body, content_type=state.era.content_type)
    cause = Cause.of(call)

    def finish() -> Failure | None:
        settled(state, vault, written=True)
        world.publish("write", vault.vault_id, cause, vault.body)
        return None

    if state.era >= Era.Y2022:
        known_at = state.now() + length(state, Kind.VAULT_KNOWN, vault.key)
        world.schedule.at(known_at, lambda: learned_of(state, vault))
    operation = begin_vault_operation(world, vault, CREATE, finish)
    operation.hidden_at_first = _hides(state, vault)
    return Reply(
        status=201,
        body=vault.body,
        headers=polling_headers(world, call, operation, location=False),
    )


def create(state: BackupState, vault_id: str, asked: Fields) -> Vault:
    """Put a vault into the world, still provisioning, with its built-in policies."""
    ensure_group(state.world, "/".join(vault_id.split("/")[:5]), asked)
    vault = Vault(
        vault_id=vault_id,
        body=new_body(state, vault_id, asked, state.now()),
        created_at=state.now(),
        config=Config(soft_delete=_soft_delete(state)),
    )
    given = fields_of(asked.get("properties"))
    chosen = redundancy(given)["standardTierStorageRedundancy"]
    vault.storage = {
        "storageModelType": chosen,
        "storageType": chosen,
        "storageTypeState": "Unlocked",
        "dedupState": "Disabled",
        "xcoolState": "Disabled",
        "crossRegionRestoreFlag": False,
    }
    state.vaults[vault.key] = vault
    policies.built_in(state, vault, state.now())
    state.world.put(vault_id, dict(vault.body), None)
    return vault


def _soft_delete(state: BackupState) -> str:
    """Soft delete came after 2019."""
    return "Disabled" if state.era < Era.Y2021 else state.world.knobs.text("backup.soft_delete")


def patch_vault(world: World, call: Call) -> Reply:
    """Change a vault: 202 and an operation, or 200 at once for its own identity (recorded)."""
    vault = vault_of(world, call)
    asked = call.fields()
    _check_security(vault, asked)
    return _change(world, call, vault, asked)


def _check_security(vault: Vault, asked: Fields) -> None:
    security = fields_of(fields_of(asked.get("properties")).get("securitySettings"))
    wanted = text_of(fields_of(security.get("immutabilitySettings")).get("state")).lower()
    now = fields_of(fields_of(vault.body.get("properties")).get("securitySettings"))
    state = text_of(fields_of(now.get("immutabilitySettings")).get("state")).lower()
    if state == "locked" and wanted and wanted != "locked":
        raise refusals.immutable()
    given = fields_of(asked.get("properties"))
    tier = text_of(fields_of(given.get("redundancySettings")).get("standardTierStorageRedundancy"))
    if tier and vault.ever_registered and tier != vault.storage.get("storageType"):
        raise refusals.storage_locked()


def _change(world: World, call: Call, vault: Vault, asked: Fields) -> Reply:
    state = world.backup
    cause = Cause.of(call)
    changed(state, vault, asked)
    if _only_system_identity(asked) or not state.era.vault_create_waits or call.method == "PUT":
        settled(state, vault, written=True)
        world.publish("write", vault.vault_id, cause, vault.body)
        return Reply(status=200, body=vault.body, content_type=state.era.content_type)
    vault.body["properties"] = {
        **fields_of(vault.body["properties"]),
        "provisioningState": "Updating",
    }

    def finish() -> Failure | None:
        settled(state, vault, written=True)
        world.publish("write", vault.vault_id, cause, vault.body)
        return None

    operation = begin_vault_operation(world, vault, PATCH, finish)
    return Reply(status=202, headers=polling_headers(world, call, operation))


def _only_system_identity(asked: Fields) -> bool:
    """Tell a change of identity that needs no operation: none with users in it (recorded)."""
    kinds = text_of(fields_of(asked.get("identity")).get("type")).lower()
    return bool(kinds) and "userassigned" not in kinds and "properties" not in asked


def delete_vault(world: World, call: Call) -> Reply:
    """Delete an empty vault; one with items, soft-deleted ones too, is refused (recorded)."""
    vault = vault_of(world, call)
    kept = [item.friendly_name for item in vault.items.values() if item.soft_deleted]
    if kept:
        if world.backup.era < Era.M2022_08:
            raise refusals.vault_not_empty_before_2022(kept)
        raise refusals.vault_not_empty(kept)
    if vault.items:
        raise refusals.vault_has_items()
    state = world.backup
    cause = Cause.of(call)
    if not state.era.vault_delete_waits:
        remove(state, vault, cause)
        return Reply(status=200, raw=b"")
    seen_to_end = _ends_visibly(state, vault)

    def finish() -> Failure | None:
        if not seen_to_end:
            remove(state, vault, cause)
        return None

    operation = begin_vault_operation(world, vault, DELETE, finish)
    if seen_to_end:
        world.schedule.at(
            operation.ends_at, lambda: remove(state, vault, cause, keep_operations=True)
        )
    return Reply(status=202, headers=polling_headers(world, call, operation))


def remove(
    state: BackupState, vault: Vault, cause: Cause | None, *, keep_operations: bool = False
) -> None:
    """Take a vault out of the world with everything below it."""
    for item in list(vault.items.values()):
        state.drop_item(vault, item)
    state.vaults.pop(vault.key, None)
    if keep_operations:
        state.gone[vault.key] = vault
    state.tell(vault)
    state.world.delete(vault.vault_id, cause)


def _hides(state: BackupState, vault: Vault) -> bool:
    match state.world.knobs.text("backup.vault.first_404"):
        case "always":
            return True
        case "never":
            return False
        case _:
            return state.draw("first-404", vault.key).random() < _FIRST_404


def _ends_visibly(state: BackupState, vault: Vault) -> bool:
    """Whether a delete is seen as Succeeded (12 of 20 recorded) or its URL dies (8 of 20)."""
    match state.world.knobs.text("backup.vault.delete_ends"):
        case "succeeded":
            return True
        case "404":
            return False
        case _:
            return state.draw("delete-ends", vault.key).random() < 0.6
