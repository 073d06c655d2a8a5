"""The real az against the simulator, over TLS: every command's exit code and JSON.

    python -m tests.conformance.az                # the story, twice signed in, once as a process
    python -m tests.conformance.az --infidelities # does the list bite? one thing wrong at a time

The first run installs azure-cli into .venv-az.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from simulator.server import Simulator, running
from tests.conformance.accepted import load
from tests.conformance.az_checks import BY_IDENTITY, GROUP, IN_GROUP, STORY, SUBSCRIPTION, Check
from tests.conformance.az_session import Answer, Az, alone, install, sign_in, surroundings
from tests.conformance.infidelities import INFIDELITIES, Infidelity, unfaithful
from tests.conformance.recordings import read, sessions
from tests.conformance.session import UNREADABLE, Replay

ROOT = Path(__file__).parents[2]
#: Which list caught which infidelity when all were last tried: the check that did, or "".
CAUGHT = Path(__file__).with_name("caught.json")
NIGHT = 16 * 3600.0
#: Recordings that show most of what a user does; an infidelity that they miss is tried on all.
RECORDINGS = ("2025/test_backup_protection.jsonl", "2025/test_backup_item.jsonl")


def machine(name: str) -> dict[str, Any]:
    disk = {"storageAccountType": "Premium_LRS"}
    disks = f"{IN_GROUP}/providers/Microsoft.Compute/disks"
    return {
        "id": f"{IN_GROUP}/providers/Microsoft.Compute/virtualMachines/{name}",
        "location": "westeurope",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {
                "osDisk": {
                    "osType": "Linux",
                    "name": f"{name}-os",
                    "createOption": "FromImage",
                    "managedDisk": {**disk, "id": f"{disks}/{name}-os"},
                },
                "dataDisks": [
                    {
                        "lun": 0,
                        "name": f"{name}-data",
                        "createOption": "Empty",
                        "diskSizeGB": 32,
                        "managedDisk": {**disk, "id": f"{disks}/{name}-data"},
                    }
                ],
            },
            "osProfile": {"computerName": name, "adminUsername": "admin"},
            "networkProfile": {"networkInterfaces": []},
        },
    }


SEED = {
    "subscriptions": [{"subscriptionId": SUBSCRIPTION, "displayName": "Simulated"}],
    "resources": [machine("vm1"), machine("vm2"), machine("vm3")],
    "knobs": {"backup.vault.first_404": "never", "backup.vault.delete_ends": "succeeded"},
}


@contextlib.asynccontextmanager
async def az_on(python: Path, *, managed: bool = False) -> AsyncIterator[tuple[Simulator, Az]]:
    """Start a simulator and an az that is signed in to it."""
    async with running(seed=SEED, speed=0) as sim:
        with tempfile.TemporaryDirectory(prefix="az-") as folder:
            environment = surroundings(sim, Path(folder))
            if managed:
                environment["IDENTITY_ENDPOINT"] = sim.identity["endpoint"]
                environment["IDENTITY_HEADER"] = sim.identity["header"]
            async with Az(python, environment) as az:
                answer = await sign_in(az, sim, managed=managed)
                if answer.exit:
                    raise RuntimeError(f"az could not sign in: {answer.text}")
                yield sim, az


def fault_of(check: Check, answer: Answer) -> str:
    """Say what is wrong with an answer; nothing if it is what it should be."""
    if answer.exit != check.exit:
        return f"exit {answer.exit}, not {check.exit}: {answer.text.strip()[:200]}"
    if check.says and check.says not in answer.text:
        return f"says {answer.text.strip()[:200]!r}, not {check.says!r}"
    try:
        holds = check.holds(answer.json)
    except UNREADABLE as error:
        return f"{error!r} in {str(answer.json)[:200]}"
    return "" if holds else f"its JSON: {json.dumps(answer.json)[:300]}"


async def story(sim: Simulator, az: Az, *, stop_at_first: bool = False) -> dict[str, str]:
    """Run the whole story; return what was wrong, by check."""
    wrong: dict[str, str] = {}
    for part, checks in STORY:
        if part == "after a night":
            sim.clock.advance(NIGHT)
        for check in checks:
            fault = fault_of(check, await az.run(*check.args))
            if fault:
                wrong[check.name] = fault
                if stop_at_first:
                    return wrong
    return wrong


async def faithful(python: Path) -> int:
    """Run everything against the faithful simulator; return how many checks failed."""
    failed = total = 0
    began = time.monotonic()
    async with az_on(python) as (sim, az):
        wrong = await story(sim, az)
        total += sum(len(checks) for _, checks in STORY)
        for name, fault in wrong.items():
            print(f"FAILED as a service principal: {name}: {fault}")
        failed += len(wrong)
    print(f"as a service principal: {total} commands in {time.monotonic() - began:.1f} s")
    async with az_on(python, managed=True) as (_, az):
        for check in BY_IDENTITY:
            total += 1
            if fault := fault_of(check, await az.run(*check.args)):
                failed += 1
                print(f"FAILED as a managed identity: {check.name}: {fault}")
    print(f"as a managed identity: {len(BY_IDENTITY)} commands")
    total += 3
    failed += await _by_itself(python)
    print(f"commands {total}, passed {total - failed}, failed {failed}")
    return failed


async def _by_itself(python: Path) -> int:
    """Start az as a user does, a process for a command, with its own five-second sleeps."""
    failed = 0
    async with az_on(python) as (sim, az):
        sim.clock.set_speed(20)
        environment = az.environment
        vault = ("backup", "vault", "create", "-g", GROUP, "-n", "vault1", "-l", "westeurope")
        enable = ("backup", "protection", "enable-for-vm", "-g", GROUP, "-v", "vault1")
        began = time.monotonic()
        for check in (
            Check("vault create", vault),
            Check(
                "enable-for-vm",
                (*enable, "--vm", "vm1", "-p", "DefaultPolicy"),
                lambda job: job["properties"]["status"] == "Completed",
            ),
            Check("item list", ("backup", "item", "list", "-g", GROUP, "-v", "vault1"), bool),
        ):
            if fault := fault_of(check, await alone(python, environment, *check.args)):
                failed += 1
                print(f"FAILED in a process of its own: {check.name}: {fault}")
        print(f"each in a process of its own: 3 commands in {time.monotonic() - began:.1f} s")
    return failed


# --- does the list bite? -------------------------------------------------------------------------


async def caught_by_az(python: Path, wrong: Infidelity) -> str:
    """Return what az's story says of a simulator with one thing wrong."""
    try:
        async with az_on(python) as (sim, az):
            with unfaithful(sim.world, wrong):
                found = await story(sim, az, stop_at_first=True)
    except TimeoutError:
        return "a command that never ended"
    return next((f"{name}: {fault}" for name, fault in found.items()), "")


