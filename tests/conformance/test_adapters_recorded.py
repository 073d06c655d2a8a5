"""Recorded answers of real Azure, 2018 to 2025, through the real adapters.

A transport gives each recorded answer to the adapter that would have asked for it. Nothing may be
raised that is no `AzureFault`, and what the adapter makes of it must equal an independent reading
of the JSON: plain indexing, written here, that shares no code with the adapters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.backup import ArmBackup
from shared.adapters.compute import ArmMachines
from shared.adapters.directory import ArmDirectory
from shared.adapters.index import GraphIndex
from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import Frequency, PolicyKind, ProtectionState, Vault
from shared.domain.records import ChangeKind
from shared.errors import AzureFault
from shared.ports import Change, Page
from tests.fakes.azure import FakeAzure, FakeClock, fault
from tests.fakes.wire import Answer, Wire, clients_on, settings_for

pytestmark = pytest.mark.conformance

RSV = r"/providers/microsoft\.recoveryservices/vaults"
LONG_AGO = datetime(2010, 1, 1, tzinfo=UTC)
# How many of each kind were compared when this was written, over the whole folder.
FILES = 40
COMPARED = {
    "vm": 320,
    "vault": 675,
    "policy": 120,
    "item": 389,
    "job": 361,
    "operation": 334,
    "put": 58,
    "fault": 76,
}


@dataclass(frozen=True)
class Exchange:
    """One recorded request with its answer."""

    where: str
    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: Any

    def answer(self, body: Any = None) -> Answer:
        return Answer(self.status, self.body if body is None else body, self.headers)


def exchanges(folder: Path) -> Iterator[Exchange]:
    """Read every recording; a line that is no JSON is skipped, and counts are held below."""
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            yield Exchange(
                where=f"{path.relative_to(folder)}:{number}",
                method=row["method"],
                path=row["path"].split("?")[0],
                status=row["status"],
                headers=row.get("response_headers") or {},
                body=row.get("response_body"),
            )


@pytest.fixture(scope="module")
def recorded(ground_truth: Path) -> list[Exchange]:
    return list(exchanges(ground_truth / "recordings"))


@pytest.fixture(scope="module")
def enough(ground_truth: Path, figures: dict[str, str]):
    """Refuse to pass for having read nothing, and tell how much was read."""
    whole = len(list((ground_truth / "recordings").rglob("*.jsonl"))) >= FILES
    seen: dict[str, int] = {}

    def check(kind: str, compared: int) -> None:
        assert compared >= (COMPARED[kind] if whole else 1), f"only {compared} of {kind} compared"
        seen[kind] = compared
        figures["adapters, recorded answers read"] = ", ".join(f"{k} {n}" for k, n in seen.items())

    return check


def chosen(recorded: list[Exchange], method: str, path: str, *status: int) -> list[Exchange]:
    pattern = re.compile(path, re.IGNORECASE)
    return [
        one
        for one in recorded
        if one.method == method and one.status in status and pattern.search(one.path)
    ]


def wire_of(method: str, answer: Answer) -> Wire:
    wire = Wire()
    wire.on(method, "", answer)
    return wire


def lower(text: Any) -> str | None:
    """Give an id in lower case, without the address some bodies put before it."""
    return re.sub(r"^https://[^/]+", "", text).lower() if text else None


def key(found: ArmId | None) -> str | None:
    return found.key if found is not None else None


def second(text: Any) -> str | None:
    """Give a time as Azure writes it, to the second; None for "never" (report §6.24)."""
    return None if not text or text[:4] in {"0001", "2001"} else text[:19]


def shown(found: datetime | None) -> str | None:
    return None if found is None else f"{found:%Y-%m-%dT%H:%M:%S}"


# --- virtual machines ----------------------------------------------------------------------------


def vm_facts(body: dict) -> dict:
    p = body["properties"]
    view = p.get("instanceView") or {}
    codes = [status.get("code", "") for status in view.get("statuses") or []]
    power = [code.split("/")[1] for code in codes if code.startswith("PowerState/")]
    agent = view.get("vmAgent")
    first = ((agent or {}).get("statuses") or [{}])[0]
    storage = p.get("storageProfile") or {}
    os_disk = storage.get("osDisk") or {}
    image = storage.get("imageReference") or {}
    disks = storage.get("dataDisks") or []
    return {
        "id": body["id"].lower(),
        "uid": p["vmId"],
        "location": body["location"].lower().replace(" ", ""),
        "tags": body.get("tags") or {},
        "provisioning": p["provisioningState"],
        "power": power[0] if power else None,
        "agent": None if not agent else (agent["vmAgentVersion"], first.get("code", "")),
        "ready": bool(agent)
        and first.get("code") == "ProvisioningState/succeeded"
        and agent["vmAgentVersion"] != "Unknown",
        "os": os_disk.get("osType"),
        "os_name": view.get("osName"),
        "size": p["hardwareProfile"]["vmSize"],
        "image": (image.get("publisher", ""), image.get("offer", ""), image.get("sku", "")),
        "security": (p.get("securityProfile") or {}).get("securityType", "Standard"),
        "ephemeral": (os_disk.get("diffDiskSettings") or {}).get("option") == "Local",
        "unmanaged": "vhd" in os_disk,
        "os_disk": lower((os_disk.get("managedDisk") or {}).get("id")),
        "disks": [
            (
                disk["lun"],
                disk.get("diskSizeGB"),
                (disk.get("managedDisk") or {}).get("storageAccountType"),
                disk.get("writeAcceleratorEnabled") is True,
                "vhd" in disk,
            )
            for disk in disks
        ],
        "created": second(p.get("timeCreated")),
        "scale_set": (p.get("virtualMachineScaleSet") or {}).get("id"),
        "priority": p.get("priority"),
        "zones": tuple(body.get("zones") or ()),
        "nics": [nic["id"] for nic in (p.get("networkProfile") or {}).get("networkInterfaces", [])],
        "os_profile": bool(p.get("osProfile")),
        "plan": (body.get("plan") or {}).get("name"),
    }


async def test_every_recorded_vm(recorded, enough):
    seen = chosen(recorded, "GET", r"/microsoft\.compute/virtualmachines/[^/]+$", 200)
    for one in seen:
        asked = ArmId.parse(one.path)
        machines = ArmMachines(clients_on(wire_of("GET", one.answer())), settings_for())

        vm = await machines.machine(asked)

        assert vm is not None
        agent = vm.agent
        found = {
            "id": vm.id.key,
            "uid": vm.uid,
            "location": vm.location,
            "tags": vm.tags,
            "provisioning": vm.provisioning,
            "power": vm.power,
            "agent": (agent.version, agent.code) if agent is not None else None,
            "ready": agent is not None and agent.ready,
            "os": vm.os.value if vm.os is not None else None,
            "os_name": vm.os_name,
            "size": vm.size,
            "image": (vm.image.publisher, vm.image.offer, vm.image.sku),
            "security": vm.security.value,
            "ephemeral": vm.os_disk.ephemeral,
            "unmanaged": vm.os_disk.unmanaged,
            "os_disk": key(vm.os_disk.id),
            "disks": [
                (disk.lun, disk.size_gb, disk.storage_type, disk.write_accelerator, disk.unmanaged)
                for disk in vm.data_disks
            ],
            "created": shown(vm.created),
            "scale_set": vm.scale_set,
            "priority": vm.priority,
            "zones": vm.zones,
            "nics": list(vm.nics),
            "os_profile": vm.has_os_profile,
            "plan": vm.plan.split("/")[-1] if vm.plan else None,
        }
        assert found == vm_facts(one.body), one.where
    enough("vm", len(seen))


# --- vaults --------------------------------------------------------------------------------------


class NoGraph:
    """A directory's Resource Graph that does not answer: everything comes from ARM."""

    def __init__(self, subscription: str) -> None:
        self.subscription = subscription

    async def subscriptions(self):
        return (self.subscription,)

    async def policies(self, _subscriptions, _after) -> Page:
        raise fault()


