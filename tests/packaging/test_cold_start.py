"""The bench of the cold start runs, from `python -m bench` down to a PUT that Azure accepts."""

from __future__ import annotations

import subprocess
import sys

from bench import coldstart
from packaging_tools.contents import ROOT


async def test_the_package_gets_to_its_first_put():
    names = (coldstart.BARE, coldstart.BYTECODE)
    found = await coldstart.run(runs=1, names=names)
    _, *lines = coldstart.rows(found)
    indexed, event, put = (
        found["apps"][coldstart.BYTECODE][moment][0] for moment in coldstart.MOMENTS
    )

    assert [line[0] for line in lines] == [*names]
    assert indexed < event < put


def test_a_bench_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    run = subprocess.run(
        [sys.executable, "-m", "bench", "nosuch"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 2
    assert "coldstart" in run.stderr
