"""Resource Graph (the `Estate` port): many rows for one call, minutes old, never the last word.

Rows that the identity may not read are missing without any error (facts §4.5a), so nothing here
may be taken for "does not exist". Locks are not in Resource Graph and come from ARM, one list for
a subscription.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.adapters import queries
from shared.adapters.bodies.items import parse_item, soft_deleted
from shared.adapters.bodies.jobs import parse_seen_job
from shared.adapters.bodies.policies import parse_policy
from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    mapping,
    moment,
    number,
    tags,
    text,
    words,
)
from shared.adapters.clients import Clients
from shared.adapters.faults import asking, fault_of
from shared.adapters.kept import Kept, KeptBy
from shared.domain.ids import ArmId
from shared.domain.model import DiskFacts, Lock, Policy, ProtectedItem, Tags, region_of
from shared.domain.sheets import SeenJob
from shared.errors import AzureFault
from shared.ports import Clock, Page, SeenVm
from shared.settings import Settings

_PATH = "/providers/Microsoft.ResourceGraph/resources"
_API, _LOCKS_API = "2021-03-01", "2020-05-01"
_LOCKS = "/providers/microsoft.authorization/locks/"
_TOP = 1000  # rows a page, the most there is
_DISKS_AT_ONCE = 200  # keys a query
_BATCH_SECONDS = 0.05  # real seconds in which wishes for disks are gathered into one query
_NEW_GROUP_SECONDS = 60.0  # a group that is not known is looked for at most so often
_GONE = frozenset({"disabled", "deleted"})
_SNAPSHOTS = "/resourcegroups/azurebackuprg_"  # where Azure Backup keeps a region's snapshots

type Groups = Mapping[tuple[str, str], tuple[Tags, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subscription:
    id: str
    tags: Tags
    tenant: str


class GraphEstate:
    """Answers the `Estate` port, and the directory's question for policies."""

    def __init__(self, clients: Clients, settings: Settings, clock: Clock) -> None:
        self._clients = clients
        self._settings = settings
        self._clock = clock
        self._subscriptions = self._keep(self._load_subscriptions)
        self._groups = self._keep_by(self._load_groups)
        self._locks = self._keep_by(self._load_locks)
        self._wanted: dict[str, asyncio.Future[DiskFacts | None]] = {}

    async def subscriptions(self) -> tuple[str, ...]:
        if self._settings.subscriptions:
            return self._settings.subscriptions
        return tuple(one.id for one in await self._subscriptions.get())

    async def vms(self, subscription: str, after: str) -> Page[SeenVm]:
        rows, cursor, left = await self._page(queries.VMS, [subscription], after)
        return Page(rows=_parsed(rows, _seen_vm), cursor=cursor, left=left)

    async def items(self, subscriptions: Sequence[str], after: str) -> Page[ProtectedItem]:
        rows, cursor, _ = await self._page(queries.ITEMS, subscriptions, after)
        return Page(rows=self._items(rows), cursor=cursor)

    async def items_of(
        self, subscription: str, after: str, through: str
    ) -> Sequence[ProtectedItem]:
        subscriptions = await self.subscriptions()  # a vault may lie in any of them
        query = queries.items_of(subscription, through)
        start = queries.beyond(after) if after else ""
        return self._items(await self._all(query, subscriptions, start))

    async def held(self, subscriptions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        held: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in await self._all(queries.HELD, subscriptions):
            if not soft_deleted(row):
                held[text(row, "vault")][text(row, "policyId")] += number(row, "held") or 0
        return held

    def _items(self, rows: Sequence[Body]) -> tuple[ProtectedItem, ...]:
        now = self._clock.now()
        return _parsed(rows, lambda row: parse_item({"id": row.get("id"), "properties": row}, now))

    async def policies(self, subscriptions: Sequence[str], after: str) -> Page[Policy]:
        """Walk the VM policies of all vaults in these subscriptions, by id."""
        rows, cursor, _ = await self._page(queries.POLICIES, subscriptions, after)
        return Page(rows=_parsed(rows, parse_policy), cursor=cursor)

    async def group_tags(
        self, groups: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], tuple[Tags, str]]:
        found: dict[tuple[str, str], tuple[Tags, str]] = {}
        for subscription, group in groups:
            key = (subscription.lower(), group.lower())
            kept = self._groups[key[0]]
            known = await kept.get()
            if key not in known:
                kept.forget(unless_younger=_NEW_GROUP_SECONDS)
                known = await kept.get()
            if key in known:
                found[key] = known[key]
        return found

    async def subscription_tags(self, subscriptions: Iterable[str]) -> Mapping[str, Tags]:
        wanted = {subscription.lower() for subscription in subscriptions}
        return {one.id: one.tags for one in await self._subscriptions.get() if one.id in wanted}

    async def tenants(self) -> Mapping[str, str]:
        return {one.id: one.tenant for one in await self._subscriptions.get() if one.tenant}

    async def disks(self, disks: Iterable[ArmId]) -> Mapping[str, DiskFacts]:
        keys = {disk.key for disk in disks}
        waiting = {key: self._wanted.get(key) for key in keys}
        mine = sorted(key for key, future in waiting.items() if future is None)
        for key in mine:
            waiting[key] = self._wanted[key] = asyncio.get_running_loop().create_future()
        if mine:
            await self._answer(mine)
        answers = [future for future in waiting.values() if future is not None]
        return {facts.id.key: facts for future in answers if (facts := await future) is not None}

    async def locks(self, vm: ArmId) -> tuple[Lock, ...]:
        return tuple(
            lock
            for lock in await self._locks[vm.subscription.lower()].get()
            if f"{vm.key}/".startswith(f"{lock.scope.lower()}/") or _SNAPSHOTS in lock.scope.lower()
        )

    async def jobs(
        self, subscriptions: Sequence[str], since: datetime, after: str
    ) -> Page[SeenJob]:
        start = queries.quoted(f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}")
        query = queries.JOBS.replace("{since}", start)
        rows, cursor, _ = await self._page(query, subscriptions, after)
        return Page(rows=_parsed(rows, parse_seen_job), cursor=cursor)

    # --- loads ----------------------------------------------------------------------------------

    async def _load_subscriptions(self) -> tuple[_Subscription, ...]:
        rows = await self._all(queries.SUBSCRIPTIONS, self._settings.subscriptions)
        return tuple(
            _Subscription(
                id=text(row, "subscriptionId").lower(),
                tags=tags(row, "tags"),
                tenant=text(row, "tenantId").lower(),
            )
            for row in rows
            if text(row, "state").lower() not in _GONE
        )

    async def _load_groups(self, subscription: str) -> Groups:
        rows = await self._all(queries.GROUPS, [subscription])
        return {
            (text(row, "subscriptionId").lower(), text(row, "resourceGroup").lower()): (
                tags(row, "tags"),
                text(row, "managedBy"),
            )
            for row in rows
        }

    async def _load_locks(self, subscription: str) -> tuple[Lock, ...]:
        path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/locks"
        found: list[Lock] = []
        async for page in self._clients.listed(
            path, api_version=_LOCKS_API, operation="locks.list"
        ):
            found += _parsed(page, _lock)
        return tuple(found)

    async def _answer(self, mine: Sequence[str]) -> None:
        """Ask for disks on behalf of everybody who wished for one within a moment."""
        futures = {key: self._wanted[key] for key in mine}
        failure = fault_of(TimeoutError("whoever asked for all was stopped"), "graph")
        try:
            await asyncio.sleep(_BATCH_SECONDS)
            futures = dict(self._wanted)  # empty if another caller has taken ours along
            self._wanted.clear()
            facts = await self._load_disks(list(futures))
            for key, future in futures.items():
                if not future.done():
                    future.set_result(facts.get(key))
        except AzureFault as fault:
            failure = fault
            raise
        finally:
            for key, future in futures.items():
                if self._wanted.get(key) is future:
                    del self._wanted[key]
                if not future.done():
                    future.set_exception(failure)
                    future.exception()  # seen: perhaps nobody else waits for it

    async def _load_disks(self, keys: Sequence[str]) -> dict[str, DiskFacts]:
        found: dict[str, DiskFacts] = {}
        for start in range(0, len(keys), _DISKS_AT_ONCE):
            some = keys[start : start + _DISKS_AT_ONCE]
            query = queries.DISKS.replace("{keys}", ", ".join(map(queries.quoted, some)))
            subscriptions = sorted({key.split("/")[2] for key in some})
            rows = await self._all(query, subscriptions)
            found |= {facts.id.key: facts for facts in _parsed(rows, _disk)}
        return found

    # --- the wire -------------------------------------------------------------------------------

    async def _all(self, query: str, subscriptions: Sequence[str], cursor: str = "") -> list[Body]:
        rows: list[Body] = []
        while True:
            page, cursor, _ = await self._page(query, subscriptions, cursor)
            rows += page
            if not cursor:
                return rows

    async def _page(
        self, query: str, subscriptions: Sequence[str], after: str
    ) -> tuple[list[Body], str, int]:
        """Give one page, the key to go on after, and how many rows there are from here on.

        No subscriptions means all that can be read.
        """
        question: dict[str, Any] = {
            "query": queries.walk(query, after),
            "options": {"resultFormat": "objectArray", "$top": _TOP},
        }
        if subscriptions:
            question["subscriptions"] = list(subscriptions)
        answer = await self._clients.post(_PATH, question, api_version=_API, operation="graph")
        with asking("graph"):
            match answer:
                case {"data": [*rows]}:
                    left = number(answer, "totalRecords") or 0
                    return rows, _cursor(answer, rows), max(left, len(rows))
            raise ValueError("an answer of Resource Graph without rows")

    def _keep[T](self, load: Callable[[], Awaitable[T]]) -> Kept[T]:
        seconds = self._settings.directory_seconds
        return Kept(self._clock, load, seconds=seconds, grace=3 * seconds)

    def _keep_by[T](self, load: Callable[[str], Awaitable[T]]) -> KeptBy[str, T]:
        """Keep what is loaded for a subscription."""
        return KeptBy(self._clock, lambda subscription: self._keep(lambda: load(subscription)))


