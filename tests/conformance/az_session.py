"""An az against a simulator: its environment, its configuration folder, its login, its commands."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.server import Simulator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-az"
VERSION = "2.91.0"
CLIENT = "6f1d2b1e-3b54-4b7e-8a52-0c8c9d7e2f10"  # of the service principal that signs in
#: azure-cli runs on these; the first one found is taken.
PYTHONS = ("3.12", "3.13", "3.11", "3.10")


class NoInterpreter(RuntimeError):
    """There is no Python that azure-cli runs on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gave: its exit code, its JSON, what it said of an error."""

    exit: int
    json: Any
    text: str


def install() -> Path:
    """Return az's own interpreter; the first time it takes a minute and 700 MB."""
    python = ENVIRONMENT / "bin" / "python"
    marker = ENVIRONMENT / f".azure-cli-{VERSION}"
    if marker.exists():
        return python
    base = _interpreter()
    print(f"installing azure-cli {VERSION} with {base} (about a minute, 700 MB)", flush=True)
    subprocess.run([base, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"azure-cli=={VERSION}"], check=True)
    marker.touch()
    return python


def _interpreter() -> str:
    """Find a Python for azure-cli: on the path, among pyenv's, or the one that runs this."""
    homes = sorted((Path.home() / ".pyenv" / "versions").glob("3.*"), reverse=True)
    for wanted in PYTHONS:
        if found := shutil.which(f"python{wanted}"):
            return found
        for home in homes:
            if home.name.startswith(wanted + ".") and (home / "bin" / "python3").exists():
                return str(home / "bin" / "python3")
    if f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS:
        return sys.executable
    raise NoInterpreter(f"azure-cli needs a Python {' or '.join(PYTHONS)}: none was found")


def surroundings(sim: Simulator, folder: Path) -> dict[str, str]:
    """Return az's environment: its own configuration folder, the simulator's CA, no telephone."""
    folder.mkdir(parents=True, exist_ok=True)
    local = {"local": VERSION}
    told = {"azure-cli": local, "core": local, "telemetry": {"local": "1.1.0"}}
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    (folder / "versionCheck.json").write_text(
        json.dumps({"versions": told, "update_time": now}), "utf-8"
    )
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "AZURE_CONFIG_DIR": str(folder),
        "REQUESTS_CA_BUNDLE": str(sim.ca_file),
        "SIM_CONTROL": sim.control_url,
        "AZURE_CORE_COLLECT_TELEMETRY": "0",
        "AZURE_CORE_SURVEY_MESSAGE": "0",
        "AZURE_CORE_NO_COLOR": "1",
        "AZURE_CORE_ONLY_SHOW_ERRORS": "1",
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
        "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
    }


class Az:
    """One az process that takes command after command."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self._python = python
        self.environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Az:
        self._process = await asyncio.create_subprocess_exec(
            str(self._python),
            str(Path(__file__).with_name("az_worker.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self.environment,
            limit=64 * 1024 * 1024,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            await process.wait()

    async def run(self, *args: str, timeout: float = 90) -> Answer:
        """Run a command; raise TimeoutError, ending az, if it takes too long."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("az is not running")
        process.stdin.write(json.dumps(args).encode() + b"\n")
        await process.stdin.drain()
        try:
            async with asyncio.timeout(timeout):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            raise
        return _answer(json.loads(line))


async def alone(python: Path, environment: dict[str, str], *args: str) -> Answer:
    """Run a command in a process of its own, sleeping for real: az as a user starts it."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        "-m",
        "azure.cli",
        *args,
        "-o",
        "json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    return _answer({"exit": process.returncode, "out": out.decode(), "err": err.decode()})


def _answer(told: dict[str, Any]) -> Answer:
    try:
        value = json.loads(told["out"]) if told["out"].strip() else None
    except ValueError:
        value = told["out"]
    return Answer(told["exit"], value, told["err"])


async def sign_in(az: Az, sim: Simulator, *, managed: bool = False) -> Answer:
    """Register the simulated cloud and sign in, as a service principal or a managed identity."""
    await az.run("cloud", "register", "-n", "Simulated", "--endpoint-resource-manager", sim.arm_url)
    await az.run("cloud", "set", "-n", "Simulated")
    if managed:
        return await az.run("login", "--identity")
    return await az.run(
        *("login", "--service-principal", "-u", CLIENT),
        *("-p", "secret", "--tenant", sim.world.tenant_id),
    )
