"""Read and cancel jobs: lists newest first, by status, operation, id and time (facts §1.9)."""

from simulator.arm import Call, Reply
from simulator.backup import asynchronous, backups, filters, refusals
from simulator.backup.durations import Kind, length
from simulator.backup.formats import read_american
from simulator.backup.job_bodies import job_body
from simulator.backup.names import MANAGEMENT, vault_prefix
from simulator.backup.paging import page
from simulator.backup.records import Failure, Job, Status, Vault
from simulator.backup.vault_lookup import vault_of
from simulator.world import World

_STATUSES = frozenset(
    s.lower()
    for s in (
        "Invalid",
        "InProgress",
        "Completed",
        "Failed",
        "CompletedWithWarnings",
        "Cancelled",
        "Cancelling",
    )
)
_OPERATIONS = frozenset(
    s.lower()
    for s in (
        "Invalid",
        "Register",
        "UnRegister",
        "ConfigureBackup",
        "Backup",
        "Restore",
        "DisableBackup",
        "DeleteBackupData",
        "CrossRegionRestore",
        "Undelete",
        "UpdateCustomerManagedKey",
    )
)


def list_jobs(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    wanted = filters.read(call.query, filters.JOBS)
    _check_values(wanted)
    since = read_american(wanted["startTime"]) if "startTime" in wanted else None
    until = read_american(wanted["endTime"]) if "endTime" in wanted else None
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    listed = [
        job
        for job in _candidates(vault, wanted)
        if _fits(job, wanted)
        and (since is None or job.started_at >= since)
        and (until is None or job.started_at <= until)
    ]
    listed.sort(key=lambda job: job.started_at, reverse=True)
    body = page(world, call, listed, lambda job: job_body(world.backup, job, prefix, full=False))
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def _check_values(wanted: dict[str, str]) -> None:
    if wanted.get("status", "invalid").lower() not in _STATUSES:
        raise refusals.bad_input(f"status '{wanted['status']}'")
    if wanted.get("operation", "invalid").lower() not in _OPERATIONS:
        raise refusals.bad_input(f"operation '{wanted['operation']}'")
    for name in ("startTime", "endTime"):
        if name in wanted and read_american(wanted[name]) is None:
            raise refusals.bad_input(f"{name} '{wanted[name]}'")


def _candidates(vault: Vault, wanted: dict[str, str]) -> list[Job]:
    if (job_id := wanted.get("jobId")) is not None:
        job = vault.jobs.get(job_id.lower())
        return [job] if job else []
    return list(reversed(vault.jobs.values()))


def _fits(job: Job, wanted: dict[str, str]) -> bool:
    return (
        filters.fits(wanted, "status", job.status)
        and filters.fits(wanted, "operation", job.kind)
        and filters.fits(wanted, "backupManagementType", MANAGEMENT)
    )


def job_of(vault: Vault, job_id: str) -> Job:
    job = vault.jobs.get(job_id.lower())
    if job is None:
        raise refusals.object_not_found("backup job", job_id)
    return job


def get_job(world: World, call: Call) -> Reply:
    vault = vault_of(world, call)
    job = job_of(vault, call.params["job"])
    prefix = vault_prefix(call.resource_id, vault.vault_id)
    body = job_body(world.backup, job, prefix, full=True)
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def cancel_job(world: World, call: Call) -> Reply:
    """Cancel a running backup; one whose snapshot exists ends with warnings (report §2.2)."""
    vault = vault_of(world, call)
    job = job_of(vault, call.params["job"])
    if job.status is not Status.IN_PROGRESS or not (job.tasks or job.restore):
        raise refusals.bad_input("The job cannot be cancelled.")
    state, asked_at = world.backup, world.now()

    def finish() -> Failure | None:
        backups.cancel(state, vault, job, asked_at=asked_at)
        return None

    operation = asynchronous.begin(
        state, vault, "cancel", state.now() + length(state, Kind.CANCEL), finish=finish
    )
    path = call.resource_id.rsplit("/", 1)[0]
    return asynchronous.accepted(
        world,
        call,
        status_path=f"{path}/operationsStatus/{operation.operation_id}",
        status_version="2019-05-13-preview",
        result_path=f"{path}/operationResults/{operation.operation_id}",
    )
