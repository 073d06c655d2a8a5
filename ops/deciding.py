"""Commands for what people decide, and for notices: decide, notices."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated

import typer

from ops import options
from ops.printing import Exit, Output, say, show
from ops.session import Session, run
from shared.domain.deliveries import Outcome
from shared.domain.notices import Notice, NoticeState
from shared.domain.records import DecisionKind
from shared.web.api import machine
from shared.wishes import Wish, carry_out, examine

notices = typer.Typer(
    help="Notices to owners and operators.", no_args_is_help=True, rich_markup_mode=None
)
NOTICE_COLUMNS = ("key", "state", "opened_at", "owner", "findings", "tellings", "snoozed_until")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decide)
    app.command()(decisions)
    notices.command("list")(list_notices)
    notices.command("resend")(resend)
    notices.command("park")(park)
    notices.command("resolve")(resolve)
    app.add_typer(notices, name="notices")


def decide(
    kind: Annotated[DecisionKind, typer.Argument(help="What is decided.")],
    vm: Annotated[str, typer.Argument(help="Resource id of the VM.")],
    reason: Annotated[str, typer.Option(help="Why; others will read it.")] = "",
    until: Annotated[str, typer.Option(help="Its end, as a date: 2026-12-31.")] = "",
    policy: Annotated[str, typer.Option(help="Name of the policy a consent is for.")] = "",
    revokes: Annotated[str, typer.Option(help="Key of the decision taken back.")] = "",
    by: options.By = "",
    settings: options.Settings = None,
    yes: options.Yes = False,
) -> None:
    """[changing] Record a person's decision for one VM, and have the VM looked at."""

    async def body(session: Session) -> None:
        wish = Wish(
            vm=machine(vm),
            kind=kind,
            by=options.person(by),
            reason=reason,
            until=_until(until),
            policy=policy,
            revokes=revokes,
        )
        await examine(session.ports, wish)
        if await session.ports.ledger.read(wish.vm) is None:
            say("The service has never seen this VM: is its id spelled right?")
        if not yes:
            say(f"Would record {kind} for {wish.vm.name} in the name of {wish.by}: add --yes.")
            return
        key = await carry_out(session.ports, session.notifier, wish)
        say(f"recorded as {key}")

    run(settings, body)


def decisions(
    vm: Annotated[str, typer.Argument(help="Resource id of a VM; none: of all.")] = "",
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
) -> None:
    """[read-only] What people decided, and who."""
    columns = ("at", "by", "kind", "vm", "reason", "until", "policy", "revokes", "key")

    async def body(session: Session) -> None:
        if vm:
            found = list(await session.ports.people.of(machine(vm)))
        else:
            found = [one async for page in session.ports.people.all() for one in page]
        rows = [{name: getattr(one, name) for name in columns} for one in found]
        show(sorted(rows, key=lambda row: row["at"]), columns, output)

    run(settings, body)


def list_notices(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    subscription: Annotated[str, typer.Option(help="Only of this subscription.")] = "",
    state: Annotated[NoticeState | None, typer.Option(help="Only in this state.")] = None,
    *,
    resolved: Annotated[bool, typer.Option(help="Resolved ones, too.")] = False,
) -> None:
    """[read-only] Notices, open ones first of all."""

    async def body(session: Session) -> None:
        rows = [
            _line(one)
            async for page in session.notices.notices(subscription)
            for one in page
            if (one.is_open or resolved or state) and state in {None, one.state}
        ]
        show(rows, NOTICE_COLUMNS, output)

    run(settings, body)


def _line(notice: Notice) -> dict[str, object]:
    return {
        "key": notice.key,
        "state": notice.state,
        "opened_at": notice.opened_at,
        "owner": notice.owner,
        "findings": [one.code for one in notice.findings],
        "tellings": notice.tellings,
        "snoozed_until": notice.snoozed_until,
    }


def resend(
    key: Annotated[str, typer.Argument(help="Resource id of the VM, or the key from the list.")],
    settings: options.Settings = None,
    yes: options.Yes = False,
) -> None:
    """[changing] Try a parked notice again, from the start of its route."""

    async def body(session: Session) -> Exit | None:
        notice = await _notice(session, key)
        if notice is None:
            return Exit.FOUND
        if all(one.outcome is not Outcome.PARKED for one in notice.deliveries):
            say(f"Nothing of it is parked: it is {notice.state}.")
            return Exit.FOUND
        if not yes:
            say(f"Would try the parked deliveries of {notice.key} again: add --yes.")
            return None
        await session.notifier.replay(notice.key, session.ports.clock.now())
        say("tried again within a minute")
        return None

    run(settings, body)


def park(
    key: Annotated[str, typer.Argument(help="Resource id of the VM.")],
    until: Annotated[str, typer.Option(help="Its end, as a date: 2026-12-31.")],
    reason: Annotated[str, typer.Option(help="Why; others will read it.")],
    by: options.By = "",
    settings: options.Settings = None,
    yes: options.Yes = False,
) -> None:
    """[changing] Keep a VM's notice quiet until a date (a snooze, recorded with its reason)."""
    decide(DecisionKind.SNOOZE, key, reason, until, "", "", by, settings, yes)


def resolve(
    key: Annotated[str, typer.Argument(help="Resource id of the VM, or the key from the list.")],
    settings: options.Settings = None,
    by: options.By = "",
    yes: options.Yes = False,
) -> None:
    """[changing] Resolve a notice by hand; if its cause is still there, the next look opens it again."""

    async def body(session: Session) -> Exit | None:
        notice = await _notice(session, key)
        if notice is None:
            return Exit.FOUND
        if not yes:
            say(f"Would resolve {notice.key}: add --yes.")
            return None
        now, how = session.ports.clock.now(), f"resolved by {options.person(by)}"
        if notice.vm_id is not None:
            await session.notifier.clear(notice.vm_id, how, now, notice.trace)
        else:
            await session.notifier.operators_clear(notice.key.partition(":")[2], now)
        say("resolved")
        return None

    run(settings, body)


async def _notice(session: Session, key: str) -> Notice | None:
    name = machine(key).key if key.startswith("/") else key
    found = await session.notices.read(name)
    if found is None or not isinstance(found[0], Notice):
        say(f"there is no notice {name}")
        return None
    return found[0]


def _until(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date; write 2026-12-31") from error
