"""The storage emulator of the laptop: the project's pinned Azurite, on free ports.

It keeps everything in memory, or in a folder: then it can be stopped and started again. Its tables
find their rows by key, which `azurite_rows.js` teaches it: as it comes, a query looks at every row,
so that ten thousand VMs would measure the emulator. Queues and blobs are as they come.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from simulator.host.connections import EMULATOR_ACCOUNT, EMULATOR_KEY

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "node_modules" / ".bin" / "azurite"
ROWS = Path(__file__).with_name("azurite_rows.js")
START_PATIENCE = 60.0
STOP_PATIENCE = 5.0
#: The emulator ends with us, also if we are killed: a reader of our pipe ends the whole group.
LEASH = 'exec 3<&0; { read -r _ <&3; kill 0; } >/dev/null 2>&1 & exec "$0" "$@" 3<&- </dev/null'
LISTENING = re.compile(
    rb"Azurite (Blob|Queue|Table) service is successfully listening at https?://127\.0\.0\.1:(\d+)"
)


class AzuriteMissing(RuntimeError):
    """Azurite or Node is not installed, or it did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files that make the emulator speak TLS, which its token check needs."""

    certificate: Path
    key: Path


class Azurite:
    """A running emulator. Use as ``async with Azurite() as azurite``."""

    def __init__(
        self,
        tls: Certificate | None = None,
        *,
        accounts: Sequence[str] = (EMULATOR_ACCOUNT,),
        folder: Path | None = None,
        as_it_comes: bool = False,
    ) -> None:
        self._tls = tls
        self._rows = () if as_it_comes else ("--require", str(ROWS))
        self._folder = folder
        self._accounts = tuple(accounts)
        self._program: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.ports: dict[str, int] = {}

    @property
    def scheme(self) -> str:
        return "https" if self._tls else "http"

    def url(self, service: str, account: str = "") -> str:
        """Return an account's endpoint of ``blob``, ``queue`` or ``table``."""
        return f"{self.scheme}://127.0.0.1:{self.ports[service]}/{account or self._accounts[0]}"

    @property
    def connection_string(self) -> str:
        return self.connection_string_of(self._accounts[0])

    def connection_string_of(self, account: str) -> str:
        endpoints = ";".join(
            f"{service.capitalize()}Endpoint={self.url(service, account)}"
            for service in ("blob", "queue", "table")
        )
        return (
            f"DefaultEndpointsProtocol={self.scheme};AccountName={account};"
            f"AccountKey={EMULATOR_KEY};{endpoints};"
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the program, on the ports it had before if it was stopped."""
        if shutil.which("node") is None:
            raise AzuriteMissing(
                "node is missing, which runs Azurite, the storage emulator: install Node 20"
                " (apt-get install nodejs npm, or https://nodejs.org)"
            )
        if not PROGRAM.exists():
            raise AzuriteMissing(f"Azurite, the storage emulator, is not in {PROGRAM}: make setup")
        flags = ["--location", str(self._folder)] if self._folder else ["--inMemoryPersistence"]
        if self._tls:
            flags += [
                "--oauth", "basic", "--cert", str(self._tls.certificate), "--key", str(self._tls.key),
            ]  # fmt: skip
        self._program = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            LEASH,
            "node",
            *self._rows,
            str(PROGRAM),
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            *(f"--{one}Port={self.ports.get(one, 0)}" for one in ("blob", "queue", "table")),
            *flags,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={
                **os.environ,
                "AZURITE_ACCOUNTS": ";".join(f"{one}:{EMULATOR_KEY}" for one in self._accounts),
            },
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_PATIENCE):
                await self._until_listening()
        except BaseException as fault:
            await self.stop()
            if isinstance(fault, TimeoutError):
                raise AzuriteMissing("Azurite did not start in time") from fault
            raise
        self._reading = asyncio.create_task(self._drain())

    async def stop(self) -> None:
        """End the program; what it keeps in a folder stays."""
        if self._program is None:
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program.pid, sent)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_PATIENCE):
                    await self._program.wait()
                    break
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _until_listening(self) -> None:
        said, ports = b"", dict[str, int]()
        while len(ports) < 3:
            line = await self._line()
            if not line:
                raise AzuriteMissing(f"Azurite ended at once: {said.decode(errors='replace')}")
            said += line
            for service, port in LISTENING.findall(line):
                ports[service.decode().lower()] = int(port)
        self.ports = ports

    async def _drain(self) -> None:
        while await self._line():
            continue

    async def _line(self) -> bytes:
        if self._program is None or self._program.stdout is None:
            return b""
        return await self._program.stdout.readline()
