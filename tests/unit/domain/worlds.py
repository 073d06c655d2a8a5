"""Small worlds for domain tests: a VM, a vault, policies and rules, each changed by keyword."""

from dataclasses import replace
from datetime import UTC, datetime, time

from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import (
    Agent,
    Disk,
    Frequency,
    Image,
    OsType,
    Policy,
    PolicyKind,
    ProtectedItem,
    ProtectionState,
    Retention,
    Room,
    Schedule,
    SecurityType,
    Snapshot,
    Vault,
    Vm,
)
from shared.domain.rules import Rules, parse

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SUB = "11111111-1111-4111-8111-111111111111"
OTHER_SUB = "22222222-2222-4222-8222-222222222222"
READY = Agent(
    version="2.7.41491.1095", code="ProvisioningState/succeeded", status="Ready", message=""
)

RULES = """
version: 1
tiers:
  tag: backup-tier
  default: silver
  names:
    gold: {standard: gold, enhanced: gold-enhanced, aliases: platinum}
    silver: {standard: [silver-a, silver-b]}
    bronze: {standard: bronze}
vaults:
  central: {tags: {backup-vault: central}}
rules:
  - name: production
    when: {tags: {env: [prod, production]}}
    options: {trusted_launch: require-enhanced}
default: {}
"""


def rules(text: str = RULES) -> Rules:
    return parse(text, "rules.yaml")


def disk(**changes) -> Disk:
    base = Disk(
        name="os", id=None, lun=None, size_gb=127, storage_type="Premium_LRS", unmanaged=False
    )
    return replace(base, **changes)


def vm(name="web-1", group="rg-app", subscription=SUB, **changes) -> Vm:
    base = Vm(
        id=virtual_machine(subscription, group, name),
        uid="aaaaaaaa-0000-4000-8000-000000000001",
        location="westeurope",
        tags={"backup-tier": "gold"},
        provisioning="Succeeded",
        power="running",
        agent=READY,
        os=OsType.WINDOWS,
        os_name="Windows Server 2022 Datacenter",
        os_version="10.0.20348",
        size="Standard_D2s_v5",
        image=Image(
            publisher="MicrosoftWindowsServer", offer="WindowsServer", sku="2022-datacenter-g2"
        ),
        security=SecurityType.STANDARD,
        os_disk=disk(),
        data_disks=(),
        created=datetime(2026, 11, 20, 8, 0, tzinfo=UTC),
        managed_by=None,
        scale_set=None,
        priority=None,
        plan=None,
        has_os_profile=True,
        provision_agent=True,
        allow_extensions=True,
        encryption_at_host=False,
        disk_encryption=False,
        hibernated=False,
        extended_location=None,
        nics=("nic-1",),
    )
    return replace(base, **changes)


def data_disks(count: int, **changes) -> tuple[Disk, ...]:
    return tuple(disk(name=f"data-{lun}", lun=lun, **changes) for lun in range(count))


def vault(name="rsv-we", subscription=SUB, group="rg-backup", **changes) -> Vault:
    base = Vault(
        id=ArmId.parse(
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.RecoveryServices/vaults/{name}"
        ),
        location="westeurope",
        tags={"backup-vault": "central"},
        redundancy="GeoRedundant",
        soft_delete="Enabled",
        storage_version="V2",
    )
    return replace(base, **changes)


def policy(of: Vault, name: str, kind=PolicyKind.STANDARD, **changes) -> Policy:
    base = Policy(
        id=of.id.child("backupPolicies", name),
        kind=kind,
        schedule=Schedule(frequency=Frequency.DAILY, times=(time(23, 0),)),
        retention=Retention(daily_days=30),
        instant_restore_days=2,
        time_zone="UTC",
    )
    return replace(base, **changes)


def policies(of: Vault) -> tuple[Policy, ...]:
    return (
        policy(of, "gold"),
        policy(of, "gold-enhanced", PolicyKind.ENHANCED),
        policy(of, "silver-a"),
        policy(of, "silver-b"),
        policy(of, "bronze", retention=Retention(daily_days=7)),
    )


def item(of: Vault, body: Vm, policy_name="gold", **changes) -> ProtectedItem:
    base = ProtectedItem(
        id=item_of(of.id, body.id),
        source=body.id,
        state=ProtectionState.PROTECTED,
        policy=of.id.child("backupPolicies", policy_name),
    )
    return replace(base, **changes)


def snapshot(
    body: Vm | None = None, vaults: tuple[Vault, ...] | None = None, **changes
) -> Snapshot:
    body = vm() if body is None else body
    found = (vault(),) if vaults is None else vaults
    base = Snapshot(
        id=body.id,
        at=NOW,
        vm=body,
        group_tags={},
        subscription_tags={},
        vaults=found,
        policies={one.id.key: policies(one) for one in found},
        room={one.id.key: Room(items=0, today=0) for one in found},
    )
    return replace(base, **changes)
