"""Two stages for one contract: Azure in memory, and the product's adapters on the simulator.

Both are set from the same ARM bodies. What a port answers must be the same on both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from shared.adapters.backup import ArmBackup
from shared.adapters.bodies.items import parse_item
from shared.adapters.bodies.machines import parse_vm
from shared.adapters.bodies.policies import parse_policy
from shared.adapters.bodies.vaults import parse_vault
from shared.adapters.clients import Clients
from shared.adapters.clock import SimulatedClock
from shared.adapters.compute import ArmMachines
from shared.adapters.directory import ArmDirectory
from shared.adapters.governor import Governor
from shared.adapters.graph import GraphEstate
from shared.adapters.index import GraphIndex
from shared.adapters.network import ArmNetworks
from shared.adapters.setup import ArmSetup
from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import DiskFacts, Lock
from shared.domain.network import Access, Network, NextHop, Nsg, Route, Rule
from shared.ports import (
    Backup,
    Clock,
    Directory,
    Estate,
    ItemIndex,
    Machines,
    Networks,
    Pace,
    Setup,
)
from shared.settings import Settings, read
from simulator.server import Simulator, running
from tests.fakes.azure import FakeAzure, fault

TENANT = "22222222-2222-4222-8222-222222222222"
SUB = "11111111-1111-4111-8111-111111111111"
OTHER = "33333333-3333-4333-8333-333333333333"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-Web"
LAG = 700.0  # seconds after which Resource Graph shows the present

VM = virtual_machine(SUB, "rg-Web", "vm1")
STOPPED = virtual_machine(SUB, "rg-Web", "vm2")
DELETED = virtual_machine(SUB, "rg-Web", "vm3")
NAMESAKE = virtual_machine(OTHER, "rg-Web", "vm1")
VAULT = ArmId.parse(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v")
SECOND = ArmId.parse(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/w")
GOLD = VAULT.child("backupPolicies", "gold")
SILVER = VAULT.child("backupPolicies", "silver")
DISK = ArmId.parse(f"{GROUP}/providers/Microsoft.Compute/disks/data")


NIC = f"{GROUP}/providers/Microsoft.Network/networkInterfaces/nic1"
SUBNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/app"
ROUTES = f"{GROUP}/providers/Microsoft.Network/routeTables/rt"
NSG = f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups/nsg"
ASG = f"{GROUP}/providers/Microsoft.Network/applicationSecurityGroups/web"
NETWORK = Network(
    subnet="app",
    private_address="10.1.0.4",
    subnet_nsg=Nsg(
        id=ArmId.parse(NSG),
        rules=(
            Rule(
                name="deny-storage",
                priority=200,
                access=Access.DENY,
                protocol="Tcp",
                sources=(),
                source_ports=("*",),
                destinations=("Storage", "10.0.0.0/8"),
                ports=("443",),
                source_groups=(ASG,),
            ),
        ),
    ),
    routes=(
        Route(name="out", prefix="0.0.0.0/0", next_hop=NextHop.APPLIANCE, address="10.9.9.9"),
        Route(name="direct", prefix="Storage", next_hop=NextHop.INTERNET),
    ),
    application_groups=(ASG,),
    service_endpoints=frozenset({"Microsoft.KeyVault"}),
)
CONNECTED: list[dict[str, Any]] = [
    {
        "id": NIC,
        "type": "Microsoft.Network/networkInterfaces",
        "location": "westeurope",
        "properties": {
            "ipConfigurations": [
                {"name": "second", "properties": {"privateIPAddress": "10.1.0.9"}},
                {
                    "name": "first",
                    "properties": {
                        "primary": True,
                        "privateIPAddress": "10.1.0.4",
                        "subnet": {"id": SUBNET},
                        "applicationSecurityGroups": [{"id": ASG}],
                    },
                },
            ]
        },
    },
    {
        "id": SUBNET,
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "properties": {
            "addressPrefix": "10.1.0.0/24",
            "networkSecurityGroup": {"id": NSG},
            "routeTable": {"id": ROUTES},
            "serviceEndpoints": [{"service": "Microsoft.KeyVault"}],
        },
    },
    {
        "id": NSG,
        "type": "Microsoft.Network/networkSecurityGroups",
        "location": "westeurope",
        "properties": {
            "securityRules": [
                {
                    "name": "deny-storage",
                    "properties": {
                        "priority": 200,
                        "direction": "Outbound",
                        "access": "Deny",
                        "protocol": "Tcp",
                        "sourceApplicationSecurityGroups": [{"id": ASG}],
                        "sourcePortRange": "*",
                        "destinationAddressPrefix": "",
                        "destinationAddressPrefixes": ["Storage", "10.0.0.0/8"],
                        "destinationPortRange": "443",
                    },
                },
                {
                    "name": "allow-ssh",
                    "properties": {"priority": 100, "direction": "Inbound", "access": "Allow"},
                },
            ]
        },
    },
    {
        "id": ROUTES,
        "type": "Microsoft.Network/routeTables",
        "location": "westeurope",
        "properties": {
            "routes": [
                {
                    "name": "out",
                    "properties": {
                        "addressPrefix": "0.0.0.0/0",
                        "nextHopType": "VirtualAppliance",
                        "nextHopIpAddress": "10.9.9.9",
                    },
                },
                {
                    "name": "direct",
                    "properties": {"addressPrefix": "Storage", "nextHopType": "Internet"},
                },
            ]
        },
    },
]


def _vm(vm: ArmId) -> dict[str, Any]:
    disk = {"lun": 0, "name": "data", "createOption": "Attach", "managedDisk": {"id": str(DISK)}}
    return {
        "id": str(vm),
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "tags": {"env": "prod"},
        "properties": {
            "vmId": f"uid-{vm.key[-3:]}",
            "provisioningState": "Succeeded",
            "timeCreated": "2026-01-31T08:00:00Z",
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "networkProfile": {"networkInterfaces": [{"id": NIC}]},
            "storageProfile": {"osDisk": {"osType": "Linux", "name": "os"}, "dataDisks": [disk]},
        },
    }


def _vault(vault: ArmId) -> dict[str, Any]:
    return {
        "id": str(vault),
        "type": "Microsoft.RecoveryServices/vaults",
        "location": "westeurope",
        "tags": {"backup": "yes"},
        "sku": {"name": "Standard"},
        "properties": {},
    }


def _policy(policy: ArmId, days: int) -> dict[str, Any]:
    at = "2026-03-02T23:00:00Z"
    return {
        "id": str(policy),
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "policyType": "V2",
            "instantRpRetentionRangeInDays": 7,
            "timeZone": "UTC",
            "schedulePolicy": {
                "schedulePolicyType": "SimpleSchedulePolicyV2",
                "scheduleRunFrequency": "Daily",
                "dailySchedule": {"scheduleRunTimes": [at]},
            },
            "retentionPolicy": {
                "retentionPolicyType": "LongTermRetentionPolicy",
                "dailySchedule": {
                    "retentionTimes": [at],
                    "retentionDuration": {"count": days, "durationType": "Days"},
                },
            },
        },
    }


def _item(vm: ArmId, **properties: Any) -> dict[str, Any]:
    return {
        "id": str(item_of(VAULT, vm)),
        "type": (
            "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"
        ),
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "protectionState": "ProtectionStopped",
            "sourceResourceId": str(vm),
            "policyId": "",
            **properties,
        },
    }


VMS = [_vm(vm) for vm in (VM, STOPPED, DELETED, NAMESAKE)]
VAULTS = [_vault(VAULT), _vault(SECOND)]
POLICIES = [_policy(GOLD, 30), _policy(SILVER, 60)]
ITEMS = [
    _item(STOPPED),
    _item(
        DELETED,
        isScheduledForDeferredDelete=True,
        deferredDeleteTimeInUTC="2026-03-01T08:00:00Z",
        softDeleteRetentionPeriod=14,
    ),
]
LOCK = Lock(scope=GROUP, level="CanNotDelete", name="keep")


class Stage(Protocol):
    """Ports, and what a test may do behind their backs."""

    machines: Machines
    backup: Backup
    directory: Directory
    networks: Networks
    setup: Setup
    index: ItemIndex
    estate: Estate
    pace: Pace
    clock: Clock

    async def pass_time(self, seconds: float) -> None: ...
    def order(self, vm: ArmId, how: str, code: str) -> None:
        """Let the next enable of a VM fail: in its "job", its "operation", or as a "4xx"."""

    async def finish_backup(self, item: ArmId) -> None:
        """Let a backup that was asked for end well."""

    def page_size(self, rows: int) -> None:
        """Let Resource Graph give so many rows a page."""


class MemoryStage(FakeAzure):
    """The fakes."""

    def __init__(self) -> None:
        super().__init__()
        for body in VMS:
            vm = parse_vm(body, ArmId.parse(body["id"]))
            self.machines.add(vm)
        for body in VAULTS:
            vault = parse_vault(body)
            policies = [parse_policy(policy) for policy in POLICIES]
            assert vault is not None
            self.directory.add(vault, *(p for p in policies if p and p.vault == vault.id))
        now = self.clock.now()
        items = [parse_item(body, now) for body in ITEMS]
        self.backup.put(*(item for item in items if item is not None))
        for body in POLICIES:
            self.setup.bodies[ArmId.parse(body["id"]).key] = body["properties"]
        for body in VMS:
            self.networks.connected[ArmId.parse(body["id"]).key] = (NETWORK,)
        self.backup.deny(STOPPED, "VirtualMachineAlreadyProtected", "It is.", "Do not.")
        self.estate.groups[SUB, "rg-web"] = ({"team": "web"}, "")
        self.estate.tags[SUB] = {"owner": "ops"}
        self.estate.lock_list.append(LOCK)
        self.estate.tenant_of.update(dict.fromkeys((SUB, OTHER), TENANT))
        self.estate.disk_facts[DISK.key] = DiskFacts(
            id=DISK,
            size_gb=64,
            storage_type="UltraSSD_LRS",
            max_shares=2,
            network_access="DenyAll",
            data_access_auth=None,
        )

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def order(self, vm: ArmId, how: str, code: str) -> None:
        match how:
            case "job":
                self.backup.fail_job(vm, code)
            case "operation":
                self.backup.fail_operation(vm, code)
            case _:
                self.backup.refuse(vm, fault(code, status=400))

    async def finish_backup(self, item: ArmId) -> None:
        self.clock.advance(7200)
        self.backup.finish_backup(item)

    def page_size(self, rows: int) -> None:
        self.estate.page_size = rows


class _Moving:
    """A clock that moves the simulator's by every wait, so that what is followed comes to its end."""

    def __init__(self, sim: Simulator, clock: SimulatedClock) -> None:
        self._sim = sim
        self._clock = clock
        self.now = clock.now
        self.synchronize = clock.synchronize

    def real_seconds(self, delay: float) -> float:
        self._sim.clock.advance(delay)
        return 0.0


