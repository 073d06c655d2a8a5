"""Readiness: each check with what triggers it and what, one step short of it, does not."""

import shlex
from dataclasses import replace

import pytest

from shared.domain.catalogue import CATALOGUE, Step
from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.limits import LIMITS
from shared.domain.model import (
    Agent,
    DiskFacts,
    Failure,
    Image,
    Lock,
    NetworkPath,
    OsType,
    Past,
    PolicyKind,
    Reachability,
    SecurityType,
)
from shared.domain.placement import Place, place
from shared.domain.readiness import CHECKS, check, network_wanted
from shared.domain.readiness.surroundings import is_boosted, takes_premium
from shared.domain.rules import parse
from shared.domain.selection import Match, select
from tests.unit.domain.worlds import (
    NOW,
    OTHER_SUB,
    READY,
    RULES,
    SUB,
    data_disks,
    disk,
    policies,
    policy,
    rules,
    snapshot,
    vault,
    vm,
)

V = vault()
DISK = ArmId.parse(f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Compute/disks/d0")
NOT_READY = Agent(
    version="Unknown",
    code="ProvisioningState/Unavailable",
    status="Not Ready",
    message="VM status blob is found but not yet populated.",
)
LINUX = {"os": OsType.LINUX, "os_name": "ubuntu", "image": Image(publisher="canonical")}
MIGRATED = {"has_os_profile": False, "image": Image(), "agent": NOT_READY}


def facts(**changes) -> dict[str, DiskFacts]:
    base = DiskFacts(
        id=DISK,
        size_gb=64,
        storage_type="Premium_LRS",
        max_shares=1,
        network_access="AllowAll",
        data_access_auth=None,
    )
    return {DISK.key: replace(base, **changes)}


def with_disk(facts_changes=None, **disk_changes):
    """Give a VM with one managed data disk and what the disk's own body shows."""
    body = vm(data_disks=(disk(name="d0", lun=0, id=DISK, **disk_changes),))
    return snapshot(body, disks=facts(**(facts_changes or {})))


def findings(world, text=RULES):
    content = parse(text)
    match = select(content, world, (), NOW)
    placed = place(content, match, world, NOW)
    return check(world, content, match, placed)


def codes(world, text=RULES) -> set[str]:
    return {one.code for one in findings(world, text)}


def of(**changes):
    return snapshot(vm(**changes))


def locked(level, scope=f"/subscriptions/{SUB}/resourceGroups/rg-app"):
    return snapshot(locks=(Lock(scope=scope, level=level, name="keep"),))


SNAPSHOTS = f"/subscriptions/{SUB}/resourceGroups/AzureBackupRG_"


def network(answer):
    return snapshot(network=NetworkPath(answer=answer, decided_by="rule Deny_All of nsg-1 at 1000"))


def under(kind=PolicyKind.STANDARD, body=None, **changes):
    """Give a world whose gold policies are changed."""
    changed = (policy(V, "gold", kind, **changes),)
    return snapshot(body, (V,), policies={V.id.key: changed})


def cross_subscription(**changes):
    far = vault(subscription=OTHER_SUB)
    return snapshot(vm(**changes), (far,))


CVM = {"security": SecurityType.CONFIDENTIAL}
EXCLUDE = RULES.replace("default: {}", "default: {options: {shared_disks: exclude}}")
SHARED = {"max_shares": 2}
MOST_GB, ALL_GB = LIMITS.number("disk_gb"), LIMITS.number("all_disks_gb")

# code, a world that has it, a world that is one step short of it
TABLE = [
    ("DATA_DISK_COUNT", of(data_disks=data_disks(33)), of(data_disks=data_disks(32))),
    ("DISK_SIZE", of(os_disk=disk(size_gb=MOST_GB + 1)), of(os_disk=disk(size_gb=MOST_GB))),
    (
        "DISK_SIZE_TOTAL",
        of(os_disk=disk(size_gb=1), data_disks=data_disks(8, size_gb=MOST_GB)),
        of(os_disk=disk(size_gb=0), data_disks=data_disks(8, size_gb=MOST_GB)),
    ),
    ("DISK_SIZE_UNKNOWN", of(os_disk=disk(size_gb=None)), of()),
    ("DISK_SIZE", with_disk({"size_gb": MOST_GB + 1}, size_gb=None), with_disk(size_gb=None)),
    ("UNMANAGED_DISK", of(os_disk=disk(unmanaged=True)), of()),
    ("UNMANAGED_DISK", of(data_disks=data_disks(1, unmanaged=True)), of(data_disks=data_disks(1))),
    ("EPHEMERAL_OS_DISK", of(os_disk=disk(ephemeral=True)), of()),
    (
        "ULTRA_DISK",
        of(tags={"backup-tier": "bronze"}, os_disk=disk(storage_type="UltraSSD_LRS")),
        of(os_disk=disk(storage_type="UltraSSD_LRS")),  # gold has an Enhanced policy
    ),
    (
        "PREMIUM_V2_DISK",
        of(tags={"backup-tier": "bronze"}, os_disk=disk(storage_type="PremiumV2_LRS")),
        of(os_disk=disk(storage_type="PremiumV2_LRS")),
    ),
    ("SHARED_DISK", with_disk(SHARED), with_disk()),
    (
        "ULTRA_DISK",  # seen on the disk alone
        replace(with_disk({"storage_type": "UltraSSD_LRS"}, storage_type=None), policies={V.id.key: (policy(V, "gold"),)}),
        with_disk({"storage_type": "UltraSSD_LRS"}, storage_type=None),
    ),
    ("DISK_ACCESS_AUTH", with_disk({"data_access_auth": "AzureActiveDirectory"}), with_disk()),
    ("DATA_DISK_SECURITY_TYPE", with_disk(security_type="TrustedLaunch"), with_disk()),
    ("DATA_DISK_SECURITY_TYPE", with_disk({"security_type": "ConfidentialVM"}), with_disk({"security_type": "Standard"})),
    ("WRITE_ACCELERATOR", of(data_disks=data_disks(1, write_accelerator=True)), of()),
    ("DISK_ENCRYPTION", of(disk_encryption=True), of(encryption_at_host=True)),
    ("RESTORE_ENCRYPTED", of(disk_encryption=True), of()),
    ("PROVISIONING", of(provisioning="Creating"), of()),
    ("PROVISIONING", of(provisioning="Updating"), of(provisioning="Failed")),
    ("PROVISIONING", of(provisioning="Deleting"), of()),
    ("PROVISIONING_FAILED", of(provisioning="Failed", failure="an extension"), of()),
    ("POWER_CHANGING", of(power="starting"), of(power="running")),
    ("POWER_CHANGING", of(power="deallocating"), of(power="deallocated")),
    ("VM_OFF", of(power="deallocated", agent=None), of(power=None, agent=None)),
    ("HIBERNATED", of(power="deallocated", hibernated=True), of(power="deallocated")),
    ("HIBERNATION_ENABLED", of(can_hibernate=True), of(can_hibernate=True, hibernated=True)),
    ("CONFIDENTIAL_VM", of(**CVM), of(security=SecurityType.TRUSTED_LAUNCH)),
    ("CONFIDENTIAL_OTHER_SUBSCRIPTION", cross_subscription(**CVM), cross_subscription()),
    ("CONFIDENTIAL_OTHER_SUBSCRIPTION", cross_subscription(**CVM), of(**CVM)),
    (
        "EXTENDED_ZONE",
        of(tags={"backup-tier": "bronze"}, extended_location="losangeles"),
        of(extended_location="losangeles"),
    ),
    ("OS_32_BIT", of(os_name="Windows 10 (32-bit)"), of(os_name="Windows 10")),
    ("OS_32_BIT", of(image=Image(sku="debian-i386")), of(image=Image(sku="x86_64"))),
    ("OS_OLD", of(os_name="Windows Server 2012 R2 Datacenter"), of(os_name="Windows Server 2016")),
    ("OS_OLD", of(os_name=None, image=Image(sku="2008-R2-SP1")), of(os_name=None)),
    ("OS_OLD", of(os_name="Windows 7 Enterprise"), of(os_name="Windows 11 Enterprise")),
    ("OS_OLD", of(os_name="Windows Server 2012", image=Image(sku="2022-datacenter")),
     of(os_name="Windows Server 2022", image=Image(sku="2012-R2-Datacenter"))),
    ("OS_UNSUPPORTED", of(os=OsType.LINUX, os_name="flatcar"), of(**LINUX)),
    ("OS_UNSUPPORTED", of(os=OsType.LINUX, os_name=None, image=Image(publisher="CoreOS")), of(**LINUX)),
    ("OS_UNTESTED", of(os=OsType.LINUX, os_name="nixos", image=Image(id="/x")), of(**LINUX)),
    ("OS_UNTESTED", of(os=None, os_name=None, image=Image()), of()),
    ("VM_SIZE_SMALL", of(size="Standard_B1ls"), of(size="Standard_B2s")),
    ("VM_SIZE_SMALL", of(size="Standard_DS1_v2"), of(size="Standard_QQ99z_v9")),
    ("MARKETPLACE_PLAN", of(plan="publisher/offer/plan"), of()),
    ("SPOT_VM", of(priority="Spot"), of(priority="Regular")),
    ("AGENT_NOT_READY", of(agent=NOT_READY), of()),
    ("AGENT_NOT_READY", of(agent=None), of(agent=None, power="deallocated")),
    ("AGENT_DISABLED", of(provision_agent=False), of(provision_agent=None)),
    ("AGENT_DISABLED", of(allow_extensions=False), of(allow_extensions=None)),
    (
        "AGENT_OLD",
        of(agent=replace(READY, version="2.6.1198.717")),
        of(agent=replace(READY, version="2.6.1198.718")),
    ),
    ("AGENT_OLD", of(agent=replace(READY, version="2.6.999")), of(agent=replace(READY, version="2.10"))),
    ("AGENT_MIGRATED", of(**MIGRATED), of(**(MIGRATED | {"agent": READY}))),
    ("AGENT_MIGRATED", of(**MIGRATED), of(**(MIGRATED | {"image": Image(id="/gallery")}))),
    ("LOCK_READ_ONLY", locked("ReadOnly"), locked("CanNotDelete")),
    ("LOCK_SNAPSHOT_GROUP", locked("CanNotDelete", f"/subscriptions/{SUB}"), locked("CanNotDelete")),
    ("LOCK_SNAPSHOT_GROUP", locked("CanNotDelete", f"{SNAPSHOTS}westeurope_1"), locked("CanNotDelete", f"{SNAPSHOTS}westeurope2_1")),
    ("LOCK_SNAPSHOT_GROUP", locked("ReadOnly", f"{SNAPSHOTS}WestEurope_1"), locked("ReadOnly")),
    ("LOCK_READ_ONLY", locked("ReadOnly"), locked("ReadOnly", f"{SNAPSHOTS}westeurope_1")),
    ("NETWORK_BLOCKED", network(Reachability.BLOCKED), network(Reachability.ALLOWED)),
    ("NETWORK_UNKNOWN", network(Reachability.UNKNOWN), snapshot()),
    ("CRASH_CONSISTENT_ONLY", under(crash_consistent_only=True), under()),
    (
        "CRASH_CONSISTENT_UNFIT",
        under(body=vm(size="Standard_D2_v5"), crash_consistent_only=True),
        under(crash_consistent_only=True),
    ),
    (
        "CRASH_CONSISTENT_UNFIT",
        under(body=vm(os_disk=disk(write_accelerator=True)), crash_consistent_only=True),
        under(body=vm(os_disk=disk(write_accelerator=True))),
    ),
    (
        "CRASH_CONSISTENT_UNFIT",
        under(PolicyKind.ENHANCED, vm(os_disk=disk(storage_type="UltraSSD_LRS")), crash_consistent_only=True),
        under(PolicyKind.ENHANCED, crash_consistent_only=True),
    ),
    (
        "CRASH_CONSISTENT_UNFIT",
        replace(
            under(body=vm(data_disks=(disk(name="d0", lun=0, id=DISK),)), crash_consistent_only=True),
            disks=facts(**SHARED),
        ),
        under(body=vm(data_disks=(disk(name="d0", lun=0, id=DISK),)), crash_consistent_only=True),
    ),
    ("POLICY_UNREADABLE", under(schedule=None), under()),
    ("POLICY_UNREADABLE", under(retention=None), under()),
    ("RESTORE_SEVERAL_NICS", of(nics=("a", "b")), of(nics=("a",))),
    (
        "RESTORE_DOMAIN_CONTROLLER",
        of(tags={"backup-tier": "gold", "role": "Domain Controller"}),
        of(tags={"backup-tier": "gold", "role": "dchp"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "code, world, short", [pytest.param(*row, id=f"{row[0]}-{at}") for at, row in enumerate(TABLE)]
)
def test_a_check_finds_exactly_what_it_looks_for(code, world, short) -> None:
    found = [one for one in findings(world) if one.code == code]
    assert len(found) == 1
    assert found[0].evidence
    assert found[0].text.endswith(".")
    assert code not in codes(short)


def test_an_ordinary_vm_has_nothing_to_be_told() -> None:
    assert findings(snapshot()) == ()
    assert findings(of(**LINUX)) == ()


def test_every_code_of_the_catalogue_that_checks_can_make_is_in_the_table() -> None:
    made = {row[0] for row in TABLE} | {
        "SHARED_DISK_EXCLUDED", "DISK_EXCLUSION_ENCRYPTED", "RESTORE_DISKS_ONLY",
    }  # fmt: skip
    looked = {
        entry.code
        for entry in CATALOGUE.values()
        if not entry.unseen and entry.step in {Step.LIMITS, Step.AGENT, Step.NETWORK, Step.RESTORE}
    }
    assert looked <= made
    assert len(CHECKS) >= len(made) - 12  # some checks answer with several codes


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count, refused", [(16, False), (17, False), (32, False), (33, True)])
def test_the_old_limit_of_sixteen_disks_is_gone_and_the_new_one_holds(count, refused) -> None:
    assert ("DATA_DISK_COUNT" in codes(of(data_disks=data_disks(count)))) is refused


def test_a_limit_carries_its_history_into_the_evidence() -> None:
    (one,) = [x for x in findings(of(data_disks=data_disks(33))) if x.code == "DATA_DISK_COUNT"]
    assert one.evidence == "33 data disks; limit 32 disks (2026-03-26), before: 16 in 2019"


def test_of_many_disks_the_first_are_named_and_the_rest_are_counted() -> None:
    (one,) = [
        x
        for x in findings(of(data_disks=data_disks(11, unmanaged=True)))
        if x.code == "UNMANAGED_DISK"
    ]
    assert "data-7 (LUN 7) and 3 more; up to 16" in one.evidence
    (few,) = [
        x
        for x in findings(of(data_disks=data_disks(8, unmanaged=True)))
        if x.code == "UNMANAGED_DISK"
    ]
    assert "more" not in few.evidence


def test_an_encrypted_vm_names_its_key_vault_in_evidence_and_grant() -> None:
    key_vault = (
        f"/subscriptions/{SUB}/resourceGroups/rg-keys/providers/Microsoft.KeyVault/vaults/kv-1"
    )
    (one,) = [
        x
        for x in findings(of(disk_encryption=True, key_vault=key_vault))
        if x.code == "DISK_ENCRYPTION"
    ]
    assert key_vault in one.evidence
    policies_way, roles_way = one.remedies
    assert "az keyvault set-policy --name kv-1 " in policies_way.az
    assert f"--scope {key_vault} " in roles_way.az
    (other,) = [x for x in findings(of(disk_encryption=True)) if x.code == "DISK_ENCRYPTION"]
    assert "--name <key-vault> " in other.remedies[0].az


def test_every_limit_has_source_date_and_unit() -> None:
    for row in LIMITS.rows:
        assert row.source
        assert row.unit
        assert len(row.date) == 10
        assert all(before.date < row.date for before in row.before)


# --- together ------------------------------------------------------------------------------------


def test_a_vm_with_five_things_wrong_has_five_blockers_in_one_verdict() -> None:
    body = vm(
        os_disk=disk(ephemeral=True),
        data_disks=(*data_disks(33), disk(name="d0", lun=40, id=DISK, size_gb=MOST_GB + 1)),
        hibernated=True,
        power="deallocated",
        os_name="Windows 10 32-bit",
    )
    found = findings(snapshot(body))
    blockers = {one.code for one in found if one.severity is Severity.BLOCKER}
    assert blockers == {
        "DATA_DISK_COUNT", "DISK_SIZE", "EPHEMERAL_OS_DISK", "HIBERNATED", "OS_32_BIT",
    }  # fmt: skip


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(of(agent=NOT_READY), id="agent not ready"),
        pytest.param(of(agent=None), id="no agent"),
        pytest.param(of(provision_agent=False), id="agent switched off"),
        pytest.param(of(agent=replace(READY, version="1.0")), id="old agent"),
        pytest.param(of(**MIGRATED), id="migrated"),
        pytest.param(of(power="deallocated", agent=None), id="off"),
        pytest.param(of(os=None, os_name=None, image=Image(), size="What_Ever"), id="all unknown"),
        pytest.param(of(priority="Spot"), id="spot"),
        pytest.param(of(encryption_at_host=True), id="encryption at host"),
        pytest.param(of(os_disk=disk(encryption_set="/des")), id="customer key"),
        pytest.param(with_disk({"network_access": "DenyAll"}), id="private disk"),
        pytest.param(of(zones=("1",)), id="zone"),
        pytest.param(network(Reachability.BLOCKED), id="network"),
    ],
)
def test_what_azure_backup_can_live_with_is_never_a_refusal(world) -> None:
    assert not [one for one in findings(world) if one.severity is not Severity.ADVISORY]


def test_shared_disks_are_left_out_by_lun_where_a_rule_says_so() -> None:
    world = with_disk(SHARED)
    content = parse(EXCLUDE)
    placed = place(content, select(content, world, (), NOW), world, NOW)
    assert isinstance(placed, Place)
    assert placed.excluded_luns == (0,)
    assert placed.policy.kind is PolicyKind.ENHANCED
    assert codes(world, EXCLUDE) == {"RESTORE_DISKS_ONLY"}
    poor = replace(world, vm=replace(world.vm, tags={"backup-tier": "bronze"}))
    assert codes(poor, EXCLUDE) == {"SHARED_DISK_EXCLUDED"}


def test_disks_that_the_item_leaves_out_stay_out_and_clash_with_encryption_under_standard() -> None:
    from tests.unit.domain.worlds import item

    body = vm(disk_encryption=True)
    world = snapshot(body, (V,), items=(item(V, body, excluded_luns=(3,)),))
    assert "DISK_EXCLUSION_ENCRYPTED" in codes(world)
    enhanced = snapshot(body, (V,), items=(item(V, body, "gold-enhanced", excluded_luns=(3,)),))
    assert "DISK_EXCLUSION_ENCRYPTED" not in codes(enhanced)


def test_checks_work_without_a_match_or_a_place() -> None:
    assert check(of(data_disks=data_disks(33)), rules(), None, None)[0].code == "DATA_DISK_COUNT"
    assert check(replace(snapshot(), vm=None), rules(), None, None) == ()


@pytest.mark.parametrize(
    "size, premium",
    [
        ("Standard_D2s_v5", True), ("Standard_D2_v5", False), ("Standard_DS2_v2", True),
        ("Standard_B2ms", True), ("Standard_E4ads_v5", True), ("Standard_A2_v2", False),
        ("Standard_M64-16ms", True), ("Standard_GS1", True), ("Basic_A1", False), ("weird", True),
    ],
)  # fmt: skip
def test_a_sizes_name_tells_whether_it_takes_premium_disks(size, premium) -> None:
    assert takes_premium(size) is premium


@pytest.mark.parametrize(
    "size, boosted",
    [
        ("Standard_D2s_v6", True), ("Standard_D2s_v5", False), ("Standard_D2as_v6", False),
        ("Standard_D2as_v7", True), ("Standard_A0", False),
    ],
)  # fmt: skip
def test_a_sizes_name_tells_whether_it_runs_on_azure_boost(size, boosted) -> None:
    assert is_boosted(size) is boosted


# --- remedies ------------------------------------------------------------------------------------


def test_commands_carry_the_vms_own_names_as_one_quoted_word() -> None:
    hostile = vm("a$(reboot)`x`;rm -rf *", "rg(1)", hibernated=True, power="deallocated")
    for one in findings(snapshot(hostile)):
        for remedy in one.remedies:
            for line in remedy.az.splitlines():
                words = shlex.split(line)
                if "--ids" in words:
                    assert words[words.index("--ids") + 1] == str(hostile.id)


def test_no_remedy_ever_advises_to_remove_a_vm_or_a_recovery_point() -> None:
    for _, world, _ in TABLE:
        for one in findings(world):
            text = " ".join(f"{r.text} {r.az} {r.powershell}" for r in one.remedies).lower()
            for bad in (
                "az vm delete",
                "remove-azvm ",
                "delete the vm",
                "backup protection disable",
                "disable-azrecoveryservices",
                "delete-backup-data",
            ):
                assert bad not in text


def test_the_update_of_an_agent_says_not_while_a_backup_runs() -> None:
    for body in (vm(agent=NOT_READY), vm(agent=NOT_READY, **LINUX)):
        (one,) = [x for x in findings(snapshot(body)) if x.code == "AGENT_NOT_READY"]
        assert "Not while a backup" in one.remedies[1].text


@pytest.mark.parametrize(
    "world, text, why",
    [
        pytest.param(snapshot(), RULES, "", id="nobody asks"),
        pytest.param(
            snapshot(),
            RULES.replace("default: {}", "default: {options: {network_check: true}}"),
            "rule default asks for it",
            id="a rule",
        ),
        pytest.param(
            of(data_disks=data_disks(1, write_accelerator=True)),
            RULES,
            "disks with write accelerator need a way out",
            id="write accelerator",
        ),
        pytest.param(
            snapshot(past=Past(failure=Failure(code="ExtensionSnapshotFailedNoNetwork", message="", at=NOW, count=1))),
            RULES,
            "error ExtensionSnapshotFailedNoNetwork points there",
            id="an error",
        ),
        pytest.param(
            snapshot(past=Past(failure=Failure(code="UserErrorUnsupportedDiskSize", message="", at=NOW, count=1))),
            RULES,
            "",
            id="another error",
        ),
        pytest.param(replace(snapshot(), vm=None), RULES, "", id="no VM"),
    ],
)  # fmt: skip
def test_the_network_is_read_only_where_something_asks_for_it(world, text, why) -> None:
    match = select(parse(text), world, (), NOW)
    assert network_wanted(world, match if isinstance(match, Match) else None) == why


def test_policies_of_the_test_world_are_what_the_rules_name() -> None:
    assert {one.name for one in policies(V)} >= {"gold", "gold-enhanced"}
