"""SIGKILL at every await of sweeps and notices in the real host; see `test_kill_matrix.py`."""

from __future__ import annotations

import pytest

from tests.e2e.killing import OTHERS, killed_everywhere

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.mark.large
@pytest.mark.parametrize("function", OTHERS)
async def test_wherever_a_sweep_or_a_notice_is_killed_nothing_is_lost(function, capsys):
    await killed_everywhere(function, capsys)
