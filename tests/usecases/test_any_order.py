"""Events may come in any order and number: one change each, and looking again changes nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.states import State
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()


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
