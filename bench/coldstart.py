"""What a cold start costs, from the working tree and from the deployment package.

In Azure a package is mounted read-only, so what it does not bring compiled is compiled anew by every
new instance: there the runs forbid writing bytecode. Each run is a fresh process that does what the
first invocations do: index the functions; turn the first event into a message; reconcile the VM up
to its PUT's answer and the rows it leaves, over TLS and storage, with nothing known before. `bare` is an
app of one function that imports `azure.functions` and nothing of ours: what Azure's library
takes in any case. Targets: the first event at most 100 ms after bare, the first PUT at most 600 ms.
One more run of the package exports to Azure Monitor, as a deployment does (here: to somebody
who refuses it). The app trusts the simulator through the system's CAs, so that it reads these once, as
in Azure. Simulated Azure and the storage emulator share the machine's cores. The platform's own share
(allocating an instance, starting host and worker) cannot be measured here.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import estates
from packaging_tools.build import build
from packaging_tools.contents import ROOT
from simulator import role
from simulator.azurite import Azurite
from simulator.estate import app_settings
from simulator.gateway import Incoming
from simulator.server import Simulator, running
from simulator.world import SYSTEM

RUNS = 9
TREE, SOURCES, BYTECODE, BARE = "working tree", "package", "package, compiled", "bare"
TELLING = "package, compiled, with telemetry"
APPS = (BARE, TREE, SOURCES, BYTECODE, TELLING)
MOMENTS = ("indexed", "event", "put")
TARGETS = {"event": 100, "put": 600}
_BARE = """
import azure.functions as func
app = func.FunctionApp()
@app.event_grid_trigger(arg_name="event")
async def on_event(event: str) -> None: ...
"""
_PROGRAM = """
import asyncio, json, resource, sys, time
begun, found = (time.perf_counter(), time.process_time()), {}
def passed(moment):
    used = resource.getrusage(resource.RUSAGE_SELF)
    found[moment] = [time.perf_counter() - begun[0], time.process_time() - begun[1]]
    found["mb"] = used.ru_maxrss / 1024
import function_app
function_app.app.get_functions()
passed("indexed")
async def live(event):
    from shared import bootstrap
    body = await bootstrap.take_event(event, "")
    passed("event")
    await bootstrap.enroll(body, "m-1", backlog=False)
    passed("put")
    await (await bootstrap._foundation()).aclose()
if sys.argv[1]:
    asyncio.run(live(sys.argv[1]))
print(json.dumps(found))
"""


async def run(runs: int = RUNS, names: Sequence[str] = APPS) -> dict[str, Any]:
    """Measure apps in turns; wall and CPU milliseconds since the start, medians."""
    taken: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="coldstart-") as scratch:
        apps, sizes = _apps(Path(scratch), names)
        now = datetime.now(UTC)
        async with Azurite() as azurite, running(seed=estates.seed(), start=now) as azure:
            role.grant(azure.world, azure.identity["principalId"], role.actions(role.FEATURES))
            settings = app_settings(azure, azurite, estates.RULES, 1) | {
                "CLOCK": "system",
                "AZURE_CLOUD_CA_FILE": "",
                "SSL_CERT_FILE": str(_trusted(Path(scratch), azure.ca_file)),
            }
            for number in range(runs):  # in turns, so that a slow minute hits all
                for place, (name, app) in enumerate(apps.items()):
                    event = "" if name == BARE else _created(azure, number * len(apps) + place)
                    more = _telemetry(azure, scratch) if name == TELLING else {}
                    taken.setdefault(name, []).append(await _once(app, event, settings | more))
            enrolled = sum(
                call.method == "PUT" and call.status == 202
                for call in azure.world.calls.since(0)
                if "/protectedItems/" in call.path
            )
    assert enrolled == runs * (len(apps) - 1), "every run ends with a PUT that Azure accepts"
    return {
        "runs": runs,
        "packages": sizes,
        "apps": {name: _medians(times[1:] or times) for name, times in taken.items()},
    }


def _apps(scratch: Path, names: Sequence[str]) -> tuple[dict[str, Path], dict[str, int]]:
    apps, sizes = {BARE: scratch / "bare", TREE: ROOT}, {}
    apps[BARE].mkdir()
    (apps[BARE] / "function_app.py").write_text(_BARE, encoding="utf-8")
    for name in {SOURCES, BYTECODE, TELLING} & {*names}:
        package = build(scratch / f"zip of {name}", bytecode=name != SOURCES)
        apps[name] = scratch / name
        with zipfile.ZipFile(package) as archive:
            archive.extractall(apps[name])
        sizes[name] = package.stat().st_size
    return {name: apps[name] for name in names}, sizes


def _trusted(scratch: Path, own: Path) -> Path:
    """Write a file of CAs: the system's and the simulator's."""
    found = ssl.get_default_verify_paths().cafile
    system = Path(found).read_text(encoding="utf-8") if found else ""
    path = scratch / "trusted.pem"
    path.write_text(system + own.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def _telemetry(azure: Simulator, scratch: str) -> dict[str, str]:
    """Give the settings of an app that exports to Azure Monitor."""
    key = "InstrumentationKey=00000000-0000-4000-8000-000000000000"
    return {
        "TELEMETRY_EXPORTER": "azuremonitor",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"{key};IngestionEndpoint={azure.control_url}/",
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "TMPDIR": scratch,  # where the exporter keeps what was refused
    }


def _created(azure: Simulator, number: int) -> str:
    """Create a VM and give the event that tells of it."""
    body = estates.machine(number)
    answer = azure.world.gateway.answer(
        Incoming(
            method="PUT",
            path=body["id"],
            principal=SYSTEM,
            query={"api-version": "2024-07-01"},
            raw=json.dumps(body).encode(),
        )
    )
    assert answer.status in {200, 201}
    told = {"resourceUri": body["id"], "operationName": "Microsoft.Compute/virtualMachines/write"}
    return json.dumps(
        {
            "id": f"e-{number}",
            "eventType": "Microsoft.Resources.ResourceWriteSuccess",
            "subject": body["id"],
            "data": told,
        }
    )


async def _once(app: Path, event: str, settings: Mapping[str, str]) -> dict[str, Any]:
    writes = {} if app == ROOT else {"PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM,
        event,
        cwd=app,
        env={**os.environ, **settings, **writes},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def _medians(times: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give wall and CPU milliseconds per moment, and the peak of memory."""
    found: dict[str, Any] = {
        moment: [round(1000 * median(one[moment][clock] for one in times)) for clock in (0, 1)]
        for moment in MOMENTS
        if moment in times[0]
    }
    return found | {"mb": round(median(one["mb"] for one in times))}


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table's lines; behind bare where a target is."""
    heads = (f"{moment}, ms" for moment in ("indexed", "first event", "first PUT"))
    yield ("app", "KB", *heads, "CPU of each, ms", "peak MB")
    bare = results["apps"][BARE]["indexed"][0]
    for name, found in results["apps"].items():
        size = results["packages"].get(name)
        cells = [str(found["indexed"][0])]
        for moment, target in TARGETS.items():
            took = found.get(moment, [0])[0]
            cells.append(f"{took} (bare + {took - bare}, target {target})" if took else "")
        cpu = " / ".join(str(found[moment][1]) for moment in MOMENTS if moment in found)
        yield (name, f"{size / 1000:.0f}" if size else "", *cells, cpu, str(found["mb"]))
