"""No sequence of tags, rules, changes by hand, crashes and old knowledge ever sends a PUT whose
policy is weaker than the item's, unless an operator's decision names that VM and that policy.

The judge is the fake of Azure: at the moment of the PUT it knows the item as it is. What is
weaker is said here once more, without the product's own comparison.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.domain.model import PolicyKind, ProtectionState, Retention
from shared.domain.records import ChangeKind, DecisionKind, PersonDecision
from shared.errors import BadRules
from tests.fakes.azure import FakeIndex, fault
from tests.unit.domain import worlds
from tests.usecases.house import House, Killed

VAULTS = (worlds.vault(), worlds.vault("rsv-two"))
VMS = tuple(worlds.vm(f"vm-{number}", uid=f"u{number}") for number in range(3))
DAYS = {"platinum": 365, "gold": 90, "silver": 30, "silver-short": 30, "bronze": 7}
TIERS = ("gold", "silver", "bronze")
ATTACHED = frozenset({ProtectionState.PENDING, ProtectionState.PROTECTED, ProtectionState.ERROR})

RULES = """
version: 1
tiers:
  tag: backup-tier
  default: {default}
  names:
    gold: {{standard: {gold}, enhanced: enhanced}}
    silver: {{standard: {silver}}}
    bronze: {{standard: {bronze}}}
vaults:
  central: {{tags: {{backup-vault: central}}}}
default:
  options:
    consents: {{standard_to_enhanced: {door}, resume_stopped: {resume}, undelete: {undelete}}}
