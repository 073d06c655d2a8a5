"""The VMs a recording shows: their bodies, and what only they could know, as seeds of the simulator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from tests.conformance.recordings import Exchange, bodies, leaves, read_time
from tests.conformance.timing import seconds_of

VM = "/providers/microsoft.compute/virtualmachines/"
#: Errors of a backup whose VM somebody deleted.
GONE = frozenset({"ResourceNotFound", "UserErrorVmNotFoundV2", "UserErrorGenericResourceNotFound"})
#: What an instance view says of a VM that nothing but the VM could know.
TOLD_BY_VM = (
    "computerName",
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
    for one in session:
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
    if views and _provisioned(views[0][1]) is None:
        orders["provisionedAfter"] = 86400
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
            inside["agentMessage"] = agent["statuses"][0]["message"]
        if agent.get("extensionHandlers"):
            inside["extensionHandlers"] = agent["extensionHandlers"]
    inside["reports"] = "vmAgent" in views[0]
    inside["states"] = [
        status["code"] for status in views[0].get("statuses") or []
        if status["code"].split("/")[0] in {"OSState", "ColocationStatus"}
        or status["code"].count("/") > 1
    ]  # fmt: skip
    return inside


def deleted_machine(one: Exchange) -> dict[str, Any] | None:
    """Return a VM that nothing but its deletion shows."""
    if VM not in one.path.lower() or one.status != 202:
        return None
    where = one.headers.get("location", "").split("/locations/")[-1].split("/")[0].lower()
    return {"id": one.path, "location": where, "properties": {}}


def departures(session: list[Exchange], start: datetime) -> list[tuple[datetime, str]]:
    """Find the VMs that were gone when a backup of theirs ended, and by when."""
    found: dict[str, datetime] = {}
    known = machines(session, start)
    for one in session:
        for body in bodies(one.body):
            properties = body.get("properties") or {}
            for error in properties.get("errorDetails") or []:
                if error.get("errorTitle") in GONE and properties["operation"] == "Backup":
                    vm = properties["containerName"].split(";")[-1]
                    began_at = read_time(properties["startTime"]) or start
                    lasted = seconds_of(properties.get("duration", "")) or 0.0
                    by = began_at + timedelta(seconds=max(lasted / 3, lasted - 60) - 1)
                    vm_id = next((k for k in known if k.endswith(f"/{vm.lower()}")), "")
                    found[vm_id] = min(found.get(vm_id, by), by)
    return [(by, vm_id) for vm_id, by in found.items() if vm_id]
