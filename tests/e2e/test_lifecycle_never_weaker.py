"""Over the wire too, no sequence of tags, rules, edits of policies, acts by hand, faults and deaths
sends a PUT whose policy is weaker than the item's, unless an operator named that VM and policy.

The judge stands where Azure does. It knows item and policies as they are when the PUT arrives, and
says what is weaker without the product's own comparison. The service reads the policies of a vault
at most once a minute: an edit that is younger than that may be one it could not know.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.domain import lifecycle
from shared.domain.records import DecisionKind
from tests.e2e.country import DAYS, NIGHT, Put, country, vm_id

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
NAMES = tuple(DAYS)
UNSEEN = timedelta(seconds=60)  # how old what is known of a vault's policies may be
CONSENTS = (
    DecisionKind.CONSENT_WEAKER,
    DecisionKind.CONSENT_ENHANCED,
    DecisionKind.CONSENT_RESUME,
    DecisionKind.CONSENT_UNDELETE,
)
TROUBLE = (
    {"status": 429, "code": "ResourceRequestsThrottled", "headers": {"Retry-After": "30"}},
    {"status": 500, "code": "InternalServerError"},
    {"reset": True},
    {"reset": True, "after": True},
)
VMS = tuple(vm_id(number) for number in range(3))
vms = st.sampled_from(VMS)
unlucky = st.sampled_from(VMS[:2])  # the third is left to its owner and its policies
names = st.sampled_from(NAMES)
TIERS = tuple(name for name in NAMES if name != "hard")
standard = st.sampled_from(TIERS)
tags = st.sampled_from([*NAMES, "glod", ""])
seconds = st.sampled_from([1, 30, 90, 700, 1800, 4000])


class NeverWeaker(RuleBasedStateMachine):
    """Does whatever owners, admins, operators, Azure and crashes may do; judges every PUT."""

    changes = 0  # of policies that were sent, in all runs

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.place = self.run(self.stack.enter_async_context(country()))
        self.kept = [(self.place.clock.now(), dict(DAYS))]  # what policies keep, from when on
        self.agreed: set[tuple[str, str]] = set()  # (VM, policy) that an operator agreed to
        self.mapped = {tier: tier for tier in TIERS}
        self.judged = 0
        self.guilty: list[Put] = []

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()

    def run(self, work):
        return self.loop.run_until_complete(work)

    # --- what owners do ---------------------------------------------------------------------------

    @initialize(wanted=st.tuples(standard, standard, standard))
    def everybody_is_protected(self, wanted):
        for number, tier in enumerate(wanted):
            self.run(self.place.create(number, tier))
        self.run(self.place.settle(300))
        self.time_passes(NIGHT)
        assert len(self.place.puts) == len(wanted)

    @rule(vm=vms, tier=tags, passing=seconds)
    def an_owner_changes_tags(self, vm, tier, passing):
        self.run(self.place.retag(vm, tier))
        self.time_passes(passing)

    @rule(vm=vms, tier=standard, passing=st.sampled_from([61, 200, 700]))
    def an_owner_asks_for_a_policy_that_was_just_made_weaker_than_the_items(
        self, vm, tier, passing
    ):
        policy, old = self.mapped[tier], self.policy_of(vm)
        if old and policy != old:
            fewer = max(7, self.kept[-1][1][old] - 1)
            self.somebody_edits_a_policy(policy=policy, days=fewer, passing=passing)
        self.an_owner_changes_tags(vm=vm, tier=tier, passing=60)

    @rule(vm=vms, tier=standard)
    def an_owner_asks_for_less_than_somebody_just_gave_the_item(self, vm, tier):
        most = max(TIERS, key=self.kept[-1][1].__getitem__)
        self.somebody_changes_an_items_policy_or_resumes_it(vm=vm, policy=most)
        self.an_owner_changes_tags(vm=vm, tier=tier, passing=60)

    @rule(first=st.permutations(TIERS), passing=seconds)
    def all_owners_change_tags(self, first, passing):
        for vm, tier in zip(VMS, first, strict=True):
            self.run(self.place.retag(vm, tier))
        self.time_passes(passing)

    @rule(vm=st.just(VMS[0]))
    def a_vm_is_made_anew_under_the_same_name(self, vm):
        self.run(self.place.recreate(vm))

    # --- what the team does -----------------------------------------------------------------------

    @rule(
        mapped=st.permutations(TIERS),
        allowed=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def the_rules_change(self, mapped, allowed):
        door, resume, undelete = (str(one).lower() for one in allowed)
        consents = f"standard_to_enhanced: {door}, resume_stopped: {resume}, undelete: {undelete}"
        self.mapped = dict(zip(TIERS, mapped, strict=True))
        self.place.govern(f"consents: {{{consents}}}", self.mapped)

    @rule(vm=vms, kind=st.sampled_from(CONSENTS), policy=names)
    def an_operator_consents(self, vm, kind, policy):
        self.run(self.place.consent(vm, kind, policy))
        if kind is DecisionKind.CONSENT_WEAKER:
            self.agreed.add((vm.rpartition("/")[2], policy))

    # --- what admins do in the portal -------------------------------------------------------------

    @rule(policy=names, days=st.sampled_from([7, 14, 30, 60, 90, 200]), passing=seconds)
    def somebody_edits_a_policy(self, policy, days, passing):
        self.place.keep_for(policy, days)
        self.kept.append((self.place.clock.now(), {**self.kept[-1][1], policy: days}))
        self.time_passes(passing)

    @rule(vm=vms, policy=names)
    def somebody_changes_an_items_policy_or_resumes_it(self, vm, policy):
        self.by_hand(vm, policyId=policy)

    @rule(vm=unlucky)
    def somebody_stops_protection(self, vm):
        self.by_hand(vm, protectionState="ProtectionStopped", policyId="")

    @rule(vm=unlucky)
    def somebody_deletes_an_item(self, vm):
        if self.place.held_by(vm):
            self.place.delete_item(vm)

    @rule(vm=vms)
    def somebody_undeletes_an_item(self, vm):
        self.by_hand(vm, isRehydrate=True)

    def policy_of(self, vm):
        held = [item for _, item in self.place.held_by(vm) if self.place.is_active(item)]
        return held[0].policy_name if held else ""

    def by_hand(self, vm, **properties):
        if self.place.held_by(vm):
            self.place.change_item(vm, **properties)  # Azure may refuse it

    # --- what Azure and the platform do -----------------------------------------------------------

    @rule(fault=st.sampled_from(TROUBLE), nth=st.sampled_from(["first", "second"]))
    def an_answer_is_lost_or_a_change_refused(self, fault, nth):
        order = {"match": {"operation": "ProtectedItems_CreateOrUpdate"}, "seconds": 3600}
        self.place.sim.world.gateway.faults.order({**order, "nth": nth, "fault": fault})

    @rule(awaits=st.integers(0, 40))
    def the_instance_dies_soon_or_is_replaced(self, awaits):
        self.place.dies_in = awaits
        if not awaits:
            self.place.restart()

    @rule(passing=st.one_of(seconds, st.just(NIGHT)))
    def time_passes(self, passing):
        if passing > 3600:
            self.place.advance(passing - 1800)
            passing = 1800
        self.run(self.place.play(passing, step=max(20.0, passing / 12)))

    # --- what must never be -----------------------------------------------------------------------

    @invariant()
    def no_put_was_weaker_than_its_item(self):
        for put in self.place.puts[self.judged :]:
            if put.old and put.new and put.new != put.old:
                type(self).changes += 1
                if (put.vm, put.new) not in self.agreed and self.shrinks(put):
                    self.guilty.append(put)
        self.judged = len(self.place.puts)
        assert self.guilty == []
        assert self.place.deleted == []

    def shrinks(self, put: Put) -> bool:
        """Say whether the PUT was weaker at every moment of which the service might have known."""
        if put.old == "hard":
            return True  # Enhanced to Standard, whatever they keep
        return all(days[put.new] < days[put.old] for days in self._kept_at(put.at))

    def _kept_at(self, at: datetime) -> list[dict[str, int]]:
        past = [days for since, days in self.kept if since <= at - UNSEEN]
        return [past[-1] if past else DAYS, *(d for since, d in self.kept if since > at - UNSEEN)]


def played(examples: int, *, steps: int = 25) -> None:
    run_state_machine_as_test(
        NeverWeaker,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_sequence_ever_makes_an_item_weaker_without_an_operator_who_names_it(request):
    NeverWeaker.changes = 0
    examples = 100 if request.config.getoption("--all-cells") else 6

    played(examples)

    assert NeverWeaker.changes > 0  # without any, nothing was shown


@pytest.mark.large
def test_the_judge_finds_a_service_that_does_not_compare(monkeypatch):
    monkeypatch.setattr(lifecycle, "weaker", lambda _old, _new: ())

    with pytest.raises(AssertionError, match="Put"):
        played(20)
