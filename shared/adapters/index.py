"""Every protected item of every vault in scope (the `ItemIndex` port, DESIGN §3.8).

Loaded from Resource Graph; a vault that it shows nothing of is listed by ARM until both agree that
it is empty, or Graph has caught up. Graph lags by minutes, so what this service saw or did itself
wins until a load agrees with it, or has had ample time to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.adapters.bodies.items import parse_item
from shared.adapters.clients import Clients
from shared.adapters.faults import asking
from shared.adapters.kept import Kept
from shared.domain.ids import ArmId
from shared.domain.model import ProtectedItem, ProtectionState, Room
from shared.errors import AzureFault
from shared.ports import Clock, Directory, Estate
from shared.settings import Settings

_AMPLE = timedelta(minutes=45)  # Resource Graph's lag (unpublished) with much room
_ANEW_SECONDS = 60.0  # what is younger is not loaded anew, however many VMs ask for it
_ITEMS = "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"
_NEVER_USED = "Unassigned"  # storage of a vault that never had an item (facts §1.3)
_UNREADABLE = frozenset({"AuthorizationFailed"})
_ALIVE = frozenset({ProtectionState.PENDING, ProtectionState.PROTECTED, ProtectionState.ERROR})

type Items = dict[str, ProtectedItem]  # by id key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """One load: when it began, and its items by vault and by the name they protect."""

    began: datetime
    vaults: Mapping[str, Items]
    named: Mapping[str, Items]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """What the service itself saw or did, and when."""

    item: ProtectedItem
    at: datetime
    vault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What a vault holds, counted once for all VMs that ask before it changes."""

    among: _Loaded
    room: Room


