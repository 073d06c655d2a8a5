"""Jobs as the service writes them: in full in the single GET, without extendedInfo in lists."""

from datetime import datetime

from simulator.arm import Json
from simulator.backup import restores
from simulator.backup.eras import Era
from simulator.backup.formats import NEVER, Fields, duration_text, time_text
from simulator.backup.names import JOB_TYPE, MANAGEMENT
from simulator.backup.records import Failure, Job, JobKind, Status, Task
from simulator.backup.state import BackupState


def job_body(state: BackupState, job: Job, prefix: str, *, full: bool) -> Fields:
    """Write a job as of now; a running one has a duration and no endTime."""
    return {
        "id": f"{prefix}/backupJobs/{job.job_id}",
        "name": job.job_id,
        "type": JOB_TYPE,
        "properties": _properties(state, job, full=full),
    }


def _properties(state: BackupState, job: Job, *, full: bool) -> Fields:
    era, now = state.era, state.now()
    running = job.status is Status.IN_PROGRESS
    duration = duration_text((now if running else job.ends_at) - job.started_at)
    actions: list[Json] = ["Cancellable"] if era >= Era.Y2023 else [1]
    head: Fields = {"jobType": "AzureIaaSVMJob"}
    cancellable = job.kind in {JobKind.BACKUP, JobKind.RESTORE}
    if cancellable and era >= Era.Y2022:
        head["actionsInfo"] = actions
    if era >= Era.Y2021:
        head["containerName"] = job.name.short
    head["duration"] = duration
    if cancellable and era < Era.Y2022:
        head["actionsInfo"] = actions
    if job.failure is not None and not running:
        head["errorDetails"] = [error_detail(job.failure)]
    head["virtualMachineVersion"] = "Compute"
    if full:
        head["extendedInfo"] = (
            restores.details(era, job, job.restore, now, running=running)
            if job.restore is not None
            else _extended(era, job, now)
        )
    head |= {
        "entityFriendlyName": job.friendly_name,
        "backupManagementType": MANAGEMENT,
        "operation": job.kind.value,
        "status": job.status.value,
        "startTime": time_text(job.started_at),
    }
    if not running:
        head["endTime"] = time_text(job.ends_at)
    head["activityId"] = job.activity_id
    return head


def error_detail(failure: Failure) -> Fields:
    return {
        "errorCode": failure.number,
        "errorTitle": failure.code,
        "errorString": failure.message,
        "recommendations": list(failure.recommendations),
    }


def _extended(era: Era, job: Job, now: datetime) -> Fields:
    bag: Fields = {"VM Name": job.friendly_name}
    if job.kind in {JobKind.CONFIGURE, JobKind.DISABLE}:
        bag["Policy Name"] = job.policy_name
    if job.kind is JobKind.UNDELETE:
        bag["Undelete flag"] = "True"
    bag |= job.bag
    shown: Fields = {
        "tasksList": [_task(era, task, now) for task in job.tasks],
        "propertyBag": bag,
    }
    if job.kind is JobKind.BACKUP:
        shown["internalPropertyBag"] = {"IsInstantRpJob": "True"}
    return shown


def _task(era: Era, task: Task, now: datetime) -> Fields:
    shown: Fields = {"taskId": task.name}
    started, ended = now >= (task.seen_from or task.starts_at), now >= task.ends_at
    if era >= Era.Y2022:
        shown["startTime"] = time_text(task.starts_at) if started else NEVER
        shown["endTime"] = time_text(task.ends_at) if ended else NEVER
        until = min(now, task.ends_at) if started else task.starts_at
        shown["duration"] = duration_text(until - task.starts_at)
    else:
        shown["duration"] = "PT0S"
    if not started:
        shown["status"] = "NotStarted"
    elif not ended:
        shown["status"] = "InProgress"
    else:
        shown["status"] = "Failed" if task.fails else "Completed"
        if task.cancelled:
            shown["status"] = "Cancelled"
    if era >= Era.Y2024:
        shown["taskType"] = "Normal"
    return shown
