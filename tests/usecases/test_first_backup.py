"""The first backup is started where the rule asks for it and the schedule is far, and only once."""

from datetime import timedelta

import pytest

from shared.domain.ids import item_of
from shared.domain.messages import Cause
from shared.domain.model import ProtectionState
from shared.domain.rules import parse
from shared.domain.states import State
from shared.errors import Disposition
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House, Killed

VAULT = worlds.vault()
VM = worlds.vm()
ITEM = item_of(VAULT.id, VM.id)
ENOUGH = 400  # seconds: enrolled, settled, looked at again


def house_of(first_backup: str, **environment) -> House:
    made = House(**environment)
    made.rules.rules = parse(
        worlds.RULES.replace(
            "default: {}", f"default: {{options: {{first_backup: {first_backup}}}}}"
        )
    )
    made.region(VAULT)
    made.machines.add(VM)
    return made


async def enrolled(house: House, seconds: float = ENOUGH):
    await house.event(VM.id)
    await house.play(seconds)
    return await house.row(VM.id)


@pytest.mark.parametrize(
    "first_backup, started",
    [
        pytest.param("never", False, id="never"),
        pytest.param("always", True, id="always"),
        # the house's clock shows when the tests' policy, daily at 23:00, starts next
        pytest.param("{further_than_hours: 1}", True, id="the schedule is further away"),
        pytest.param("{further_than_hours: 24}", False, id="the schedule is near"),
    ],
)
async def test_it_is_started_once_where_the_rule_and_the_schedule_say_so(first_backup, started):
    house = house_of(first_backup)

    row = await enrolled(house)
    await house.event(VM.id, cause=Cause.OPERATOR)
    await house.play(ENOUGH)

    assert row.state is State.ENROLLED
    assert house.backup.calls["back_up_now"] == started
    if started:
        ((item, request, keep_until),) = house.backup.backups
        assert (item, request) == (ITEM, row.backup_job)
        kept = worlds.policies(VAULT)[0].retention.daily_days
        assert (
            timedelta(0)
            <= house.clock.now() + timedelta(days=kept) - keep_until
            < timedelta(hours=1)
        )
        assert row.until == row.deadline


async def test_the_point_is_kept_as_long_as_the_policys_daily_ones():
    house = house_of("always")
    weekly = worlds.vm("weekly", tags={"backup-tier": "bronze"})
    house.machines.add(weekly)
    await house.event(weekly.id)
    await enrolled(house)

    kept = {item.key: until - house.clock.now() for item, _, until in house.backup.backups}
    assert timedelta(days=29) < kept[ITEM.key] < timedelta(days=30)
    assert timedelta(days=6) < kept[item_of(VAULT.id, weekly.id).key] < timedelta(days=7)


async def test_nobody_is_told_and_nothing_else_is_written():
    house = house_of("always")
    await enrolled(house)
    assert house.notices.reported == []
    assert house.sent(VM.id) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"state": ProtectionState.PROTECTED}, id="protected"),
        pytest.param({"state": ProtectionState.PENDING, "last_recovery_point": worlds.NOW}, id="a point"),
        pytest.param({"state": ProtectionState.PENDING, "last_backup": worlds.NOW}, id="a failed backup"),
    ],
)  # fmt: skip
async def test_it_is_never_started_after_any_backup(changes):
    house = house_of("always")
    house.backup.put(worlds.item(VAULT, VM, **changes))

    await enrolled(house)

    assert house.backup.calls["back_up_now"] == 0


async def test_an_index_that_is_older_than_the_first_backup_starts_no_second_one():
    house = house_of("always")
    house.backup.put(worlds.item(VAULT, VM, state=ProtectionState.PENDING))
    await house.index.named(VM.id)
    house.backup.put(worlds.item(VAULT, VM, last_recovery_point=worlds.NOW))

    await enrolled(house)

    assert house.backup.calls["back_up_now"] == 0


async def test_protection_made_by_hand_that_waits_for_its_first_backup_gets_it_too():
    house = house_of("always")
    house.backup.put(worlds.item(VAULT, VM, state=ProtectionState.PENDING))

    await enrolled(house)

    assert house.backup.calls["back_up_now"] == 1


