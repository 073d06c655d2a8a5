"""The command that puts lost decisions of people back: the one table nothing can rebuild.

It only adds. What is there stays, and putting the same file back twice changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ops import options
from ops.printing import Exit, plain, say
from ops.session import Session, run
from shared.domain.ids import ArmId
from shared.domain.records import PersonDecision
from shared.errors import Conflict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(restore)


def restore(
    file: Annotated[Path, typer.Argument(help="What `decisions -o json` printed.")],
    settings: options.Settings = None,
    yes: options.Yes = False,
) -> None:
    """[changing] Put exported decisions back; what is there already stays as it is."""
    try:
        exported = msgspec.json.decode(file.read_bytes(), type=list[PersonDecision])
    except OSError as error:
        say(plain(error))
        raise typer.Exit(Exit.USAGE) from error
    except msgspec.MsgspecError as error:
        say(f"{file}: no export of decisions: {error}")
        raise typer.Exit(Exit.USAGE) from error

    async def body(session: Session) -> Exit | None:
        people = session.ports.people
        vms = {ArmId.parse(one.vm) for one in exported}
        known = {one for vm in vms for one in await people.of(vm)}
        missing = [one for one in exported if one not in known]
        if not all(one.key for one in exported):
            say("a decision has no key: no export has such")
            return Exit.USAGE
        if not yes:
            say(f"Would put back {len(missing)} of {len(exported)} decisions: add --yes.")
            return None
        other = 0
        for one in missing:
            try:
                await people.append(one)
            except Conflict as conflict:
                say(str(conflict))
                other += 1
        say(f"put back {len(missing) - other} of {len(exported)} decisions")
        return Exit.FOUND if other else None

    run(settings, body)
