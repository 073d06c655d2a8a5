"""A vault's own operations: another kind of id, other URLs, and two recorded 404s (report §1.4, §6.8).

The first look at a new one may answer 404; after a delete the polling URL may die with the vault,
which is success.
"""

import base64

from simulator.arm import Call, Refusal, Reply
from simulator.backup import asynchronous, refusals
from simulator.backup.durations import Kind, length
from simulator.backup.eras import Era
from simulator.backup.formats import Fields
from simulator.backup.records import Operation, Status, Vault
from simulator.backup.vault_lookup import vault_of
from simulator.world import World

#: The number at the head of a vault operation's id tells what it does (recorded).
CREATE, PATCH, DELETE = "2047", "4095", "1023"


def vault_operation(world: World, call: Call) -> Reply:
    """Answer a vault operation's status; 404 when the vault is gone, or not replicated yet."""
    vault, operation = _find(world, call)
    operation.polled += 1
    if operation.hidden_at_first and operation.polled == 1:
        raise refusals.vault_not_found(vault.name, vault.group)
    running = operation.status is Status.IN_PROGRESS
    body: Fields = {
        "id": f"{call.resource_id.rsplit('/', 1)[0]}/{operation.operation_id}",
        "name": operation.operation_id,
        "status": operation.status.value,
    }
    if Era.M2022_08 <= world.backup.era <= Era.Y2022:
        body["percentComplete"] = 0.0
    return Reply(
        status=200,
        body=body,
        headers=polling_headers(world, call, operation, retry=False) if running else {},
    )


def vault_operation_result(world: World, call: Call) -> Reply:
    vault, operation = _find(world, call)
    if operation.status is Status.IN_PROGRESS:
        return asynchronous.still_running(world, call)
    if operation.kind == DELETE:
        return Reply(status=204)
    return Reply(status=200, body=vault.body)


def _find(world: World, call: Call) -> tuple[Vault, Operation]:
    try:
        vault = vault_of(world, call)
    except Refusal:
        key = "/".join(call.resource_id.split("/")[:9]).lower()
        if key not in world.backup.gone:
            raise
        vault = world.backup.gone[key]
    return vault, asynchronous.operation_of(vault, call.params["operation"])


def begin_vault_operation(
    world: World, vault: Vault, kind: str, finish: asynchronous.Finish
) -> Operation:
    state = world.backup
    operation = asynchronous.begin(
        state,
        vault,
        kind,
        state.now() + length(state, Kind.VAULT, vault.key),
        finish=finish,
    )
    del vault.operations[operation.operation_id.lower()]
    text = f"{kind};{operation.operation_id}"
    operation.operation_id = base64.b64encode(text.encode()).decode()
    vault.operations[operation.operation_id.lower()] = operation
    return operation


def polling_headers(
    world: World,
    call: Call,
    operation: Operation,
    *,
    location: bool = True,
    retry: bool = True,
) -> dict[str, str]:
    prefix = "/".join(call.resource_id.split("/")[:9])
    where = operation.operation_id
    headers = {
        "Azure-AsyncOperation": asynchronous.polling_url(
            world, call, f"{prefix}/operationStatus/{where}"
        )
    }
    if location:
        headers["Location"] = asynchronous.polling_url(
            world, call, f"{prefix}/operationResults/{where}"
        )
    if retry:
        headers["Retry-After"] = asynchronous.RETRY_AFTER
    return headers
