"""What only some VMs need: asked for where it can matter, and never on the common path."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.ids import ArmId, item_of
from shared.domain.messages import Cause
from shared.domain.model import DiskFacts, Lock
from shared.domain.network import Access, Network, NextHop, Nsg, Route, Rule
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.rules import parse
from shared.domain.states import State
from shared.errors import Disposition
from shared.explaining import explanation
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
VM = worlds.vm()
GROUP = f"/subscriptions/{worlds.SUB}/resourceGroups/rg-app"
DENYING = Nsg(
    id=ArmId.parse(f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups/nsg-app"),
    rules=(
        Rule(
            name="DenyOut",
            priority=4000,
            access=Access.DENY,
            protocol="*",
            sources=("*",),
            source_ports=("*",),
            destinations=("Internet",),
            ports=("*",),
        ),
    ),
)
CLOSED = Network(subnet="app", private_address="10.0.0.4", subnet_nsg=DENYING)
DETOUR = Network(
    subnet="app",
    private_address="10.0.0.4",
    routes=(Route(name="out", prefix="0.0.0.0/0", next_hop=NextHop.APPLIANCE, address="10.9.9.9"),),
)
DENIED = fault(
    "AuthorizationFailed",
    status=403,
    disposition=Disposition.PARK,
    message="The client 'c' with object id 'o' does not have authorization to perform action "
    "'Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/write' "
    f"over scope '{item_of(VAULT.id, VM.id)}' or the scope is invalid.",
)


def rules(options: str):
    return parse(worlds.RULES + f"options: {{{options}}}\n", "rules.yaml")


@pytest.fixture
def house():
    made = House()
    made.region(VAULT)
    made.machines.add(VM)
    return made


async def looked(house, vm=VM, seconds=120):
    await house.event(vm.id)
    await house.play(seconds)
    return await house.row(vm.id)


def codes(row):
    return [one.code for one in row.findings]


# --- the common path -----------------------------------------------------------------------------


async def test_the_common_path_asks_for_nothing_besides(house):
    row = await looked(house)

    assert row.state is State.ENROLLED
    assert house.networks.asked == []
    assert house.directory.regions_asked == 0
    assert house.estate.calls["disks"] == 0
    assert house.backup.calls["pre_validate"] == 0
    assert len(house.machines.reads) == 1


# --- network -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network, code, words",
    [
        pytest.param(CLOSED, "NETWORK_BLOCKED", "rule DenyOut of nsg-app", id="blocked"),
        pytest.param(DETOUR, "NETWORK_UNKNOWN", "an appliance or firewall", id="detour"),
    ],
)
async def test_a_rule_has_the_network_read_and_it_is_advice_only(house, network, code, words):
    house.rules.rules = rules("network_check: true")
    house.networks.connected[VM.id.key] = (network,)

    row = await looked(house)

    assert row.state is State.ENROLLED
    assert codes(row) == [code]
    assert words in row.findings[0].evidence
    assert house.notices.reported == []


async def test_an_error_that_points_to_the_network_has_it_read_at_once(house):
    house.networks.connected[VM.id.key] = (CLOSED,)
    house.backup.fail_job(VM.id, "UserErrorGuestAgentStatusUnavailable")

    await looked(house, seconds=55)

    row = await house.row(VM.id)
    assert "NETWORK_BLOCKED" in codes(row)
    (blocked,) = (one for one in row.findings if one.code == "NETWORK_BLOCKED")
    assert "az network nsg rule create" in blocked.remedies[0].az
    assert "Add-AzNetworkSecurityRuleConfig" in blocked.remedies[0].powershell


async def test_a_network_that_may_not_be_read_is_unknown_and_hinders_nothing(house):
    house.rules.rules = rules("network_check: true")
    house.networks.failing = fault("AuthorizationFailed", status=403, disposition=Disposition.PARK)

    row = await looked(house)

    assert (row.state, codes(row)) == (State.ENROLLED, ["NETWORK_UNKNOWN"])
    assert house.notices.operators == []


# --- locks, regions, disks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "lock, code",
    [
        pytest.param(Lock(scope=GROUP, level="ReadOnly", name="freeze"), "LOCK_READ_ONLY", id="ro"),
        pytest.param(
            Lock(scope=f"/subscriptions/{worlds.SUB}", level="CanNotDelete", name="keep"),
            "LOCK_SNAPSHOT_GROUP",
            id="subscription",
        ),
    ],
)
async def test_locks_over_the_vm_are_told_on_its_page(house, lock, code):
    house.estate.lock_list.append(lock)

    row = await looked(house)

    assert (row.state, codes(row)) == (State.ENROLLED, [code])


async def test_locks_that_may_not_be_read_hinder_nothing(house, monkeypatch):
    async def denied(vm):
        raise DENIED

    monkeypatch.setattr(house.estate, "locks", denied)

    assert (await looked(house)).state is State.ENROLLED


async def test_a_region_without_azure_backup_is_told_as_such(house):
    vm = worlds.vm("far", location="antarctica")
    house.machines.add(vm)

    row = await looked(house, vm)

    assert (row.state, codes(row)) == (State.BLOCKED, ["REGION_UNSUPPORTED"])


async def test_regions_that_cannot_be_listed_leave_the_plain_answer(house):
    vm = worlds.vm("far", location="antarctica")
    house.machines.add(vm)
    house.directory.region_list = frozenset()

    async def broken(subscription):
        raise fault()

    house.directory.regions = broken

    assert codes(await looked(house, vm)) == ["NO_VAULT_IN_REGION"]


async def test_a_vault_of_another_tenant_is_found_out_before_the_put(house):
    await looked(house)
    assert house.estate.calls["tenants"] == 0  # every vault lies in the VM's own subscription

    vm = worlds.vm("far", subscription=worlds.OTHER_SUB)
    house.machines.add(vm)
    house.estate.tenant_of = {worlds.SUB: "ours", worlds.OTHER_SUB: "theirs"}

    assert codes(await looked(house, vm)) == ["NO_VAULT_IN_REGION"]


async def test_the_size_of_a_deallocated_os_disk_comes_from_the_batch(house):
    disk = ArmId.parse(f"{GROUP}/providers/Microsoft.Compute/disks/os")
    vm = worlds.vm(power="deallocated", os_disk=worlds.disk(id=disk, size_gb=None))
    house.machines.add(vm)
    house.estate.disk_facts[disk.key] = DiskFacts(
        id=disk,
        size_gb=70_000,
        storage_type="Premium_LRS",
        max_shares=None,
        network_access=None,
        data_access_auth=None,
    )

    row = await looked(house)

    assert row.state is State.BLOCKED
    assert "DISK_SIZE" in codes(row)
    assert "DISK_SIZE_UNKNOWN" not in codes(row)
    assert house.estate.calls["disks"] >= 1


# --- Azure's own validation ----------------------------------------------------------------------


async def test_azure_itself_is_asked_once_where_a_rule_allows_the_write(house):
    house.rules.rules = rules("pre_validate: true")

    row = await looked(house)

    assert row.state is State.ENROLLED
    assert house.backup.calls["pre_validate"] == 1


async def test_what_azure_says_against_it_becomes_one_finding_with_its_recommendation(house):
    house.rules.rules = rules("pre_validate: true")
    house.backup.deny(VM.id, "UserErrorUnsupportedDiskConfiguration", "No.", "Detach the disk.")

    row = await looked(house, seconds=2 * 3600)

    assert row.state is State.BLOCKED
    assert codes(row) == ["PREVALIDATION_FAILED"]
    assert "UserErrorUnsupportedDiskConfiguration: No." in row.findings[0].evidence
    assert "Detach the disk." in [one.text for one in row.findings[0].remedies]
    assert house.notices.reported == [(VM.name, ("PREVALIDATION_FAILED",))]
    assert house.backup.sent == []
    assert house.backup.calls["pre_validate"] == 1  # swept many times, asked once in hours

    told = await explanation(house.ports, VM.id)
    assert told.decision == "Block"
    assert house.backup.calls["pre_validate"] == 1  # a reader of the page spends no write


async def test_a_person_who_removed_the_cause_has_azure_asked_again(house):
    house.rules.rules = rules("pre_validate: true")
    house.backup.deny(VM.id, "UserErrorUnsupportedDiskConfiguration", "No.")
    await looked(house)
    house.backup.deny(VM.id, "")
    await house.people.append(
        PersonDecision(
            vm=str(VM.id),
            kind=DecisionKind.RETRY,
            by="o@example.com",
            at=house.clock.now(),
            reason="",
        )
    )

    await house.event(VM.id, cause=Cause.OPERATOR)
    await house.play(120)

    assert (await house.row(VM.id)).state is State.ENROLLED


async def test_a_vm_with_an_obstacle_of_our_own_costs_no_validation(house):
    house.rules.rules = rules("pre_validate: true")
    house.machines.add(replace(VM, hibernated=True))

    row = await looked(house)

    assert codes(row) == ["HIBERNATED"]
    assert house.backup.calls["pre_validate"] == 0


async def test_a_throttled_validation_is_waited_for(house):
    house.rules.rules = rules("pre_validate: true")
    house.backup.fail_reads("pre_validate", fault("TooManyRequests", status=429, retry_after=60.0))

    row = await looked(house, seconds=30)
    assert row.state is State.WAITING
    await house.play(200)

    assert (await house.row(VM.id)).state is State.ENROLLED


# --- grace ---------------------------------------------------------------------------------------


async def test_a_state_that_passes_is_waited_for_until_the_grace_is_over(house):
    house.rules.rules = rules("grace_minutes: 20")
    house.machines.add(replace(VM, provisioning="Updating"))

    row = await looked(house, seconds=1000)
    assert (row.state, house.sent(VM.id)) == (State.WAITING, 0)
    await house.play(400)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.sent(VM.id) == 1


async def test_after_the_grace_a_failed_try_is_not_waited_for_as_long_again(house):
    house.rules.rules = rules("grace_minutes: 20")
    house.machines.add(replace(VM, provisioning="Updating"))
    house.backup.fail_job(VM.id, "UserErrorVmNotInDesirableState")

    await looked(house, seconds=1800)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.sent(VM.id) == 2


async def test_a_new_passing_state_has_its_own_grace(house):
    house.rules.rules = rules("grace_minutes: 20, minimum_age_minutes: 30")
    house.machines.add(replace(VM, provisioning="Updating", created=house.clock.now()))
    await looked(house, seconds=600)
    house.machines.add(replace(VM, created=house.clock.now()))
    await house.event(VM.id)
    await house.play(60)
    assert (await house.row(VM.id)).passing_since is None

    house.machines.add(replace(VM, provisioning="Updating", created=house.clock.now()))
    await house.event(VM.id)
    await house.play(60)

    since = (await house.row(VM.id)).passing_since
    assert house.clock.now() - since < timedelta(minutes=2)


# --- the deadline of the first recovery point ----------------------------------------------------


@pytest.mark.parametrize("hours", [3, 24])
async def test_the_rule_says_how_long_the_first_recovery_point_may_take(house, hours):
    house.rules.rules = rules(f"deadline_hours: {hours}")

    row = await looked(house)

    start = row.deadline - timedelta(hours=hours)
    gold = worlds.policies(VAULT)[0]
    assert start.time() == gold.schedule.times[0]
    assert house.clock.now() < start <= house.clock.now() + timedelta(days=1)


# --- our own rights ------------------------------------------------------------------------------


async def test_a_right_that_we_lack_is_told_the_operators_once_and_the_owner_never(house):
    another = worlds.vm("web-2")
    house.machines.add(another)
    for vm in (VM, another):
        house.backup.refuse(vm.id, DENIED, times=3)
        await house.event(vm.id)

    await house.play(2 * 3600)

    row = await house.row(VM.id)
    assert row.state is State.WAITING
    (code,) = house.notices.operators
    assert code.startswith("OUR_RIGHTS Microsoft.RecoveryServices/vaults/backupFabrics/")
    assert code.endswith(f"/subscriptions/{worlds.SUB}/resourceGroups/rg-backup")
    words = house.notices.said[code]
    assert "az role assignment create" in words
    assert "--role 'Backup Operator'" in words
    assert house.notices.reported == []

    await house.play(3 * 3600)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.notices.operators == []


@pytest.mark.parametrize(
    "message, told, words",
    [
        pytest.param(
            "The client 'c' with object id 'o' has permission to perform action 'Microsoft."
            "RecoveryServices/vaults/x/write' on scope '/v'; however, it does not have permission"
            " to perform action(s) 'Microsoft.Compute/virtualMachines/write' on the linked"
            f" scope(s) '{VM.id}' (respectively) or the linked scope(s) are invalid.",
            f"OUR_RIGHTS Microsoft.Compute/virtualMachines/write /subscriptions/{worlds.SUB}",
            "Virtual Machine Contributor",
            id="linked",
        ),
        pytest.param(
            "The client has permission to perform action 'a' on scope 's', however the current"
            " tenant 't' is not authorized to access linked subscription"
            f" '{worlds.OTHER_SUB}'.",
            f"OUR_RIGHTS an action /subscriptions/{worlds.OTHER_SUB}",
            "another tenant",
            id="other tenant",
        ),
    ],
)
async def test_a_right_on_what_is_linked_is_named(house, message, told, words):
    house.backup.refuse(
        VM.id,
        fault(
            "LinkedAuthorizationFailed",
            status=403,
            disposition=Disposition.PARK,
            message=message,
        ),
    )

    row = await looked(house)

    assert (row.state, row.why) == (State.WAITING, told)
    assert house.notices.operators == [told]
    assert words in house.notices.said[told]


async def test_a_vm_that_may_not_be_read_waits_and_is_cleared_when_it_may(house):
    denied = fault(
        "AuthorizationFailed",
        status=403,
        disposition=Disposition.PARK,
        message="The client 'c' with object id 'o' does not have authorization to perform action"
        f" 'Microsoft.Compute/virtualMachines/read' over scope '{VM.id}' or the scope is invalid.",
    )
    house.machines.fail(VM.id, denied)

    await looked(house, seconds=30)
    told = f"OUR_RIGHTS Microsoft.Compute/virtualMachines/read /subscriptions/{worlds.SUB}"
    assert house.notices.operators == [told]
    assert "--role Reader" in house.notices.said[told]
    await house.play(2 * 3600)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.notices.operators == []
    assert house.notices.reported == []


# --- one verdict, one notice ---------------------------------------------------------------------


async def test_five_things_wrong_are_one_verdict_and_one_notice(house):
    wrong = replace(
        VM,
        os_disk=worlds.disk(ephemeral=True),
        data_disks=(
            *worlds.data_disks(33),
            worlds.disk(name="huge", lun=40, size_gb=70_000),
        ),
        hibernated=True,
        power="deallocated",
        os_name="Windows 10 32-bit",
    )
    house.machines.add(wrong)

    row = await looked(house, seconds=2 * 3600)

    five = ("DATA_DISK_COUNT", "DISK_SIZE", "EPHEMERAL_OS_DISK", "HIBERNATED", "OS_32_BIT")
    assert row.state is State.BLOCKED
    ((name, told),) = house.notices.reported
    assert (name, tuple(sorted(told))) == (VM.name, five)
