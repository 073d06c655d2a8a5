"""What a replay takes from its recording, and nothing else: state, durations, the service's luck.

State is what was there before: groups, VMs, other people's vaults and items, as the first answer
that shows them tells. Durations are when an operation or a job was over. Luck is a 5xx, a first
look that met a 404, a deleted vault's URL that died. Ids are learned while replaying (answers.py).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from tests.conformance.recordings import Exchange, began, bodies, leaves, read_time

VM = "/providers/microsoft.compute/virtualmachines/"
VAULT = "/providers/microsoft.recoveryservices/vaults/"
#: The recorder put its own names for the real ones that lists were sorted by.
MASKED = re.compile(r"0000\d\d[^/]*$")
#: Errors of a backup whose VM somebody deleted.
GONE = frozenset({"ResourceNotFound", "UserErrorVmNotFoundV2", "UserErrorGenericResourceNotFound"})
DURATION = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?")
#: What an instance view says of a VM that nothing but the VM could know.
TOLD_BY_VM = (
    "osName",
    "osVersion",
    "disks",
    "extensions",
    "bootDiagnostics",
    "assignedHost",
    "maintenanceRedeployStatus",
    "platformUpdateDomain",
    "platformFaultDomain",
)
#: Recorded answers of one second are sent this far apart, so that their order is kept.
STEP = 0.02

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
    told = _told(session, job)
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


def departures(session: list[Exchange], start: datetime) -> list[tuple[datetime, str]]:
    """Find the VMs that were gone when a backup of theirs ended, and by when."""
    found: dict[str, datetime] = {}
    for one in session:
        for body in bodies(one.body):
            properties = body.get("properties") or {}
            for error in properties.get("errorDetails") or []:
                if error.get("errorTitle") in GONE and properties["operation"] == "Backup":
                    group, vm = properties["containerName"].split(";")[1:]
                    began_at = read_time(properties["startTime"]) or start
                    lasted = seconds_of(properties.get("duration", "")) or 0.0
                    by = began_at + timedelta(seconds=max(lasted / 3, lasted - 60) - 1)
                    vm_id = next(
                        k for k in machines(session, start) if k.endswith(f"/{vm.lower()}")
                    )
                    found[vm_id] = min(found.get(vm_id, by), by)
    return [(by, vm_id) for vm_id, by in found.items()]


def units(listed: list[dict[str, Any]]) -> list[int]:
    """Tell in which of the service's units each protectable VM is: its lists are sorted in each."""
    unit, last, found = 0, "", []
    for row in listed:
        name = str(row["name"]).lower()
        if not MASKED.search(name):
            unit, last = (unit + 1 if name < last else unit), name
        found.append(unit)
    return found


def restores(session: list[Exchange]) -> set[int]:
    """Find what is about a restore: the request, the looks at its operation and at its job."""
    found: set[int] = set()
    for index, one in enumerate(session):
        if one.method == "POST" and one.path.lower().rstrip("/").endswith("/restore"):
            polls = list(_polls(session, index))
            found |= {index, *polls, *_job_of(session, [session[i].body for i in polls])}
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


# --- the state a recording starts from -----------------------------------------------------------


def vault_of(identifier: str) -> str:
    """Return the vault an id or a path lies in, in lower case; empty for none."""
    low = unquote(identifier).lower()
    at = low.find(VAULT)
    if at < 0:
        return ""
    return low[: at + len(VAULT)] + low[at + len(VAULT) :].split("/")[0].split("?")[0]


def made_here(session: list[Exchange]) -> dict[str, int]:
    """Return the vaults the session itself creates, with the exchange that does."""
    made: dict[str, int] = {}
    for index, one in enumerate(session):
        creates = one.method == "PUT" and one.status in {200, 201, 409}
        if creates and unquote(one.path).lower() == vault_of(one.path):
            made.setdefault(vault_of(one.path), index)
    return made


