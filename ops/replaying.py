"""The command `replay`: parked messages and Event Grid's dead letters, inspected first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ops import options
from ops.printing import Exit, Output, say, show
from ops.session import Session, run
from shared.domain.messages import decode
from shared.domain.records import Parked
from shared.errors import BadMessage, BadWish
from shared.intake import work_item
from shared.ports import Ports

replay = typer.Typer(
    help="Messages that nobody could use.", no_args_is_help=True, rich_markup_mode=None
)
COLUMNS = ("key", "at", "source", "reason", "detail", "replayed_at")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    replay.command("list")(list_parked)
    replay.command("show")(show_parked)
    replay.command("parked")(replay_parked)
    replay.command("dismiss")(dismiss)
    replay.command("dead-letters")(dead_letters)
    app.add_typer(replay, name="replay")


def list_parked(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    *,
    replayed: Annotated[bool, typer.Option(help="Also those that were replayed.")] = False,
) -> None:
    """[read-only] What is parked, and why."""

    async def body(session: Session) -> None:
        rows = [
            {name: getattr(one, name) for name in COLUMNS}
            for one in await _parked(session.ports, replayed=replayed)
        ]
        show(rows, COLUMNS, output)

    run(settings, body)


def show_parked(
    key: Annotated[str, typer.Argument(help="Key from the list.")],
    settings: options.Settings = None,
) -> None:
    """[read-only] One parked message as it came (personal data was removed before it was kept)."""

    async def body(session: Session) -> Exit | None:
        one = await session.ports.parked.read(key)
        if one is None:
            say(f"nothing is parked under {key}")
            return Exit.FOUND
        typer.echo(one.raw.encode("ascii", "backslashreplace").decode())
        return None

    run(settings, body)


def replay_parked(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys from the list.")] = None,
    settings: options.Settings = None,
    yes: options.Yes = False,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that were not replayed.")] = False,
) -> None:
    """[changing] Send parked messages again; one that still cannot be read stays parked."""

    async def body(session: Session) -> Exit | None:
        ports = session.ports
        found, unknown = await _chosen(ports, keys or [], everything=everything)
        if not yes:
            say(f"{len(found)} messages would be sent again: add --yes.")
            return Exit.FOUND if unknown else None
        bad = [one for one in found if not await send_again(ports, one)]
        say(f"{len(found) - len(bad)} sent again, {len(bad)} still cannot be used")
        return Exit.FOUND if bad or unknown else None

    run(settings, body)


def dismiss(
    keys: Annotated[list[str], typer.Argument(help="Keys from the list.")],
    settings: options.Settings = None,
    yes: options.Yes = False,
) -> None:
    """[changing] Note that parked messages need nothing: they are kept, and listed no more."""

    async def body(session: Session) -> Exit | None:
        ports = session.ports
        found, unknown = await _chosen(ports, keys, everything=False)
        if not yes:
            say(f"{len(found)} messages would be dismissed: add --yes.")
            return Exit.FOUND if unknown else None
        for one in found:
            await ports.parked.mark_replayed(one.key, ports.clock.now())
        say(f"{len(found)} dismissed")
        return Exit.FOUND if unknown else None

    run(settings, body)


async def _chosen(
    ports: Ports, keys: Sequence[str], *, everything: bool
) -> tuple[list[Parked], set[str]]:
    """Give the messages meant, and the keys under which nothing is parked, which are said."""
    wanted = set(keys)
    if not wanted and not everything:
        raise BadWish("Name keys of `replay list`, or --all.")
    found = [
        one
        for one in await _parked(ports, replayed=bool(wanted))
        if everything or one.key in wanted
    ]
    unknown = wanted - {one.key for one in found}
    for key in sorted(unknown):
        say(f"nothing is parked under {key}")
    return found, unknown


async def send_again(ports: Ports, one: Parked) -> bool:
    """Send what a parked message asks for, then note that it was; False if it still says nothing."""
    now = ports.clock.now()
    try:
        work = work_item(one.raw, now, one.trace) if one.source == "event" else decode(one.raw)
    except BadMessage as error:
        say(f"{one.key}: {error}")
        return False
    if work is not None:
        await ports.queues.send(work, backlog=one.source == "enrollments-backlog")
    await ports.parked.mark_replayed(one.key, now)
    return True


async def _parked(ports: Ports, *, replayed: bool) -> list[Parked]:
    return [
        one
        async for page in ports.parked.all()
        for one in page
        if replayed or one.replayed_at is None
    ]


def dead_letters(
    container: Annotated[
        str,
        typer.Argument(help="Container URL: https://ACCOUNT.blob.core.windows.net/undelivered"),
    ],
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    yes: options.Yes = False,
    *,
    replayed: Annotated[bool, typer.Option(help="Also those that were replayed.")] = False,
) -> None:
    """[changing] Events that Event Grid could not deliver: list them; with --yes, look at their VMs."""
    from ops.dead_letters import Container

    columns = ("blob", "event", "why", "attempts", "asks_for", "replayed")

    async def body(session: Session) -> None:
        async with Container(session, container) as letters:
            rows: list[dict[str, object]] = []
            sent = 0
            async for letter in letters.walk(replayed=replayed):
                rows += letter.rows()
                if yes:
                    sent += await letters.replay(letter)
            show(rows, columns, output)
            said = f"{sent} messages sent" if yes else "Nothing was sent: add --yes."
            say(f"{len(rows)} events. {said}")

    run(settings, body)
