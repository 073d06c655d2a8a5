"""Options that commands share. Plain aliases: typer does not look into `type` statements."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from ops.printing import Output

Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        envvar="OPS_SETTINGS",
        help="Settings of the app (docs/ops.md); the environment wins over them.",
    ),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="How to print the answer.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only show what it would do.")]
Subscriptions = Annotated[
    list[str] | None,
    typer.Option("--subscription", "-s", help="Only these subscriptions; may be repeated."),
]
By = Annotated[str, typer.Option("--by", help="In whose name; default: the login name here.")]


def person(by: str) -> str:
    """Name the person at the terminal for the audit trail."""
    return by or f"{getpass.getuser()} (ops)"
