"""Backup objects as Resource Graph shows them: late, in lower-case types, in two spellings.

The vendor's sample reads ``currentProtectionState`` and ``dataSourceInfo``; other clients read the
REST names (facts §4.5a), so rows carry both. Rows of the past are kept, for readers that lag.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from simulator.backup.formats import Fields, fields_of
from simulator.backup.item_bodies import item_body
from simulator.backup.job_bodies import job_body
from simulator.backup.names import ITEM_TYPE, JOB_TYPE, POLICY_TYPE, VM_TYPE
from simulator.backup.policies import body_of
from simulator.backup.state import BackupState, Item, Protection, Vault

if TYPE_CHECKING:
    from simulator.world import World

#: Jobs stay so many days (facts §4.5a).
_JOB_DAYS = 14
_VERSIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRow:
    """One row of ``RecoveryServicesResources`` and when it came to be so."""

    body: Fields
    changed_at: datetime


class RowHistory:
    """Keeps what rows looked like, by id; a None is a row that went away."""

    def __init__(self, state: BackupState) -> None:
        self._state = state
        self._rows: dict[str, deque[tuple[datetime, Fields | None]]] = {}
        state.changed.append(self.note)

    def note(self, vault: Vault, item_key: str | None) -> None:
        """Record an item's row, or a vault's policies, after a change."""
        present = self._state.vaults.get(vault.key) is vault
        if item_key is None:
            for policy in vault.policies.values():
                body = body_of(policy, vault.vault_id, len(policy.members))
                row = _row(self._state, vault, body, POLICY_TYPE) if present else None
                self._keep(f"{vault.key}/backuppolicies/{policy.key}", row, policy.changed_at)
            known = f"{vault.key}/backuppolicies/"
            for key in [key for key in self._rows if key.startswith(known)]:
                if key.removeprefix(known) not in vault.policies:
                    self._keep(key, None, self._state.now())
            return
        item = vault.items.get(item_key)
        shown = present and item is not None and item.visible
        row = item_row(self._state, vault, item) if shown and item else None
        at = item.changed_at if item else self._state.now()
        self._keep(f"{vault.key}/items/{item_key}", row, at)

    def _keep(self, key: str, row: Fields | None, at: datetime) -> None:
        versions = self._rows.setdefault(key, deque(maxlen=_VERSIONS))
        if not versions and row is None:
            return
        if not versions or versions[-1][1] != row:
            versions.append((at, row))

    def as_of(self, when: datetime | None) -> Iterator[GraphRow]:
        """Yield the rows a reader sees that lags to ``when``; None is up to date."""
        for versions in list(self._rows.values()):
            for at, row in reversed(versions):
                if when is None or at <= when:
                    if row is not None:
                        yield GraphRow(body=row, changed_at=at)
                    break


def rows(world: "World", as_of: datetime | None = None) -> Iterator[GraphRow]:
    """Yield items, policies and jobs of every vault, as they were at a time."""
    state = world.backup
    yield from state.history.as_of(as_of)
    until = as_of or world.now()
    for vault in list(state.vaults.values()):
        for job in list(vault.jobs.values()):
            age = until - job.started_at
            if job.started_at > until or age.days >= _JOB_DAYS:
                continue
            body = job_body(state, job, vault.vault_id, full=False)
            changed = job.ends_at if job.over(until) else job.started_at
            yield GraphRow(body=_row(state, vault, body, JOB_TYPE), changed_at=changed)


def item_row(state: BackupState, vault: Vault, item: Item) -> Fields:
    body = item_body(state, vault, item, vault.vault_id)
    shown = {
        **fields_of(body["properties"]),
        "vaultId": vault.vault_id,
        "currentProtectionState": _word(item),
        "dataSourceInfo": {
            "objectType": "Datasource",
            "resourceID": item.vm_id,
            "resourceUri": item.vm_id,
            "resourceName": item.friendly_name,
            "resourceType": VM_TYPE,
            "resourceLocation": vault.location,
            "datasourceType": VM_TYPE,
        },
        "policyInfo": {"policyId": fields_of(body["properties"])["policyId"]},
    }
    return _row(state, vault, {**body, "properties": shown}, ITEM_TYPE)


def _word(item: Item) -> str:
    if item.soft_deleted:
        return "SoftDeleted"
    match item.state:
        case Protection.IR_PENDING | Protection.PROTECTED:
            return "ProtectionConfigured"
        case other:
            return other.value


def _row(state: BackupState, vault: Vault, body: Fields, kind: str) -> Fields:
    return {
        "id": body["id"],
        "name": body["name"],
        "type": kind.lower(),
        "tenantId": state.world.tenant_id,
        "kind": "",
        "location": vault.location,
        "resourceGroup": vault.group.lower(),
        "subscriptionId": vault.subscription,
        "managedBy": "",
        "sku": None,
        "plan": None,
        "properties": body["properties"],
        "tags": None,
        "identity": None,
        "zones": None,
        "extendedLocation": None,
    }
