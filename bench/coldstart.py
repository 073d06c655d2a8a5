"""What a cold start costs from the deployment package, with and without compiled modules in it.

In Azure a package is mounted read-only, so what it does not bring compiled is compiled anew by every
new instance: the runs forbid writing bytecode. Three moments are measured in a fresh process each:
the functions are indexed; the first event is a message; what enrolling needs is loaded. The
platform's own share (allocating an instance, starting host and worker) cannot be measured here.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from packaging_tools.build import build

RUNS = 9
_PROGRAM = """
import asyncio, json, sys, time
begun = time.perf_counter()
import function_app
count = len(function_app.app.get_functions())
indexed = time.perf_counter()
from shared import intake
from shared.domain import events
event = {"id": "e", "eventType": "Microsoft.Resources.ResourceWriteSuccess", "subject": VM, "data": {"resourceUri": VM, "operationName": "Microsoft.Compute/virtualMachines/write"}}
found = events.parse(json.dumps(event))
taken = time.perf_counter()
import shared.adapters.assembly, shared.reconcile, shared.gather
from azure.identity.aio import ManagedIdentityCredential
loaded = time.perf_counter()
print(json.dumps({"indexed": indexed - begun, "event": taken - indexed, "enrolling": loaded - taken, "functions": count}))
"""
_VM = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"
MOMENTS = ("indexed", "event", "enrolling")


async def run(runs: int = RUNS) -> dict[str, Any]:
    """Measure both packages; milliseconds, medians."""
    return await asyncio.to_thread(_measured, runs)


def _measured(runs: int) -> dict[str, Any]:
    results: dict[str, Any] = {"runs": runs}
    with tempfile.TemporaryDirectory(prefix="coldstart-") as scratch:
        apps = {}
        for name, bytecode in (("sources", False), ("bytecode", True)):
            package = build(Path(scratch) / name, bytecode=bytecode)
            apps[name] = Path(scratch) / f"{name}-app"
            with zipfile.ZipFile(package) as archive:
                archive.extractall(apps[name])
            results[f"{name} bytes"] = package.stat().st_size
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in apps}
        for _ in range(runs):  # in turns, so that a slow minute hits both
            for name, app in apps.items():
                taken[name].append(_once(app))
    for name, times in taken.items():
        results[name] = {m: round(1000 * median(one[m] for one in times)) for m in MOMENTS}
    return results


def _once(app: Path) -> dict[str, float]:
    program = f"VM = {_VM!r}\n{_PROGRAM}"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=app,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table's lines."""
    yield ("package", "KB", *(f"{moment}, ms" for moment in MOMENTS))
    for name in ("sources", "bytecode"):
        kilobytes = f"{results[f'{name} bytes'] / 1000:.0f}"
        yield (name, kilobytes, *(str(results[name][moment]) for moment in MOMENTS))
