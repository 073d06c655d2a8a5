"""Vaults and their policies (the `Directory` port), kept for minutes.

Vaults come from ARM, one list per subscription. Policies of all vaults come from Resource Graph in
one walk; a vault that it does not show, or that somebody asked to be read anew, is listed by ARM,
since Resource Graph lags (facts §4.5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.adapters.bodies.policies import parse_policy
from shared.adapters.bodies.reading import rows, same, text, texts
from shared.adapters.bodies.vaults import parse_vault
from shared.adapters.clients import Clients
from shared.adapters.faults import asking
from shared.adapters.kept import Kept, KeptBy
from shared.domain.ids import ArmId
from shared.domain.model import Policy, Vault, region_of
from shared.errors import AzureFault
from shared.ports import Clock, Page
from shared.settings import Settings

_AT_ONCE = 4  # subscriptions whose vaults are listed at a time
_A_DAY = 86_400.0
_PROVIDERS_API = "2021-04-01"
_SHOWN_BY_THEN = 900.0  # Resource Graph shows a new vault within 10 minutes, as a rule
_ANEW_SECONDS = 60.0  # what is younger is not read anew, however many VMs ask for it
# A subscription where we may not list vaults, or that never had one, has none for us.
_NONE_HERE = frozenset({"AuthorizationFailed", "MissingSubscriptionRegistration"})


class Graph(Protocol):
    """What the directory asks of Resource Graph."""

    async def subscriptions(self) -> tuple[str, ...]: ...
    async def policies(self, subscriptions: Sequence[str], after: str) -> Page[Policy]: ...


class ArmDirectory:
    """Answers the `Directory` port."""

    def __init__(self, clients: Clients, settings: Settings, clock: Clock, graph: Graph) -> None:
        self._clients = clients
        self._settings = settings
        self._clock = clock
        self._graph = graph
        seconds = settings.directory_seconds
        self._vaults = Kept(clock, self._load_vaults, seconds=seconds, grace=3 * seconds)
        self._policies = Kept(clock, self._load_policies, seconds=seconds)
        self._listed = KeptBy(clock, self._list_of)
        self._had_vaults: set[str] = set()
        self._regions = KeptBy(clock, self._regions_of)

    async def vaults(self) -> tuple[Vault, ...]:
        return await self._vaults.get()

    async def policies(self, vault: ArmId) -> tuple[Policy, ...]:
        listed = self._listed.get(vault)
        if listed is not None and not listed.expired:
            return await listed.get()
        try:
            known = await self._policies.get()
        except AzureFault:
            known = {}  # ARM may still answer
        if vault.key in known:
            return known[vault.key]
        return await self._listed[vault].get()

    async def regions(self, subscription: str) -> frozenset[str]:
        return await self._regions[subscription.lower()].get()

    def forget(self, vault: ArmId | None = None) -> None:
        """Read anew: one vault's policies, or all vaults and all policies."""
        if vault is not None:
            self._listed[vault].forget(unless_younger=_ANEW_SECONDS)
            return
        self._vaults.forget(unless_younger=_ANEW_SECONDS)
        self._policies.forget(unless_younger=_ANEW_SECONDS)
        self._listed.forget(unless_younger=_ANEW_SECONDS)

    # --- loads ----------------------------------------------------------------------------------

    async def _load_vaults(self) -> tuple[Vault, ...]:
        subscriptions = await self._graph.subscriptions()
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(subscription: str) -> tuple[Vault, ...] | AzureFault:
            async with limit:
                try:
                    return await self._list_vaults(subscription)
                except AzureFault as fault:
                    return fault

        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(one(name)) for name in subscriptions}
        vaults: list[Vault] = []
        refused: list[AzureFault] = []
        for name, task in tasks.items():
            match task.result():
                case AzureFault() as fault:
                    # No right to look is no evidence once there was something to see.
                    if fault.code not in _NONE_HERE or name in self._had_vaults:
                        raise fault
                    refused.append(fault)
                case found:
                    vaults += found
        if refused and len(refused) == len(tasks):
            raise refused[0]
        self._had_vaults |= {vault.id.subscription.lower() for vault in vaults}
        return tuple(vaults)

    async def _list_vaults(self, subscription: str) -> tuple[Vault, ...]:
        found: list[Vault] = []
        path = f"/subscriptions/{subscription}/providers/Microsoft.RecoveryServices/vaults"
        async for page in self._clients.listed(
            path, api_version=self._settings.vault_api, operation="vaults.list"
        ):
            found += [vault for body in page if (vault := parse_vault(body)) is not None]
        return tuple(found)

    async def _load_policies(self) -> Mapping[str, tuple[Policy, ...]]:
        vaults = await self._vaults.get()
        subscriptions = sorted({vault.id.subscription.lower() for vault in vaults})
        found: dict[str, tuple[Policy, ...]] = {}
        cursor = ""
        while subscriptions:
            page = await self._graph.policies(subscriptions, cursor)
            for policy in page.rows:
                found[policy.vault.key] = (*found.get(policy.vault.key, ()), policy)
            cursor = page.cursor
            if not cursor:
                break
        return found

    async def _load_regions(self, subscription: str) -> frozenset[str]:
        """Ask the provider where it has vaults; it answers with the regions' display names."""
        path = f"/subscriptions/{subscription}/providers/Microsoft.RecoveryServices"
        body = await self._clients.get(path, api_version=_PROVIDERS_API, operation="provider.get")
        with asking("provider.get"):
            for row in rows(body, "resourceTypes"):
                if same(text(row, "resourceType"), "vaults") and texts(row, "locations"):
                    return frozenset(region_of(name) for name in texts(row, "locations"))
            raise ValueError("a provider without regions for vaults")

    def _regions_of(self, subscription: str) -> Kept[frozenset[str]]:
        return Kept(
            self._clock, lambda: self._load_regions(subscription), seconds=_A_DAY, grace=_A_DAY
        )

    def _list_of(self, vault: ArmId) -> Kept[tuple[Policy, ...]]:
        return Kept(
            self._clock,
            lambda: self._list_policies(vault),
            seconds=max(self._settings.directory_seconds, _SHOWN_BY_THEN),
        )

    async def _list_policies(self, vault: ArmId) -> tuple[Policy, ...]:
        with asking("policies.list"):
            listed = self._clients.backup(vault.subscription).backup_policies.list(
                vault.name, vault.group, filter="backupManagementType eq 'AzureIaasVM'"
            )
            bodies = [body async for body in listed]
        return tuple(policy for body in bodies if (policy := parse_policy(body)) is not None)
