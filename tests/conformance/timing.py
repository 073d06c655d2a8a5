"""What a replay takes of time from its recording: when an operation, a job, a VM was over or gone.

A duration is chosen so that every recorded look at the operation finds what it found; where the
service itself told how long something took, and that fits, it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.conformance.recordings import Exchange, began, bodies, read_time

DURATION = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?")
#: Recorded answers of one second are sent this far apart, so that their order is kept.
STEP = 0.02
#: Paths under which operations are polled.
POLLED = re.compile(r"/(operationresults|operations?status|backupoperations|operations)/[^/]+$")
#: Which duration of the simulator each operation draws.
DRAWS: Mapping[str, tuple[str, ...]] = {
    "ProtectedItems_CreateOrUpdate": ("enable", "policy_change", "disable", "undelete"),
    "ProtectedItems_Delete": ("soft_delete", "hard_delete"),
    "ProtectionContainers_Refresh": ("refresh",),
    "Backups_Trigger": ("backup_trigger",),
    "Restores_Trigger": ("backup_trigger",),
    "JobCancellations_Trigger": ("cancel",),
    "Vaults_CreateOrUpdate": ("vault",),
    "Vaults_Update": ("vault",),
    "Vaults_Delete": ("vault",),
    "VirtualMachines_CreateOrUpdate": ("update",),
    "VirtualMachines_Delete": ("delete",),
}
#: ... and the job that goes on after its operation.
JOBS: Mapping[str, tuple[str, ...]] = {
    "Backups_Trigger": ("backup",),
    "Restores_Trigger": (
        "restore_disks",
        "restore_vault",
        "restore_replace",
        "restore_vm",
    ),
}


@dataclass(slots=True)
class Taken:
    """What was taken for one exchange."""

    durations: dict[str, float] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    fault: dict[str, Any] | None = None
    client_id: str = ""


def offsets(session: list[Exchange]) -> list[float]:
    """Return when each exchange is sent, strictly rising: recorded seconds may repeat or step back."""
    sent: list[float] = []
    for one in session:
        sent.append(max(one.at, sent[-1] + STEP) if sent else max(one.at, 0.0))
    return sent


def taken(session: list[Exchange], at: list[float], index: int, operation: str) -> Taken:
    """Take durations and luck of one request from what its recording says later."""
    one, found = session[index], Taken()
    if one.status >= 500 or one.status == 429:
        found.fault = {"status": one.status, "code": code_of(one.body)}
        return found
    polls = list(_polls(session, index))
    over = _window(session, at, polls, index)
    job = _job_of(session, [session[i].body for i in polls])
    told = _told(session, job) or _told_by_operation(session, polls)
    if operation == "Vaults_CreateOrUpdate":
        found.durations["vault_known"] = _known(session, at, index)
    if operation in {"Vaults_CreateOrUpdate", "Vaults_Update"}:
        told = _settled(session, one)
    if operation in DRAWS and polls:
        length = _pick(*over, None if operation in JOBS else told)
        found.durations |= dict.fromkeys(DRAWS[operation], length)
    if operation in JOBS and job:
        length = _pick(*_window(session, at, job, index), told)
        found.durations |= dict.fromkeys(JOBS[operation], length)
        if operation == "Backups_Trigger":
            found.durations["snapshot"] = _snapshot(session, at, job, index, length)
            found.durations |= _point(session, index, job)
    if operation.startswith("Vaults_"):
        found.knobs |= _vault_luck(session, polls)
    if job:
        properties = session[job[0]].body.get("properties") or {}
        found.client_id = str(properties.get("activityId") or "")
    return found


def _polls(session: list[Exchange], index: int) -> Iterator[int]:
    """Find the looks at what a request began: its operation's id ends their path."""
    headers = session[index].headers
    begun = headers.get("azure-asyncoperation") or headers.get("location") or ""
    operation = unquote(begun.partition("?")[0]).rsplit("/", 1)[-1].lower()
    if not operation:
        return
    for later in range(index + 1, len(session)):
        path = unquote(session[later].path).lower()
        if path.endswith("/" + operation) and session[later].method == "GET":
            yield later