class SimulatorStage:
    """The adapters, over TLS and with a managed identity's token."""

    def __init__(
        self,
        sim: Simulator,
        settings: Settings,
        clock: SimulatedClock,
        governor: Governor,
        clients: Clients,
    ) -> None:
        self._sim = sim
        self.clock = clock
        self.machines = ArmMachines(clients, settings)
        self.backup = ArmBackup(clients, clock)
        self.estate = GraphEstate(clients, settings, clock)
        self.directory = ArmDirectory(clients, settings, clock, self.estate)
        self.networks = ArmNetworks(clients, settings, clock)
        self.setup = ArmSetup(clients, settings, _Moving(sim, clock))
        self.index = GraphIndex(clients, settings, clock, self.estate, self.directory)
        self.pace = governor

    async def pass_time(self, seconds: float) -> None:
        self._sim.clock.advance(seconds)
        await self.clock.synchronize()

    def order(self, vm: ArmId, how: str, code: str) -> None:
        order = {"fails": how, "code": code, "times": 1}
        self._sim.world.knobs.turn({"backup.enable.orders": {str(vm): order}})

    async def finish_backup(self, item: ArmId) -> None:
        await self.pass_time(7200)

    def page_size(self, rows: int) -> None:
        self._sim.world.knobs.turn({"graph.page_size": rows})