class GraphIndex:
    """Answers the `ItemIndex` port. What is asked for every VM costs no walk of all items."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        clock: Clock,
        estate: Estate,
        directory: Directory,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._estate = estate
        self._directory = directory
        seconds = settings.index_seconds
        self._kept = Kept(clock, self._load, seconds=seconds, grace=2 * seconds)
        self._learned: dict[str, dict[str, _Learned]] = {}  # by name, then by id key
        self._counted: dict[str, _Counted] = {}  # by vault
        self._seen: set[str] = set()  # vaults that Graph was right about
        self._full: set[str] = set()  # vaults that had items at the latest load
        self._asked: set[str] = set()  # vaults to be listed by ARM with the next load

    async def named(self, vm: ArmId) -> tuple[ProtectedItem, ...]:
        name = f"{vm.group};{vm.name}".lower()
        loaded = await self._kept.get()
        learned = {key: one.item for key, one in self._learned.get(name, {}).items()}
        return tuple((loaded.named.get(name, {}) | learned).values())

    async def room(self, vault: ArmId) -> Room:
        loaded = await self._kept.get()
        counted = self._counted.get(vault.key)
        if counted is None or counted.among is not loaded:
            counted = _Counted(among=loaded, room=self._room(vault, loaded))
            self._counted[vault.key] = counted
        return counted.room

    def _room(self, vault: ArmId, loaded: _Loaded) -> Room:
        learned = {
            key: one.item
            for named in self._learned.values()
            for key, one in named.items()
            if one.vault == vault.key
        }
        held = [
            item
            for item in (loaded.vaults.get(vault.key, {}) | learned).values()
            if item.state is not ProtectionState.SOFT_DELETED
        ]
        policies = Counter(item.policy.key for item in held if item.policy is not None)
        return Room(items=len(held), today=0, per_policy=policies)

    def learn(self, item: ProtectedItem) -> None:
        vault, name, key = _vault(item), _name(item), item.id.key
        mine = self._learned.setdefault(name, {})
        if (counted := self._counted.get(vault)) is not None:
            shown = mine[key].item if key in mine else counted.among.vaults.get(vault, {}).get(key)
            if shown is None or _takes(shown) != _takes(item):
                del self._counted[vault]
        mine[key] = _Learned(item=item, at=self._clock.now(), vault=vault)

    def forget(self, vault: ArmId | None = None) -> None:
        """Load anew; a vault that is named is read from ARM, which does not lag."""
        if vault is not None:
            self._asked.add(vault.key)
        self._kept.forget(unless_younger=_ANEW_SECONDS)

    # --- loads ----------------------------------------------------------------------------------

    async def _load(self) -> _Loaded:
        began = self._clock.now()
        known = await self._directory.vaults()
        vaults = [vault.id for vault in known]
        unused = {vault.id.key for vault in known if vault.storage_version == _NEVER_USED}
        shown, answered = await self._from_graph(vaults)
        by_vault = _grouped(shown, _vault)
        self._seen = (self._seen | by_vault.keys()) & {vault.key for vault in vaults}
        for vault in vaults:
            needed = not answered or vault.key in self._asked
            shows = vault.key in by_vault
            doubtful = vault.key not in self._seen and vault.key not in unused
            if needed or (not shows and (vault.key in self._full or doubtful)):
                try:
                    by_vault[vault.key] = await self._list(vault)
                except AzureFault:
                    if needed or vault.key in self._full:
                        raise
                    continue  # probably empty, and the server judges a PUT; asked again next time
                if not by_vault[vault.key]:
                    self._seen.add(vault.key)
        self._asked.clear()
        self._full = {key for key, items in by_vault.items() if items}
        items = {key: item for group in by_vault.values() for key, item in group.items()}
        self._outdate(items, began)
        return _Loaded(began=began, vaults=by_vault, named=_grouped(items, _name))

    async def _from_graph(self, vaults: list[ArmId]) -> tuple[Items, bool]:
        """Walk all items; False if Resource Graph did not answer."""
        wanted = {vault.key for vault in vaults}
        subscriptions = sorted({vault.subscription.lower() for vault in vaults})
        found: Items = {}
        cursor = ""
        try:
            while subscriptions:
                page = await self._estate.items(subscriptions, cursor)
                found |= {item.id.key: item for item in page.rows if _vault(item) in wanted}
                cursor = page.cursor
                if not cursor:
                    break
        except AzureFault:
            return {}, False
        return found, True

    async def _list(self, vault: ArmId) -> Items:
        """List one vault by ARM; one that we may not read has nothing for us."""
        now = self._clock.now()
        try:
            with asking("items.list"):
                listed = self._clients.backup(vault.subscription).backup_protected_items.list(
                    vault.name, vault.group, filter=_ITEMS
                )
                bodies = [body async for body in listed]
        except AzureFault as fault:
            if fault.code in _UNREADABLE:
                return {}
            raise
        items = [item for body in bodies if (item := parse_item(body, now)) is not None]
        return {item.id.key: item for item in items}

    def _outdate(self, shown: Items, began: datetime) -> None:
        """Let go of what we learned and this load agrees with, or should by now."""
        left = {
            name: {
                key: one
                for key, one in named.items()
                if not _agrees(shown.get(key), one.item) and began - one.at <= _AMPLE
            }
            for name, named in self._learned.items()
        }
        self._learned = {name: named for name, named in left.items() if named}
        self._counted.clear()


def _agrees(shown: ProtectedItem | None, learned: ProtectedItem) -> bool:
    """Tell whether Graph has seen what we did; its row may already tell more."""
    if shown is None or shown.policy != learned.policy:
        return False
    return shown.state is learned.state or {shown.state, learned.state} <= _ALIVE


def _takes(item: ProtectedItem) -> tuple[bool, ArmId | None]:
    """Say what place an item takes in its vault."""
    return item.state is not ProtectionState.SOFT_DELETED, item.policy


def _grouped(items: Items, by: Callable[[ProtectedItem], str]) -> dict[str, Items]:
    groups: dict[str, Items] = {}
    for key, item in items.items():
        groups.setdefault(by(item), {})[key] = item
    return groups


def _vault(item: ProtectedItem) -> str:
    """Give the key of the item's vault."""
    return item.id.key.partition("/backupfabrics/")[0]


def _name(item: ProtectedItem) -> str:
    """Give the group and name that the item's own name is made of, lower case (facts §1.12)."""
    return ";".join(item.id.name.lower().split(";")[-2:])
