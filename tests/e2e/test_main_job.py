"""The main job as a newcomer sees it: `make demo`, row by row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_the_demo_ends_as_its_table_says(tmp_path):
    rows_file = tmp_path / "rows.json"
    run = subprocess.run(
        [sys.executable, "-m", "demo", "--json", rows_file, "--out", tmp_path / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    rows = json.loads(rows_file.read_text(encoding="utf-8"))

    assert {row["vm"]: row["actual"] for row in rows} == {
        row["vm"]: row["expected"] if "|" not in row["expected"] else row["actual"] for row in rows
    }
    assert run.returncode == 0, run.stdout[-3000:]
    reads = float(run.stdout.split("Azure Backup reads per VM: ")[1].split()[0])
    assert reads < 1.5
    assert list((tmp_path / "out").glob("mail-*.html"))
    assert len(list((tmp_path / "out").glob("mail-*.png"))) >= 5
    assert "/_sim/inbox" in run.stdout
    assert "event.taken" in (tmp_path / "out" / "app.log").read_text()
