"""One contract for the Azure ports: the fakes, and the real adapters on the simulator."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import Frequency, OsType, PolicyKind, ProtectionState
from shared.domain.policycode import Keep as Same
from shared.domain.policycode import plan as compare
from shared.domain.policycode import to_body
from shared.domain.records import ChangeKind
from shared.domain.rules.declared import (
    DeclaredPolicy,
    Hardening,
    Keep,
    Kind,
    Redundancy,
    Timetable,
)
from shared.errors import AzureFault
from shared.ports import Change, Job
from tests.contract.stages import (
    DELETED,
    DISK,
    GOLD,
    GROUP,
    LAG,
    LOCK,
    NAMESAKE,
    NETWORK,
    OTHER,
    SECOND,
    SILVER,
    STOPPED,
    SUB,
    VAULT,
    VM,
    MemoryStage,
    Stage,
    simulated,
)

ITEM = item_of(VAULT, VM)
NEW_GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-new"
SETTLED = 400.0  # seconds in which any change has ended


@pytest.fixture(params=["memory", "simulator"])
async def azure(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    if request.param == "memory":
        yield MemoryStage()
        return
    async with simulated() as stage:
        identity = stage._sim.identity
        monkeypatch.setitem(os.environ, "IDENTITY_ENDPOINT", identity["endpoint"])
        monkeypatch.setitem(os.environ, "IDENTITY_HEADER", identity["header"])
        yield stage


def enroll(**more) -> Change:
    wish = {"vm": VM, "vault": VAULT, "policy": GOLD, "request_id": "aaaaaaaa-0000-4000-8000-1"}
    return Change(**({"kind": ChangeKind.ENROLL} | wish | more))


async def jobs_of(azure: Stage, *, operation: str = "", since: timedelta = timedelta(1)):
    found: list[Job] = []
    at = azure.clock.now() - since
    async for page in azure.backup.jobs(VAULT, since=at, operation=operation):
        found += page
    return found


async def enrolled(azure: Stage, **more) -> None:
    await azure.backup.send(enroll(**more))
    await azure.pass_time(SETTLED)


# --- machines ------------------------------------------------------------------------------------


async def test_a_vm_is_found_whatever_the_case_of_its_id(azure):
    found = await azure.machines.machine(virtual_machine(SUB, "RG-WEB", "VM1"))

    assert (found.id, found.location, found.os) == (VM, "westeurope", OsType.LINUX)
    assert (found.tags, found.provisioning) == ({"env": "prod"}, "Succeeded")
    assert [(disk.id, disk.lun) for disk in found.data_disks] == [(DISK, 0)]
    assert found.created is not None


async def test_a_vm_that_is_not_there_is_none(azure):
    assert await azure.machines.machine(virtual_machine(SUB, "rg-Web", "nobody")) is None


# --- the directory -------------------------------------------------------------------------------


async def test_vaults_and_their_policies_are_known(azure):
    vaults = {vault.id: vault for vault in await azure.directory.vaults()}
    policies = {policy.id: policy for policy in await azure.directory.policies(VAULT)}

    assert set(vaults) == {VAULT, SECOND}
    assert (vaults[VAULT].location, vaults[VAULT].tags) == ("westeurope", {"backup": "yes"})
    assert {GOLD, SILVER} <= set(policies)
    gold = policies[GOLD]
    assert (gold.kind, gold.schedule.frequency) == (PolicyKind.ENHANCED, Frequency.DAILY)
    assert (gold.retention.daily_days, gold.instant_restore_days) == (30, 7)


# --- changes and how they settle -----------------------------------------------------------------


async def test_an_enrollment_is_accepted_settles_by_its_job_and_is_pending_its_first_backup(azure):
    accepted = await azure.backup.send(enroll())

    running = await azure.backup.operation(VAULT, accepted.operation)
    assert (running.status, running.job) == ("InProgress", "")
    await azure.pass_time(SETTLED)
    (job,) = await jobs_of(azure, operation="ConfigureBackup")
    assert (job.status, job.request_id, job.errors) == ("Completed", enroll().request_id, ())
    assert job.vm_name.lower() == "vm1"
    assert job.container.lower() == "iaasvmcontainerv2;rg-web;vm1"
    assert job.started <= job.ended
    done = await azure.backup.operation(VAULT, accepted.operation)
    assert (done.status, done.job) == ("Succeeded", job.id)
    item = await azure.backup.item(ITEM)
    assert (item.id, item.source, item.vault) == (ITEM, VM, VAULT)
    assert (item.state, item.policy) == (ProtectionState.PENDING, GOLD)
    assert (item.has_recovery_point, item.last_backup) == (False, None)


async def test_an_enrollment_that_fails_in_its_job_leaves_no_item(azure):
    azure.order(VM, "job", "UserErrorGuestAgentStatusUnavailable")

    accepted = await azure.backup.send(enroll())
    await azure.pass_time(SETTLED)

    (job,) = await jobs_of(azure)
    assert (job.status, job.errors[0][0]) == ("Failed", "UserErrorGuestAgentStatusUnavailable")
    assert job.errors[0][1]
    assert (await azure.backup.operation(VAULT, accepted.operation)).status == "Failed"
    assert await azure.backup.item(ITEM) is None
    await enrolled(azure, request_id="aaaaaaaa-0000-4000-8000-2")
    assert (await azure.backup.item(ITEM)).policy == GOLD


async def test_an_enrollment_that_fails_without_a_job_says_so_in_its_operation(azure):
    azure.order(VM, "operation", "UserErrorVmNotInDesirableState")

    accepted = await azure.backup.send(enroll())
    await azure.pass_time(SETTLED)

    assert await jobs_of(azure) == []
    operation = await azure.backup.operation(VAULT, accepted.operation)
    assert (operation.status, operation.code) == ("Failed", "UserErrorVmNotInDesirableState")
    assert await azure.backup.item(ITEM) is None


async def test_a_refused_enrollment_is_a_fault_with_azures_code(azure):
    azure.order(VM, "4xx", "BMSUserErrorInvalidConfigureProtectionRequest")

    with pytest.raises(AzureFault) as caught:
        await azure.backup.send(enroll())

    assert caught.value.code == "BMSUserErrorInvalidConfigureProtectionRequest"
    assert caught.value.status == 400
    await azure.pass_time(SETTLED)
    assert await jobs_of(azure) == []


async def test_a_policy_can_be_changed(azure):
    await enrolled(azure)

    await azure.backup.send(enroll(kind=ChangeKind.CHANGE_POLICY, policy=SILVER))
    await azure.pass_time(SETTLED)

    assert (await azure.backup.item(ITEM)).policy == SILVER


async def test_a_stopped_item_is_resumed(azure):
    item = item_of(VAULT, STOPPED)
    before = await azure.backup.item(item)
    assert (before.state, before.policy) == (ProtectionState.STOPPED, None)

    await azure.backup.send(enroll(kind=ChangeKind.RESUME, vm=STOPPED, item=item))
    await azure.pass_time(SETTLED)

    after = await azure.backup.item(item)
    assert after.state in {ProtectionState.PENDING, ProtectionState.PROTECTED}
    assert after.policy == GOLD


async def test_a_deleted_item_must_be_brought_back_before_it_is_protected(azure):
    item = item_of(VAULT, DELETED)
    before = await azure.backup.item(item)
    assert before.state is ProtectionState.SOFT_DELETED
    assert before.deferred_delete > azure.clock.now()
    with pytest.raises(AzureFault):
        await azure.backup.send(enroll(vm=DELETED))

    await azure.backup.send(enroll(kind=ChangeKind.UNDELETE, vm=DELETED, item=item))
    await azure.pass_time(SETTLED)
    back = await azure.backup.item(item)
    assert (back.state, back.policy) == (ProtectionState.STOPPED, None)
    assert back.deferred_delete is None
    (job,) = await jobs_of(azure, operation="Undelete")
    assert job.status == "Completed"
    await azure.backup.send(enroll(kind=ChangeKind.RESUME, vm=DELETED, item=item))
    await azure.pass_time(SETTLED)
    assert (await azure.backup.item(item)).policy == GOLD


async def test_one_vm_has_one_vault(azure):
    await enrolled(azure)

    policy = SECOND.child("backupPolicies", "EnhancedPolicy")
    elsewhere = enroll(vault=SECOND, policy=policy, request_id="aaaaaaaa-0000-4000-8000-3")
    with suppress(AzureFault):  # refused at once, or in its job: nobody has seen which
        await azure.backup.send(elsewhere)
    await azure.pass_time(SETTLED)

    assert await azure.backup.item(item_of(SECOND, VM)) is None
    assert (await azure.backup.item(ITEM)).policy == GOLD


async def test_excluded_disks_stay_excluded(azure):
    await enrolled(azure, excluded_luns=(0,))

    assert (await azure.backup.item(ITEM)).excluded_luns == (0,)


async def test_a_backup_can_be_asked_for(azure):
    await enrolled(azure)
    until = azure.clock.now() + timedelta(days=30)

    await azure.backup.back_up_now(ITEM, request_id="aaaaaaaa-0000-4000-8000-4", keep_until=until)
    await azure.finish_backup(ITEM)

    item = await azure.backup.item(ITEM)
    assert (item.state, item.has_recovery_point) == (ProtectionState.PROTECTED, True)
    assert item.last_recovery_point is not None


async def test_what_azure_does_not_know_is_none(azure):
    assert await azure.backup.operation(VAULT, "aaaaaaaa-0000-4000-8000-5") is None
    assert await azure.backup.item(ITEM) is None


async def test_jobs_come_newest_first_and_not_older_than_asked(azure):
    await enrolled(azure)
    await azure.pass_time(3600)
    await azure.backup.send(
        enroll(kind=ChangeKind.CHANGE_POLICY, policy=SILVER, request_id="aaaaaaaa-0000-4000-8000-6")
    )
    await azure.pass_time(SETTLED)

    both = await jobs_of(azure)
    assert [job.request_id[-1] for job in both] == ["6", "1"]
    assert [job.request_id[-1] for job in await jobs_of(azure, since=timedelta(hours=1))] == ["6"]
    assert await jobs_of(azure, operation="Undelete") == []


async def test_items_are_counted_by_vault_and_policy_without_reading_them(azure):
    await enrolled(azure)
    await azure.pass_time(SETTLED)
    await azure.pass_time(LAG)

    held = await azure.estate.held([VAULT.subscription])

    assert {vault: dict(by) for vault, by in held.items()} == {
        VAULT.key: {GOLD.key: 1, "": 1}  # the stopped one; the deleted one counts no more
    }


# --- the index -----------------------------------------------------------------------------------


async def test_the_index_finds_items_by_name_and_counts_them(azure):
    await azure.pass_time(LAG)

    (stopped,) = await azure.index.named(STOPPED)
    (deleted,) = await azure.index.named(DELETED)
    room = await azure.index.room(VAULT)

    assert stopped.state is ProtectionState.STOPPED
    assert deleted.state is ProtectionState.SOFT_DELETED
    assert await azure.index.named(VM) == ()
    assert (room.items, room.today, dict(room.per_policy)) == (1, 0, {})
    assert (await azure.index.room(SECOND)).items == 0


async def test_the_index_knows_what_it_was_told_before_azure_shows_it(azure):
    await azure.index.named(VM)
    assert (await azure.index.room(VAULT)).items == 1
    await enrolled(azure)
    item = await azure.backup.item(ITEM)

    azure.index.learn(item)

    assert [found.policy for found in await azure.index.named(VM)] == [GOLD]
    assert [found.id for found in await azure.index.named(NAMESAKE)] == [ITEM]
    room = await azure.index.room(VAULT)
    assert (room.items, dict(room.per_policy)) == (2, {GOLD.key: 1})
    azure.index.learn(replace(item, state=ProtectionState.SOFT_DELETED))
    assert (await azure.index.room(VAULT)).items == 1
    azure.index.learn(item)
    assert (await azure.index.room(VAULT)).items == 2
    await azure.pass_time(2000)
    assert [found.policy for found in await azure.index.named(VM)] == [GOLD]


# --- the estate ----------------------------------------------------------------------------------


async def walked(walk) -> list:
    rows, cursor = [], ""
    while True:
        page = await walk(cursor)
        rows += page.rows
        cursor = page.cursor
        if not cursor:
            return rows


async def test_vms_of_one_subscription_are_walked_page_by_page(azure):
    await azure.pass_time(LAG)
    azure.page_size(2)

    seen = await walked(lambda cursor: azure.estate.vms(SUB, cursor))

    assert [vm.id for vm in seen] == [VM, STOPPED, DELETED]
    assert (seen[0].location, seen[0].tags) == ("westeurope", {"env": "prod"})
    assert seen[0].uid == (await azure.machines.machine(VM)).uid
    assert [vm.id for vm in await walked(lambda c: azure.estate.vms(OTHER, c))] == [NAMESAKE]


async def test_items_of_all_vaults_are_walked_page_by_page(azure):
    await enrolled(azure)
    await azure.pass_time(LAG)
    azure.page_size(1)

    items = await walked(lambda cursor: azure.estate.items([SUB, OTHER], cursor))

    assert {item.source: (item.state, item.policy) for item in items} == {
        VM: (ProtectionState.PENDING, GOLD),
        STOPPED: (ProtectionState.STOPPED, None),
        DELETED: (ProtectionState.SOFT_DELETED, None),
    }


async def test_inherited_tags_disks_locks_and_subscriptions_are_known(azure):
    await azure.pass_time(LAG)

    assert set(await azure.estate.subscriptions()) == {SUB, OTHER}
    assert (await azure.estate.group_tags([(SUB, "RG-WEB")]))[SUB, "rg-web"][0] == {"team": "web"}
    assert (await azure.estate.subscription_tags([SUB]))[SUB] == {"owner": "ops"}
    tenants = await azure.estate.tenants()
    assert tenants.keys() == {SUB, OTHER}
    assert tenants[SUB] == tenants[OTHER] != ""
    facts = (await azure.estate.disks([DISK]))[DISK.key]
    assert (facts.storage_type, facts.max_shares, facts.network_access) == (
        "UltraSSD_LRS",
        2,
        "DenyAll",
    )
    assert [(lock.level, lock.name) for lock in await azure.estate.locks(VM)] == [
        (LOCK.level, LOCK.name)
    ]
    assert await azure.estate.locks(virtual_machine(SUB, "other", "vm")) == ()


# --- pace ----------------------------------------------------------------------------------------


async def test_with_budgets_untouched_nothing_waits(azure):
    await azure.machines.machine(VM)

    assert await azure.pace.slot(SUB, urgent=False) == 0.0
    assert await azure.pace.vault_slot(VAULT) == 0.0
    azure.pace.settled(VAULT)
    assert azure.pace.may_read(SUB, "Microsoft.RecoveryServices/vaults/backupJobs/read") == 0.0


# --- networks, regions, Azure's own validation ---------------------------------------------------


async def test_the_network_of_a_vms_interfaces_is_read(azure):
    vm = await azure.machines.machine(VM)

    assert await azure.networks.interfaces(vm) == (NETWORK,)


async def test_the_regions_where_vaults_can_be_are_known(azure):
    regions = await azure.directory.regions(SUB)

    assert {"westeurope", "koreacentral", "germanywestcentral"} <= regions
    assert "antarctica" not in regions


async def test_azure_says_yes_or_no_to_a_vm_with_its_code_and_recommendation(azure):
    yes = await azure.backup.pre_validate(VM, "westeurope", VAULT)
    no = await azure.backup.pre_validate(STOPPED, "westeurope", VAULT)

    assert (yes.vault, yes.code) == (VAULT, "")
    assert no.code == "VirtualMachineAlreadyProtected"
    assert no.message
    assert no.recommendation


# --- policies and vaults as code -----------------------------------------------------------------

DECLARED = DeclaredPolicy(
    name="declared",
    kind=Kind.ENHANCED,
    schedule=Timetable(daily="23:00"),
    keep=Keep(days=45),
)


async def test_a_declared_policy_is_made_read_back_as_declared_and_changed(azure):
    policy = VAULT.child("backupPolicies", DECLARED.name)
    assert await azure.setup.policy(policy) is None

    await azure.setup.put_policy(policy, to_body(DECLARED))
    there = await azure.setup.policy(policy)
    assert compare(DECLARED, there) == Same(name="declared")

    longer = structs.replace(DECLARED, keep=Keep(days=60))
    assert compare(longer, there).differences == ("keep.days: 45 -> 60",)
    await azure.setup.put_policy(policy, to_body(longer))
    assert compare(longer, await azure.setup.policy(policy)) == Same(name="declared")


async def test_a_policy_with_vms_under_it_is_changed_and_followed_to_its_end(azure):
    await enrolled(azure)
    longer = structs.replace(DECLARED, name="gold", keep=Keep(days=99))

    await azure.setup.put_policy(GOLD, to_body(longer))

    assert compare(longer, await azure.setup.policy(GOLD)) == Same(name="gold")


async def test_a_hardened_vault_is_made_in_a_group_of_its_own_and_takes_policies(azure):
    vault = ArmId.parse(f"{NEW_GROUP}/providers/Microsoft.RecoveryServices/vaults/rsv-new")
    hardening = Hardening(redundancy=Redundancy.ZONE, tags={"backup": "yes"})
    assert await azure.setup.vault(vault) is None

    await azure.setup.put_vault(vault, "koreacentral", hardening)

    made = await azure.setup.vault(vault)
    assert (made.location, made.tags) == ("koreacentral", {"backup": "yes"})
    assert (made.redundancy, made.immutability) == ("ZoneRedundant", "Unlocked")
    assert (made.public_access, made.provisioning) == (False, "Succeeded")
    await azure.setup.put_policy(vault.child("backupPolicies", "declared"), to_body(DECLARED))
    assert [one.id for one in await azure.directory.vaults()].count(vault) == 1


async def test_a_new_vault_that_says_404_at_first_is_followed_all_the_same(monkeypatch):
    async with simulated() as stage:
        identity = stage._sim.identity
        monkeypatch.setitem(os.environ, "IDENTITY_ENDPOINT", identity["endpoint"])
        monkeypatch.setitem(os.environ, "IDENTITY_HEADER", identity["header"])
        stage._sim.world.knobs.turn({"backup.vault.first_404": "always"})
        vault = ArmId.parse(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/late")

        await stage.setup.put_vault(vault, "westeurope", Hardening())

        assert (await stage.setup.vault(vault)).provisioning == "Succeeded"
        calls = stage._sim.world.calls.since()
        looks = [call.status for call in calls if "operationstatus" in call.path.lower()]
        assert looks[0] == 404
        assert looks[-1] == 200
