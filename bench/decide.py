"""How long it takes to decide about 10,000 VMs under 200 rules, on one core; memory beside it.

Snapshots are made by changing ordinary VMs; half of them have three findings or more. The target is
2 s and memory that stays flat.
"""

from __future__ import annotations

import random
import resource
import time as clock
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

from shared.domain.decide import decide
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.model import (
    Agent,
    Disk,
    Frequency,
    Image,
    OsType,
    Policy,
    PolicyKind,
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
TARGET_SECONDS = 2.0
SUBSCRIPTIONS = [f"{number:08d}-0000-4000-8000-000000000001" for number in range(20)]
REGIONS = ("westeurope", "northeurope", "eastus", "koreacentral")


def rules(count: int) -> Rules:
    """Make a file of rules that look at tags, groups, names and sizes."""
    lines = [
        "version: 1",
        (
            "tiers: {tag: backup-tier, default: silver, names: {gold: {standard: gold, enhanced:"
            " gold-e}, silver: {standard: [silver-a, silver-b]}}}"
        ),
        "vaults: {central: {tags: {backup-vault: central}}}",
        "default: {}",
        "rules:",
    ]
    kinds = (
        "tags: {{app: app-{0}, env: [prod, production]}}",
        "groups: 'rg-team-{0}-*'",
        "tags: {{owner: {{present: true}}, cost: 'cc-{0}*'}}",
        "any: [{{names: 'db-{0}-*'}}, {{tags: {{role: role-{0}}}}}]",
    )
    for number in range(count):
        when = kinds[number % len(kinds)].format(number)
        lines.append(f"  - {{name: rule-{number}, when: {{{when}}}, tier: gold}}")
    return parse("\n".join(lines))


def vaults() -> tuple[Vault, ...]:
    """Make two vaults in each region but the last, which has none."""
    return tuple(
        Vault(
            id=ArmId.parse(
                f"/subscriptions/{SUBSCRIPTIONS[0]}/resourceGroups/rg/providers"
                f"/Microsoft.RecoveryServices/vaults/rsv-{region}-{number}"
            ),
            location=region,
            tags={"backup-vault": "central"},
            redundancy="GeoRedundant",
        )
        for region in REGIONS[:-1]
        for number in range(2)
    )


def policies(vault: Vault) -> tuple[Policy, ...]:
    return tuple(
        Policy(
            id=vault.id.child("backupPolicies", name),
            kind=PolicyKind.ENHANCED if name.endswith("-e") else PolicyKind.STANDARD,
            schedule=Schedule(frequency=Frequency.DAILY, times=(time(23),)),
            retention=Retention(daily_days=30),
            instant_restore_days=2,
            time_zone="UTC",
        )
        for name in ("gold", "gold-e", "silver-a", "silver-b")
    )


def snapshots(count: int, seed: int = 1) -> list[Snapshot]:
    """Make worlds; every second one has several things wrong."""
    chance = random.Random(seed)
    found = vaults()
    in_vaults = {vault.id.key: policies(vault) for vault in found}
    room = {vault.id.key: Room(items=400, today=10) for vault in found}
    return [
        Snapshot(
            id=vm.id,
            at=NOW,
            vm=vm,
            group_tags={"env": "prod"},
            subscription_tags={"owner": "cloud@contoso.example"},
            vaults=found,
            policies=in_vaults,
            room=room,
            disks={},
        )
        for vm in (_vm(number, chance) for number in range(count))
    ]


def _vm(number: int, chance: random.Random) -> Vm:
    disk = Disk(
        name="os", id=None, lun=None, size_gb=127, storage_type="Premium_LRS", unmanaged=False
    )
    tags = {
        "Backup-Tier": chance.choice(("gold", "Silver ", "glod")),
        "app": f"app-{chance.randrange(400)}",
        "env": chance.choice(("prod", "dev", "prdo")),
        "cost": f"cc-{chance.randrange(400)}",
    }
    vm = Vm(
        id=virtual_machine(
            chance.choice(SUBSCRIPTIONS), f"rg-team-{chance.randrange(400)}-x", f"vm-{number}"
        ),
        uid=str(number),
        location=chance.choice(REGIONS),
        tags=tags,
        provisioning="Succeeded",
        power="running",
        agent=Agent(
            version="2.7.41491.1095", code="ProvisioningState/succeeded", status="Ready", message=""
        ),
        os=chance.choice((OsType.WINDOWS, OsType.LINUX)),
        os_name=chance.choice(("ubuntu", "Windows Server 2022 Datacenter", "nixos", None)),
        os_version="1",
        size=chance.choice(("Standard_D2s_v5", "Standard_B1ls", "Standard_E4s_v5")),
        image=Image(publisher=chance.choice(("canonical", "contoso")), offer="x", sku="y"),
        security=chance.choice((SecurityType.STANDARD, SecurityType.TRUSTED_LAUNCH)),
        os_disk=disk,
        data_disks=(replace(disk, name="d", lun=0),) * chance.randrange(4),
        created=NOW,
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
        nics=("a",),
    )
    if number % 2:
        return vm
    return replace(
        vm,
        data_disks=(replace(disk, name="d", lun=0),) * 33,
        os_disk=replace(disk, ephemeral=True),
        agent=None,
        disk_encryption=True,
        nics=("a", "b"),
    )


async def run(vms: int = 10_000, count: int = 200) -> dict[str, Any]:
    """Time one pass, after a small one that warms caches; ``ok`` says if the target was met."""
    content = rules(count)
    for one in snapshots(200, seed=2):
        decide(one, content, (), NOW)
    worlds = snapshots(vms)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = clock.process_time()
    several = sum(len(decide(one, content, (), NOW).findings) >= 3 for one in worlds)
    seconds = clock.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "vms": vms,
        "rules": count,
        "cpu_seconds": round(seconds, 2),
        "target_seconds": TARGET_SECONDS,
        "us_per_vm": round(seconds / vms * 1e6),
        "with_three_findings": several,
        "grown_mb": round(grown, 1),
        "ok": seconds < TARGET_SECONDS and several * 2 >= vms and grown < 16,
    }


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield ("VMs", "rules", "CPU, s", "target, s", "µs/VM", "with 3 findings", "memory, MB")
    yield (
        f"{results['vms']:,}",
        str(results["rules"]),
        f"{results['cpu_seconds']:.2f}",
        f"{results['target_seconds']:.1f}",
        str(results["us_per_vm"]),
        f"{results['with_three_findings']:,}",
        f"+{results['grown_mb']:.1f}",
    )
