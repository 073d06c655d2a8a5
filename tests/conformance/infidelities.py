"""Deliberate infidelities of the simulator: each makes a single thing wrong, and must be caught.

They are switched on one at a time. Who wrote them had not seen what is checked; a list of checks
that none of them trips is no proof of anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.arm import Reply
from simulator.gateway import Incoming
from simulator.routing import Router
from simulator.world import World

type Change = Callable[[Reply, Incoming], None]


@dataclass(frozen=True, slots=True)
class Infidelity:
    """One thing that is wrong, in the answers of one operation."""

    name: str
    operation: str
    change: Change


@contextlib.contextmanager
def unfaithful(world: World, wrong: Infidelity) -> Iterator[None]:
    """Let a world answer with one thing wrong until the block ends."""
    gateway = world.gateway
    router, faithful = Router(gateway.routes), gateway.answer

    def answer(incoming: Incoming) -> Reply:
        reply = faithful(incoming)
        match = router.match(incoming.method, incoming.path)
        if match is not None and match.route.operation == wrong.operation:
            reply.raw = None
            reply.body = _copied(reply.body)
            wrong.change(reply, incoming)
        return reply

    gateway.answer = answer  # type: ignore[method-assign] # that is the point
    try:
        yield
    finally:
        gateway.answer = faithful  # type: ignore[method-assign]


def _copied(value: Any) -> Any:
    match value:
        case dict():
            return {key: _copied(member) for key, member in value.items()}
        case list():
            return [_copied(member) for member in value]
    return value


def _rows(reply: Reply) -> list[dict[str, Any]]:
    body = reply.body if isinstance(reply.body, dict) else {}
    rows = body.get("value", [body])
    return [row for row in rows if isinstance(row, dict)]


def _properties(reply: Reply) -> list[dict[str, Any]]:
    return [row["properties"] for row in _rows(reply) if isinstance(row.get("properties"), dict)]


def _set(**values: Any) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for properties in _properties(reply):
            properties.update({k: v for k, v in values.items() if k in properties})

    return change


def _drop(*names: str) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for properties in _properties(reply):
            for name in names:
                properties.pop(name, None)

    return change


def _replace(name: str, old: Any, new: Any) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for properties in _properties(reply):
            if properties.get(name) == old:
                properties[name] = new

    return change


def _status(old: int, new: int) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        if reply.status == old:
            reply.status = new

    return change


def _without_header(name: str) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for header in [one for one in reply.headers if one.lower() == name.lower()]:
            del reply.headers[header]

    return change


def _in_header(name: str, old: str, new: str) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for header, value in reply.headers.items():
            if header.lower() == name.lower():
                reply.headers[header] = value.replace(old, new)

    return change


def _top(name: str, old: Any, new: Any) -> Change:
    def change(reply: Reply, _incoming: Incoming) -> None:
        for row in _rows(reply):
            if row.get(name) == old:
                row[name] = new

    return change


def _running_word(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and reply.body.get("status") == "InProgress":
        reply.body["status"] = "Running"


def _ends_later(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and reply.body.get("status") == "Succeeded":
        reply.body["endTime"] = str(reply.body["endTime"]).replace("T", "T2")[:10] + "T23:59:59Z"


def _lower_names(reply: Reply, _incoming: Incoming) -> None:
    for row in _rows(reply):
        row["name"] = str(row["name"]).lower()
        row["id"] = str(row["id"]).lower()


def _short_container(reply: Reply, _incoming: Incoming) -> None:
    for row in _rows(reply):
        row["name"] = str(row["name"]).removeprefix("IaasVMContainer;")


def _values(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and "value" in reply.body:
        reply.body["values"] = reply.body.pop("value")


def _bare_error(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and "error" in reply.body:
        reply.body = reply.body["error"]


def _other_code(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and isinstance(reply.body.get("error"), dict):
        reply.body["error"]["code"] = "NotFound"


def _empty_object(reply: Reply, _incoming: Incoming) -> None:
    if reply.status == 202:
        reply.body = {}


def _reversed(reply: Reply, _incoming: Incoming) -> None:
    if isinstance(reply.body, dict) and isinstance(reply.body.get("value"), list):
        reply.body["value"].reverse()


def _item_path(reply: Reply, incoming: Incoming) -> None:
    vault = "/".join(incoming.path.split("/")[:9])
    for header, value in reply.headers.items():
        if header.lower() == "azure-asyncoperation":
            item = incoming.path.removeprefix(vault)
            reply.headers[header] = value.replace("/backupOperations/", f"{item}/operationsStatus/")


def _display_region(reply: Reply, _incoming: Incoming) -> None:
    for row in _rows(reply):
        if "location" in row:
            row["location"] = "West Europe"


def _without_sku(reply: Reply, _incoming: Incoming) -> None:
    for row in _rows(reply):
        row.pop("sku", None)


def _seconds_short(reply: Reply, _incoming: Incoming) -> None:
    for properties in _properties(reply):
        if "duration" in properties:
            properties["duration"] = "31"


INFIDELITIES: tuple[Infidelity, ...] = (
    Infidelity(
        "a refresh ends in 200",
        "ProtectionContainerRefreshOperationResults_Get",
        _status(204, 200),
    ),
    Infidelity("an enable answers 200", "ProtectedItems_CreateOrUpdate", _status(202, 200)),
    Infidelity(
        "an enable has no polling URL",
        "ProtectedItems_CreateOrUpdate",
        _without_header("azure-asyncoperation"),
    ),
    Infidelity(
        "an enable's polling URL is of another kind",
        "ProtectedItems_CreateOrUpdate",
        _in_header("azure-asyncoperation", "/operationsStatus/", "/operations/"),
    ),
    Infidelity("an enable answers with a body", "ProtectedItems_CreateOrUpdate", _empty_object),
    Infidelity("a running operation says Running", "BackupOperationStatuses_Get", _running_word),
    Infidelity("an operation names no job", "BackupOperationStatuses_Get", _drop("jobId")),
    Infidelity(
        "an operation's properties have no type", "BackupOperationStatuses_Get", _drop("objectType")
    ),
    Infidelity("an operation ends later than it began", "BackupOperationStatuses_Get", _ends_later),
    Infidelity("items are named in lower case", "BackupProtectedItems_List", _lower_names),
    Infidelity(
        "containers lack their first word", "BackupProtectionContainers_List", _short_container
    ),
    Infidelity(
        "a new item is Protected at once",
        "BackupProtectedItems_List",
        _replace("protectionState", "IRPending", "Protected"),
    ),
    Infidelity("an item has no policyId", "BackupProtectedItems_List", _drop("policyId")),
    Infidelity(
        "an item's lastBackupTime is null",
        "BackupProtectedItems_List",
        _set(lastBackupTime=None),
    ),
    Infidelity(
        "a stopped item has no protectionState word of its own",
        "BackupProtectedItems_List",
        _replace("protectionState", "ProtectionStopped", "IRPending"),
    ),
    Infidelity(
        "a soft-deleted item does not say so",
        "BackupProtectedItems_List",
        _drop("isScheduledForDeferredDelete"),
    ),
    Infidelity("an item has no workloadType", "BackupProtectedItems_List", _drop("workloadType")),
    Infidelity("a list says values", "BackupProtectedItems_List", _values),
    Infidelity(
        "a policy does not count its items", "ProtectionPolicies_Get", _drop("protectedItemsCount")
    ),
    Infidelity(
        "a policy is of another workload",
        "ProtectionPolicies_Get",
        _set(backupManagementType="AzureWorkload"),
    ),
    Infidelity("policies come in another order", "BackupPolicies_List", _reversed),
    Infidelity("a job has no type", "JobDetails_Get", _drop("jobType")),
    Infidelity(
        "a job that is over says Succeeded",
        "JobDetails_Get",
        _replace("status", "Completed", "Succeeded"),
    ),
    Infidelity(
        "an enable's job is called EnableBackup",
        "JobDetails_Get",
        _replace("operation", "ConfigureBackup", "EnableBackup"),
    ),
    Infidelity("a job's duration is a number of seconds", "JobDetails_Get", _seconds_short),
    Infidelity("jobs come oldest first", "BackupJobs_List", _reversed),
    Infidelity(
        "a protectable VM has no id", "BackupProtectableItems_List", _drop("virtualMachineId")
    ),
    Infidelity(
        "a VM's status is Unprotected",
        "BackupStatus_Get",
        _top("protectionStatus", "NotProtected", "Unprotected"),
    ),
    Infidelity(
        "a protected VM's status names no vault",
        "BackupStatus_Get",
        lambda reply, _incoming: _top_drop(reply, "vaultId"),
    ),
    Infidelity("a missing vault's error has no error", "Vaults_Get", _bare_error),
    Infidelity("a missing vault's code is NotFound", "Vaults_Get", _other_code),
    Infidelity(
        "ARM's own refusal does not say so", "Vaults_Get", _without_header("x-ms-failure-cause")
    ),
    Infidelity("a vault shows its region's display name", "Vaults_Get", _display_region),
    Infidelity("a vault has no sku", "Vaults_Get", _without_sku),
    Infidelity(
        "a vault's creation is never over",
        "Vaults_GetOperationStatus",
        _top("status", "Succeeded", "InProgress"),
    ),
    Infidelity("a delete is polled at its item", "ProtectedItems_Delete", _item_path),
    Infidelity("a delete answers 200", "ProtectedItems_Delete", _status(202, 200)),
    Infidelity(
        "soft delete is spelled another way",
        "BackupResourceVaultConfigs_Get",
        _set(softDeleteFeatureState="On"),
    ),
    Infidelity("a VM shows its region's display name", "VirtualMachines_Get", _display_region),
    Infidelity("a VM that is not there answers 400", "VirtualMachines_Get", _status(404, 400)),
)


def _top_drop(reply: Reply, name: str) -> None:
    for row in _rows(reply):
        row.pop(name, None)
