"""Asynchronous requests: a 202 with two polling URLs, one operation id that answers everywhere.

Status bodies are the recorded ones: ``endTime`` says year 1 while it runs and repeats the start
afterwards, ``properties.jobId`` exists only at the end (report §6.8 to 6.12). A failure arrives in
an HTTP 200 whose status is Failed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from simulator.arm import Call, Json, Reply
from simulator.backup import refusals
from simulator.backup.durations import Kind, length
from simulator.backup.formats import NEVER, Fields, signature, time_text
from simulator.backup.records import Failure, Item, Job, JobKind, Operation, Status, Vault
from simulator.backup.state import BackupState
from simulator.world import World

#: Seconds to wait before the first look; first-hand for the PUT of an item (report §1.3).
RETRY_AFTER = "60"

type Finish = Callable[[], Failure | None]


def new_job(
    state: BackupState,
    vault: Vault,
    item: Item,
    kind: JobKind,
    activity_id: str,
    took: timedelta,
    *,
    policy_name: str = "",
) -> Job:
    """Start a job for an item; its caller decides how it ends."""
    job = Job(
        job_id=state.guid("job", vault.key, item.key),
        kind=kind,
        name=item.name,
        friendly_name=item.friendly_name,
        policy_name=policy_name,
        started_at=state.now(),
        ends_at=state.now() + took,
        activity_id=activity_id,
    )
    vault.jobs[job.job_id] = job
    return job


def settled_job(
    state: BackupState, vault: Vault, item: Item, kind: JobKind, activity_id: str
) -> Job:
    """Start a job that will complete by itself and change nothing else."""
    took = length(state, Kind.POLICY_CHANGE, vault.key, item.key)
    job = new_job(state, vault, item, kind, activity_id, took, policy_name=item.policy_name)

    state.world.schedule.at(job.ends_at, partial(complete, job))
    return job


def complete(job: Job) -> None:
    job.status = Status.COMPLETED


def begin(
    state: BackupState,
    vault: Vault,
    kind: str,
    ends_at: datetime,
    *,
    job: Job | None = None,
    item: str | None = None,
    finish: Finish | None = None,
    settles_job: bool = True,
) -> Operation:
    """Start an operation; ``finish`` runs when it is due and says why it failed, if it did."""
    operation = Operation(
        operation_id=state.guid("operation", vault.key, kind),
        kind=kind,
        started_at=job.started_at if job else state.now(),
        ends_at=ends_at,
        item=item,
        job_id=job.job_id if job else None,
    )
    vault.operations[operation.operation_id.lower()] = operation

    def settle() -> None:
        failure = finish() if finish else None
        operation.failure = failure
        operation.status = Status.FAILED if failure else Status.SUCCEEDED
        if job is not None and settles_job:
            job.failure = failure
            job.status = Status.FAILED if failure else Status.COMPLETED

    state.world.schedule.at(ends_at, settle)
    return operation


def operation_of(vault: Vault, operation_id: str) -> Operation:
    operation = vault.operations.get(operation_id.lower())
    if operation is None:
        raise refusals.object_not_found("operation", operation_id)
    return operation


def polling_url(world: World, call: Call, path: str, version: str = "") -> str:
    """Write an absolute polling URL, signed since 2024: thousands of characters, keep it verbatim."""
    tail = signature(world.now(), path) if world.backup.era.signed_urls else ""
    return world.url(f"{path}?api-version={version or call.api_version}{tail}")


def accepted(
    world: World,
    call: Call,
    *,
    status_path: str,
    result_path: str,
    status_version: str = "",
) -> Reply:
    """Answer 202: no body, no content type, two URLs and when to come back."""
    return Reply(
        status=202,
        headers={
            "Azure-AsyncOperation": polling_url(world, call, status_path, status_version),
            "Location": polling_url(world, call, result_path),
            "Retry-After": RETRY_AFTER,
        },
    )


def still_running(world: World, call: Call) -> Reply:
    """Answer a look at a result that is not there yet: the same URL once more."""
    return Reply(
        status=202,
        headers={
            "Location": polling_url(world, call, call.resource_id),
            "Retry-After": RETRY_AFTER,
        },
    )


def status(world: World, operation: Operation) -> Reply:
    """Answer the status of an operation, the same under every URL it has."""
    return Reply(
        status=200, body=status_body(operation), content_type=world.backup.era.content_type
    )


def status_body(operation: Operation) -> Fields:
    started = time_text(operation.started_at)
    running = operation.status is Status.IN_PROGRESS
    body: Fields = {
        "id": operation.operation_id,
        "name": operation.operation_id,
        "status": operation.status.value,
        "startTime": started,
        "endTime": NEVER if running else started,
    }
    if operation.failure is not None:
        body["error"] = error_of(operation.failure)
    if not running and operation.job_id is not None:
        body["properties"] = {
            "objectType": "OperationStatusJobExtendedInfo",
            "jobId": operation.job_id,
        }
    return body


def error_of(failure: Failure) -> dict[str, Json]:
    return {"code": failure.code, "message": failure.message}


def result(world: World, call: Call, operation: Operation, done: Callable[[], Reply]) -> Reply:
    """Answer a look at a result: 202 while it runs, the failure as an error, or what is there."""
    if operation.status is Status.IN_PROGRESS:
        return still_running(world, call)
    if operation.failure is not None:
        return Reply(
            status=400,
            body={
                "error": {
                    **error_of(operation.failure),
                    "target": None,
                    "details": None,
                    "innerError": None,
                }
            },
            content_type="application/json",
        )
    return done()