def standing(session: list[Exchange]) -> list[dict[str, Any]]:
    """Return what the session finds: groups and other people's vaults with what is in them."""
    made, found = made_here(session), {}
    for index, one in enumerate(session):
        if one.method != "GET" or one.status != 200:
            continue
        for body in bodies(one.body):
            identifier = body["id"]
            key = unquote(identifier).lower()
            vault = vault_of(key)
            if vault and (vault in made and made[vault] < index):
                continue
            if vault and not _is_state(key):
                continue
            if not vault and not re.fullmatch(r"/subscriptions/[^/]+/resourcegroups/[^/]+", key):
                continue
            known = found.get(key)
            if known is None or (key == vault and len(str(body)) > len(str(known))):
                found[key] = body
    found |= _guards(session)
    for one in session:  # vaults that nothing but a path names
        vault = vault_of(one.path)
        if vault and vault not in made and vault not in found and one.status == 200:
            found[vault] = {"id": one.path[: len(vault)]}
    return list(found.values())


def _guards(session: list[Exchange]) -> dict[str, dict[str, Any]]:
    """Return the resource guards that proxies show, and those of another tenant."""
    found: dict[str, dict[str, Any]] = {}
    for one in session:
        if "/backupresourceguardproxies" not in one.path.lower():
            continue
        asked = (one.sent or {}).get("properties") or {}
        if one.status == 403 and "resourceGuardResourceId" in asked:
            guard = asked["resourceGuardResourceId"]
            found.setdefault(guard.lower(), {"id": guard, "_sim": {"foreign": True}})
        for body in bodies(one.body):
            shown = body.get("properties") or {}
            if guard := shown.get("resourceGuardResourceId"):
                operations = shown.get("resourceGuardOperationDetails") or []
                found[guard.lower()] = {
                    "id": guard,
                    "properties": {
                        "description": shown.get("description", ""),
                        "resourceGuardOperations": operations,
                    },
                }
    return found


def _is_state(key: str) -> bool:
    tail = key.split(VAULT, 1)[1].split("/")
    return len(tail) == 1 or tail[1] in {
        "backuppolicies",
        "backupconfig",
        "backupjobs",
        "backupresourceguardproxies",
    } or (tail[1] == "backupfabrics" and "protecteditems" in tail)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM as it came to be: which exchange first shows it, and its body without its view."""

    index: int
    body: dict[str, Any]
    created: datetime


def machines(session: list[Exchange], start: datetime) -> dict[str, list[Machine]]:
    """Find the VMs a session shows by themselves; their agents' and disks' luck goes with them.

    A VM that somebody changes outside the recording (a disk attached, a stop) is taken anew from
    the first look that shows it; what the session itself writes is left to the simulator.
    """
    found: dict[str, list[Machine]] = {}
    for index, one in enumerate(session):
        key = unquote(one.path).lower()
        is_vm = VM in key and len(key.split(VM)[1].strip("/").split("/")) == 1
        if not (is_vm and one.method == "GET" and one.status == 200) or key in found:
            continue
        looks = [
            i for i, other in enumerate(session)
            if unquote(other.path).lower() == key and other.method == "GET" and other.status == 200
        ]  # fmt: skip
        found[key] = []
        for first, *same in _unchanged(session, key, looks):
            shown = [session[i] for i in (first, *same)]
            body, created = _machine(session, shown, start)
            seen = _first_sight(session, key, first) if not found[key] else first
            found[key].append(Machine(seen, body, created))
    return found


def _unchanged(session: list[Exchange], key: str, looks: list[int]) -> Iterator[list[int]]:
    """Split the looks at a VM where it was changed by nobody the recording shows."""
    run = looks[:1]
    for before, look in itertools.pairwise(looks):
        own = any(
            one.method in {"PUT", "PATCH"} and unquote(one.path).lower() == key
            for one in session[before:look]
        )
        if not own and _state_of(session[before].body) != _state_of(session[look].body):
            yield run
            run = []
        run.append(look)
    yield run


def _state_of(body: dict[str, Any]) -> Any:
    """Return what of a VM does not come by itself: neither its agent's word nor the time of it."""
    properties = dict(body["properties"])
    view = properties.pop("instanceView", None)
    kept = {k: v for k, v in body.items() if k != "properties"}
    states = [(status["code"], status.get("time")) for status in (view or {}).get("statuses") or []]
    handlers = ((view or {}).get("vmAgent") or {}).get("extensionHandlers")
    inside = {name: (view or {}).get(name) for name in ("extensions", "disks")}
    return [kept, properties, [states, inside, handlers] if view else None]


