"""What users would do instead, against the same simulated Azure in the same run.

A number of VMs exist; each peer protects all of them, and after ten minutes what is not done stays
undone. *ours*: the whole service, which meets them as `burst` does. *plain*: a script over the SDK
that looks things up and waits for each operation, one VM after the other. *good*: the same SDK with
cached lookups, 200 in flight and polls a minute apart. Both run on a clock that is ten times as fast
(their own sleeps, the SDK's included, are shortened alike). *az*: `az backup protection
enable-for-vm` by `xargs -P 8`, in real time and for a few VMs only, since each command costs CPU
seconds; without azure-cli (`make conformance-az` installs it) it is left out. Calls and CPU are per
accepted VM. Azure Backup counts reads per subscription and action, whoever asks: what a peer draws,
everybody lacks.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import burst, estates
from bench.figures import Children
from simulator.server import Simulator, running

VMS = 200
BY_AZ = 16
PROFILE = "doc"
SPEED = 10.0
LATENCY_MS = 50.0
LASTS = timedelta(minutes=10)
_SCRIPT = Path(__file__).with_name("peer_scripts.py")


async def run(vms: int = VMS, by_az: int = BY_AZ) -> dict[str, Any]:
    """Let each peer protect the VMs; what is not done after ten minutes stays undone."""
    ours = await burst.play(burst.Case(profile=PROFILE, size=vms))
    found = {"ours": {"vms": vms, **ours}}
    found |= {name: await _script(name, vms) for name in ("plain", "good")}
    if by_az and (python := _az()) is not None:
        found["az"] = await _by_az(python, by_az)
    return found


async def _script(name: str, vms: int) -> dict[str, Any]:
    async with running(seed=_seed(vms), profile=PROFILE, speed=0.0) as sim:
        sim.world.knobs.turn({"wire.latency_ms": LATENCY_MS / SPEED})
        told = {
            **os.environ,
            "ARM": sim.arm_url,
            "REQUESTS_CA_BUNDLE": str(sim.ca_file),
            "IDENTITY_ENDPOINT": sim.identity["endpoint"],
            "IDENTITY_HEADER": sim.identity["header"],
            "SPEED": f"{SPEED:g}",
        }
        ids = [estates.machine(n)["id"] for n in range(vms)]
        return await _measured(sim, vms, SPEED, sys.executable, str(_SCRIPT), name, *ids, env=told)


async def _by_az(python: Path, vms: int) -> dict[str, Any]:
    from tests.conformance.az_session import Az, sign_in, surroundings

    async with running(seed=_seed(vms), profile=PROFILE, speed=1.0) as sim:
        with tempfile.TemporaryDirectory(prefix="peer-az-") as folder:
            told = surroundings(sim, Path(folder))
            async with Az(python, told) as az:
                await sign_in(az, sim)
            sim.world.knobs.turn({"wire.latency_ms": LATENCY_MS})
            listed = Path(folder) / "vms"
            listed.write_text("\n".join(estates.machine(n)["id"] for n in range(vms)), "utf-8")
            command = (
                f"xargs -P 8 -I VM {python} -m azure.cli backup protection enable-for-vm "
                f"--subscription {estates.MAIN} -g rg-backup -v rsv-0 -p silver-0 --vm VM -o none "
                f"< {listed}"
            )
            return await _measured(sim, vms, 1.0, "sh", "-c", command, env=told)


async def _measured(
    sim: Simulator, vms: int, speed: float, *command: str, env: dict[str, str]
) -> dict[str, Any]:
    first, began = sim.world.calls.total, sim.clock.now()
    sim.clock.set_speed(speed)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Children(process.pid)
    while process.returncode is None and sim.clock.now() - began < LASTS:
        children.look()
        await asyncio.sleep(0.2)
    children.end()
    await process.wait()
    calls = [call for call in sim.world.calls.since(first) if call.action]
    accepted = [
        (call.at - began).total_seconds()
        for call in calls
        if call.method == "PUT" and "/protectedItems/" in call.path and call.status == 202
    ]
    done = max(1, len(accepted))
    return {
        "vms": vms,
        "accepted_after": {f"{m} min": sum(at <= 60 * m for at in accepted) for m in (1, 3, 10)},
        **burst.per_vm(calls, done),
        "met_429": sum(call.status == 429 for call in calls),
        "cpu_ms_per_vm": round(children.cpu * 1000 / done),
        "peak_mb": round(children.peak_mb),
    }


def _seed(vms: int) -> estates.Body:
    seed = estates.seed(vaults=1)
    seed["resources"] += [estates.machine(number, created=estates.CREATED) for number in range(vms)]
    return seed


def _az() -> Path | None:
    from tests.conformance.az_session import ENVIRONMENT

    python = ENVIRONMENT / "bin" / "python"
    return python if python.exists() else None


def rows(results: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the table of the results."""
    yield (
        "peer", "VMs", "after 1 min", "3 min", "10 min", "Backup reads/VM", "other reads/VM",
        "writes/VM", "429s", "CPU ms/VM", "MB",
    )  # fmt: skip
    for name, one in results.items():
        reads, writes = one["backup_reads_per_vm"], one["writes_per_vm"]
        yield (
            name,
            str(one["vms"]),
            *(str(one["accepted_after"][f"{minutes} min"]) for minutes in (1, 3, 10)),
            f"{reads:.2f}",
            f"{one['arm_calls_per_vm'] - reads - writes:.2f}",
            f"{writes:.2f}",
            str(one["met_429"]),
            f"{one['cpu_ms_per_vm']:.0f}",
            f"{one['peak_mb']:.0f}",
        )
