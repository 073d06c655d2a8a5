"""The ways out of protection, and back: stop, suspend, soft delete, undelete, delete for good."""

from datetime import timedelta

from simulator.backup import asynchronous
from simulator.backup.durations import Kind, length
from simulator.backup.records import Failure, Item, JobKind, Protection, Vault
from simulator.backup.requests import Stop
from simulator.backup.state import BackupState
from simulator.world import Cause


def stop(state: BackupState, vault: Vault, item: Item, wish: Stop, cause: Cause) -> str:
    """Keep the points and take no more; only a suspended item keeps its policy."""

    def finish() -> Failure | None:
        item.busy_with = None
        item.state = Protection.SUSPENDED if wish.suspend else Protection.STOPPED
        if not wish.suspend:
            state.assign_policy(vault, item, None)
            item.disks = None  # a resume must select disks again (facts §3.7)
        _changed(state, vault, item, cause)
        return None

    return _begin(state, vault, item, "stop", JobKind.DISABLE, Kind.DISABLE, cause, finish)


def undelete(state: BackupState, vault: Vault, item: Item, cause: Cause) -> str:
    """Bring a soft-deleted item back, stopped: a second PUT has to resume it."""

    def finish() -> Failure | None:
        item.busy_with = None
        item.deleted_at = item.purge_at = None
        item.state = Protection.STOPPED
        _changed(state, vault, item, cause)
        return None

    return _begin(state, vault, item, "undelete", JobKind.UNDELETE, Kind.UNDELETE, cause, finish)


def delete_now(state: BackupState, vault: Vault, item: Item, cause: Cause) -> str:
    """Delete an item, softly or for good, as the vault is set when it is asked."""
    asked_at = state.now()
    softly = vault.config.keeps_deleted
    kind = Kind.SOFT_DELETE if softly else Kind.HARD_DELETE

    def finish() -> Failure | None:
        item.busy_with = None
        if softly and item.soft_deleted:
            state.touch(vault, item)  # recorded in 2021: accepted, a job, and nothing changes
        elif softly:
            item.state = Protection.STOPPED
            item.deleted_at, item.was_deleted = asked_at, True
            item.retention_days = vault.config.days
            item.purge_at = asked_at + timedelta(days=vault.config.days)
            state.assign_policy(vault, item, None)
            schedule_purge(state, vault, item)
            state.touch(vault, item)
        else:
            state.drop_item(vault, item)
        state.world.publish("delete", vault.vault_id + item.name.item_path, cause)
        return None

    operation = _begin(state, vault, item, "delete", JobKind.DELETE, kind, cause, finish)
    job_id = vault.operations[operation.lower()].job_id
    if job_id is not None:
        vault.jobs[job_id].bag["Number of Recovery Points"] = str(len(item.points))
    return operation


def schedule_purge(state: BackupState, vault: Vault, item: Item) -> None:
    """Let a soft-deleted item go when its time is over, unless it came back meanwhile."""
    planned = item.purge_at
    if planned is None:
        return

    def purge() -> None:
        if vault.items.get(item.key) is item and item.purge_at == planned:
            state.drop_item(vault, item)

    state.world.schedule.at(planned, purge)


def _begin(
    state: BackupState,
    vault: Vault,
    item: Item,
    wish: str,
    job_kind: JobKind,
    kind: Kind,
    cause: Cause,
    finish: asynchronous.Finish,
) -> str:
    took = length(state, kind, vault.key, item.key)
    job = asynchronous.new_job(state, vault, item, job_kind, cause.client_request_id, took)
    item.busy_with, item.busy_until = wish, job.ends_at
    return asynchronous.begin(
        state, vault, job_kind, job.ends_at, job=job, item=item.key, finish=finish
    ).operation_id


def _changed(state: BackupState, vault: Vault, item: Item, cause: Cause) -> None:
    state.touch(vault, item)
    state.world.publish("write", vault.vault_id + item.name.item_path, cause)
