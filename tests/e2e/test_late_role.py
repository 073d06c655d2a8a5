"""The service starts before its role has reached Azure's front ends: 403 now, 200 later."""

from __future__ import annotations

from datetime import datetime

import pytest

from bench import estates
from simulator import role
from simulator.estate import up_running

LATE = 420.0  # simulated seconds; Azure says up to ten minutes
AGAIN = 3600.0  # a VM that waits for a right is looked at after an hour
VMS = 3
LATER = "70000000-0000-4000-8000-0000000000aa"


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_a_role_that_comes_late_delays_and_nothing_else():
    async with up_running(
        seed=estates.seed(vaults=1, groups=2),
        rules=estates.RULES,
        speed=60.0,
        grants=["firstBackup"],  # something, so that the simulator asks for rights at all
        settings={"SWEEP_SECONDS": "300", "DIRECTORY_SECONDS": "120"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
    ) as estate:
        world = estate.world
        estate.advance(LATE)
        world.knobs.turn({"rbac.propagation_seconds": LATE})
        role.grant(world, estate.sim.identity["principalId"], role.actions(), LATER)
        for number in range(VMS):
            estate.put(estates.machine(number, groups=2))

        def answered(status: int, part: str) -> list[str]:
            calls = (call for call in world.calls.since(0) if call.status == status)
            return sorted(call.path.rpartition(";")[2] for call in calls if part in call.path)

        await estate.wait_until(
            lambda: len(answered(403, "/virtualMachines/")) == VMS, 40, "refused at first"
        )
        assert answered(202, "/protectedItems/") == []
        estate.advance(AGAIN)
        names = [estates.machine(number)["name"] for number in range(VMS)]
        await estate.wait_until(
            lambda: answered(202, "/protectedItems/") == names, 60, "each enrolled once"
        )

        assert len(answered(403, "/virtualMachines/")) == VMS
        assert estate.failed() == []
        mails = [mail["message"] for mail in estate.inbox("mail")]
        assert {to for mail in mails for to in mail["to"]} <= {"operators@example.com"}
