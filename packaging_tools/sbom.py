"""Writes the software bill of materials of the deployment package (CycloneDX 1.6, JSON).

    python -m packaging_tools.sbom [--to FILE]

Packages and versions come from `requirements.txt` through the CycloneDX tool (their hashes stay
there: each file of a package has one), licenses from `packaging_tools.licenses`. Nothing in it
depends on time or machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging_tools.build import TO
from packaging_tools.contents import ROOT
from packaging_tools.licenses import components

NAME = "bom.cdx.json"


def materials() -> dict[str, Any]:
    """Give the bill as CycloneDX has it."""
    run = subprocess.run(
        [
            sys.executable, "-m", "cyclonedx_py", "requirements", "requirements.txt", "--pyproject",
            "pyproject.toml", "--output-reproducible", "--short-PURLs", "--output-format", "JSON",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    bill: dict[str, Any] = json.loads(run.stdout)
    licenses = {one.name: one.license for one in components()}
    for component in bill["components"]:
        # No package index is named: each place installs from its own.
        for member in ("externalReferences", "description"):
            component.pop(member, None)
        if component["name"] in licenses:
            component["licenses"] = [{"expression": licenses[component["name"]]}]
    return bill


def main() -> None:
    """Write the bill and print its path last."""
    parser = argparse.ArgumentParser(description="Writes the bill of materials.")
    parser.add_argument("--to", type=Path, default=TO / NAME)
    target: Path = parser.parse_args().to
    target.parent.mkdir(parents=True, exist_ok=True)
    bill = materials()
    target.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(bill['components'])} components\n{target}\n")


if __name__ == "__main__":
    main()
