"""`make demo`: fourteen VMs are created in a simulated Azure; each must end as its story says.

Everything between is real: Event Grid delivery, the unmodified `function_app.py` in Microsoft's
worker library, the storage emulator, ARM over TLS, the inboxes. Exits 1 if a row differs from
`expected.json` or an invocation failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo import letters, scenario
from demo.machines import NoSuchVm, chosen
from demo.reality import Reality
from shared.domain.rules import parse
from shared.errors import BadRules
from simulator.azurite import AzuriteMissing
from simulator.estate import Estate, up_running
from simulator.host.fleet import UnstartableApp
from simulator.seeds import SeedError

HERE = Path(__file__).parent
SPEED = 60.0
SETTINGS = {
    "SWEEP_SECONDS": "180",  # a sweep every three simulated minutes instead of fifteen
    "DIRECTORY_SECONDS": "120",
    "OPERATORS": "operators@contoso.example",
    "TEAMS_WEBHOOK_URL": "",
}
LONGEST = 1800  # simulated seconds a VM may be on its way beyond the script
STILL = 60
PASSING = frozenset({"", "Waiting", "Enrolling"})
WITH_STORIES = 120  # columns from which the table has room for every VM's story
AFTER_MORNING = 300  # simulated seconds played after the jump


def main() -> int:
    """Parse the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows as JSON")
    parser.add_argument("--seed", type=Path, help="another estate (docs/simulator.md)")
    parser.add_argument(
        "--expected", type=Path, default=HERE / "expected.json", help="how its VMs must end"
    )
    parser.add_argument(
        "--rules", type=Path, default=HERE / "rules.yaml", help="another rules file"
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(1, 65),
        metavar="N",
        default=2,
        help="instances of the app",
    )
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="cards and mails")
    options = parser.parse_args()
    console = Console()
    try:
        seed = _seed(options.seed) if options.seed else scenario.seed()
        expected = _expected(options.expected)
        vms = chosen(seed, [row["vm"] for row in expected])
        parse(options.rules.read_text(encoding="utf-8"), str(options.rules))
        return asyncio.run(play(options, console, seed, expected, vms))
    except (OSError, BadFile, BadRules, NoSuchVm, SeedError) as wrong:
        Console(stderr=True).print(f"demo: {wrong}", soft_wrap=True, markup=False, highlight=False)
        return 2
    except (AzuriteMissing, UnstartableApp) as missing:
        Console(stderr=True).print(f"demo: {missing}", soft_wrap=True, markup=False)
        return 1


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """How a VM must end; a state may be one of several, joined with ``|``."""

    vm: str
    state: str
    story: str = ""
    findings: list[str] = []
    notices: int = 0
    resolved: int = 0
    policy: str | msgspec.UnsetType = msgspec.UNSET
    puts: int | msgspec.UnsetType = msgspec.UNSET
    shows: list[str] = []  # texts that `explain` must give


class BadFile(ValueError):
    """A file is not what it must be; the message names file and place."""


def _expected(file: Path) -> list[dict[str, Any]]:
    try:
        rows = msgspec.json.decode(file.read_bytes(), type=list[Expected])
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadFile(f"{file}: {wrong}") from wrong
    return [msgspec.to_builtins(row) for row in rows]


def _seed(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as wrong:
        raise BadFile(f"{file}: not a JSON object: {wrong}") from wrong


async def play(
    options: argparse.Namespace,
    console: Console,
    seed: dict[str, Any],
    expected: list[dict[str, Any]],
    vms: dict[str, str],
) -> int:
    """Play the first quarter of an hour, jump over the night, look at the morning."""
    start = datetime.fromisoformat(scenario.START)
    began = time.monotonic()
    console.print("starting the simulated Azure, the storage emulator and the app ...")
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in SETTINGS.items() if value}
    async with up_running(
        seed=seed,
        rules=options.rules,
        workers=options.workers,
        speed=SPEED,
        settings=settings,
        start=start,
        log=options.out / "app.log",
    ) as estate:
        console.print(f"what owners receive: {estate.control}/_sim/inbox", soft_wrap=True)
        reality = Reality(estate, vms)
        await watch_until(estate, reality, console, scenario.PLAYED)
        await until_still(estate, reality, console, expected)
        console.print("[bold]the night passes: the backups of the policies run[/bold]")
        morning = datetime.fromisoformat(scenario.MORNING)
        estate.clock.set_speed(0)
        estate.advance((morning - estate.now()).total_seconds())
        estate.clock.set_speed(SPEED)
        late = (morning - start).total_seconds() + AFTER_MORNING
        await watch_until(estate, reality, console, late)
        await until_still(estate, reality, console, expected)
        reads = reality.backup_reads()
        rows = [await reality.row(row) for row in expected]
        cards, mails = estate.inbox("teams"), estate.inbox("mail")
        letters.write(options.out, cards, mails)
        unseen = await letters.photograph(
            options.out, f"{estate.control}/_sim/inbox", len(cards), len(mails)
        )
        failed = estate.failed()
        letters.log(options.out / "app.log", estate.fleet.logs)
    show(console, rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    wrong = [row for row in rows if not row["ok"]]
    for one in failed:
        console.print(f"[red]failed invocation[/red] {one.function}: {one.error or one.state}")
    console.print(f"Azure Backup reads per VM: {reads / enrollable(rows):.2f}")
    console.print(f"cards and mails, as files and pictures, and the app's log: {options.out}/")
    if unseen:
        console.print(f"no pictures: {unseen}")
    console.print(
        f"{len(rows) - len(wrong)} of {len(rows)} as expected, {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong or failed else 0


async def watch_until(estate: Estate, reality: Reality, console: Console, until: float) -> None:
    """Print what happens until so many simulated seconds after the start."""
    start = datetime.fromisoformat(scenario.START)
    while (estate.now() - start).total_seconds() < until:
        await asyncio.sleep(0.25)
        for line in reality.news():
            console.print(line, highlight=False, soft_wrap=True)


async def until_still(
    estate: Estate, reality: Reality, console: Console, expected: list[dict[str, Any]]
) -> None:
    """Play on while a VM is on its way, so that a slow machine changes nothing; with a bound."""
    ends = estate.now() + timedelta(seconds=LONGEST)
    before: list[str] = []
    while estate.now() < ends:
        states = [str((await reality.explained(row["vm"])).get("state")) for row in expected]
        if states == before and not PASSING & set(states):
            return
        before = states
        later = (estate.now() - datetime.fromisoformat(scenario.START)).total_seconds() + STILL
        await watch_until(estate, reality, console, later)


def enrollable(rows: list[dict[str, Any]]) -> int:
    """Count the VMs that somebody wants protected; ignored and excluded ones do not count."""
    left_out = {"Ignored", "Excluded"}
    return max(1, sum(row["actual"].split()[0] not in left_out for row in rows))


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print the final table; each VM's story too where the terminal is wide enough."""
    columns = {"VM": "vm", "story": "story", "expected": "expected", "actual": "actual"}
    if console.width < WITH_STORIES:
        del columns["story"]
    table = Table(
        title="VM / expected / actual / seconds / notices", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in (*columns, "seconds", "notices"):
        table.add_column(column, overflow="fold", no_wrap=column == "seconds")
    for row in rows:
        cells = [row[name] for name in columns.values()]
        style = "" if row["ok"] else "red"
        table.add_row(*map(escape, cells), str(row["seconds"]), row["heard"], style=style)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
