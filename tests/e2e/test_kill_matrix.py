"""SIGKILL at awaits of the real service in the real host, found by its probe: nothing is lost.

`tests/usecases/test_kill_matrix.py` does the same over fakes, for every path; here are real tables,
queues, HTTP and SMTP. An ordinary run takes one await of each function, of the first few. With
`--all-cells` undisturbed rounds count the awaits of each, and it dies at every one of them; half of
the functions do so in `test_kill_matrix_timers.py`, beside this.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.e2e.killing import ENROLLING, OTHERS, killed_everywhere, scene

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
FEW = 5


async def test_killed_once_in_each_function_nothing_is_lost():
    async with scene() as found:
        for function in (*ENROLLING, *OTHERS):
            nth = Random(function).randint(0, FEW)
            while not await found.die(function, nth):
                assert nth, f"{function} never died"
                nth -= 1
        await found.check()


@pytest.mark.large
@pytest.mark.parametrize("function", ENROLLING)
async def test_wherever_an_enrollment_is_killed_nothing_is_lost(function, capsys):
    await killed_everywhere(function, capsys)