async def test_what_another_vault_protects_or_nobody_may_protect_gets_none():
    house = house_of("always")
    other = worlds.vault("rsv-team", tags={})
    house.directory.add(other, *worlds.policies(other))
    house.backup.put(worlds.item(other, VM, state=ProtectionState.PENDING))
    node = worlds.vm("node", managed_by="/subscriptions/x/y/z/cluster")
    house.machines.add(node)
    await house.event(node.id)

    assert (await enrolled(house)).state is State.ELSEWHERE
    assert (await house.row(node.id)).state is State.IGNORED
    assert house.backup.calls["back_up_now"] == 0


async def test_observe_mode_starts_nothing():
    house = house_of("always", MODE="observe")
    house.backup.put(worlds.item(VAULT, VM, state=ProtectionState.PENDING))

    await enrolled(house)

    assert house.backup.calls["back_up_now"] == 0


async def test_a_throttle_is_waited_out():
    house = house_of("always")
    busy = fault("ResourceRequestsThrottled", status=429, disposition=Disposition.DEFER)
    house.backup.fail_reads("back_up_now", busy, times=2)

    row = await enrolled(house, 1500)

    assert (row.state, len(house.backup.backups)) == (State.ENROLLED, 1)
    assert row.backup_job == house.backup.backups[0][1]


async def test_a_refusal_leaves_the_vm_to_its_schedule():
    house = house_of("always")
    runs = fault("UserErrorBackupOperationInProgress", status=400, disposition=Disposition.PARK)
    house.backup.fail_reads("back_up_now", runs)

    row = await enrolled(house, 1500)

    assert (row.state, row.until) == (State.ENROLLED, row.deadline)
    assert house.backup.calls["back_up_now"] == 1
    assert house.notices.reported == []


async def test_a_crash_before_the_answer_starts_no_second_one():
    house = house_of("always")
    house.backup.fail_reads("back_up_now", Killed())

    row = await enrolled(house, 2000)

    assert house.kills == 1
    assert (row.state, row.until, row.claim) == (State.ENROLLED, row.deadline, None)
    assert house.backup.calls["back_up_now"] == 1


async def test_a_vm_that_is_enrolled_anew_gets_another_first_backup():
    house = house_of("always")
    await enrolled(house)
    house.backup.stored.clear()
    house.index.forget()
    await house.play(7200, step=60)
    await enrolled(house, 1500)

    assert (await house.row(VM.id)).state is State.ENROLLED
    assert house.backup.calls["back_up_now"] == 2


@pytest.mark.parametrize("shown", [True, False], ids=["in the item's health", "in its job alone"])
async def test_a_failed_first_backup_is_told_with_its_own_error_once_it_is_overdue(shown):
    house = house_of("never")
    row = await enrolled(house)
    message = "Could not communicate with the VM agent for snapshot status."
    house.backup.fail_backup(ITEM, "UserErrorGuestAgentStatusUnavailable", message, shown=shown)
    assert house.notices.reported == []
    house.clock.advance((row.deadline - house.clock.now()).total_seconds())
    await house.play(1200, step=60)

    row = await house.row(VM.id)
    [found] = [one for one in row.findings if one.code.startswith("FIRST_BACKUP")]
    assert found.code == "FIRST_BACKUP_FAILED"
    assert found.evidence.startswith(f"UserErrorGuestAgentStatusUnavailable: {message}")
    assert f"{row.deadline:%Y-%m-%d %H:%M}" in found.evidence
    assert found.remedies[0].text
    assert house.notices.reported == [(VM.id.name, ("FIRST_BACKUP_FAILED",))]

    house.backup.finish_backup(ITEM)
    house.index.forget()
    await house.play(7 * 3600, step=60)
    assert (await house.row(VM.id)).state is State.PROTECTED
    assert house.notices.cleared == [VM.id.name]


async def test_a_failed_backup_of_another_vm_says_nothing_of_this_one():
    house = house_of("never")
    row = await enrolled(house)
    other = worlds.vm("other", uid="u-other")
    house.machines.add(other)
    await house.event(other.id)
    await house.play(ENOUGH)
    house.backup.fail_backup(item_of(VAULT.id, other.id), "UserErrorX", "x", shown=False)
    house.clock.advance((row.deadline - house.clock.now()).total_seconds())
    await house.play(1200, step=60)

    told = dict(house.notices.reported)
    assert told == {VM.id.name: ("FIRST_BACKUP_OVERDUE",), "other": ("FIRST_BACKUP_FAILED",)}