def vault_facts(body: dict) -> dict:
    p = body["properties"]
    security = p.get("securitySettings") or {}
    redundancy = p.get("redundancySettings") or {}
    return {
        "id": body["id"].lower(),
        "location": body["location"].lower(),
        "tags": body.get("tags") or {},
        "provisioning": p["provisioningState"],
        "redundancy": redundancy.get("standardTierStorageRedundancy"),
        "soft_delete": (security.get("softDeleteSettings") or {}).get("softDeleteState"),
        "immutability": (security.get("immutabilitySettings") or {}).get("state"),
        "storage": p.get("backupStorageVersion"),
        "public": {"Enabled": True, "Disabled": False}.get(p.get("publicNetworkAccess")),
    }


async def test_every_recorded_vault(recorded, enough):
    seen = chosen(recorded, "GET", rf"{RSV}(/[^/]+)?$", 200)
    compared = 0
    for one in seen:
        bodies = one.body.get("value", [one.body])
        wire = wire_of("GET", Answer(200, {"value": bodies}, one.headers))
        clock = FakeClock()
        graph = NoGraph(one.path.split("/")[2])
        known = ArmDirectory(clients_on(wire), settings_for(), clock, graph)

        found = [
            {
                "id": vault.id.key,
                "location": vault.location,
                "tags": vault.tags,
                "provisioning": vault.provisioning,
                "redundancy": vault.redundancy,
                "soft_delete": vault.soft_delete,
                "immutability": vault.immutability,
                "storage": vault.storage_version,
                "public": vault.public_access,
            }
            for vault in await known.vaults()
        ]

        assert found == [vault_facts(body) for body in bodies], one.where
        compared += len(found)
    enough("vault", compared)


