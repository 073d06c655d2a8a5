"""SIGKILL at every await of sweeps and notices in the real host; see `test_kill_matrix.py`."""

from __future__ import annotations

import pytest

from tests.e2e.killing import OTHERS, scene

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.mark.large
async def test_wherever_a_sweep_or_a_notice_is_killed_nothing_is_lost(capsys):
    async with scene() as found:
        for function in OTHERS:
            line = await found.die_everywhere(function)
            with capsys.disabled():
                print(f"\n{line}", end="")
        await found.check()