def _cursor(answer: Body, rows: Sequence[Body]) -> str:
    """Give the key to go on after; "" if these were the last rows."""
    more = (
        bool(answer.get("$skipToken"))
        or text(answer, "resultTruncated").lower() == "true"
        or (number(answer, "totalRecords") or 0) > len(rows)
    )
    if not more:
        return ""
    last = (text(rows[-1], "key") or text(rows[-1], "id").lower()) if rows else ""
    if not last:
        raise ValueError("a page of Resource Graph that cannot be gone on from")
    return last


def _parsed[T](rows: Iterable[Body], parse: Callable[[Body], T | None]) -> tuple[T, ...]:
    return tuple(found for row in rows if (found := parse(row)) is not None)


def _seen_vm(row: Body) -> SeenVm | None:
    vm = arm_id(row, "id")
    if vm is None:
        return None
    return SeenVm(
        id=vm,
        uid=text(row, "uid"),
        location=region_of(text(row, "location")),
        tags=tags(row, "tags"),
        created=moment(row, "created"),
    )


def _disk(row: Body) -> DiskFacts | None:
    disk = arm_id(row, "id")
    if disk is None:
        return None
    properties = mapping(row, "properties")
    return DiskFacts(
        id=disk,
        size_gb=number(properties, "diskSizeGB"),
        storage_type=words(row, "sku", "name"),
        max_shares=number(properties, "maxShares"),
        network_access=words(properties, "networkAccessPolicy"),
        data_access_auth=words(properties, "dataAccessAuthMode"),
        security_type=words(properties, "securityProfile", "securityType"),
        encryption_type=words(properties, "encryption", "type"),
    )


def _lock(body: Body) -> Lock | None:
    lock = text(body, "id")
    at = lock.lower().rfind(_LOCKS)
    if at < 0:
        return None
    return Lock(scope=lock[:at], level=text(body, "properties", "level"), name=text(body, "name"))
