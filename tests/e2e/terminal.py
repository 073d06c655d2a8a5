"""The command line as an operator has it: a process of its own, with the app's settings."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from simulator.estate import Estate
from tests.conformance.rights import OPERATOR

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds for a command that only reads


async def started(estate: Estate, *words: str, **more: str) -> asyncio.subprocess.Process:
    """Begin a command."""
    given = {**os.environ, **{name: str(value) for name, value in estate.settings.items()}}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops",
        *words,
        cwd=ROOT,
        env={**given, "PAGE_URL": estate.url, "AZURE_HTTP_USER_AGENT": OPERATOR, **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(
    process: asyncio.subprocess.Process, patience: float = PATIENCE
) -> tuple[int, str, str]:
    """Wait for its end; give exit code, stdout and stderr."""
    out, err = await asyncio.wait_for(process.communicate(), patience)
    return process.returncode or 0, out.decode(), err.decode()


async def ops(estate: Estate, *words: str, **more: str) -> tuple[int, str, str]:
    """Run a command to its end."""
    return await ended(await started(estate, *words, **more))
