"""Policies and vaults as code, on the wire (the `Setup` port). Only operators' commands use it.

What Azure accepts with a 201 or 202 is followed to its end. The first looks at a vault that is
being made may say 404 (15 of 257 recorded, facts §1.3), and so may the vault itself right after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from shared.adapters.bodies.reading import Body, mapping, same, text
from shared.adapters.bodies.vaults import parse_vault
from shared.adapters.clients import Clients
from shared.domain.ids import ArmId
from shared.domain.model import Vault
from shared.domain.rules.declared import Hardening
from shared.errors import AzureFault, Disposition
from shared.ports import Clock
from shared.settings import Settings

_GROUPS_API = "2021-04-01"
_LOOK = 10.0  # seconds between two looks; making a vault takes one to two minutes
_PATIENCE = timedelta(minutes=15)
_REPLICATES = timedelta(minutes=2)  # how long a 404 may only mean "not everywhere yet"
_NOT_THERE = frozenset(
    {"ResourceNotFound", "ResourceGroupNotFound", "BMSUserErrorDataSourceObjectNotFound"}
)


class ArmSetup:
    """Answers the `Setup` port."""

    def __init__(self, clients: Clients, settings: Settings, clock: Clock) -> None:
        self._clients = clients
        self._settings = settings
        self._clock = clock

    async def policy(self, policy: ArmId) -> Mapping[str, Any] | None:
        body = await self._there(policy.path(), self._settings.backup_api, "policy.get")
        return None if body is None else mapping(body, "properties")

    async def put_policy(self, policy: ArmId, properties: Mapping[str, Any]) -> None:
        answer = await self._clients.put(
            policy.path(),
            {"properties": dict(properties)},
            api_version=self._settings.backup_api,
            operation="policy.put",
        )
        if answer.status == 202:  # VMs are under it: a job for each
            await self._followed(answer.result or answer.progress, "policy.put")

    async def vault(self, vault: ArmId) -> Vault | None:
        body = await self._there(vault.path(), self._settings.vault_api, "vault.get")
        return None if body is None else parse_vault(body)

    async def put_vault(self, vault: ArmId, region: str, hardening: Hardening) -> None:
        await self._group(vault, region)
        answer = await self._clients.put(
            vault.path(),
            vault_body(region, hardening),
            api_version=self._settings.vault_api,
            operation="vault.put",
        )
        if answer.progress:
            await self._followed(answer.progress, "vault.put")
        began = self._clock.now()
        while await self.vault(vault) is None:
            if self._clock.now() - began > _REPLICATES:
                raise _failed("vault.put", "VaultNotSeen", f"{vault} was made and is not shown")
            await self._pause()

    async def _group(self, vault: ArmId, region: str) -> None:
        """Make the vault's group if there is none; a PUT on one that exists would cost its tags."""
        path = f"/subscriptions/{vault.subscription}/resourcegroups/{vault.group}"
        if await self._there(path, _GROUPS_API, "group.get") is None:
            await self._clients.put(
                path, {"location": region}, api_version=_GROUPS_API, operation="group.put"
            )

    async def _there(self, path: str, api_version: str, operation: str) -> Body | None:
        try:
            body: Body = await self._clients.get(path, api_version=api_version, operation=operation)
        except AzureFault as fault:
            if fault.status == 404 and fault.code in _NOT_THERE:
                return None
            raise
        return body

    async def _followed(self, url: str, operation: str) -> None:
        """Look until the operation has ended.

        Raises:
            AzureFault: it failed, or did not end in time.

        """
        began = self._clock.now()
        while True:
            await self._pause()
            late = self._clock.now() - began
            try:
                seen = await self._clients.look(url, operation=operation)
            except AzureFault as fault:
                if fault.status != 404 or late > _REPLICATES:
                    raise
                continue
            if seen.status == 200 and not _running(seen.body):
                _ensure_well(seen.body, operation)
                return
            if seen.status == 204:
                return
            if late > _PATIENCE:
                raise _failed(operation, "StillRunning", f"not at its end after {late}")

    async def _pause(self) -> None:
        await asyncio.sleep(self._clock.real_seconds(_LOOK))
        await self._clock.synchronize()


def vault_body(region: str, hardening: Hardening) -> dict[str, Any]:
    """Give the body of a hardened vault; redundancy can only be set while it is empty."""
    crossing = "Enabled" if hardening.cross_region_restore else "Disabled"
    body: dict[str, Any] = {
        "location": region,
        "sku": {"name": "Standard"},
        "properties": {
            "publicNetworkAccess": "Enabled" if hardening.public_access else "Disabled",
            "redundancySettings": {
                "standardTierStorageRedundancy": hardening.redundancy.value,
                "crossRegionRestore": crossing,
            },
            "securitySettings": {
                "immutabilitySettings": {"state": hardening.immutability.value},
                "softDeleteSettings": {
                    "softDeleteState": "Enabled",
                    "enhancedSecurityState": "Enabled",
                    "softDeleteRetentionPeriodInDays": hardening.soft_delete_days,
                },
            },
        },
    }
    return body | ({"tags": dict(hardening.tags)} if hardening.tags else {})


def _running(body: Body) -> bool:
    return any(same(text(body, "status"), word) for word in ("InProgress", "Accepted", "Running"))


def _ensure_well(body: Body, operation: str) -> None:
    status = text(body, "status")
    if same(status, "Failed") or same(status, "Canceled"):
        code = text(body, "error", "code") or f"Operation{status}"
        raise _failed(operation, code, text(body, "error", "message"))


def _failed(operation: str, code: str, message: str) -> AzureFault:
    return AzureFault(
        operation, status=200, code=code, message=message, disposition=Disposition.PARK
    )
