"""What commands print: a table for people, JSON and CSV for programs.

Answers go to stdout, everything else (progress, what would be done) to stderr. Names and tags are
other people's text: control characters never reach the terminal, markup is never interpreted, and
CSV cells are no formulas.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.domain.quoting import one_line
from shared.web.exports import safe

_WIDE = 300  # characters of a cell
_ENDLESS = 10_000  # of a line that no terminal shows: a pipe gets a row per line


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Exit(IntEnum):
    """Exit codes, as `docs/ops.md` lists them."""

    DONE = 0
    FOUND = 1  # something a person should see: lint errors, doctor's failures, VMs not as planned
    USAGE = 2  # typer's own
    UNREACHABLE = 3  # Azure or storage did not answer, or settings cannot be used
    STOPPED = 4  # paused, or stopped at the failure threshold: resume it


def err() -> Console:
    """Give the console for everything but answers; made anew, since tests replace the streams."""
    return Console(stderr=True, highlight=False, markup=False)


def show(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: Output, title: str = ""
) -> None:
    """Print rows."""
    kept = list(rows)
    match output:
        case Output.JSON:
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(kept), indent=2).decode())
            sys.stdout.write("\n")
        case Output.CSV:
            writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([safe(cell(row.get(name))) for name in columns] for row in kept)
        case Output.TABLE:
            console = Console(highlight=False, markup=False)
            heads = [name.replace("_", " ") for name in columns]
            cells = [[cell(row.get(name)) for name in columns] for row in kept]
            if not console.is_terminal:
                console.width = _ENDLESS
            if _torn([heads, *cells], console.width):
                _one_by_one(console, heads, cells, title)
            else:
                console.print(_table(heads, cells, title))


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]], title: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in cells:
        table.add_row(*(Text(one) for one in row))
    return table


def _torn(cells: Sequence[Sequence[str]], width: int) -> bool:
    """Tell whether columns would be too narrow for a word: an id cut in pieces cannot be copied."""
    longest = [
        max(len(word) for one in column for word in ("", *one.split()))
        for column in zip(*cells, strict=True)
    ]
    return sum(longest) + 2 * len(longest) > width


def _one_by_one(
    console: Console, heads: Sequence[str], cells: Sequence[Sequence[str]], title: str
) -> None:
    if title:
        console.print(Text(title))
    for row in cells:
        for head, one in zip(heads, row, strict=True):
            if one:
                console.print(Text(f"{head}: {one}"), soft_wrap=True)
        console.print()


def plain(error: Exception) -> str:
    """Say what is wrong with a file without Python's numbers."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def say(text: str) -> None:
    """Tell the person at the terminal something that is no answer."""
    err().print(Text(text), soft_wrap=True)  # one line stays one: editors read file:line:column


def cell(value: object) -> str:
    """Write one value."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case list() | tuple():
            return one_line(", ".join(str(one) for one in value), _WIDE)
        case _:
            return one_line(str(value), _WIDE)