def waiting(one: Exchange) -> bool:
    """Tell whether a look found its operation or job still running."""
    if one.status == 202:
        return True
    body = one.body if isinstance(one.body, dict) else {}
    properties = body.get("properties")
    inner = properties.get("status") if isinstance(properties, dict) else None
    return (body.get("status") or inner) in {"InProgress", "Cancelling"}


def _window(
    session: list[Exchange], at: list[float], looks: list[int], index: int
) -> tuple[float, float | None]:
    """Return between which seconds after the request it was over."""
    low, high = 0.0, None
    answered = [i for i in looks if session[i].status < 500 and session[i].status != 429]
    for look in answered:
        if waiting(session[look]):
            low, high = at[look] - at[index], None
        elif high is None:
            high = at[look] - at[index]
    return low, high


def _pick(low: float, high: float | None, told: float | None) -> float:
    """Choose a duration that fits every look, the told one if it does."""
    if told is not None and low < told and (high is None or told <= high):
        return told
    if high is None:
        return low + 3600.0
    return (low + high) / 2


def _job_of(session: list[Exchange], looks: list[Any]) -> list[int]:
    """Find the looks at the job an operation names."""
    named = {
        str(body["properties"]["jobId"]).lower()
        for body in looks
        if isinstance(body, dict) and isinstance(body.get("properties"), dict)
        and body["properties"].get("jobId")
    }  # fmt: skip
    return [
        i
        for i, one in enumerate(session)
        if one.last_word.lower() in named and "/backupjobs/" in one.path.lower()
        and one.status == 200
    ]  # fmt: skip


def _told(session: list[Exchange], job: list[int]) -> float | None:
    for look in reversed(job):
        if not waiting(session[look]):
            return seconds_of(session[look].body["properties"].get("duration", ""))
    return None


def _told_by_operation(session: list[Exchange], polls: list[int]) -> float | None:
    """Return how long an operation of Compute took; a backup's ends when it began (report §6.10)."""
    body = session[polls[-1]].body if polls else None
    if not isinstance(body, dict):
        return None
    begun, ended = read_time(str(body.get("startTime"))), read_time(str(body.get("endTime")))
    return (ended - begun).total_seconds() if begun and ended and ended > begun else None


def cancelled(session: list[Exchange], index: int) -> tuple[float, float] | None:
    """Tell when somebody outside the recording asked to cancel a backup, and when it ended."""
    polls = list(_polls(session, index))
    job = _job_of(session, [session[i].body for i in polls])
    if any(one.path.lower().endswith("/cancel") for one in session) or not job:
        return None
    properties = session[job[-1]].body["properties"]
    titles = {error.get("errorTitle") for error in properties.get("errorDetails") or []}
    lasted, begun = seconds_of(properties["duration"]), read_time(properties["startTime"])
    if "UserErrorJobSuccessfullyCancelled" not in titles or lasted is None or begun is None:
        return None
    times = (
        read_time(str((body.get("properties") or {}).get("lastBackupTime")))
        for later in session[job[-1] :]
        for body in bodies(later.body)
    )
    told = next((at for at in times if at is not None and at >= begun), begun)
    return (told - begun).total_seconds(), lasted


def _settled(session: list[Exchange], one: Exchange) -> float | None:
    """Tell by the etag when a write of a vault was done."""
    start = began(session)
    for later in session:
        if later.seq > one.seq and later.path == one.path and later.status == 200:
            written = read_time(str((later.body or {}).get("etag", "")))
            if written is not None and start is not None:
                return (written - start).total_seconds() - one.at
    return None