def caught_by_replay(recordings: Path, wrong: Infidelity) -> str:
    """Return the first difference the replay finds of a simulator with one thing wrong."""
    accepted = load()
    first = [recordings / name for name in RECORDINGS]
    for path in [*first, *sorted(set(recordings.rglob("*.jsonl")) - set(first))]:
        for session in sessions(read(path)[0]):
            replay = Replay(session, accepted)
            with unfaithful(replay.world, wrong):
                outcome = replay.run()
            if outcome.found:
                return str(outcome.found[0])
    return ""


async def bites(python: Path, recordings: Path) -> int:
    """Switch the infidelities on one at a time; return how many nothing caught."""
    missed = both = only_az = only_replay = 0
    caught: dict[str, dict[str, str]] = {}
    for wrong in INFIDELITIES:
        by_az = await caught_by_az(python, wrong)
        by_replay = caught_by_replay(recordings, wrong)
        both += bool(by_az and by_replay)
        only_az += bool(by_az and not by_replay)
        only_replay += bool(by_replay and not by_az)
        missed += not (by_az or by_replay)
        print(f"{wrong.name}")
        print(f"    az: {by_az[:160] or '-'}")
        print(f"    replay: {by_replay[:160] or '-'}", flush=True)
        caught[wrong.name] = {"az": by_az.partition(":")[0], "replay": by_replay.partition(":")[0]}
    CAUGHT.write_text(json.dumps(caught, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(
        f"infidelities {len(INFIDELITIES)}, caught by both {both}, by az alone {only_az}, "
        f"by the replay alone {only_replay}, by nothing {missed}"
    )
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.az", description=__doc__)
    parser.add_argument("--infidelities", action="store_true", help="prove that the list bites")
    parser.add_argument("--ground-truth", type=Path, help="folder with recordings")
    asked = parser.parse_args()
    python = install()
    if not asked.infidelities:
        return 1 if asyncio.run(faithful(python)) else 0
    told = asked.ground_truth or os.environ.get("GROUND_TRUTH") or ROOT.parent / "shared" / "azure"
    recordings = Path(told) / "recordings"
    if not recordings.is_dir():
        print(f"no recordings in {recordings}; pass --ground-truth or set GROUND_TRUTH")
        return 2
    return 1 if asyncio.run(bites(python, recordings)) else 0


if __name__ == "__main__":
    sys.exit(main())
