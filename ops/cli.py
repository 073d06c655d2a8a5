"""The command line: every command of the modules beside this one, under one name.

Every command's help begins with [read-only] or [changing]; a changing one shows what it would do
and does it only with --yes.
"""

from __future__ import annotations

import typer

from ops import backfilling, deciding, deploying, looking, replaying, restoring, ruling

app = typer.Typer(
    name="ops",
    help="Operate the VM backup auto-enrollment service. Exit codes: docs/ops.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for commands in (looking, ruling, backfilling, deciding, restoring, replaying, deploying):
    commands.register(app)


def main() -> None:
    """Run the command line."""
    app()