def _known(session: list[Exchange], at: list[float], index: int) -> float:
    """Return when the backup service had learned of a new vault: it fills in its part then."""
    low = 0.0
    for later in range(index + 1, len(session)):
        one = session[later]
        if one.path == session[index].path and one.method == "GET" and one.status == 200:
            if "backupStorageVersion" in one.body["properties"]:
                return 0.0 if not low else (low + at[later] - at[index]) / 2
            low = at[later] - at[index]
    return low + 3600.0 if low else 0.0


def restores(session: list[Exchange]) -> set[int]:
    """Find what is about a restore: the request, the looks at its operation and at its job."""
    found: set[int] = set()
    for index, one in enumerate(session):
        if one.method == "POST" and one.path.lower().rstrip("/").endswith("/restore"):
            polls = list(_polls(session, index))
            found |= {index, *polls, *_job_of(session, [session[i].body for i in polls])}
    return found


def begun_before(session: list[Exchange], standing: Collection[str]) -> set[int]:
    """Find the looks at operations and jobs that nothing in the recording began.

    A job that was over is part of what was standing before, if enough of it is shown.
    """
    found: set[int] = set()
    named: set[str] = set()
    foreign: set[str] = set()
    for index, one in enumerate(session):
        path, last = unquote(one.path).lower(), unquote(one.last_word).lower()
        is_job = "/backupjobs/" in path
        if (POLLED.search(path) or is_job) and one.method == "GET" and last not in named:
            if not is_job or waiting(one) or path not in standing:
                foreign.add(last)
            if last in foreign:
                found.add(index)
        for name in ("azure-asyncoperation", "location"):
            url = unquote(one.headers.get(name, "").partition("?")[0]).lower()
            named |= {url.rsplit("/", 1)[-1]} - foreign
        if index not in found and isinstance(one.body, dict):
            properties = one.body.get("properties")
            if isinstance(properties, dict) and properties.get("jobId"):
                named.add(str(properties["jobId"]).lower())
    return found


def _snapshot(
    session: list[Exchange], at: list[float], job: list[int], index: int, whole: float
) -> float:
    """Return how long the first task of a backup took."""
    low, high = 0.0, whole * 0.8
    for look in job:
        tasks = (session[look].body["properties"].get("extendedInfo") or {}).get("tasksList") or []
        if not tasks:
            continue
        if tasks[0]["status"] == "Completed":
            told = seconds_of(tasks[0].get("duration", ""))
            if told and low - 3 < told:
                return told
            high = min(high, at[look] - at[index])
        else:
            low = max(low, at[look] - at[index])
    return (low + max(high, low)) / 2


def _point(session: list[Exchange], index: int, job: list[int]) -> dict[str, float]:
    """Return what time a backup's point bears, as an item listed later tells."""
    begun = read_time(session[job[0]].body["properties"]["startTime"])
    item = session[index].path.rsplit("/", 1)[0].lower()
    for later in session[job[0] :]:
        for body in bodies(later.body):
            properties = body.get("properties") or {}
            at = read_time(str(properties.get("lastRecoveryPoint", "")))
            if at is None or begun is None or body["id"].lower() != unquote(item):
                continue
            took = (at - begun).total_seconds()
            return {"point": took} if took > 0 else {}
    return {}


def _vault_luck(session: list[Exchange], polls: list[int]) -> dict[str, str]:
    if not polls:
        return {}
    first, last = session[polls[0]], session[polls[-1]]
    hidden = first.status == 404 and len(polls) > 1
    return {
        "backup.vault.first_404": "always" if hidden else "never",
        "backup.vault.delete_ends": "404" if last.status == 404 else "succeeded",
    }


def seconds_of(text: str) -> float | None:
    """Read an ISO 8601 duration; None for none and for zero, which says nothing."""
    found = DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (float(word or 0) for word in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds or None


def code_of(body: Any) -> str:
    match body:
        case {"error": {"code": str(code)}} | {"ErrorCode": str(code)}:
            return code
    return ""