# --- policies ------------------------------------------------------------------------------------


def policy_facts(body: dict) -> dict:
    p = body["properties"]
    schedule = p["schedulePolicy"]
    frequency = schedule["scheduleRunFrequency"]
    inner = schedule.get(f"{frequency.lower()}Schedule") or schedule
    kept = {
        tier: ((p["retentionPolicy"].get(f"{tier}Schedule") or {}).get("retentionDuration") or {})
        for tier in ("daily", "weekly", "monthly", "yearly")
    }
    hourly = frequency == "Hourly"
    times = [inner["scheduleWindowStartTime"]] if hourly else inner["scheduleRunTimes"]
    return {
        "id": body["id"].lower(),
        "kind": {"V2": PolicyKind.ENHANCED}.get(p.get("policyType"), PolicyKind.STANDARD),
        "frequency": Frequency(frequency),
        "times": [time[11:16] for time in times],
        "days": tuple(inner.get("scheduleRunDays") or ()) if frequency == "Weekly" else (),
        "interval": inner.get("interval") if hourly else None,
        "kept": [kept[tier].get("count") for tier in kept],
        "instant": p.get("instantRpRetentionRangeInDays"),
        "zone": p.get("timeZone", "UTC"),  # some policies have none
    }


async def test_every_recorded_policy(recorded, enough):
    seen = chosen(recorded, "GET", r"/backuppolicies(/[^/]*)?$", 200)
    seen += chosen(recorded, "PUT", r"/backuppolicies/[^/]+$", 200)
    compared = 0
    for one in seen:
        bodies = one.body.get("value", [one.body])
        for_vms = [
            body for body in bodies if body["properties"]["backupManagementType"] == "AzureIaasVM"
        ]
        vault = ArmId.parse("/".join(one.path.split("/")[:9]))
        wire = wire_of("GET", Answer(200, {"value": bodies}, one.headers))
        graph = NoGraph(vault.subscription)
        known = ArmDirectory(clients_on(wire), settings_for(), FakeClock(), graph)
        known.forget(vault)  # straight to ARM

        found = []
        for policy in await known.policies(vault):
            schedule, retention = policy.schedule, policy.retention
            assert schedule is not None, one.where
            assert retention is not None, one.where
            found.append(
                {
                    "id": policy.id.key,
                    "kind": policy.kind,
                    "frequency": schedule.frequency,
                    "times": [f"{time:%H:%M}" for time in schedule.times],
                    "days": schedule.days,
                    "interval": schedule.interval_hours,
                    "kept": [
                        retention.daily_days,
                        retention.weekly_weeks,
                        retention.monthly_months,
                        retention.yearly_years,
                    ],
                    "instant": policy.instant_restore_days,
                    "zone": policy.time_zone,
                }
            )

        assert found == [policy_facts(body) for body in for_vms], one.where
        compared += len(found)
    enough("policy", compared)


