"""Jobs and operations of Azure Backup (facts §1.6, §1.9)."""

from __future__ import annotations

from shared.adapters.bodies.reading import Body, mapping, moment, number, rows, text, texts
from shared.domain.sheets import SeenJob
from shared.ports import Job, Operation

_RUNNING = frozenset({"InProgress", "Cancelling"})


def parse_job(body: Body) -> Job | None:
    """Give the job; None if it has no name or no start."""
    properties = mapping(body, "properties")
    started = moment(properties, "startTime")
    name = text(body, "name") or text(body, "id").rpartition("/")[2]
    if started is None or not name:
        return None
    status = text(properties, "status")
    return Job(
        id=name,
        operation=text(properties, "operation"),
        status=status,
        request_id=text(properties, "activityId"),
        vm_name=text(properties, "entityFriendlyName"),
        container=text(properties, "containerName"),
        started=started,
        ended=None if status in _RUNNING else moment(properties, "endTime"),
        errors=tuple(_error(error) for error in rows(properties, "errorDetails")),
    )


def parse_seen_job(row: Body) -> SeenJob | None:
    """Give the job of a Resource Graph row; None if it has no id or no start."""
    started, job = moment(row, "startTime"), text(row, "id")
    if started is None or not job:
        return None
    status = text(row, "status")
    failed = rows(row, "errorDetails")
    return SeenJob(
        id=job,
        vm=text(row, "entityFriendlyName"),
        operation=text(row, "operation"),
        status=status,
        started=started,
        ended=None if status in _RUNNING else moment(row, "endTime"),
        code=_error(failed[0])[0] if failed else "",
    )


def parse_operation(body: Body) -> Operation:
    """Give the operation's status. Its times mean nothing (report §6.10).

    Raises:
        ValueError: the body has no status.

    """
    error = mapping(body, "error")
    status = text(body, "status")
    if not status:
        raise ValueError("a body without a status is no operation's")
    return Operation(
        status=status,
        job=text(body, "properties", "jobId"),
        code=text(error, "code"),
        message=text(error, "message"),
    )


def _error(error: Body) -> tuple[str, str, tuple[str, ...]]:
    """Give code, text and recommendations; the title is the code's name and may be missing."""
    code = number(error, "errorCode")
    return (
        text(error, "errorTitle") or ("" if code is None else str(code)),
        text(error, "errorString"),
        texts(error, "recommendations"),
    )