"""

FIRST = {
    "default": "bronze",
    "gold": "gold",
    "silver": "silver",
    "bronze": "bronze",
    "door": "true",
    "resume": "false",
    "undelete": "false",
}
vms = st.sampled_from(VMS)
names = st.sampled_from([*DAYS, "enhanced", "unreadable"])
tags = st.one_of(
    st.sampled_from(TIERS).map(lambda tier: {"backup-tier": tier}),
    st.sampled_from([{}, {"backup-tier": "glod"}, {"backup-tier": "GOLD "}]),
)
seconds = st.sampled_from([1, 7, 35, 60, 200, 700, 1000, 4000])


def policies(vault):
    """Give policies of every strength; one can be read by nobody."""
    made = [
        worlds.policy(vault, name, retention=Retention(daily_days=days))
        for name, days in DAYS.items()
    ]
    made[3] = replace(made[3], instant_restore_days=1)  # silver-short
    enhanced = worlds.policy(
        vault, "enhanced", PolicyKind.ENHANCED, retention=Retention(daily_days=90)
    )
    return (*made, enhanced, worlds.policy(vault, "unreadable", retention=None, schedule=None))


def shrinks(old, new) -> bool:
    """Say whether something gets less: days kept, days of instant restore, the kind."""
    if old.id == new.id:
        return False
    if old.retention is None or new.retention is None:
        return True
    return (
        new.retention.daily_days < old.retention.daily_days
        or new.instant_restore_days < old.instant_restore_days
        or (old.kind, new.kind) == (PolicyKind.ENHANCED, PolicyKind.STANDARD)
    )


class NeverWeaker(RuleBasedStateMachine):
    """Does whatever owners, admins, operators and crashes may do; watches every PUT."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.house = House()
        self.known = {}
        for vault in VAULTS:
            made = policies(vault)
            self.house.directory.add(vault, *made)
            self.known |= {policy.id.key: policy for policy in made}
        self.house.machines.add(*VMS)
        self.kill_in = 0
        self.puts = []
        self.guilty = []
        self.agreed = set()  # (VM, policy) that an operator agreed to
        self.other_index = FakeIndex(self.house.backup)
        self._watch_puts()
        for port in ("ledger", "queues", "machines", "backup", "people"):
            self._mortal(getattr(self.house, port))

    def teardown(self) -> None:
        self.loop.close()

    def run(self, work):
        return self.loop.run_until_complete(work)

    # --- what owners do ---------------------------------------------------------------------------

    @initialize(wanted=st.tuples(*[st.sampled_from(TIERS)] * len(VMS)))
    def everybody_is_enrolled(self, wanted):
        self.house.rules.rules = worlds.rules(RULES.format(**FIRST))
        for vm, tier in zip(VMS, wanted, strict=True):
            self.house.machines.add(replace(vm, tags={"backup-tier": tier}))
            self.run(self.house.event(vm.id))
        self.run(self.house.play(120))
        self.the_nightly_backups_run()
        self.house.index.forget()
        self.run(self.house.play(1000, step=50))
        assert len(self.puts) == len(VMS)

    @rule(vm=vms, wanted=tags, passing=seconds)
    def an_owner_changes_tags(self, vm, wanted, passing):
        self.house.machines.add(replace(self._alive(vm), tags=wanted))
        self.run(self._safely(self.house.event(vm.id)))
        self.time_passes(passing)

    @rule(vm=vms, passing=seconds)
    def an_event_comes_again(self, vm, passing):
        self.run(self._safely(self.house.event(vm.id)))
        self.time_passes(passing)

    @rule(vm=st.just(VMS[0]))
    def a_vm_is_made_anew_under_the_same_name(self, vm):
        self.house.machines.add(replace(self._alive(vm), uid=f"{self._alive(vm).uid}'"))
        self.run(self._safely(self.house.event(vm.id)))

    # --- what the team does -----------------------------------------------------------------------

    @rule(
        default=st.sampled_from(TIERS),
        gold=names,
        silver=names,
        bronze=names,
        door=st.booleans(),
        resume=st.booleans(),
        undelete=st.booleans(),
    )
    def the_rules_change(self, **chosen):
        words = {name: str(word).lower() for name, word in chosen.items()}
        with suppress(BadRules):  # one policy cannot be everything
            self.house.rules.rules = worlds.rules(RULES.format(**words))

    @rule(vm=vms, policy=names, kind=st.sampled_from(list(DecisionKind)[2:6]))
    def an_operator_consents(self, vm, policy, kind):
        decided = PersonDecision(
            vm=str(vm.id),
            kind=kind,
            by="operator",
            at=self.house.clock.now(),
            reason="agreed",
            policy=policy,
        )
        self.run(self._safely(self.house.people.append(decided)))
        if kind is DecisionKind.CONSENT_WEAKER:
            self.agreed.add((vm.id, policy))

    # --- what admins do in the portal, which the index learns of later ----------------------------

    @rule(vm=vms, policy=names)
    def somebody_changes_a_policy_by_hand(self, vm, policy):
        for item in self._items(vm):
            if item.state in ATTACHED:
                of = item.vault.child("backupPolicies", policy)
                self.house.backup.put(replace(item, policy=of))

    @rule(vm=vms, policy=names, wanted=tags, passing=seconds)
    def the_owner_changes_tags_right_after_somebody_changed_the_policy(
        self, vm, policy, wanted, passing
    ):
        self.somebody_changes_a_policy_by_hand(vm=vm, policy=policy)
        self.an_owner_changes_tags(vm=vm, wanted=wanted, passing=passing)

    @rule(vm=vms, state=st.sampled_from(list(ProtectionState)))
    def somebody_stops_deletes_or_resumes_by_hand(self, vm, state):
        for item in self._items(vm):
            policy = item.vault.child("backupPolicies", "platinum") if state in ATTACHED else None
            self.house.backup.put(replace(item, state=state, policy=policy))

    @rule()
    def the_nightly_backups_run(self):
        for item in self.house.backup.items():
            if item.state is ProtectionState.PENDING:
                self.house.backup.finish_backup(item.id)

    # --- what the platform does -------------------------------------------------------------------

    @rule(loads=st.booleans())
    def another_instance_goes_on_with_what_it_knew(self, loads):
        if loads:
            self.other_index.forget()
        self.house.index, self.other_index = self.other_index, self.house.index

    @rule(vm=vms, lost=st.booleans())
    def an_answer_is_lost_or_a_change_refused(self, vm, lost):
        if lost:
            self.house.backup.lose_answer(vm.id)
        else:
            self.house.backup.refuse(vm.id, fault("CloudInternalError", status=500))

    @rule(steps=st.integers(1, 30))
    def the_instance_dies_soon(self, steps):
        self.kill_in = steps

    @rule(passing=seconds)
    def time_passes(self, passing):
        self.run(self.house.play(passing, step=max(5, passing / 40)))

    # --- what must never be -----------------------------------------------------------------------

    @invariant()
    def no_put_was_weaker_than_its_item(self):
        assert self.guilty == []

    def _watch_puts(self) -> None:
        send = self.house.backup.send

        async def watched(change):
            self.puts.append(change.kind)
            before = {item.id.key: item for item in self.house.backup.items()}
            item = before.get(change.item.key if change.item is not None else "")
            if item is not None and item.state in ATTACHED and item.policy is not None:
                old, new = self.known[item.policy.key], self.known.get(change.policy.key)
                undelete = change.kind is ChangeKind.UNDELETE
                agreed = (change.vm, new.name) in self.agreed if new is not None else False
                if not undelete and shrinks(old, new) and not agreed:
                    self.guilty.append((change.vm.name, old.name, new.name, change.kind))
            return await send(change)

        self.house.backup.send = watched

    def _mortal(self, port) -> None:
        """Let the instance die before any call of this port."""
        for name in dir(port):
            method = getattr(port, name)
            if not name.startswith("_") and inspect.iscoroutinefunction(method):
                setattr(port, name, self._step(method))

    def _step(self, method):
        async def step(*args, **kwargs):
            if self.kill_in:
                self.kill_in -= 1
                if not self.kill_in:
                    raise Killed
            return await method(*args, **kwargs)

        return step

    async def _safely(self, work) -> None:
        """What people do is not what dies."""
        kill, self.kill_in = self.kill_in, 0
        await work
        self.kill_in = kill

    def _items(self, vm):
        return [item for item in self.house.backup.items() if item.source == vm.id]

    def _alive(self, vm):
        return self.house.machines.vms[vm.id.key]


def test_no_sequence_ever_makes_an_item_weaker_without_an_operator_who_names_it(request):
    """Many short lives here; fewer, over the wire, in `tests/e2e/test_lifecycle_never_weaker.py`."""
    run_state_machine_as_test(
        NeverWeaker,
        settings=settings(
            max_examples=300 if request.config.getoption("--all-cells") else 40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