# --- protected items -----------------------------------------------------------------------------


def item_facts(body: dict) -> dict:
    p = body["properties"]
    deleted = p.get("isScheduledForDeferredDelete") is True
    source = p["sourceResourceId"]
    excluded = (p.get("extendedProperties") or {}).get("diskExclusionProperties") or {}
    return {
        "id": body["id"].lower(),
        "source": None if "classiccompute" in source.lower() else source.lower(),
        "state": "SoftDeleted" if deleted else p["protectionState"],
        "policy": lower(p["policyId"]),
        "policy_name": p["policyName"],
        "backup": second(p["lastBackupTime"]),
        "status": p["lastBackupStatus"],
        "point": second(p.get("lastRecoveryPoint")),
        "health": p["healthStatus"],
        "excluded": ()
        if excluded.get("isInclusionList")
        else tuple(excluded.get("diskLunList", ())),
        "vanishes": deleted,
    }


def index_on(wire: Wire, vault: ArmId) -> GraphIndex:
    """Give an index whose Resource Graph does not answer, so that ARM's list is read."""
    azure = FakeAzure()
    azure.estate.failing = fault()
    azure.directory.add(Vault(id=vault, location="", tags={}))
    return GraphIndex(clients_on(wire), settings_for(), azure.clock, azure.estate, azure.directory)


async def test_every_recorded_protected_item(recorded, enough):
    seen = chosen(recorded, "GET", rf"{RSV}/[^/]+/backupprotecteditems/?$", 200)
    seen += chosen(recorded, "GET", r"/protecteditems/[^/]+$", 200)
    compared = 0
    for one in seen:
        bodies = one.body.get("value", [one.body])
        for_vms = [
            body for body in bodies if body["properties"]["backupManagementType"] == "AzureIaasVM"
        ]
        vault = ArmId.parse("/".join(one.path.split("/")[:9]))
        index = index_on(wire_of("GET", Answer(200, {"value": bodies}, one.headers)), vault)

        for body in for_vms:
            group, name = body["name"].split(";")[-2:]
            items = await index.named(virtual_machine(vault.subscription, group.upper(), name))
            (item,) = [item for item in items if item.id.key == body["id"].lower()]
            found = {
                "id": item.id.key,
                "source": key(item.source),
                "state": item.state.value,
                "policy": key(item.policy),
                "policy_name": item.policy_name,
                "backup": shown(item.last_backup),
                "status": item.last_backup_status,
                "point": shown(item.last_recovery_point),
                "health": item.health,
                "excluded": item.excluded_luns,
                "vanishes": item.deferred_delete is not None,
            }
            assert found == item_facts(body), one.where
        held = [body for body in for_vms if item_facts(body)["state"] != "SoftDeleted"]
        assert (await index.room(vault)).items == len(held), one.where
        compared += len(for_vms)
    enough("item", compared)


async def test_every_state_that_was_recorded_is_known(recorded):
    states = {
        body["properties"]["protectionState"]
        for one in chosen(recorded, "GET", r"/backupprotecteditems/?$", 200)
        for body in one.body["value"]
    }

    assert states <= {state.value for state in ProtectionState}


# --- jobs and operations -------------------------------------------------------------------------


