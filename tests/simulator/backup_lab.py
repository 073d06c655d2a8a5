"""A small simulated subscription for backup tests: one vault, a few VMs, a stepped clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.arm import Principal, PrincipalKind, Reply
from simulator.assembly import build
from simulator.gateway import Incoming
from simulator.world import SYSTEM, World

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault1"
SECOND_VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault2"
LOCATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/locations"
SOMEBODY = Principal(
    object_id="33333333-3333-4333-8333-333333333333", app_id="app", kind=PrincipalKind.SERVICE
)
VM_TYPE = "Microsoft.Compute/virtualMachines"
BACKUP_VERSION = "2025-02-01"


def vm_id(name: str = "vm1", *, group: str = "rg1", subscription: str = SUBSCRIPTION) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{VM_TYPE}/{name}"


def vm(name: str = "vm1", *, location: str = "westeurope", **more: Any) -> dict[str, Any]:
    """A VM body; ``group``, ``subscription`` and ``sim`` place and order it, the rest is properties."""
    where = {key: more.pop(key) for key in ("group", "subscription") if key in more}
    body: dict[str, Any] = {
        "id": vm_id(name, **where),
        "name": name,
        "type": VM_TYPE,
        "location": location,
    }
    if "sim" in more:
        body["_sim"] = more.pop("sim")
    os_disk = {"osType": "Linux", "name": f"{name}-os", "managedDisk": {"id": "/x"}}
    storage = {"osDisk": os_disk, "dataDisks": []} | more.pop("storageProfile", {})
    body["properties"] = {
        "vmId": f"guid-{name}",
        "provisioningState": "Succeeded",
        "storageProfile": storage,
        **more,
    }
    return body


def vault_body(vault: str = VAULT, *, location: str = "westeurope", **more: Any) -> dict[str, Any]:
    return {"id": vault, "location": location, "sku": {"name": "Standard"}, "properties": more}


def resource_group(group_id: str) -> dict[str, Any]:
    return {"id": group_id, "location": "westeurope", "tags": {}}


def item_path(name: str = "vm1", *, vault: str = VAULT, group: str = "rg1") -> str:
    short = f"iaasvmcontainerv2%3B{group}%3B{name}"
    return (
        f"{vault}/backupFabrics/Azure/protectionContainers/IaasVMContainer%3B{short}"
        f"/protectedItems/VM%3B{short}"
    )


def policy_id(name: str = "DefaultPolicy", *, vault: str = VAULT) -> str:
    return f"{vault}/backupPolicies/{name}"


def enable_body(
    name: str = "vm1", policy: str = "DefaultPolicy", *, vault: str = VAULT, **more: Any
) -> dict[str, Any]:
    where = {key: more.pop(key) for key in ("group", "subscription") if key in more}
    return {
        "properties": {
            "protectedItemType": VM_TYPE,
            "sourceResourceId": vm_id(name, **where),
            "policyId": policy_id(policy, vault=vault),
            **more,
        }
    }


def daily_policy(
    *, days: int = 30, at: str = "2026-03-02T23:00:00Z", **more: Any
) -> dict[str, Any]:
    """A Standard policy with one daily backup."""
    return {
        "backupManagementType": "AzureIaasVM",
        "schedulePolicy": {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": [at],
        },
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": {
                "retentionTimes": [at],
                "retentionDuration": {"count": days, "durationType": "Days"},
            },
        },
        "timeZone": "UTC",
        **more,
    }


@dataclass(frozen=True, slots=True)
class Lab:
    """Asks one world as a client would, without a socket."""

    world: World

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        version: str = BACKUP_VERSION,
        caller: Principal = SYSTEM,
        request_id: str = "",
        **query: str,
    ) -> Reply:
        asked = {key.replace("_", "$", 1) if key[0] == "_" else key: v for key, v in query.items()}
        raw = b"" if body is None else json.dumps(body).encode()
        return self.world.gateway.answer(
            Incoming(
                method=method,
                path=path,
                principal=caller,
                query={"api-version": version, **asked},
                headers={"x-ms-client-request-id": request_id} if request_id else {},
                raw=raw,
            )
        )

    def get(self, path: str, **query: str) -> Any:
        reply = self.ask("GET", path, **query)
        assert reply.status == 200, reply.body
        return reply.body

    def put_item(self, name: str = "vm1", policy: str = "DefaultPolicy", **more: Any) -> Reply:
        return self.ask("PUT", item_path(name), enable_body(name, policy, **more))

    def enable(self, name: str = "vm1", policy: str = "DefaultPolicy") -> None:
        reply = self.put_item(name, policy)
        assert reply.status == 202, reply.body
        self.advance(400)

    def item(self, name: str = "vm1") -> dict[str, Any]:
        return self.get(item_path(name))["properties"]

    def operation(self, reply: Reply, *, vault: str = VAULT) -> dict[str, Any]:
        """What the operation of a 202 says now, asked the way CLI and PowerShell do."""
        return self.get(f"{vault}/backupOperations/{operation_id(reply)}")

    def jobs(self, *, vault: str = VAULT, **query: str) -> list[dict[str, Any]]:
        return [job["properties"] for job in self.get(f"{vault}/backupJobs", **query)["value"]]

    def advance(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.schedule.run(self.world.clock.now())


def operation_id(reply: Reply) -> str:
    return reply.headers["Azure-AsyncOperation"].split("?")[0].rsplit("/", 1)[1]


def error_of(reply: Reply) -> tuple[int, str]:
    assert isinstance(reply.body, Mapping), reply
    return reply.status, reply.body["error"]["code"]


def lab(*resources: dict[str, Any], knobs: Mapping[str, Any] | None = None) -> Lab:
    """A world with a vault and ``vm1`` in its region, and what else is given."""
    standard = [vault_body(), vm("vm1")]
    given = {entry["id"] for entry in resources}
    world = build(
        seed={
            "subscriptions": [{"subscriptionId": SUBSCRIPTION}, {"subscriptionId": OTHER}],
            "resources": [e for e in standard if e["id"] not in given] + list(resources),
            "knobs": dict(knobs or {}),
        },
        speed=0,
    )
    return Lab(world)
