"""The polling URLs of backup operations: of an item, of a vault, of a fabric, of a job.

One id answers under all of them; CLI and PowerShell cut it out of the header and ask the vault's
(report §6.9).
"""

from simulator.arm import Call, Reply
from simulator.backup import asynchronous, items
from simulator.backup.records import Operation, Vault
from simulator.backup.vault_lookup import vault_of
from simulator.world import World


def _found(world: World, call: Call) -> tuple[Vault, Operation]:
    vault = vault_of(world, call)
    return vault, asynchronous.operation_of(vault, call.params["operation"])


def get_status(world: World, call: Call) -> Reply:
    """Answer the status; ``Failed`` comes with HTTP 200 too."""
    _, operation = _found(world, call)
    return asynchronous.status(world, operation)


def get_item_result(world: World, call: Call) -> Reply:
    """202 while it runs, then the item; 204 once the item is gone (bms24)."""
    vault, operation = _found(world, call)

    def done() -> Reply:
        item = vault.items.get(operation.item or "")
        if item is None or not item.visible:
            return Reply(status=204)
        return items.shown(world, call, vault, item)

    return asynchronous.result(world, call, operation, done)


def get_vault_result(world: World, call: Call) -> Reply:
    """202 while it runs, then 200 without a body (bms24)."""
    _, operation = _found(world, call)
    return asynchronous.result(world, call, operation, lambda: Reply(status=200, raw=b""))


def get_refresh_result(world: World, call: Call) -> Reply:
    """202 while it runs, then 204: never a 200 (recorded)."""
    _, operation = _found(world, call)
    return asynchronous.result(world, call, operation, lambda: Reply(status=204))
