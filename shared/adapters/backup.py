"""Azure Backup by ARM (the `Backup` port): the scarce budget.

The only PUT bodies that exist here are those of `_properties`: none stops protection, none deletes
(DESIGN §3.12). A PUT is never awaited to its end: its 202 names an operation, jobs tell the rest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, assert_never

from shared.adapters.bodies.items import parse_item
from shared.adapters.bodies.jobs import parse_job, parse_operation
from shared.adapters.bodies.reading import Body
from shared.adapters.bodies.validation import parse_validation
from shared.adapters.clients import Clients
from shared.adapters.faults import REQUEST_ID, asking
from shared.domain.ids import VIRTUAL_MACHINES, ArmId, item_of, vault_of
from shared.domain.model import ProtectedItem, Validation
from shared.domain.records import ChangeKind
from shared.errors import AzureFault
from shared.ports import Accepted, Change, Clock, Job, Operation

if TYPE_CHECKING:
    from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

_FABRIC = "Azure"
_VM_TYPE = "Microsoft.Compute/virtualMachines"
_OPERATION = re.compile(r"/operation(?:sStatus|Results|Status)/([^/?]+)", re.IGNORECASE)
# A 404 with one of these speaks of the item; ARM's own says that the vault is gone, and the
# service's `ResourceNotFound` is about a VM (facts §2.2, report §2.2).
_NO_SUCH_ITEM = frozenset(
    {"BMSUserErrorDataSourceObjectNotFound", "BMSUserErrorContainerObjectNotFound"}
)


class ArmBackup:
    """Answers the `Backup` port."""

    def __init__(self, clients: Clients, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock

    async def send(self, change: Change) -> Accepted:
        """PUT the change. Once a 202 is seen it is accepted, whatever else fails."""
        item = change.item or item_of(change.vault, change.vm)
        body: Any = {"properties": _properties(change)}  # the SDK takes JSON, its types do not
        seen: list[Any] = []
        try:
            with asking("protect"):
                await self._client(change.vault).protected_items.begin_create_or_update(
                    *_names(item),
                    body,
                    polling=False,
                    headers={REQUEST_ID: change.request_id},
                    raw_response_hook=lambda response: seen.append(response.http_response),
                )
        except AzureFault:
            # The SDK reads headers and body of a 202 and may stumble over them; a PUT that was
            # accepted must not look like one that failed.
            if not seen or seen[-1].status_code not in {200, 202}:
                raise
        return Accepted(operation=_operation_of(seen[-1].headers))

    async def jobs(
        self, vault: ArmId, *, since: datetime, operation: str = ""
    ) -> AsyncIterator[Sequence[Job]]:
        """Page through jobs, newest first, and stop at the first page that goes back far enough.

        The service sorts by start time (report §6.23); its `startTime` filter is not used since
        nobody has seen it work.
        """
        query = "backupManagementType eq 'AzureIaasVM'"
        if operation:
            query += f" and operation eq '{operation}'"
        with asking("jobs.list"):
            listed = self._client(vault).backup_jobs.list(vault.name, vault.group, filter=query)
            pages = listed.by_page()
        while True:
            with asking("jobs.list"):
                try:
                    page = [job async for job in await anext(pages)]
                except StopAsyncIteration:
                    return
            jobs = [job for body in page if (job := parse_job(body)) is not None]
            yield tuple(job for job in jobs if job.started >= since)
            if any(job.started < since for job in jobs):
                return

    async def operation(self, vault: ArmId, operation: str) -> Operation | None:
        try:
            with asking("operation.get"):
                body: Body = await self._client(vault).backup_operation_statuses.get(
                    vault.name, vault.group, operation, cls=_json
                )
                return parse_operation(body)
        except AzureFault as fault:
            if fault.status == 404:
                return None
            raise

    async def item(self, item: ArmId) -> ProtectedItem | None:
        try:
            with asking("item.get"):
                body: Body = await self._client(vault_of(item)).protected_items.get(
                    *_names(item), cls=_json
                )
                found = parse_item(body, self._clock.now())
                if found is None:
                    raise ValueError("a body that is no protected VM's")
                return found
        except AzureFault as fault:
            if fault.status == 404 and fault.code in _NO_SUCH_ITEM:
                return None
            raise

    async def back_up_now(self, item: ArmId, *, request_id: str, keep_until: datetime) -> None:
        until = keep_until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        request: Any = {
            "properties": {
                "objectType": "IaasVMBackupRequest",
                "recoveryPointExpiryTimeInUTC": until,
            }
        }
        with asking("backup.trigger"):
            await self._client(vault_of(item)).backups.trigger(
                *_names(item), request, headers={REQUEST_ID: request_id}
            )

    async def pre_validate(self, vm: ArmId, region: str, vault: ArmId) -> Validation:
        question: Any = {
            "resourceType": "VM",
            "resourceId": str(vm),
            "vaultId": str(vault),
            "properties": "",
        }
        client = self._clients.backup(vm.subscription)
        with asking("prevalidate"):
            body: Body = await client.protection_intent.validate(region, question, cls=_json)
            return parse_validation(body, vault, self._clock.now())

    def _client(self, vault: ArmId) -> RecoveryServicesBackupClient:
        return self._clients.backup(vault.subscription)


def _properties(change: Change) -> dict[str, Any]:
    """Give the body of facts §1.6 for a change."""
    body: dict[str, Any] = {"protectedItemType": _VM_TYPE}
    match change.kind:
        case ChangeKind.UNDELETE:
            # The CLI also sends a protectionState of stopped; should somebody have undeleted and
            # resumed the item meanwhile, that would stop it. Terraform's body cannot.
            return body | {"isRehydrate": True}
        case ChangeKind.ENROLL | ChangeKind.CHANGE_POLICY | ChangeKind.RESUME:
            assert change.vm.type == VIRTUAL_MACHINES, "only VMs are enrolled"
            body |= {"sourceResourceId": str(change.vm), "policyId": str(change.policy)}
        case _:
            assert_never(change.kind)
    if change.excluded_luns:
        body["extendedProperties"] = {
            "diskExclusionProperties": {
                "diskLunList": list(change.excluded_luns),
                "isInclusionList": False,
            }
        }
    return body


def _names(item: ArmId) -> tuple[str, str, str, str, str]:
    """Give vault, group, fabric, container and item, as the SDK wants them."""
    vault, _, container, name = (name for _, name in item.chain)
    return vault, item.group, _FABRIC, container, name


def _operation_of(headers: Mapping[str, str]) -> str:
    """Give the operation's id; "" if no header names one."""
    for name in ("Azure-AsyncOperation", "Location"):
        if found := _OPERATION.search(headers.get(name, "")):
            return found[1]
    return ""


def _json(response: Any, _model: object, _headers: object) -> Any:
    return response.http_response.json()
