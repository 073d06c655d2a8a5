"""Days of simulated life: VMs come, change and go, people act by hand, Azure and storage fail,
processes die and are replaced. Every ten minutes the ledger is compared with the simulator's truth.

In the end, after some calm hours, nothing may be wrong, lost, protected twice or left behind. Wrong
rows times minutes is the figure; seeds are printed. That nothing leaks is `test_memory.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench import estates
from shared.domain.ids import ArmId
from tests.usecases.life import A_PERSON_MUST_ACT, LAG, LOOK, Life
from tests.usecases.town import town

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
SEEDS = (11, 22, 33)
HOURS = 8  # of an ordinary run
DAYS = 4  # with --all-cells
CALM = 3 * 3600.0


async def lived(seed: int, hours: float) -> Life:
    async with town(estates.seed(vaults=2, groups=5), kind=Life) as life:
        life.begin(seed)
        await life.live(hours * 3600)
        life.sim.world.gateway.faults.clear()
        life.dies_in = 0
        await life.announce(*life.published())
        await life.live(CALM, quietly=True)
        await life.bury()
        return life


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_ledger_tells_the_truth_within_its_lag(seed, request, capsys):
    hours = DAYS * 24 if request.config.getoption("--all-cells") else HOURS
    life = await lived(seed, hours)

    with capsys.disabled():
        rows = len(life.ledger.all_rows())
        print(
            f"\nseed {seed}: {hours} h, {rows} VMs, {life.kills} deaths, {life.failures} failed "
            f"invocations, {len(life.calls())} ARM calls, wrong rows x minutes "
            f"{life.wrong_minutes:.0f} of {rows * life.looks * LOOK / 60:.0f}, no row longer than "
            f"{LAG}; {dict(life.did)}",
            end="",
        )
    assert life.wrong_since == {}
    assert life.guilty == []
    for vm, body in life.alive.items():
        assert len(life.active(vm)) <= 1, vm
        row = await life.row(ArmId.parse(vm))
        if body["location"] == estates.REGION and row.state not in A_PERSON_MUST_ACT:
            assert len(life.active(vm)) == 1, (vm, row)
    assert await life.ledger.looks() == ()
    assert [one for one in life.ledger.all_due() if one[1] < life.clock.now()] == []
    assert all(row.claim is None and row.intent is None for row in life.ledger.all_rows())
    assert life._hidden == []
    assert [task for task in asyncio.all_tasks() if _of_the_product(task)] == []


def _of_the_product(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "/shared/" in code.co_filename
