"""One instance as its parent holds it: the process, its voice, its port."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from simulator.host import channel

ROOT = Path(__file__).resolve().parents[2]
#: What a child may keep of the parent's own environment; everything else is settings.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "COVERAGE_PROCESS_START")
LONGEST_LINE = 8 << 20


@dataclass(slots=True, kw_only=True, eq=False)
class Child:
    """A running instance. ``name`` is ``slot.generation``: a restart is another instance."""

    slot: int
    name: str
    program: asyncio.subprocess.Process
    ears: asyncio.StreamReader
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    listed: channel.Ready | None = None
    failure: str = ""
    crashed: bool = True
    deadlines: dict[str, float] = field(default_factory=dict)

    @classmethod
    async def start(
        cls, slot: int, setup: channel.Setup, settings: Mapping[str, str], log: IO[bytes] | None
    ) -> "Child":
        reading, writing = os.pipe()
        try:
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "simulator.host",
                "--voice",
                str(writing),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                cwd=ROOT,
                env=_environment(settings, setup.instance),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        ears = asyncio.StreamReader(limit=LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(ears), os.fdopen(reading, "rb")
        )
        child = cls(slot=slot, name=setup.instance, program=program, ears=ears)
        child.tell(setup)
        return child

    def tell(self, message: channel.Message) -> None:
        if self.program.stdin is not None and not self.program.stdin.is_closing():
            with contextlib.suppress(ConnectionError):
                self.program.stdin.write(channel.line(message))

    async def hear(self, heard: Callable[["Child", channel.FromInstance], None]) -> int:
        """Pass on what it says, also what it said just before it died; return its exit code."""
        while text := await self.ears.readline():
            heard(self, channel.heard_from_instance(text))
        return await self.program.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.program.send_signal(signal.SIGKILL)

    def is_stuck(self, patience: float) -> bool:
        """Tell whether an invocation is long past its deadline and the instance said nothing."""
        return any(deadline + patience < time.time() for deadline in self.deadlines.values())


def _environment(settings: Mapping[str, str], instance: str) -> dict[str, str]:
    """Write what an app sees: Azure's own variables, then its settings, and little else."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "WEBSITE_SITE_NAME": "local",
        "WEBSITE_INSTANCE_ID": instance,
        **settings,
    }
