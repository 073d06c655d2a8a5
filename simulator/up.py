"""``python -m simulator up``: everything a laptop needs, until SIGTERM."""

import argparse
import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from simulator.__main__ import announce, read_seed, stop_signal
from simulator.azurite import AzuriteMissing
from simulator.estate import ROOT, Estate, up_running
from simulator.host.fleet import UnstartableApp

#: Given to the app when no ``--rules`` are.
SAMPLE_RULES = ROOT / "rules.sample.yaml"
LOOK = 0.5  # real seconds


async def up(options: argparse.Namespace) -> int:
    """Run Azure, the emulator and the app; 1 if something of it cannot start, 2 for bad arguments."""
    settings = {}
    for one in options.set:
        name, equals, value = one.partition("=")
        if not equals:
            print(f"simulator: --set {one}: give NAME=VALUE", file=sys.stderr)
            return 2
        settings[name] = value
    seed = read_seed(options.seed)
    stop = stop_signal()
    try:
        async with up_running(
            seed=seed,
            rules=options.rules or (SAMPLE_RULES if SAMPLE_RULES.exists() else None),
            workers=options.workers,
            speed=options.speed,
            settings=settings,
            profile=options.profile,
            start=options.start,
            port=options.port,
            app=options.app,
        ) as estate:
            for listed in estate.fleet.reported():
                print(f"simulator: host.json: {listed}", file=sys.stderr)
            announce(estate.ready(), options.ready)
            if options.env is not None:
                _export(estate, options.env)
            async with troubles_told(estate):
                await stop.wait()
    except (AzuriteMissing, UnstartableApp) as missing:
        print(f"simulator: {missing}", file=sys.stderr)
        return 1
    return 0


def _export(estate: Estate, file: Path) -> None:
    """Write the app's settings for a shell, and say what they are good for."""
    settings = {**estate.settings, "PAGE_URL": estate.url}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines))
    for line in (
        f"coverage page: {estate.url}/api/coverage",
        f"what owners receive: {estate.control}/_sim/inbox",
        f"operator's command line, in another shell: . {file}; python -m ops coverage",
    ):
        print(f"simulator: {line}", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def troubles_told(estate: Estate) -> AsyncIterator[None]:
    """Say on stderr why functions fail, each reason once: nobody reads an invocation list."""

    async def telling() -> None:
        told: set[str] = set()
        while True:
            for one in estate.failed():
                reason = one.error or one.state
                if reason not in told:
                    told.add(reason)
                    print(
                        f"simulator: {one.function} failed: {reason}", file=sys.stderr, flush=True
                    )
            await asyncio.sleep(LOOK)

    watching = asyncio.create_task(telling())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
