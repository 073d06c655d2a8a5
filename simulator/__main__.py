"""``python -m simulator serve|up|coverage``: a simulated Azure from the command line."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from simulator.arm import Json
from simulator.coverage import write_coverage
from simulator.profiles import PROFILES
from simulator.seeds import SeedError
from simulator.server import running
from simulator.world import START

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it ended as it should, 2 when it was asked wrongly."""
    options = _parser().parse_args(arguments)
    told = [file for name in ("ready", "env") if (file := getattr(options, name, None)) is not None]
    try:
        for file in told:
            file.unlink(missing_ok=True)  # an earlier run's would be believed
        match options.command:
            case "serve":
                return asyncio.run(serve(options))
            case "up":
                from simulator.up import up

                return asyncio.run(up(options))
            case _:
                return write_coverage(check=options.check)
    except (SeedError, OSError, OverflowError) as wrong:
        print(f"simulator: {wrong}", file=sys.stderr)
        return 2
    finally:
        for file in told:
            if file.is_file():
                file.unlink()


async def serve(options: argparse.Namespace) -> int:
    """Serve ARM and friends until SIGTERM or SIGINT."""
    async with running(
        seed=read_seed(options.seed),
        profile=options.profile,
        speed=options.speed,
        start=options.start,
        port=options.port,
    ) as simulator:
        stop = stop_signal()
        announce(simulator.ready(), options.ready)
        await stop.wait()
    return 0


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


def announce(ready: dict[str, Json], file: Path | None) -> None:
    """Write the ready file whole, at once: its presence means everything answers."""
    text = json.dumps(ready, indent=2)
    if file is None:
        print(text, flush=True)
        return
    draft = file.with_name(file.name + ".part")
    draft.write_text(text + "\n")
    draft.rename(file)


def read_seed(file: Path | None) -> dict[str, Json] | None:
    """Read a seed file; raise SeedError if it is no JSON object."""
    if file is None:
        return None
    try:
        seed = json.loads(file.read_text())
    except ValueError as broken:
        raise SeedError(f"{file}: {broken}") from broken
    if not isinstance(seed, dict):
        raise SeedError(f"{file}: a seed is a JSON object")
    return seed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="ARM, Entra, Resource Graph and the control plane")
    upping = commands.add_parser("up", help="the same, with Azurite and the Functions host")
    for command in (serving, upping):
        command.add_argument("--seed", type=Path, help="JSON file, see docs/simulator.md")
        command.add_argument("--port", type=_port, default=0, help="https port; 0: a free one")
        command.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds a second")
        command.add_argument("--profile", choices=sorted(PROFILES), default="doc")
        command.add_argument("--ready", type=Path, help="written once everything answers")
        command.add_argument("--start", type=_moment, default=START, help="simulated start (ISO)")
    upping.add_argument("--workers", type=_workers, default=1, help="worker processes")
    upping.add_argument("--app", type=Path, default=ROOT, help="folder with function_app.py")
    upping.add_argument("--env", type=Path, help="the app's settings, written for a shell: . FILE")
    upping.add_argument("--rules", type=_file, help="rules file given to the app")
    upping.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an app setting"
    )
    covering = commands.add_parser("coverage", help="write simulator/COVERAGE.md from the routes")
    covering.add_argument("--check", action="store_true", help="only compare; 1 if it is stale")
    return parser


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO time") from wrong
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _port(text: str) -> int:
    return int(_number(text, 0, 65535))


def _workers(text: str) -> int:
    return int(_number(text, 1, 64))


def _speed(text: str) -> float:
    return _number(text, 0, 100_000)


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from wrong
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
    return number


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
