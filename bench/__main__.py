"""`make bench`: runs one bench or all; `--json FILE` keeps the figures, `--write` the document.

A bench is a module with `run()`, which gives its figures, and `rows()`, which lays them out; its
docstring says what is measured, against which target, and what the floor is. The document is
made of the latest figures of each bench, kept beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.figures import machine

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
KEPT = DOCUMENT.with_suffix(".json")
BENCHES = (
    "burst",
    "pacing",
    "peers",
    "latency",
    "intake",
    "watch",
    "sweep",
    "waiting",
    "decide",
    "coldstart",
    "page",
    "storage",
)


def main() -> int:
    """Run what was asked for, print each table as it is ready, keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "bench", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}; or all"
    )
    parser.add_argument("--json", type=Path, help="write the figures as JSON")
    parser.add_argument("--write", action="store_true", help=f"keep them in docs/{DOCUMENT.name}")
    options = parser.parse_args()
    if unknown := {*options.bench} - {*BENCHES, "all"}:
        parser.error(f"no bench named {', '.join(sorted(unknown))}: there are {', '.join(BENCHES)}")
    names = BENCHES if not options.bench or "all" in options.bench else tuple(options.bench)
    results: dict[str, Any] = {"machine": machine()}
    for name in names:
        results[name] = _run(name)
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        if options.write:
            keep(name, results[name])
    return 0


def _run(name: str) -> Any:
    module = import_module(f"bench.{name}")
    print(f"\n{name} ...", flush=True)
    began = time.monotonic()
    found = asyncio.run(module.run())
    print("\n".join(_aligned(list(module.rows(found)))))
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return found


def _aligned(table: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))


def keep(name: str, found: Any) -> None:
    """Put the figures of one bench into the document, with the day and the machine."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kept[name] = {"on": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "figures": found}
    kept = {known: kept[known] for known in BENCHES if known in kept}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    DOCUMENT.write_text(document(kept), encoding="utf-8")


def document(kept: Mapping[str, Any]) -> str:
    """Lay out the kept figures as a Markdown document."""
    parts = [
        "# Benchmarks",
        (
            "Written by `python -m bench BENCH --write` (`make bench BENCH=burst` only shows). "
            "Figures stand in `benchmarks.json`; those of one table are of one run."
        ),
    ]
    for name, one in kept.items():
        module = import_module(f"bench.{name}")
        head, *lines = list(module.rows(one["figures"]))
        parts.append(f"## {name}")
        parts.append((module.__doc__ or "").strip())
        parts.append("\n".join([_line(head), _line(("---",) * len(head)), *map(_line, lines)]))
        told = ", ".join(f"{part} {value}" for part, value in one["machine"].items())
        parts.append(f"{one['on']}; {told}.")
    return "\n\n".join(parts) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
