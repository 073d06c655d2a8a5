"""The governors of several instances in a burst, over a model of queue, instances and ARM."""

from __future__ import annotations

import pytest

from bench import pacing
from bench.pacing import Case
from simulator.profiles import Rate


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(one, id=f"{one.name}, {one.instances}") for one in pacing.CASES),
        pytest.param(
            Case(name="few at once", rate=Rate(capacity=20, refill=10), instances=4),
            id="few at once",
        ),
        pytest.param(
            Case(name="slow", rate=Rate(capacity=800, refill=2), instances=4),
            id="slow to come back",
        ),
    ],
)
def test_a_burst_over_several_instances_uses_the_budget_and_hardly_ever_overdraws_it(case):
    played = pacing.play(case, seed=1)

    assert played.ratio <= pacing.TARGET
    assert played.refused <= 0.03 * case.size
