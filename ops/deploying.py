"""Commands about the deployment: onboard, doctor."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ops import options
from ops.printing import Exit, Output, say, show
from ops.session import Session, run
from shared.domain.ids import ArmId
from shared.web.doctor import Check, Health

HOOK = Path("infra/hooks/postdeploy.sh")
DEAD_LETTERS = ("identity", "sharedKey", "none")
COLUMNS = ("result", "what", "says", "fix")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(onboard)
    app.command()(doctor)


def onboard(
    subscription: Annotated[str, typer.Argument(help="Subscription id.")],
    yes: options.Yes = False,
) -> None:
    """[changing] Print what makes one more subscription part of the service; --yes runs it.

    It is infra's own hook (role and event subscriptions of that subscription, an existing system
    topic re-used), with the outputs of stage 1 from azd. Afterwards add the subscription to
    SUBSCRIPTIONS, if that setting names any.
    """
    try:
        wanted = str(UUID(subscription))
    except ValueError as error:
        raise typer.BadParameter(f"{subscription!r} is no subscription id") from error
    script = (
        'set -a; eval "$(azd env get-values)"; set +a; '
        f"SERVICE_SUBSCRIPTIONS={wanted} sh {shlex.quote(str(HOOK))}"
    )
    typer.echo(script)
    if not yes:
        say("Printed only: run it from the repository's root, or add --yes.")
        return
    if not HOOK.is_file():
        say(f"{HOOK} is not here: run this from the repository's root.")
        raise typer.Exit(Exit.USAGE)
    done = subprocess.run(["sh", "-c", script], check=False)
    if done.returncode:
        raise typer.Exit(Exit.FOUND)


def doctor(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    app_id: Annotated[
        str, typer.Option(envvar="SERVICE_APP_ID", help="Resource id of the function app.")
    ] = "",
    principal: Annotated[
        str, typer.Option(envvar="SERVICE_PRINCIPAL_ID", help="Principal id of its identity.")
    ] = "",
    dead_letter: Annotated[
        str, typer.Option(envvar="SERVICE_DEAD_LETTER", help="identity, sharedKey or none.")
    ] = "",
    grants: Annotated[
        str, typer.Option(envvar="SERVICE_GRANTS", help="Role blocks besides enroll, by comma.")
    ] = "",
) -> None:
    """[read-only] What is wrong with the deployment, and the command that fixes it.

    Half of it is asked of the app, which looks under its own identity; the rest is looked at with
    your login. Without --app-id (azd sets it) the event subscriptions and roles are not looked at.
    """
    if dead_letter not in {"", *DEAD_LETTERS}:
        raise typer.BadParameter(f"--dead-letter {dead_letter}: {', '.join(DEAD_LETTERS)}")

    async def body(session: Session) -> Exit | None:
        from ops.deployment import Deployment, examined
        from ops.remote import asked_app

        found: list[Check] = await asked_app(session)
        if app_id:
            deployment = Deployment(
                app=str(ArmId.parse(app_id)),
                principal=principal,
                dead_letter=dead_letter,
                grants=tuple(word for word in grants.split(",") if word),
            )
            found += await examined(session, deployment)
        else:
            say("Event subscriptions and roles were not looked at: give --app-id.")
        rows = [
            {"result": one.result, "what": one.what, "says": one.says, "fix": one.fix}
            for one in found
        ]
        show(rows, COLUMNS, output)
        return Exit.FOUND if any(one.result is Health.FAILURE for one in found) else None

    run(settings, body)
