"""One VM from event to protection, over fakes: the state table of the design, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.ids import item_of, virtual_machine
from shared.domain.messages import Cause, WorkItem
from shared.domain.model import DiskFacts, ProtectionState, SecurityType
from shared.domain.states import State
from shared.errors import Disposition
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
PARK = Disposition.PARK


@pytest.fixture
def house():
    made = House()
    made.region(VAULT)
    return made


async def enrolled(house, vm):
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(120)
    return await house.row(vm.id)


async def test_a_ready_vm_is_enrolled_and_protected_only_with_a_recovery_point(house):
    vm = worlds.vm()

    row = await enrolled(house, vm)

    assert row.state is State.ENROLLED
    assert row.policy.endswith("/gold")
    assert row.deadline is not None
    assert house.sent(vm.id) == 1
    assert house.notices.reported == []

    house.backup.finish_backup(item_of(VAULT.id, vm.id))
    house.index.forget()
    await house.play(1000)

    assert (await house.row(vm.id)).state is State.PROTECTED
    assert house.sent(vm.id) == 1


async def test_duplicates_and_late_events_cost_one_put(house):
    vm = worlds.vm()
    house.machines.add(vm)
    for late in (0, 3, 1, 40, 2):
        await house.event(vm.id, late=late)

    await house.play(120)

    assert house.sent(vm.id) == 1
    assert (await house.row(vm.id)).state is State.ENROLLED


async def test_a_vm_that_is_gone_with_nothing_left_is_gone(house):
    await house.event(worlds.vm().id)
    await house.play(30)

    assert (await house.row(worlds.vm().id)).state is State.GONE


async def test_a_deletion_during_the_enrollment_leaves_an_orphan_that_is_not_touched(house):
    vm = worlds.vm()
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(10)
    house.machines.remove(vm.id)
    await house.event(vm.id)
    await house.play(300)

    assert (await house.row(vm.id)).state is State.ORPHANED
    assert house.sent(vm.id) == 1


async def test_an_enable_that_fails_for_the_agent_is_tried_again_without_a_notice(house):
    vm = worlds.vm()
    house.backup.fail_job(vm.id, "UserErrorGuestAgentStatusUnavailable", "agent not ready")

    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(600)

    assert (await house.row(vm.id)).state is State.ENROLLED
    assert house.sent(vm.id) == 2
    assert house.notices.reported == []


@pytest.mark.parametrize("how", ["job", "operation", "4xx"])
async def test_a_permanent_failure_ends_in_its_own_finding_whatever_way_it_arrives(house, how):
    vm = worlds.vm()
    code = "UserErrorBCMUnsupportedDiskCount"
    if how == "job":
        house.backup.fail_job(vm.id, code, "too many disks")
    elif how == "operation":
        house.backup.fail_operation(vm.id, code, "too many disks")
    else:
        house.backup.refuse(vm.id, fault(code, status=400, disposition=Disposition.PARK))

    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(900)

    row = await house.row(vm.id)
    assert row.state is State.BLOCKED
    assert house.sent(vm.id) <= 1
    assert len(house.notices.reported) == 1
    assert any(code in one.evidence or code in one.code for one in row.findings)


async def test_a_throttled_put_waits_as_long_as_it_is_told_and_nobody_hears(house):
    vm = worlds.vm()

    house.backup.refuse(
        vm.id,
        fault(
            "ResourceRequestsThrottled", status=429, disposition=Disposition.DEFER, retry_after=324
        ),
    )
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(300)

    assert (await house.row(vm.id)).state is State.WAITING
    assert house.sent(vm.id) == 0

    await house.play(200)

    assert (await house.row(vm.id)).state is State.ENROLLED
    assert house.notices.reported == []


async def test_an_answer_that_got_lost_is_found_in_the_job_list(house):
    vm = worlds.vm()
    house.backup.lose_answer(vm.id)
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(600)

    assert (await house.row(vm.id)).state is State.ENROLLED
    assert house.sent(vm.id) == 1


async def test_everything_that_stands_in_the_way_is_one_notice(house):
    vm = worlds.vm(data_disks=worlds.data_disks(33), tags={"backup-tier": "glod"})
    row = await enrolled(house, vm)

    assert row.state is State.BLOCKED
    assert {"DATA_DISK_COUNT", "TAG_VALUE_UNKNOWN"} <= {one.code for one in row.findings}
    assert len(house.notices.reported) == 1


async def test_a_region_without_vault_blocks_until_there_is_one_then_resolves(house):
    vm = worlds.vm(location="koreacentral")
    row = await enrolled(house, vm)

    assert row.state is State.BLOCKED
    assert house.notices.reported == [(vm.name, ("NO_VAULT_IN_REGION",))]

    house.region(worlds.vault("rsv-kr", location="koreacentral"))
    await house.play(1200)

    assert (await house.row(vm.id)).state is State.ENROLLED
    assert house.notices.cleared == [vm.name]
    assert len(house.notices.reported) == 1


async def test_a_weaker_tier_is_a_finding_and_no_change(house):
    vm = worlds.vm()
    await enrolled(house, vm)
    house.backup.finish_backup(item_of(VAULT.id, vm.id))
    house.index.forget()
    house.machines.add(replace(vm, tags={"backup-tier": "bronze"}))
    await house.event(vm.id)
    await house.play(60)

    row = await house.row(vm.id)
    assert row.state is State.PROTECTED
    assert row.policy.endswith("/gold")
    assert [one.code for one in row.findings if one.code == "POLICY_WEAKER"]
    assert house.sent(vm.id) == 1
    assert house.notices.reported == [(vm.name, ("POLICY_WEAKER",))]


async def test_a_stronger_tier_changes_the_policy(house):
    vm = worlds.vm(tags={"backup-tier": "bronze"})
    await enrolled(house, vm)
    house.machines.add(replace(vm, tags={"backup-tier": "gold"}))
    await house.event(vm.id)
    await house.play(300)

    row = await house.row(vm.id)
    assert row.policy.endswith("/gold")
    assert row.state is State.ENROLLED
    assert house.sent(vm.id) == 2


async def test_a_vm_in_another_teams_vault_is_left_alone(house):
    other = worlds.vault("rsv-team-x", tags={})
    house.region(other)
    vm = worlds.vm()
    house.backup.put(worlds.item(other, vm))
    row = await enrolled(house, vm)

    assert row.state is State.ELSEWHERE
    assert house.sent(vm.id) == 0
    assert house.notices.reported == []


@pytest.mark.parametrize(
    "state, expected",
    [(ProtectionState.STOPPED, State.STOPPED), (ProtectionState.SOFT_DELETED, State.SOFT_DELETED)],
)
async def test_protection_taken_away_by_hand_is_reported_and_not_undone(house, state, expected):
    vm = worlds.vm()
    house.backup.put(worlds.item(VAULT, vm, state=state, policy=None))
    row = await enrolled(house, vm)

    assert row.state is expected
    assert house.sent(vm.id) == 0
    assert len(house.notices.reported) == 1


async def test_a_trusted_launch_vm_whose_tier_has_no_enhanced_policy_is_blocked(house):
    vm = worlds.vm(
        security=SecurityType.TRUSTED_LAUNCH, tags={"backup-tier": "silver", "env": "prod"}
    )
    row = await enrolled(house, vm)

    assert row.state is State.BLOCKED
    assert [one.code for one in row.findings if one.code == "POLICY_KIND"]


async def test_a_vm_that_is_being_made_is_waited_for(house):
    vm = worlds.vm(provisioning="Creating")
    row = await enrolled(house, vm)

    assert row.state is State.WAITING
    assert house.sent(vm.id) == 0

    house.machines.add(replace(vm, provisioning="Succeeded"))
    await house.play(300)

    assert (await house.row(vm.id)).state is State.ENROLLED


async def test_observe_mode_says_what_it_would_do_and_does_nothing():
    house = House(MODE="observe")
    house.region(VAULT)
    row = await enrolled(house, worlds.vm())

    assert row.state is State.OBSERVED
    assert "enroll in vault rsv-we under policy gold" in row.would
    assert house.backup.sent == []


async def test_a_vm_older_than_the_start_date_is_touched_by_backfill_only():
    house = House(ENROLL_SINCE="2026-11-20T08:30:00Z")
    house.region(VAULT)
    vm = worlds.vm()
    row = await enrolled(house, vm)

    assert row.state is State.OBSERVED
    assert house.backup.sent == []

    await house.event(vm.id, cause=Cause.BACKFILL)
    await house.play(120)

    assert (await house.row(vm.id)).state is State.ENROLLED


@pytest.mark.parametrize("seconds", [1, 30], ids=["at once", "later"])
async def test_a_sweep_that_was_there_first_does_not_take_a_backfill_its_vm(seconds):
    """Its message is older than the look that left the VM alone, and is no less a wish."""
    house = House(ENROLL_SINCE="2026-11-20T08:30:00Z")
    house.region(VAULT)
    vm = worlds.vm()
    house.machines.add(vm)
    wished = house.clock.now()
    house.clock.advance(seconds)
    await enrolled(house, vm)
    assert house.backup.sent == []
    await house.queues.send(
        WorkItem(vm=str(vm.id), seen_at=wished, cause=Cause.BACKFILL), backlog=True
    )
    await house.play(120)

    assert (await house.row(vm.id)).state is State.ENROLLED


async def test_a_vm_that_a_backfill_let_in_stays_let_in_while_it_waits():
    house = House(ENROLL_SINCE="2026-11-20T08:30:00Z")
    house.region(VAULT)
    vm = worlds.vm(provisioning="Updating")
    house.machines.add(vm)
    await house.event(vm.id, cause=Cause.BACKFILL)
    await house.play(60)
    assert (await house.row(vm.id)).state is State.WAITING
    house.machines.add(worlds.vm())
    await house.play(3600, step=30)

    assert (await house.row(vm.id)).state is State.ENROLLED


async def test_the_ceiling_holds_for_all_causes_and_the_operators_hear_once():
    house = House(CHANGES_PER_HOUR="3")
    house.region(VAULT)
    vms = [worlds.vm(f"vm-{number}") for number in range(6)]
    house.machines.add(*vms)
    for vm in vms:
        await house.event(vm.id)
    await house.play(300)

    assert len(house.backup.sent) == 3
    assert house.notices.operators == ["CEILING_REACHED"]

    await house.play(3600, step=30)

    assert len(house.backup.sent) == 6


async def test_a_vault_without_a_free_place_today_is_passed_over():
    house = House(PLACE_CAP="2")
    second = worlds.vault("rsv-two")
    house.region(VAULT, second)
    vms = [worlds.vm(f"vm-{number}") for number in range(5)]
    house.machines.add(*vms)
    for vm in vms:
        await house.event(vm.id)
    await house.play(300)

    by_vault = {}
    for change in house.backup.sent:
        by_vault[change.vault.name] = by_vault.get(change.vault.name, 0) + 1
    assert by_vault == {"rsv-we": 2, "rsv-two": 2}
    waiting = [row for row in house.ledger.all_rows() if row.state is State.WAITING]
    assert len(waiting) == 1
    assert waiting[0].until is not None
    assert waiting[0].until - house.clock.now() > timedelta(hours=10)
    assert len(house.ledger.all_due()) == 1 + 4  # the wait, and four deadlines


async def test_reading_that_is_refused_concludes_nothing_and_tells_the_operators(house):

    vm = worlds.vm()
    house.machines.add(vm)
    house.machines.fail(
        vm.id, fault("AuthorizationFailed", status=403, disposition=Disposition.PARK), times=2
    )
    await house.event(vm.id)
    await house.play(30)

    assert (await house.row(vm.id)).state is State.STUCK
    assert house.notices.operators == [f"OUR_RIGHTS an action /subscriptions/{worlds.SUB}"]
    assert house.notices.reported == []


async def test_a_first_recovery_point_that_does_not_come_is_told(house):
    vm = worlds.vm()
    row = await enrolled(house, vm)
    assert row.deadline is not None
    await house.play((row.deadline - house.clock.now()).total_seconds() + 1200, step=60)

    row = await house.row(vm.id)
    assert row.state is State.ENROLLED
    assert [one.code for one in row.findings if one.code == "FIRST_BACKUP_OVERDUE"]
    assert house.notices.reported == [(vm.name, ("FIRST_BACKUP_OVERDUE",))]


async def test_a_refusal_because_the_vm_is_gone_is_no_news_for_its_owner(house):
    vm = worlds.vm()
    house.machines.add(vm)
    house.backup.refuse(
        vm.id,
        fault("BMSUserErrorInvalidConfigureProtectionRequest", status=400, disposition=PARK),
    )
    send = house.backup.send

    async def send_too_late(change):
        house.machines.remove(vm.id)
        return await send(change)

    house.backup.send = send_too_late
    await house.event(vm.id)
    await house.play(60)

    assert (await house.row(vm.id)).state is State.GONE
    assert house.notices.reported == []


async def test_disks_that_the_rule_leaves_out_are_left_out_of_the_put(house):
    text = worlds.RULES.replace(
        "default: {}", "default: {options: {shared_disks: exclude, policy_kind: enhanced}}"
    )
    house.rules.rules = worlds.rules(text)
    disk = virtual_machine(worlds.SUB, "rg-app", "x").child("disks", "shared")
    vm = worlds.vm(data_disks=worlds.data_disks(2, id=disk))
    house.estate.disk_facts[disk.key] = DiskFacts(
        id=disk,
        size_gb=64,
        storage_type="Premium_LRS",
        max_shares=2,
        network_access=None,
        data_access_auth=None,
    )
    row = await enrolled(house, vm)

    assert row.state is State.ENROLLED
    assert house.backup.sent[0].excluded_luns == (0, 1)


UNKNOWN_IS_DEFAULT = worlds.RULES.replace(
    "  default: silver\n", "  default: silver\n  unknown_value: default\n"
)


async def test_an_advisory_worth_telling_is_told_at_once_and_stands_until_it_is_gone(house):
    house.rules.rules = worlds.rules(UNKNOWN_IS_DEFAULT)
    vm = worlds.vm(tags={"backup-tier": "glod"})
    row = await enrolled(house, vm)

    assert row.state is State.ENROLLED
    assert house.notices.reported == [(vm.name, ("TAG_VALUE_UNKNOWN",))]

    house.backup.finish_backup(item_of(VAULT.id, vm.id))
    house.index.forget()
    await house.play(1000)

    assert (await house.row(vm.id)).state is State.PROTECTED
    assert house.notices.cleared == []

    house.machines.add(replace(vm, tags={"backup-tier": "silver"}))
    await house.event(vm.id)
    await house.play(60)

    assert house.notices.cleared == [vm.name]
    assert len(house.notices.reported) == 1