def _first_sight(session: list[Exchange], key: str, index: int) -> int:
    for earlier in range(index):
        if any(isinstance(v, str) and v.lower() == key for _, v in leaves(session[earlier].body)):
            return earlier
        sent = session[earlier].sent
        if session[earlier].status < 300 and any(
            isinstance(v, str) and v.lower() == key for _, v in leaves(sent)
        ):
            return earlier
    return index


def _machine(
    session: list[Exchange], looks: list[Exchange], start: datetime
) -> tuple[dict[str, Any], datetime]:
    body = dict(looks[0].body)
    properties = dict(body["properties"])
    properties.pop("instanceView", None)
    views = [(one, view) for one in looks if (view := one.body["properties"].get("instanceView"))]
    provisioned = next((at for _, view in views if (at := _provisioned(view))), None)
    created = read_time(properties.get("timeCreated", "")) or provisioned
    if created is None:
        deployed = [
            one.at for one in session
            if one.method == "PUT" and "/deployments/" in one.path and one.at <= looks[0].at
        ]  # fmt: skip
        created = start + timedelta(seconds=max(deployed, default=looks[0].at - 1))
    if "timeCreated" not in properties:
        properties["timeCreated"] = created.isoformat()
    body["properties"] = properties
    body["_sim"] = _luck(views, start, created, provisioned or created)
    return body, created


def _provisioned(view: Mapping[str, Any]) -> datetime | None:
    for status in view.get("statuses") or []:
        if status["code"].startswith("ProvisioningState/succeeded"):
            return read_time(status.get("time", ""))
    return None


def _luck(
    views: list[tuple[Exchange, Any]], start: datetime, created: datetime, provisioned: datetime
) -> dict[str, Any]:
    """Return when the agent came up, whether the VM ran, and what its view names of its inside."""
    orders: dict[str, Any] = {"provisionedAfter": (provisioned - created).total_seconds()}
    not_ready, ready = 0.0, None
    for one, view in views:
        statuses = (view.get("vmAgent") or {}).get("statuses") or []
        age = (start + timedelta(seconds=one.at) - provisioned).total_seconds()
        if any(status.get("displayStatus") == "Ready" for status in statuses):
            ready = age if ready is None else ready
        elif statuses:
            not_ready = max(not_ready, age)
    if ready is not None:
        orders["agent"] = {"readyAfter": min(ready, (not_ready + ready) / 2 if not_ready else 0.0)}
    elif not_ready:
        orders["agent"] = {"never": True}
    if views:
        states = {
            status["code"].split("/")[1]
            for status in views[0][1].get("statuses") or []
            if status["code"].startswith("PowerState/")
        }
        orders["power"] = states.pop() if states else "unknown"
        orders["inside"] = _inside([view for _, view in views])
    return orders


def _inside(views: list[Any]) -> dict[str, Any]:
    """Take what only the VM itself could tell: its system, generation, disks, extensions."""
    inside: dict[str, Any] = {"hyperVGeneration": views[0].get("hyperVGeneration")}
    for view in reversed(views):
        inside |= {name: view[name] for name in TOLD_BY_VM if name in view}
        agent = view.get("vmAgent") or {}
        if agent.get("vmAgentVersion", "Unknown") != "Unknown":
            inside["agentVersion"] = agent["vmAgentVersion"]
        if agent.get("extensionHandlers"):
            inside["extensionHandlers"] = agent["extensionHandlers"]
    inside["states"] = [
        status["code"] for status in views[0].get("statuses") or []
        if status["code"].split("/")[0] in {"OSState", "ColocationStatus"}
        or status["code"].count("/") > 1
    ]  # fmt: skip
    return inside
