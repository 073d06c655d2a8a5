"""What a VM says of itself while it runs: power, provisioning, and the agent that comes up late.

Agent readiness follows the recordings (report §5, §6.32): none before 11.5 s after provisioning,
most between 60 and 80 s, all after 80 s; a deallocated VM has no ``vmAgent`` at all.
"""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator.arm import Json
from simulator.world import Body

#: (share of VMs, seconds from provisioned to Ready); 695 recorded looks.
READY_AFTER = (
    (0.0, 11.5),
    (0.05, 15.0),
    (0.19, 25.0),
    (0.22, 35.0),
    (0.27, 45.0),
    (0.33, 55.0),
    (0.86, 70.0),
    (1.0, 80.0),
)
#: (share of VMs, seconds from timeCreated to provisioned); 292 recorded creations.
PROVISIONED_AFTER = ((0.0, 15.0), (0.5, 38.0), (0.95, 90.0), (1.0, 190.0))

POWER_WORDS: Mapping[str, str] = {
    "running": "VM running",
    "stopped": "VM stopped",
    "deallocated": "VM deallocated",
    "starting": "VM starting",
    "stopping": "VM stopping",
    "deallocating": "VM deallocating",
}

#: More states a VM can be in, beside its own provisioning and power (recorded).
_STATES: Mapping[str, str] = {
    "OSState/generalized": "VM generalized",
    "OSState/specialized": "VM specialized",
    "ColocationStatus/Aligned": "Aligned",
}
#: Recorded in 2020 and 2021: the VM is there, its OS is not quite.
_OS_PROVISIONING = "ProvisioningState/succeeded/osProvisioningInProgress"

