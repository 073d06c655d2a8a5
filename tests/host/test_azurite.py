"""The storage emulator of tests: starts on free ports, ends with whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import pytest

from simulator import azurite as azurite_module
from simulator.azurite import Azurite, AzuriteMissing
from simulator.estate import ROOT

pytestmark = pytest.mark.host

HOLDER = """
import asyncio, sys
from simulator.azurite import Azurite
async def main():
    async with Azurite() as azurite:
        print(azurite.ports["queue"], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True
    return False


async def test_it_ends_even_if_its_parent_is_killed():
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    port = int(await holder.stdout.readline())
    assert await listens(port)
    os.kill(holder.pid, signal.SIGKILL)
    await holder.wait()
    for _ in range(200):
        if not await listens(port):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the emulator outlived its parent")


async def test_two_run_side_by_side():
    async with Azurite() as one, Azurite() as other:
        assert set(one.ports.values()).isdisjoint(other.ports.values())
        assert one.connection_string != other.connection_string
        port = one.ports["table"]
    assert not await listens(port)


async def test_a_missing_emulator_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(azurite_module, "PROGRAM", ROOT / "nothing")
    with pytest.raises(AzuriteMissing, match="make setup"):
        async with Azurite():
            pass


async def test_a_missing_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AzuriteMissing, match="install Node 20"):
        async with Azurite():
            pass
