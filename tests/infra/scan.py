"""Runs checkov over infra/; every finding is mended or explained in `infra/scan-exceptions.json`.

    python -m tests.infra.scan [PATH OF CHECKOV]

Checkov is big and needs versions of its own, so it lives in `.venv-checkov`, which the first run
makes from `requirements/checkov.txt` (half a minute).
It reads Bicep with another parser than the tests do: a file it cannot read is a failure too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from tests.infra.bicep import INFRA, ROOT

DEFAULT = ROOT / ".venv-checkov" / "bin" / "checkov"
EXCEPTIONS = INFRA / "scan-exceptions.json"


def install() -> None:
    """Install checkov, pinned and hashed, into an environment of its own."""
    venv.create(DEFAULT.parents[1], with_pip=True)
    requirements = ROOT / "requirements" / "checkov.txt"
    subprocess.run(
        [
            DEFAULT.with_name("python"), "-m", "pip", "install", "--quiet",
            "--disable-pip-version-check", "--require-hashes", "--requirement", requirements,
        ],
        check=True,
    )  # fmt: skip


def report(checkov: Path) -> dict[str, Any]:
    """Give checkov's own report."""
    run = subprocess.run(
        [
            checkov, "--directory", INFRA, "--framework", "bicep", "--output", "json", "--compact",
            "--quiet", "--skip-download", "--soft-fail",
        ],
        capture_output=True, text=True, check=True,
        env={**os.environ, "CHECKOV_CREATE_GRAPH": "False"},  # slow, and no check of ours needs it
    )  # fmt: skip
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def problems(found: dict[str, Any]) -> list[str]:
    """Give what is neither mended nor explained, and explanations of nothing."""
    excused = {
        (one["check"], one["file"]): one["why"]
        for one in json.loads(EXCEPTIONS.read_text(encoding="utf-8"))
    }
    failed = {
        (one["check_id"], one["file_path"].lstrip("/")): one["check_name"]
        for one in found["results"]["failed_checks"]
    }
    said = [f"{check} in {file}: {failed[check, file]}" for check, file in failed.keys() - excused]
    said += [
        f"{check} in {file} is excused and does not fail" for check, file in excused.keys() - failed
    ]
    if unread := found["summary"]["parsing_errors"]:
        said.append(f"checkov cannot read {unread} files: keep to what its parser knows")
    if not found["summary"]["passed"]:
        said.append("checkov passed nothing: did it read anything?")
    return sorted(said)


def main() -> int:
    checkov = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if checkov == DEFAULT and not checkov.exists():
        install()
    found = report(checkov)
    said = problems(found)
    summary = found["summary"]
    sys.stdout.write("".join(f"{one}\n" for one in said))
    sys.stdout.write(f"{summary['passed']} passed, {len(said)} failed\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
