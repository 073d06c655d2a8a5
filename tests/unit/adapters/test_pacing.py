"""The governors of several instances in a burst, over a model of queue, instances and ARM."""

from __future__ import annotations

import pytest

from bench import pacing


@pytest.mark.parametrize(
    "case", [pytest.param(one, id=f"{one.name}, {one.instances}") for one in pacing.CASES]
)
def test_a_burst_is_over_within_a_fifth_of_the_floor_and_disturbs_nobody(case):
    played = pacing.play(case, seed=1)

    assert played.ratio <= pacing.TARGET
    assert played.refused <= 0.03 * case.size
    assert played.put_off <= 10 * case.size
    assert played.fairness >= 0.9
    if case.instances >= pacing.SHIPPED:  # fewer cores take longer to see all that has come
        assert played.neighbor <= 5
