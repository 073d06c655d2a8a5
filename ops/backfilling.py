"""The command `backfill`: choose, show, and then enroll what was there before, in waves."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ops import backfill, options, places
from ops.backfill import Fate, Run, StateFile
from ops.printing import Exit, Output, err, say, show
from ops.rehearsal import Planned, rehearse
from ops.session import Session, run
from shared.domain.messages import Cause
from shared.ports import SeenVm


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backfill")(fill)


def fill(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    subscription: options.Subscriptions = None,
    group: Annotated[str, typer.Option(help="Only VMs of this resource group.")] = "",
    tag: Annotated[str, typer.Option(help="Only VMs with this tag: name or name=value.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many VMs.")] = 100_000,
    wave: Annotated[int, typer.Option(min=1, max=1000, help="VMs per wave.")] = 100,
    threshold: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Stop when more than this share ends otherwise."),
    ] = 0.1,
    state: Annotated[Path, typer.Option(help="State file.")] = Path("backfill.json"),
    by: options.By = "",
    yes: options.Yes = False,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the state file; nothing is planned anew.")
    ] = False,
) -> None:
    """[changing] Enroll VMs that are older than ENROLL_SINCE, in waves; Ctrl-C pauses.

    Without --yes it shows which VMs it would send. With it, the state file is written at every
    step; --resume goes on from there, after a pause, a stop or a crash.
    """
    file = StateFile(state)

    async def body(session: Session) -> Exit | None:
        if resume:
            going = file.read()
            say(f"{_counted(going)} of {len(going.items)} VMs")
        else:
            planned = await _planned(session, subscription or [], group, tag, limit)
            going = backfill.new_run(
                [one.vm for one in planned],
                now=session.ports.clock.now(),
                by=options.person(by),
                wave=wave,
                threshold=threshold,
                vaults={one.vm: one.place for one in planned},
            )
            if not yes:
                _would(planned, wave, output)
        if not yes:
            say("Nothing was sent: add --yes.")
            return None
        if session.settings.observing:
            say("MODE is observe: the service would change nothing. Set MODE=enforce first.")
            return Exit.USAGE
        if not resume and state.exists():
            say(f"{state} exists: --resume goes on with it; remove it to begin anew.")
            return Exit.USAGE
        done = await _carried_on(session, going, file)
        ended = _ended(done, file, output)
        for line in await places.taken_meanwhile(session.ports, done):
            say(line)
        return ended

    if resume and not state.exists():
        say(f"There is no {state}: nothing to resume. Begin with: python -m ops backfill --yes")
        raise typer.Exit(Exit.USAGE)
    try:
        run(settings, body)
    except ValueError as error:
        say(str(error))
        raise typer.Exit(Exit.USAGE) from error


async def _planned(
    session: Session, subscriptions: list[str], group: str, tag: str, limit: int
) -> list[Planned]:
    name, _, value = (part.strip().lower() for part in tag.partition("="))

    def wanted(vm: SeenVm) -> bool:
        if group and vm.id.group.lower() != group.lower():
            return False
        tags = {key.lower(): text.strip().lower() for key, text in vm.tags.items()}
        return not name or (name in tags and value in {"", tags[name]})

    found: list[Planned] = []
    async for one in rehearse(
        session.ports, subscriptions=subscriptions, wanted=wanted, cause=Cause.BACKFILL
    ):
        if one.planned.changes or one.snapshot is None:  # not found out: the service looks itself
            found.append(one.planned)
        if len(found) >= limit:
            break
    return found


def _would(planned: list[Planned], wave: int, output: Output) -> None:
    show([one.row() for one in planned], ("vm", "would", "rule"), output)
    waves = -(-len(planned) // wave)
    places = Counter(one.vault for one in planned)
    where = ", ".join(f"{vault} {count}" for vault, count in places.most_common())
    say(f"{len(planned)} VMs in {waves} waves of at most {wave}: {where or 'nothing to do'}")


async def _carried_on(session: Session, going: Run, file: StateFile) -> Run:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with _pausing() as asked, Progress(*columns, console=err()) as bar:
        task = bar.add_task("backfill", total=len(going.items))

        def told(now: backfill.Progress) -> None:
            left = "time left unknown yet"
            if now.left is not None:
                left = f"about {now.left.total_seconds() / 60:.0f} min left"
            failed = now.counts.get(Fate.FAILED, 0)
            words = f"{left}, {failed} not as planned"
            bar.update(task, completed=now.done, description=words)

        return await backfill.carry_on(
            session.ports, going, file, told=told, paused=lambda: bool(asked)
        )


@contextmanager
def _pausing() -> Iterator[list[int]]:
    """Take Ctrl-C as the wish to pause; a second one breaks off (and is resumed all the same)."""
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say("pausing after this look; again to break off")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _ended(done: Run, file: StateFile, output: Output) -> Exit | None:
    others = [item for item in done.items if item.fate in {Fate.FAILED, Fate.POSTPONED}]
    rows = [{"vm": item.vm, "fate": item.fate.value, "said": item.said} for item in others]
    if rows := [*rows, *places.said(done)]:
        show(rows, ("vm", "fate", "said"), output)
    say(_counted(done))
    if done.stopped:
        say(f"Stopped: {done.stopped}\nGo on with: python -m ops backfill --resume --yes "
            f"--state {file.path}")  # fmt: skip
        return Exit.STOPPED
    return Exit.FOUND if any(item.fate is Fate.FAILED for item in done.items) else None


def _counted(going: Run) -> str:
    counts = going.counts()
    return ", ".join(f"{counts[fate]} {fate}" for fate in Fate if counts[fate])
