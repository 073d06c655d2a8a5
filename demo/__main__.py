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

from rich.console import Console
from rich.table import Table

from demo import letters, scenario
from demo.reality import Reality
from simulator.azurite import AzuriteMissing
from simulator.estate import Estate, up_running

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
AFTER_MORNING = 300  # simulated seconds played after the jump


def main() -> int:
    """Parse the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows as JSON")
    parser.add_argument("--seed", type=Path, help="another estate, in the simulator's format")
    parser.add_argument("--expected", type=Path, default=HERE / "expected.json")
    parser.add_argument("--rules", type=Path, default=HERE / "rules.yaml")
    parser.add_argument("--workers", type=int, default=2, help="instances of the app")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="cards and mails")
    options = parser.parse_args()
    console = Console()
    try:
        return asyncio.run(play(options, console))
    except AzuriteMissing as missing:
        console.print(f"[red]{missing}[/red]  Run: make setup")
        return 1


async def play(options: argparse.Namespace, console: Console) -> int:
    """Play the first quarter of an hour, jump over the night, look at the morning."""
    seed = json.loads(options.seed.read_text()) if options.seed else scenario.seed()
    expected = json.loads(options.expected.read_text(encoding="utf-8"))
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
        reality = Reality(estate, [row["vm"] for row in expected])
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
        letters.write(options.out, estate.inbox("teams"), estate.inbox("mail"))
        failed = estate.failed()
    show(console, rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    wrong = [row for row in rows if not row["ok"]]
    for one in failed:
        console.print(f"[red]failed invocation[/red] {one.function}: {one.error or one.state}")
    console.print(f"Azure Backup reads per VM: {reads / enrollable(rows):.2f}")
    console.print(f"cards, mails and the app's log: {options.out}/")
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
            console.print(line, highlight=False)


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
    """Print the final table."""
    table = Table(title="VM / expected / actual / seconds / notices", show_lines=False)
    for column in ("VM", "story", "expected", "actual", "seconds", "notices"):
        table.add_column(column, overflow="fold")
    for row in rows:
        style = "" if row["ok"] else "red"
        table.add_row(
            row["vm"],
            row["story"],
            row["expected"],
            row["actual"],
            str(row["seconds"]),
            row["heard"],
            style=style,
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
