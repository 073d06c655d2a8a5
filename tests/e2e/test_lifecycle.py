"""What happens to a VM after its first day: over the wire, against Azure as the simulator has it.

Each test is a sentence of what the service promises of tags, policies, items and people; nothing is
taken from memory that the real adapters did not read.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from bench import estates
from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.records import DecisionKind
from shared.domain.states import State
from tests.e2e.country import Country, country, seed, vm_id

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def protected(place: Country, number: int = 0, tier: str = "silver") -> str:
    """Give a VM that has its first recovery point."""
    vm = await place.create(number, tier)
    await place.settle()
    await place.night()
    assert (await place.told(vm)).state is State.PROTECTED
    return vm


async def test_a_tag_that_asks_for_more_changes_the_policy_and_one_for_less_does_not():
    async with country() as place:
        vm = await protected(place)
        await place.retag(vm, "gold")
        await place.settle()
        assert place.held(vm)[1].policy == "gold"

        for tier in ("silver", "gold", "bronze", "gold", "silver"):  # somebody cannot decide
            await place.retag(vm, tier)
            await place.later()

        assert [one.new for one in place.sent_for(vm)] == ["silver", "gold"]
        assert place.held(vm)[1].policy == "gold"
        [weaker] = [one for one in (await place.told(vm)).findings if one.code == "POLICY_WEAKER"]
        assert weaker.evidence == "gold to silver: daily retention: 90 days to 30 days"
        assert "python -m ops decide consent-weaker" in weaker.remedies[0].az
        assert (await place.told(vm)).state is State.PROTECTED


async def test_an_operator_who_names_vm_and_policy_has_it_weakened_and_no_other():
    async with country() as place:
        vm = await protected(place, 0, "gold")
        other = await protected(place, 1, "gold")
        for one in (vm, other):
            await place.retag(one, "bronze")
        await place.consent(vm, DecisionKind.CONSENT_WEAKER, "silver")  # another policy
        await place.later()
        assert place.held(vm)[1].policy == "gold"

        await place.consent(vm, DecisionKind.CONSENT_WEAKER, "bronze")
        await place.later()

        assert place.held(vm)[1].policy == "bronze"
        assert place.held(other)[1].policy == "gold"


async def test_a_policy_that_was_made_weaker_a_minute_ago_is_not_chosen_for_what_it_was():
    """The service knows policies for minutes; what it changes to, it reads before it sends."""
    async with country() as place:
        vm = await protected(place)
        await place.event(ArmId.parse(vm))  # policies were read now
        await place.settle(60)
        place.keep_for("gold", 14)
        place.advance(90)
        await place.retag(vm, "gold")
        await place.settle()

        assert [one.new for one in place.sent_for(vm)] == ["silver"]
        [weaker] = [one for one in (await place.told(vm)).findings if one.code == "POLICY_WEAKER"]
        assert weaker.evidence == "silver to gold: daily retention: 30 days to 14 days"


async def test_a_policy_that_was_made_stronger_a_minute_ago_is_not_left_for_what_it_was():
    async with country() as place:
        vm = await protected(place)
        await place.event(ArmId.parse(vm))
        await place.settle(60)
        place.keep_for("silver", 365)
        place.advance(90)
        await place.retag(vm, "gold")
        await place.settle()

        assert [one.new for one in place.sent_for(vm)] == ["silver"]
        assert "POLICY_WEAKER" in await place.codes(vm)


@pytest.mark.parametrize("by", ["rules", "operator"])
async def test_the_door_to_enhanced_is_passed_with_consent_alone(by):
    async with country() as place:
        vm = await protected(place)
        await place.retag(vm, "hard")
        await place.later()
        assert "POLICY_ONE_WAY" in await place.codes(vm)
        assert place.held(vm)[1].policy == "silver"

        if by == "rules":
            place.govern("consents: {standard_to_enhanced: true}")
            await place.event(ArmId.parse(vm))
        else:
            await place.consent(vm, DecisionKind.CONSENT_ENHANCED, "hard")
        await place.later()
        assert place.held(vm)[1].policy == "hard"

        await place.retag(vm, "silver")  # and never back
        await place.later()
        assert place.held(vm)[1].policy == "hard"
        assert len(place.sent_for(vm)) == 2


async def test_what_others_change_back_twice_is_left_to_them():
    async with country() as place:
        vm = await protected(place)
        await place.retag(vm, "gold")
        await place.later()
        for _ in range(4):
            place.change_item(vm, policyId="silver")
            await place.later()

        assert [one.new for one in place.sent_for(vm)] == ["silver", "gold", "gold"]
        assert "MANAGED_ELSEWHERE" in await place.codes(vm)
        assert place.held(vm)[1].policy == "silver"


@pytest.mark.parametrize("how", ["reported", "rules", "operator"])
async def test_protection_stopped_by_hand_is_reported_or_resumed_as_the_rule_says(how):
    async with country() as place:
        vm = await protected(place)
        if how == "rules":
            place.govern("consents: {resume_stopped: true}")
        place.stop(vm)
        await place.later()
        if how == "operator":
            assert (await place.told(vm)).state is State.STOPPED
            await place.consent(vm, DecisionKind.CONSENT_RESUME)
            await place.later()

        state = (await place.told(vm)).state
        assert state is (State.STOPPED if how == "reported" else State.PROTECTED)
        resumed = [] if how == "reported" else ["silver"]
        assert [one.new for one in place.sent_for(vm)] == ["silver", *resumed]
        assert ("opened" in place.letters(vm)) == (how != "rules")


@pytest.mark.parametrize("how", ["stopped", "deleted"])
async def test_rules_that_resume_for_all_do_not_resume_under_less_than_there_was(how):
    """Whoever may write tags must not be able to cut recovery points that somebody kept."""
    async with country() as place:
        vm = await protected(place, tier="gold")
        place.govern("consents: {resume_stopped: true, undelete: true}")
        place.stop(vm) if how == "stopped" else place.delete_item(vm)
        await place.retag(vm, "bronze")
        await place.later()

        assert (await place.told(vm)).state is State.STOPPED
        assert await place.codes(vm) >= {"PROTECTION_STOPPED", "POLICY_WEAKER"}
        assert [one.new for one in place.sent_for(vm) if one.new] == ["gold"]

        await place.consent(vm, DecisionKind.CONSENT_WEAKER, "bronze")
        await place.later()
        assert [one.new for one in place.sent_for(vm) if one.new] == ["gold", "bronze"]


@pytest.mark.parametrize("how", ["reported", "rules", "operator"])
async def test_what_was_soft_deleted_is_undeleted_on_consent_in_two_steps(how):
    async with country() as place:
        vm = await protected(place)
        if how == "rules":
            place.govern("consents: {undelete: true}")
        place.delete_item(vm)
        await place.later()
        if how == "operator":
            assert (await place.told(vm)).state is State.SOFT_DELETED
            await place.consent(vm, DecisionKind.CONSENT_UNDELETE)
            await place.later()

        if how == "reported":
            assert (await place.told(vm)).state is State.SOFT_DELETED
            assert "SOFT_DELETED" in await place.codes(vm)
            assert len(place.sent_for(vm)) == 1
            return
        undelete, resume = place.sent_for(vm)[1:]
        assert (undelete.sent.get("isRehydrate"), undelete.new) == (True, "")
        assert (resume.sent.get("isRehydrate"), resume.new) == (None, "silver")
        assert "protectionState" not in undelete.sent
        assert (await place.told(vm)).state is State.PROTECTED
        assert place.held(vm)[1].points


async def test_the_item_of_a_vm_that_is_gone_is_reported_with_its_age_and_left_alone():
    async with country() as place:
        vm = await protected(place)
        place.delete(vm)
        await place.announce(*place.published())
        await place.later()
        place.advance(40 * 86_400)
        await place.later()

        row = await place.told(vm)
        assert row.state is State.ORPHANED
        [found] = [one for one in row.findings if one.code == "ORPHANED"]
        assert "rsv-0" in found.evidence
        assert place.clock.now() - row.since > timedelta(days=40)
        assert place.held(vm)[1].points
        assert place.deleted == []
        assert len(place.sent_for(vm)) == 1


async def test_a_vm_made_anew_under_an_old_name_is_not_taken_for_the_old_one():
    async with country() as place:
        vm = await protected(place)
        await place.recreate(vm)
        await place.later()
        row = await place.told(vm)
        assert (row.state, [one.code for one in row.findings if one.code == "VM_RECREATED"]) == (
            State.BLOCKED,
            ["VM_RECREATED"],
        )
        assert len(place.sent_for(vm)) == 1

        await place.consent(vm, DecisionKind.CONSENT_RESUME)
        await place.night()
        assert (await place.told(vm)).state is State.PROTECTED


async def test_consent_to_undelete_mixes_no_recovery_points_of_two_vms():
    async with country() as place:
        vm = await protected(place)
        place.delete_item(vm)
        await place.recreate(vm)
        place.govern("consents: {undelete: true, resume_stopped: true}")
        await place.later()

        assert "VM_RECREATED" in await place.codes(vm)
        assert len(place.sent_for(vm)) == 1


@pytest.mark.parametrize(
    "group, subscription",
    [
        pytest.param("rg-team-01", estates.MAIN, id="group"),
        pytest.param("rg-web", estates.NEIGHBOR, id="subscription"),
    ],
)
@pytest.mark.parametrize("backed_up", [True, False], ids=["backed up", "before its first backup"])
async def test_a_vm_that_moved_is_told_with_both_ids_and_never_enrolled_again_by_itself(
    group, subscription, backed_up
):
    async with country() as place:
        vm = await place.create(0)
        await place.settle()
        if backed_up:
            await place.night()
            place.stop(vm)  # Azure does not let it move otherwise
        there = await place.move(vm, group, subscription)
        for _ in range(6):
            await place.later()

        row = await place.told(there)
        assert row.state is State.BLOCKED
        [moved] = [one for one in row.findings if one.code == "MOVED"]
        assert vm in moved.evidence
        assert there in moved.evidence
        assert len(place.puts) == 1
        assert (await place.told(vm)).state is State.ORPHANED
        assert place.letters(there).count("opened") == 1

        await place.consent(there, DecisionKind.CONSENT_RESUME)
        await place.later()
        assert [one.sent["sourceResourceId"] for one in place.puts] == [vm, there]
        assert (await place.told(there)).state is State.ENROLLED


async def test_a_vm_in_a_vault_that_no_rule_names_is_left_there():
    async with country(seed(vaults=2)) as place:
        private = {**estates.vault("rsv-1"), "tags": {}}
        place.put(private)
        vm = str(estates.machine(0, groups=2)["id"])
        place.put({**estates.machine(0, groups=2), "tags": {"backup-tier": "gold"}})
        place.enroll_by_hand(vm, 1, "bronze")
        await place.later()

        assert (await place.told(vm)).state is State.ELSEWHERE
        [found] = [c for c in (await place.told(vm)).findings if c.code == "PROTECTED_ELSEWHERE"]
        assert "rsv-1" in found.evidence
        assert place.puts == []


async def test_a_policy_that_rules_want_and_somebody_deleted_is_named_until_it_is_back():
    async with country() as place:
        assert place.delete_policy("gold").status == 200
        await place.later()
        vm = await place.create(0, "gold")
        await place.later()
        assert (await place.told(vm)).state is State.BLOCKED
        [found] = [one for one in (await place.told(vm)).findings if one.code == "POLICY_MISSING"]
        assert "gold" in found.text + found.evidence
        assert place.puts == []

        place.restore_policy("gold")
        await place.later()
        assert place.held(vm)[1].policy == "gold"
        assert place.letters(vm) == ["opened", "resolved"]


async def test_a_policy_deleted_in_the_moment_before_the_put_is_named_and_the_vm_enrolled_later():
    """The directory still shows it; Azure alone knows."""
    async with country() as place:
        await place.create(1, "gold")
        await place.settle()
        assert place.change_item(vm_id(1), policyId="silver").status == 202
        assert place.delete_policy("gold").status == 200
        vm = await place.create(0, "gold")
        await place.later()
        assert (await place.told(vm)).state is State.BLOCKED
        assert place.held_by(vm) == []

        place.restore_policy("gold")
        await place.event(ArmId.parse(vm))
        await place.later()
        place.advance(6 * 3600.0)
        await place.later()
        assert place.held(vm)[1].policy == "gold"


async def test_a_policy_in_use_cannot_be_deleted_and_a_weaker_edit_of_it_is_nobody_elses_put():
    async with country() as place:
        vm = await protected(place)
        refused = place.delete_policy("silver")
        assert refused.status == 400
        place.keep_for("silver", 8)
        await place.later()

        assert (await place.told(vm)).state is State.PROTECTED
        assert len(place.sent_for(vm)) == 1


async def test_a_first_backup_that_failed_is_told_with_the_jobs_own_error():
    async with country() as place:
        order = {"code": "UserErrorGuestAgentStatusUnavailable", "message": "No agent.", "times": 1}
        place.sim.world.knobs.turn({"backup.run.orders": {vm_id(0): order}})
        vm = await place.create(0)
        await place.settle()
        await place.night()
        place.advance(8 * 3600.0)
        await place.later()

        row = await place.told(vm)
        [found] = [one for one in row.findings if one.code.startswith("FIRST_BACKUP")]
        assert found.code == "FIRST_BACKUP_FAILED"
        assert found.evidence.startswith("UserErrorGuestAgentStatusUnavailable: No agent.")
        assert row.state is State.ENROLLED  # not protected: there is no recovery point
        assert place.letters(vm) == ["opened"]

        await place.night()
        await place.night()
        assert (await place.told(vm)).state is State.PROTECTED
        assert place.letters(vm) == ["opened", "resolved"]


@pytest.mark.parametrize(
    "wanted, points", [("never", 0), ("always", 1)], ids=["on schedule", "at once"]
)
async def test_a_first_backup_is_made_at_once_where_the_rule_wants_it(wanted, points):
    async with country() as place:
        place.govern(f"first_backup: {wanted}")
        vm = await place.create(0)
        await place.settle()
        place.advance(3 * 3600.0)
        await place.later()

        assert len(place.held(vm)[1].points) == points
        state = (await place.told(vm)).state
        assert state is (State.PROTECTED if points else State.ENROLLED)


async def test_a_recovery_point_that_does_not_come_in_time_is_told():
    async with country() as place:
        vm = await place.create(0)
        await place.settle()
        for policy in place.held(vm)[0].policies.values():
            policy.next_run = place.clock.now()  # the service forgot its schedule
        await place.night()
        place.advance(8 * 3600.0)
        await place.later()

        assert "FIRST_BACKUP_OVERDUE" in await place.codes(vm)
        assert place.letters(vm) == ["opened"]


@pytest.mark.parametrize(
    "status, code",
    [
        pytest.param(400, "UserErrorResourceGuardOperationRequestIdMissing", id="assumed"),
        pytest.param(400, "BMSUserErrorNobodySawThis", id="another code"),
        pytest.param(400, "CloudResourceGuard", id="a code that looks as if it passed"),
        pytest.param(403, "ResourceGuardForbidden", id="403"),
    ],
)
async def test_what_a_resource_guard_holds_back_is_parked_for_a_person_and_never_repeated(
    status, code
):
    """The words are sourced (TF#31887), code and status are not: any must do."""
    async with country() as place:
        place.sim.world.knobs.turn({"backup.guard.status": status, "backup.guard.code": code})
        vm = await protected(place, tier="gold")
        place.guard()
        await place.retag(vm, "silver")
        await place.consent(vm, DecisionKind.CONSENT_WEAKER, "silver")
        await _parked(place, vm, "the vault is guarded by a Resource Guard")

        assert place.unguard().status == 200
        await place.consent(vm, DecisionKind.RETRY)
        await place.later()
        assert place.held(vm)[1].policy == "silver"
        assert place.letters(vm)[-1] == "resolved"


async def test_a_guarded_vault_takes_new_vms_and_stronger_policies():
    async with country() as place:
        place.guard()
        vm = await protected(place)
        await place.retag(vm, "gold")
        await place.later()

        assert [(one.new, one.status) for one in place.puts] == [("silver", 202), ("gold", 202)]


async def test_what_an_immutable_vault_refuses_is_parked_for_a_person_and_never_repeated():
    security = {"immutabilitySettings": {"state": "Locked"}}
    async with country(seed(security=security)) as place:
        vm = await protected(place)
        await place.retag(vm, "gold")
        await place.later()
        assert place.held(vm)[1].policy == "gold"  # more is welcome

        await place.retag(vm, "silver")
        await place.consent(vm, DecisionKind.CONSENT_WEAKER, "silver")
        await _parked(place, vm, "immutable")


async def _parked(place: Country, vm: str, why: str) -> None:
    """See that the change to silver was refused once, is told once, and is not tried again."""
    await place.later()
    before = len(place.sent_for(vm))
    for _ in range(3):
        await place.night()
        await place.event(ArmId.parse(vm))
        await place.later()

    assert len(place.sent_for(vm)) == before
    refused = place.sent_for(vm)[-1]
    assert refused.new == "silver"
    assert refused.status in {400, 403}
    assert sum(one.new == "silver" and one.old == "gold" for one in place.puts) == 1
    row = await place.told(vm)
    [found] = [one for one in row.findings if one.severity is Severity.BLOCKER]
    assert found.text.startswith("The policy was not changed: ")
    assert why in found.text
    assert found.evidence.startswith("change to policy silver: ")
    assert row.state is State.PROTECTED
    assert place.held(vm)[1].policy == "gold"
    assert place.letters(vm).count("opened") == 1
