"""``python -m simulator up``: everything a laptop needs, until SIGTERM."""

import argparse
import sys

from simulator.__main__ import announce, read_seed, stop_signal
from simulator.azurite import AzuriteMissing
from simulator.estate import ROOT, up_running
from simulator.host.fleet import UnstartableApp

#: Given to the app when no ``--rules`` are.
SAMPLE_RULES = ROOT / "rules.sample.yaml"


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
            await stop.wait()
    except (AzuriteMissing, UnstartableApp) as missing:
        print(f"simulator: {missing}", file=sys.stderr)
        return 1
    return 0
