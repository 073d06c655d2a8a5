"""Ten thousand VMs in three subscriptions and twelve vaults, some with something in the way.

The protected ones have been so for long (their items and ledger rows are there before); what stands
in the way of the others the service finds out by itself: they lie in the simulated Azure only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bench import estates
from bench.estates import Body

VMS, VAULTS = 10_000, 12
SUBSCRIPTIONS = tuple(f"40000000-0000-4000-8000-{number:012d}" for number in (1, 2, 3))
NAMES = ("Production", "Research", "Shops")


def _disk(body: Body) -> Body:
    found: Body = body["properties"]["storageProfile"]["osDisk"]
    return found


def _data(body: Body, count: int, **more: object) -> None:
    name, compute = body["name"], str(body["id"]).rpartition("/virtualMachines/")[0]
    body["properties"]["storageProfile"]["dataDisks"] = [
        {
            "lun": lun,
            "name": f"{name}-{lun}",
            "createOption": "Empty",
            "diskSizeGB": 64,
            "managedDisk": {
                "storageAccountType": "Premium_LRS",
                "id": f"{compute}/disks/{name}-{lun}",
            },
            **more,
        }
        for lun in range(count)
    ]


def _ephemeral(body: Body) -> None:
    _disk(body)["diffDiskSettings"] = {"option": "Local"}


def _unmanaged(body: Body) -> None:
    del _disk(body)["managedDisk"]
    _disk(body)["vhd"] = {"uri": f"https://old.blob.core.windows.net/vhds/{body['name']}.vhd"}


def _many_disks(body: Body) -> None:
    _data(body, 33)


def _huge_disk(body: Body) -> None:
    _data(body, 1, diskSizeGB=70_000)


def _much_in_all(body: Body) -> None:
    _data(body, 17, diskSizeGB=32_000)


def _trusted_launch(body: Body) -> None:
    body["properties"]["securityProfile"] = {"securityType": "TrustedLaunch"}


def _unknown_tier(body: Body) -> None:
    body["tags"]["backup-tier"] = "platinum"


def _no_vault(body: Body) -> None:
    body["location"] = "northeurope"


def _edge(body: Body) -> None:
    body["extendedLocation"] = {"type": "EdgeZone", "name": "losangeles"}


def _old(body: Body) -> None:
    image = body["properties"]["storageProfile"]["imageReference"]
    image |= {"offer": "UbuntuServer", "sku": "12.04-i386"}


def _confidential(body: Body) -> None:
    body["properties"]["securityProfile"] = {"securityType": "ConfidentialVM"}


FAULTS: Mapping[str, Callable[[Body], None]] = {
    "ephemeral": _ephemeral,
    "no-vault": _no_vault,
    "trusted-launch": _trusted_launch,
    "unknown-tier": _unknown_tier,
    "many-disks": _many_disks,
    "unmanaged": _unmanaged,
    "huge-disk": _huge_disk,
    "much-in-all": _much_in_all,
    "edge": _edge,
    "old": _old,
    "confidential": _confidential,
}


@dataclass(frozen=True, kw_only=True)
class Large:
    """The estate: what Azure has, and what the ledger knew before."""

    vms: list[Body] = field(default_factory=list)
    items: list[Body] = field(default_factory=list)  # of the protected ones, in their order
    faults: dict[str, str] = field(default_factory=dict)  # name of a VM -> what is wrong with it
    resources: list[Body] = field(default_factory=list)

    @property
    def seed(self) -> Body:
        return {
            "tenantId": estates.TENANT,
            "subscriptions": [
                {"subscriptionId": one, "displayName": name, "tags": {}}
                for one, name in zip(SUBSCRIPTIONS, NAMES, strict=True)
            ],
            "resources": [*self.resources, *self.vms, *self.items],
        }

    async def plant(self, connection: str, at: datetime) -> None:
        """Write the ledger rows of what was protected before."""
        version = estates.version()
        sound = [vm for vm in self.vms if vm["name"] not in self.faults]
        pairs = zip(sound, self.items, strict=True)
        await estates.plant(connection, [estates.row(vm, kept, version, at) for vm, kept in pairs])


ONE_IN = 32  # VMs, has something in its way


def large(vms: int = VMS) -> Large:
    """Make the estate; fault number n is rarer than number n - 1."""
    made = Large()
    vaults = []
    for one in SUBSCRIPTIONS:
        made.resources.extend([estates.group("rg-web", one), estates.group("rg-backup", one)])
        vaults += [
            estates.vault(
                f"rsv-{NAMES[SUBSCRIPTIONS.index(one)].lower()}-{number}", subscription=one
            )
            for number in range(VAULTS // len(SUBSCRIPTIONS))
        ]
    for vault in vaults:
        made.resources.extend([vault, *estates.policies(vault)])
    often = [name for rank, name in enumerate(FAULTS) for _ in range(2 * (len(FAULTS) - rank))]
    for number in range(vms):
        at = number % len(SUBSCRIPTIONS)
        vm = estates.machine(number, subscription=SUBSCRIPTIONS[at], created=estates.CREATED)
        vm["tags"]["owner"] = f"team-{number % 53}@contoso.example"
        made.vms.append(vm)
        if number % ONE_IN == 0:
            fault = often[number // ONE_IN * 37 % len(often)]
            FAULTS[fault](vm)
            made.faults[vm["name"]] = fault
        else:
            vault = vaults[at * 4 + number // 3 % 4]
            tier = "silver"
            vm["tags"]["backup-tier"] = tier
            made.items.append(estates.item(vault, vm, deleted=False, policy=f"{tier}-{number % 3}"))
    return made
