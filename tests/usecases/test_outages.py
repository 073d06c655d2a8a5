"""Storage is away for an hour: nothing is lost, nothing is done twice, and nobody is bothered."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.states import State
from shared.errors import AzureFault, Disposition
from tests.unit.domain import worlds
from tests.usecases.mortal import Mortal

VMS = tuple(worlds.vm(f"vm-{number}", uid=f"u{number}") for number in range(6))
HOUR = 3600.0


@pytest.mark.parametrize(
    "away",
    [
        pytest.param({"ledger", "queues", "people", "store", "parked"}, id="all of it"),
        pytest.param({"ledger", "people", "store", "parked"}, id="tables"),
        pytest.param({"queues"}, id="queues"),
    ],
)
@pytest.mark.parametrize("begins", [0.0, 1.0, 35.0], ids=["before", "in mid-burst", "in flight"])
async def test_an_hour_without_storage_loses_nothing(away, begins):
    house = Mortal()
    house.finding = False
    house.region(worlds.vault())
    house.machines.add(*VMS)
    began = house.clock.now() + timedelta(seconds=begins)

    def gone(call: str) -> None:
        passed = house.clock.now() - began
        if timedelta(0) <= passed < timedelta(hours=1) and call.partition(".")[0] in away:
            raise AzureFault(
                call, status=503, code="ServerBusy", message="", disposition=Disposition.RETRY
            )

    house.on_await = gone
    for vm in VMS:
        await house.event(vm.id)
        house.clock.advance(0.4)
    await house.play(HOUR + 120, step=15)

    late = worlds.vm("late", uid="u-late")
    house.machines.add(late)
    await house.event(late.id)
    await house.play(1.5 * HOUR, step=30)

    for vm in (*VMS, late):
        row = await house.row(vm.id)
        assert (row.state, row.claim, row.intent) == (State.ENROLLED, None, None), vm.id.name
        assert house.sent(vm.id) == 1, vm.id.name
    assert house.post.mail.got == [] or {
        story.vm for letter in house.post.mail.got for story in letter.stories
    } == {None}
    assert await house.ledger.looks() == ()
