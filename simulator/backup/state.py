"""The provider's state and its indexes: every lookup is by lower-case key.

A seed may put thousands of items in one vault, so nothing here walks a list to find one thing.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from simulator.backup.eras import Era
from simulator.backup.names import VmName
from simulator.backup.records import Item, Policy, Vault

if TYPE_CHECKING:
    from simulator.backup.graph_rows import RowHistory
    from simulator.world import World


@dataclass(slots=True)
class BackupState:
    """The provider's own state, kept at ``world.backup``."""

    world: "World"
    vaults: dict[str, Vault] = field(default_factory=dict)
    #: deleted vaults whose last operation can still be seen
    gone: dict[str, Vault] = field(default_factory=dict)
    #: which vaults hold an item of a VM id (lower case); more than one after a stop (report §6.19)
    holders: dict[str, set[str]] = field(default_factory=dict)
    #: when a refresh last looked for VMs, by (subscription, region)
    discovered: dict[tuple[str, str], datetime] = field(default_factory=dict)
    #: how often enabling each VM was tried, for orders that fail "the first n times"
    attempts: Counter[str] = field(default_factory=Counter)
    #: called after an item, a policy or a vault changed: (vault, item key or None)
    changed: list[Callable[[Vault, str | None], None]] = field(default_factory=list)
    history: "RowHistory" = field(init=False)
    _drawn: Counter[str] = field(default_factory=Counter)

    @property
    def era(self) -> Era:
        return Era.named(self.world.knobs.text("backup.era"))

    def now(self) -> datetime:
        return self.world.now()

    def draw(self, *words: str) -> random.Random:
        """Return a generator of its own for this occasion, whatever else was asked before."""
        occasion = "|".join(words).lower()
        self._drawn[occasion] += 1
        return random.Random(f"{self.world.rng_seed}|{occasion}|{self._drawn[occasion]}")

    def guid(self, *words: str) -> str:
        """Return a new GUID for an occasion: repeatable from run to run."""
        return self.world.stable_guid(*words, str(self.draw("guid", *words).random()))

    def touch(self, vault: Vault, item: Item) -> None:
        """Stamp a change of an item and tell the listeners."""
        item.changed_at = self.now()
        self.tell(vault, item.key)

    def tell(self, vault: Vault, item_key: str | None = None) -> None:
        for listener in self.changed:
            listener(vault, item_key)

    def add_item(self, vault: Vault, item: Item) -> None:
        vault.items[item.key] = item
        self.holders.setdefault(item.vm_id.lower(), set()).add(vault.key)

    def drop_item(self, vault: Vault, item: Item) -> None:
        vault.items.pop(item.key, None)
        self.assign_policy(vault, item, None)
        holders = self.holders.get(item.vm_id.lower(), set())
        holders.discard(vault.key)
        if not holders:
            self.holders.pop(item.vm_id.lower(), None)
        self.tell(vault, item.key)

    def assign_policy(self, vault: Vault, item: Item, policy: Policy | None) -> None:
        """Move an item to a policy, or to none; both policies' members stay right."""
        if (old := vault.policies.get(item.policy)) is not None:
            old.members.discard(item.key)
        item.policy = policy.key if policy else ""
        item.policy_name = policy.name if policy else ""
        if policy is not None:
            policy.members.add(item.key)

    def items_of_vm(self, vm_id: str) -> list[tuple[Vault, Item]]:
        """Return every item of a VM, in every vault of the tenant."""
        found: list[tuple[Vault, Item]] = []
        for key in sorted(self.holders.get(vm_id.lower(), ())):
            vault = self.vaults[key]
            item = vault.items.get(VmName.of_vm(vm_id).key)
            if item is not None and item.vm_id.lower() == vm_id.lower():
                found.append((vault, item))
        return found

    def after(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)
