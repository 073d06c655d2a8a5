"""The process dies before and after every step: nothing is lost, nothing is done twice.

The steps are found by instrumentation: every call of a port is one, and a run is repeated once
for each of them.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House, Killed

VAULT = worlds.vault()
PLAYED = 1800


class Steps:
    """Counts calls of the ports; kills before or after the nth, once."""

    def __init__(self, house: House, nth: int, *, after: bool) -> None:
        self.count = 0
        self.nth = nth
        self.after = after
        for port in (
            house.ledger,
            house.people,
            house.queues,
            house.machines,
            house.backup,
            house.directory,
            house.estate,
        ):
            self._wrap(port)

    def _wrap(self, port) -> None:
        for name in dir(port):
            method = getattr(port, name)
            if name.startswith("_") or not _is_async(method):
                continue
            setattr(port, name, self._step(method))

    def _step(self, method):
        async def stepped(*args, **kwargs):
            self.count += 1
            mine = self.count == self.nth
            if mine and not self.after:
                raise Killed
            answer = await method(*args, **kwargs)
            if mine and self.after:
                raise Killed
            return answer

        return stepped


def _is_async(method) -> bool:
    import inspect

    return inspect.iscoroutinefunction(method)


async def played(nth: int, *, after: bool, fail: bool) -> tuple[House, Steps]:
    house = House()
    house.region(VAULT)
    vm = worlds.vm()
    house.machines.add(vm)
    if fail:
        house.backup.fail_job(vm.id, "UserErrorGuestAgentStatusUnavailable", "not ready")
    await house.event(vm.id)
    steps = Steps(house, nth, after=after)
    await house.play(PLAYED, step=10)
    return house, steps


async def steps_of_a_run(*, fail: bool) -> int:
    _, steps = await played(0, after=False, fail=fail)
    return steps.count


@pytest.mark.parametrize("fail", [False, True], ids=["succeeds", "fails first"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_any_step_loses_nothing_and_does_nothing_twice(after, fail):
    wanted = 2 if fail else 1
    total = await steps_of_a_run(fail=fail)
    assert total > 20
    interesting = min(total, 90)  # later steps are timers that find nothing to do

    for nth in range(1, interesting + 1):
        house, _ = await played(nth, after=after, fail=fail)
        vm = worlds.vm()
        row = await house.row(vm.id)
        where = f"killed {'after' if after else 'before'} step {nth}"
        changes = {(one.vault.key, one.policy.key) for one in house.backup.sent}

        assert house.kills == 1, where
        assert row.state is State.ENROLLED, where
        assert len(changes) == 1, where
        assert house.sent(vm.id) <= wanted + 1, where
        assert house.notices.reported == [], where
        assert row.claim is None, where
        assert row.intent is None, where
        assert await house.ledger.in_flight(VAULT.id) == (), where
        assert await house.ledger.places(VAULT.id, "2026-11-20") == 1, where


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 90), st.integers(0, 120)),
        min_size=3,
        max_size=25,
    )
)
async def test_any_duplication_or_order_of_events_ends_the_same(events):
    house = House()
    house.region(VAULT)
    vms = [worlds.vm(f"vm-{number}", uid=f"u{number}") for number in range(3)]
    house.machines.add(*vms)
    for number, late, pause in events:
        await house.event(vms[number].id, late=late)
        await house.play(pause % 40)
    await house.play(1200, step=10)

    for vm in vms:
        assert (await house.row(vm.id)).state is State.ENROLLED
        assert house.sent(vm.id) == 1


async def test_looking_twice_changes_nothing():
    house = House()
    house.region(VAULT)
    vm = worlds.vm()
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(200)
    before = await house.row(vm.id)

    await house.event(vm.id)
    await house.play(200)

    after = await house.row(vm.id)
    assert after.state is before.state
    assert after.policy == before.policy
    assert after.history == before.history
    assert house.sent(vm.id) == 1
