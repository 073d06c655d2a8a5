"""Options that commands share."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from ops.printing import Output

type Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        envvar="OPS_SETTINGS",
        help="Settings of the app, like local.settings.json; the environment wins over it.",
    ),
]
type Format = Annotated[Output, typer.Option("--output", "-o", help="How to print the answer.")]
type Yes = Annotated[
    bool, typer.Option("--yes", help="Do it; without, only show what it would do.")
]
type Subscriptions = Annotated[
    list[str] | None,
    typer.Option("--subscription", "-s", help="Only these subscriptions; may be repeated."),
]
type By = Annotated[str, typer.Option("--by", help="In whose name; default: the login name here.")]


def person(by: str) -> str:
    """Name the person at the terminal for the audit trail."""
    return by or f"{getpass.getuser()} (ops)"