@asynccontextmanager
async def simulated(*more: dict[str, Any]) -> AsyncIterator[SimulatorStage]:
    """Open a stage on a simulator whose clock stands still until time is passed.

    ``more`` are ARM bodies of resources that are there besides.
    """
    seed = {**SEED, "resources": [*SEED["resources"], *more]}
    async with running(seed=seed, speed=0.0) as sim:
        settings = read(
            {
                "TENANT_ID": TENANT,
                "RULES_URI": "rules.yaml",
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "AZURE_CLOUD": "custom",
                "AZURE_CLOUD_ARM_ENDPOINT": sim.arm_url,
                "AZURE_CLOUD_ARM_AUDIENCE": "https://management.azure.com",
                "AZURE_CLOUD_CA_FILE": str(sim.ca_file),
                "AZURE_CLIENT_ID": str(sim.identity["clientId"]),
                "CLOCK": f"{sim.control_url}/_sim/clock",
            }
        )
        clock = SimulatedClock(settings.clock)
        await clock.synchronize()
        governor = Governor(settings, clock)
        clients = Clients(settings, clock, governor)
        try:
            yield SimulatorStage(sim, settings, clock, governor, clients)
        finally:
            await clients.aclose()
            await clock.aclose()


SEED: Mapping[str, Any] = {
    "tenantId": TENANT,
    "subscriptions": [
        {"subscriptionId": SUB, "displayName": "one", "tags": {"owner": "ops"}},
        {"subscriptionId": OTHER, "displayName": "two"},
    ],
    "resources": [
        {
            "id": GROUP,
            "type": "Microsoft.Resources/resourceGroups",
            "location": "westeurope",
            "tags": {"team": "web"},
        },
        {
            "id": str(DISK),
            "type": "Microsoft.Compute/disks",
            "location": "westeurope",
            "sku": {"name": "UltraSSD_LRS"},
            "properties": {"diskSizeGB": 64, "maxShares": 2, "networkAccessPolicy": "DenyAll"},
        },
        {
            "id": f"{GROUP}/providers/Microsoft.Authorization/locks/{LOCK.name}",
            "type": "Microsoft.Authorization/locks",
            "properties": {"level": LOCK.level},
        },
        *CONNECTED,
        *VMS,
        *VAULTS,
        *POLICIES,
        *ITEMS,
    ],
}