LINUX_VERSION = "2.9.0.4"
WINDOWS_VERSION = "2.7.41491.1095"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The dates that decide what an instance view shows at a moment.

    ``inside`` is what only this VM could tell, from its seed: operating system, generation, disks,
    extensions, placement.
    """

    created: datetime
    provisioned: datetime
    ready: datetime | None
    power: str
    inside: Mapping[str, Json] = field(default_factory=dict)


def drawn(points: tuple[tuple[float, float], ...], seed: str) -> float:
    """Draw from a recorded distribution, the same value for the same seed."""
    share = random.Random(seed).random()
    for (low, fast), (high, slow) in itertools.pairwise(points):
        if share <= high:
            return fast + (slow - fast) * (share - low) / (high - low)
    return points[-1][1]


def ready_at(provisioned: datetime, seed: str, orders: Body) -> datetime | None:
    """Return when the agent turns Ready: as recorded, or as the seed's ``_sim.agent`` orders.

    ``{"readyAfter": seconds since provisioned}`` or ``{"never": true}``.
    """
    agent = orders.get("agent")
    if isinstance(agent, dict):
        if agent.get("never"):
            return None
        if "readyAfter" in agent:
            return provisioned + timedelta(seconds=float(agent["readyAfter"]))
    return provisioned + timedelta(seconds=drawn(READY_AFTER, seed))


def view(vm: Body, life: Life, now: datetime) -> Body:
    """Write the instance view of a VM at a moment."""
    properties = _fields(vm.get("properties"))
    inside = life.inside
    shown: Body = {
        name: inside[name]
        for name in ("platformUpdateDomain", "platformFaultDomain")
        if name in inside
    }
    extensions = _extensions(vm)
    running = life.power != "deallocated"
    provisioned = now >= life.provisioned
    ready = life.ready is not None and now >= life.ready and provisioned
    windows = (
        _fields(_fields(properties.get("storageProfile")).get("osDisk")).get("osType") == "Windows"
    )
    if running and ready:
        profile = _fields(properties.get("osProfile"))
        told = inside.get("computerName")
        shown["computerName"] = told or profile.get("computerName") or vm.get("name")
        shown["osName"] = inside.get(
            "osName", "Windows Server 2022 Datacenter" if windows else "ubuntu"
        )
        shown["osVersion"] = inside.get("osVersion", "10.0.20348.2527" if windows else "22.04")
    if running and (provisioned or inside.get("reports")):
        agent = _agent(inside, ready=ready, windows=windows, now=now)
        handlers = inside.get("extensionHandlers") or [_handler(one) for one in extensions]
        if ready and (handlers or not windows):  # recorded: Linux says none by an empty list
            agent["extensionHandlers"] = handlers
        shown["vmAgent"] = agent
    if "maintenanceRedeployStatus" in inside:
        shown["maintenanceRedeployStatus"] = inside["maintenanceRedeployStatus"]
    shown["disks"] = inside.get("disks") or [
        {"name": name, "statuses": [_status("ProvisioningState/succeeded", life.created)]}
        for name in _disk_names(properties)
    ]
    if "extensions" in inside:
        shown["extensions"] = inside["extensions"]
    elif extensions and running and ready:
        shown["extensions"] = [_extension(one) for one in extensions]
    for name in ("bootDiagnostics", "assignedHost"):
        if name in inside:
            shown[name] = inside[name]
    generation = inside.get("hyperVGeneration", "V1" if _is_first_generation(properties) else "V2")
    if generation:
        shown["hyperVGeneration"] = generation
    shown["statuses"] = _statuses(life, provisioned=provisioned)
    return shown


def _statuses(life: Life, *, provisioned: bool) -> list[Json]:
    """Write the VM's own states; more of them, of the OS or the placement, are the seed's."""
    states = life.inside.get("states")
    more = [str(code) for code in states] if isinstance(states, list) else []
    shown: list[Json] = [_state(code) for code in more if code.startswith("OSState/")]
    if not provisioned:
        shown.append(_state("ProvisioningState/creating"))
    elif _OS_PROVISIONING in more:
        shown.append(
            {
                **_status(_OS_PROVISIONING, life.provisioned),
                "displayStatus": "OS provisioning in progress",
            }
        )
    else:
        shown.append(_status("ProvisioningState/succeeded", life.provisioned))
    if life.power != "unknown":
        shown.append(_state(f"PowerState/{life.power}"))
    return [*shown, *(_state(code) for code in more if code.startswith("ColocationStatus/"))]


def _state(code: str) -> Body:
    """Write a state without a time."""
    word = code.rsplit("/", 1)[-1]
    told = _STATES.get(code) or POWER_WORDS.get(word) or word.capitalize()
    return {"code": code, "level": "Info", "displayStatus": told}


def _agent(inside: Mapping[str, Json], *, ready: bool, windows: bool, now: datetime) -> Body:
    message = (
        "GuestAgent is running and processing the extensions."
        if windows
        else "Guest Agent is running"
    )
    status: Body = {
        "code": "ProvisioningState/succeeded" if ready else "ProvisioningState/Unavailable",
        "level": "Info" if ready else "Warning",
        "displayStatus": "Ready" if ready else "Not Ready",
        "message": inside.get("agentMessage", message)
        if ready
        else "VM status blob is found but not yet populated.",
        "time": now.isoformat(timespec="seconds"),
    }
    version = inside.get("agentVersion", WINDOWS_VERSION if windows else LINUX_VERSION)
    agent: Body = {"vmAgentVersion": version if ready else "Unknown", "statuses": [status]}
    return agent


def _extensions(vm: Body) -> list[Mapping[str, Json]]:
    resources = vm.get("resources")
    return [
        one
        for one in (resources if isinstance(resources, list) else [])
        if isinstance(one, dict) and str(one.get("type", "")).lower().endswith("/extensions")
    ]


def _handler(extension: Mapping[str, Json]) -> Body:
    """Write the agent's word on an extension (recorded: LinuxDiagnostic, GuestAttestation)."""
    status: Body = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "Plugin enabled",
    }
    return {**_kind(extension), "status": status}


def _extension(extension: Mapping[str, Json]) -> Body:
    status: Body = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": "Enable succeeded",
    }
    return {"name": extension.get("name"), **_kind(extension), "statuses": [status]}


def _kind(extension: Mapping[str, Json]) -> Body:
    properties = _fields(extension.get("properties"))
    return {
        "type": f"{properties.get('publisher', '')}.{properties.get('type', '')}",
        "typeHandlerVersion": f"{properties.get('typeHandlerVersion', '1.0')}.0.0",
    }


def _status(code: str, at: datetime) -> Body:
    """Write a state of provisioning that was reached at a time."""
    return {
        "code": code,
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": at.isoformat(),
    }


def _disk_names(properties: Mapping[str, Json]) -> list[str]:
    storage = _fields(properties.get("storageProfile"))
    data = storage.get("dataDisks")
    disks = [storage.get("osDisk"), *(data if isinstance(data, list) else [])]
    return [str(disk["name"]) for disk in disks if isinstance(disk, dict) and disk.get("name")]


def _is_first_generation(properties: Mapping[str, Json]) -> bool:
    """Trusted Launch and confidential VMs are generation 2; others say it in the image's name."""
    if _fields(properties.get("securityProfile")).get("securityType"):
        return False
    image = _fields(_fields(properties.get("storageProfile")).get("imageReference"))
    return "gen2" not in str(image.get("sku", "")).lower()


def _fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}
