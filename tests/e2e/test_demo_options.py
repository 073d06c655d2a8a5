"""`make demo` with other files: what is wrong with one is said in a line that names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "option, content, says",
    [
        pytest.param("--seed", None, "No such file", id="no seed"),
        pytest.param("--seed", '{"a":', "not a JSON object", id="broken seed"),
        pytest.param("--seed", '{"resources": 5}', "resources is a list", id="wrong seed"),
        pytest.param("--seed", '{"timeline": [7]}', "timeline is a list", id="wrong timeline"),
        pytest.param("--seed", "{}", "'vm01' names no VM of the seed", id="another's table"),
        pytest.param("--expected", "{}", "Expected `array`", id="expected is no list"),
        pytest.param("--expected", '[{"vm": "a"}]', "missing required field `state`", id="no state"),
        pytest.param("--expected", '[{"vm": "a", "state": "x", "sate": 1}]', "`sate`", id="typing error"),
        pytest.param("--rules", "tiers: [", "rules.yaml:1:", id="broken rules"),
    ],
)  # fmt: skip
def test_a_wrong_file_ends_the_demo_before_it_begins(tmp_path, option, content, says):
    file = tmp_path / "rules.yaml"
    if content is not None:
        file.write_text(content)

    run = subprocess.run(
        [sys.executable, "-m", "demo", option, file, "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 2
    assert run.stderr.startswith("demo: ")
    assert says in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
