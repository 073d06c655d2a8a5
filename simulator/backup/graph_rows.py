"""Backup objects as Resource Graph shows them: late, in lower-case types, in two spellings.

The vendor's sample reads ``currentProtectionState`` and ``dataSourceInfo``; other clients read the
REST names (facts §4.5a), so rows carry both. Rows of the past are kept, for readers that lag.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from simulator.backup.formats import Fields, fields_of
from simulator.backup.item_bodies import item_body
from simulator.backup.job_bodies import job_body
from simulator.backup.names import ITEM_TYPE, JOB_TYPE, POLICY_TYPE, VM_TYPE
from simulator.backup.policies import body_of
from simulator.backup.records import Item, Job, Protection, Status, Vault
from simulator.backup.state import BackupState
from simulator.graph_rows import GraphRow

if TYPE_CHECKING:
    from simulator.world import World

#: Jobs stay so many days (facts §4.5a).
_JOB_DAYS = 14
_VERSIONS = 6


#: What one must be allowed to read to see a row, at its vault.
_READ = {
    ITEM_TYPE: f"{ITEM_TYPE}/read",
    POLICY_TYPE: f"{POLICY_TYPE}/read",
    JOB_TYPE: f"{JOB_TYPE}/read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRow(GraphRow):
    """A row with its past: two changes within one lag still show the state before both."""

    versions: tuple[tuple[datetime, Fields | None], ...]

    def at(self, moment: datetime) -> Fields | None:
        for at, row in reversed(self.versions):
            if at <= moment:
                return row
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow(GraphRow):
    """A job's row, written only when somebody may see it; it shows InProgress until its end."""

    state: BackupState
    vault: Vault
    job: Job

    def at(self, moment: datetime) -> Fields | None:
        job = self.job
        if job.started_at > moment or (moment - job.started_at).days >= _JOB_DAYS:
            return None
        body = job_body(self.state, job, self.vault.vault_id, full=False)
        if not job.over(moment):
            shown = fields_of(body["properties"])
            for late in ("endTime", "errorDetails"):
                shown.pop(late, None)
            body["properties"] = {**shown, "status": Status.IN_PROGRESS.value}
        return _row(self.state, self.vault, body, JOB_TYPE)


class RowHistory:
    """Keeps what rows looked like, by id; a None is a row that went away."""

    def __init__(self, state: BackupState) -> None:
        self._state = state
        self._rows: dict[str, tuple[str, PastRow]] = {}  # beside its subscription, in lower case
        self._policies: defaultdict[str, set[str]] = defaultdict(set)  # ever seen, by vault
        state.changed.append(self.note)

    def note(self, vault: Vault, item_key: str | None) -> None:
        """Record an item's row, or a vault's policies, after a change."""
        present = self._state.vaults.get(vault.key) is vault
        if item_key is None:
            for policy in vault.policies.values():
                body = body_of(policy, vault.vault_id, len(policy.members))
                row = _row(self._state, vault, body, POLICY_TYPE) if present else None
                key = f"{vault.key}/backuppolicies/{policy.key}"
                self._keep(vault, POLICY_TYPE, key, row, policy.changed_at)
            for gone in self._policies[vault.key] - vault.policies.keys():
                key = f"{vault.key}/backuppolicies/{gone}"
                self._keep(vault, POLICY_TYPE, key, None, self._state.now())
            self._policies[vault.key].update(vault.policies)
            return
        item = vault.items.get(item_key)
        shown = present and item is not None and item.visible
        row = item_row(self._state, vault, item) if shown and item else None
        at = item.changed_at if item else self._state.now()
        self._keep(vault, ITEM_TYPE, f"{vault.key}/items/{item_key}", row, at)

    def _keep(self, vault: Vault, kind: str, key: str, row: Fields | None, at: datetime) -> None:
        _, known = self._rows.get(key, ("", None))
        versions = known.versions if known else ()
        if row == (versions[-1][1] if versions else None):
            return
        kept = PastRow(
            row=row,
            changed_at=at,
            action=_READ[kind],
            scope=vault.vault_id,
            versions=(*versions, (at, row))[-_VERSIONS:],
        )
        self._rows[key] = (vault.subscription.lower(), kept)

    def offered(self, subscriptions: frozenset[str]) -> Iterator[GraphRow]:
        for subscription, row in list(self._rows.values()):
            if subscription in subscriptions:
                yield row


def rows(world: "World", subscriptions: frozenset[str]) -> Iterator[GraphRow]:
    """Offer items, policies and jobs of the subscriptions' vaults to Resource Graph."""
    state = world.backup
    yield from state.history.offered(subscriptions)
    for vault in list(state.vaults.values()):
        if vault.subscription.lower() not in subscriptions:
            continue
        for job in list(vault.jobs.values()):
            yield JobRow(
                row=None,
                changed_at=job.started_at,
                action=_READ[JOB_TYPE],
                scope=vault.vault_id,
                state=state,
                vault=vault,
                job=job,
            )


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