def job_facts(body: dict) -> dict:
    p = body["properties"]
    return {
        "id": body["name"],
        "operation": p["operation"],
        "status": p["status"],
        "request": p["activityId"],
        "vm": p["entityFriendlyName"],
        "container": p.get("containerName", ""),
        "started": second(p["startTime"]),
        "ended": None if p["status"] in {"InProgress", "Cancelling"} else second(p.get("endTime")),
        "errors": [
            (error.get("errorTitle") or str(error["errorCode"]), error["errorString"])
            for error in p.get("errorDetails") or []
        ],
    }


async def test_every_recorded_job(recorded, enough):
    seen = chosen(recorded, "GET", r"/backupjobs(/[^/]+)?$", 200)
    compared = 0
    for one in seen:
        bodies = one.body.get("value", [one.body])
        vault = ArmId.parse("/".join(one.path.split("/")[:9]))
        wire = wire_of("GET", Answer(200, {"value": bodies}, one.headers))
        backup = ArmBackup(clients_on(wire), FakeClock())

        found = [
            {
                "id": job.id,
                "operation": job.operation,
                "status": job.status,
                "request": job.request_id,
                "vm": job.vm_name,
                "container": job.container,
                "started": shown(job.started),
                "ended": shown(job.ended),
                "errors": [(code, text) for code, text, _ in job.errors],
            }
            async for page in backup.jobs(vault, since=LONG_AGO)
            for job in page
        ]

        assert found == [job_facts(body) for body in bodies], one.where
        compared += len(found)
    enough("job", compared)


async def test_every_recorded_operation(recorded, enough):
    seen = chosen(recorded, "GET", r"/backupoperations/[^/]+$", 200, 404)
    for one in seen:
        vault = ArmId.parse("/".join(one.path.split("/")[:9]))
        backup = ArmBackup(clients_on(wire_of("GET", one.answer())), FakeClock())

        found = await backup.operation(vault, one.path.split("/")[-1])

        if one.status == 404:
            assert found is None, one.where
            continue
        error = one.body.get("error") or {}
        assert found is not None
        assert (found.status, found.job, found.code, found.message) == (
            one.body["status"],
            (one.body.get("properties") or {}).get("jobId", ""),
            error.get("code", ""),
            error.get("message", ""),
        ), one.where
    enough("operation", len(seen))


async def test_every_recorded_change_is_accepted_and_names_its_operation(recorded, enough):
    seen = chosen(recorded, "PUT", r"/protecteditems/[^/]+$", 202)
    for one in seen:
        vault = ArmId.parse("/".join(one.path.split("/")[:9]))
        vm = virtual_machine(vault.subscription, "rg", "vm")
        change = Change(
            kind=ChangeKind.ENROLL,
            vm=vm,
            vault=vault,
            policy=vault.child("backupPolicies", "p"),
            request_id="r",
            item=item_of(vault, vm),
        )
        backup = ArmBackup(clients_on(wire_of("PUT", one.answer())), FakeClock())

        accepted = await backup.send(change)

        header = one.headers["azure-asyncoperation"].split("?")[0]
        assert accepted.operation == header.split("/")[-1], one.where
    enough("put", len(seen))


# --- failures ------------------------------------------------------------------------------------


def words(body: Any) -> tuple[str, str]:
    """Read code and message of the three recorded forms (report §6.31)."""
    if not isinstance(body, dict):
        return "", (body or "").strip()
    if "error" in body:
        return body["error"]["code"], body["error"]["message"]
    return body["ErrorCode"], body["Message"]["Value"]


async def test_every_recorded_failure_is_a_fault_with_azures_words(recorded, enough):
    seen = [one for one in recorded if one.status >= 400]
    for one in seen:
        clock = FakeClock(speed=1e9)
        clients = clients_on(wire_of("GET", one.answer()), clock=clock)

        with pytest.raises(AzureFault) as caught:
            await clients.get(one.path, api_version="1", operation="recorded")

        code, message = words(one.body)
        error = caught.value
        assert (error.status, error.code, error.message) == (
            one.status,
            code,
            message.strip(),
        ), one.where
        if one.status == 429:
            assert error.retry_after == 324, one.where
            assert timedelta(seconds=error.retry_after) > timedelta(0)
    enough("fault", len(seen))
