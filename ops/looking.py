"""Commands that only look: plan, explain, coverage, export."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import options
from ops.printing import Exit, Output, say, show
from ops.rehearsal import Planned, Rehearsed, rehearse
from ops.session import Session, run
from shared.domain.coverage import Standing
from shared.domain.estate import write
from shared.domain.ids import ArmId
from shared.domain.messages import Cause
from shared.domain.model import Policy, Room, Snapshot, Vault
from shared.errors import BadWish
from shared.explaining import explained
from shared.web.api import machine
from shared.web.filters import Filters
from shared.web.reading import every
from shared.web.rendering import lasting
from shared.web.view import Counted, considered, overview

PLAN_COLUMNS = ("vm", "decision", "would", "held", "rule", "findings", "why")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(plan)
    app.command()(explain)
    app.command()(coverage)
    app.command()(export)


def plan(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    subscription: options.Subscriptions = None,
    *,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="As a backfill would decide: old VMs too.")
    ] = False,
    names: Annotated[int, typer.Option(min=0, help="VMs named per kind in a table.")] = 20,
) -> None:
    """[read-only] What would be done about every VM, with counts and names; writes nothing."""

    async def body(session: Session) -> None:
        cause = Cause.BACKFILL if backfill else Cause.SWEEP
        found: list[Planned] = []
        async for one in rehearse(session.ports, subscriptions=subscription or (), cause=cause):
            found.append(one.planned)
            if len(found) % 500 == 0:
                say(f"{len(found)} VMs decided")
        if output is not Output.TABLE:
            show([one.row() for one in found], PLAN_COLUMNS, output)
            return
        _plan_table(session, found, names)

    run(settings, body)


def _plan_table(session: Session, found: list[Planned], names: int) -> None:
    mode = "observe: nothing is changed" if session.settings.observing else "enforce"
    say(f"{len(found)} VMs, mode {mode}")
    decisions = Counter((one.decision, one.held) for one in found)
    show(
        [
            {"decision": decision, "held": held, "VMs": count}
            for (decision, held), count in decisions.most_common()
        ],
        ("decision", "held", "VMs"),
        Output.TABLE,
        "What would be done",
    )
    places = Counter((one.vault, one.policy) for one in found if one.changes)
    if places:
        show(
            [
                {"vault": vault, "policy": policy, "VMs": count}
                for (vault, policy), count in sorted(places.items())
            ],
            ("vault", "policy", "VMs"),
            Output.TABLE,
            "Where they would go",
        )
    causes = Counter(code for one in found for code in one.findings)
    if causes:
        show(
            [{"cause": code, "VMs": count} for code, count in causes.most_common()],
            ("cause", "VMs"),
            Output.TABLE,
            "What stands in the way",
        )
    for decision in sorted({one.decision for one in found}):
        some = [one for one in found if one.decision == decision]
        show(
            [one.row() | {"vm": _short(one.vm)} for one in some[:names]],
            ("vm", "would", "held", "findings", "why"),
            Output.TABLE,
            f"{decision}: {len(some)}" + (f", the first {names}" if len(some) > names else ""),
        )


def _short(vm: str) -> str:
    """Give group and name: an id does not fit into a terminal (JSON and CSV have it)."""
    found = ArmId.parse(vm)
    return f"{found.group}/{found.name}"


def explain(
    vm: Annotated[str, typer.Argument(help="Resource id of the VM.")],
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
) -> None:
    """[read-only] Why a VM is where it is, what happens next, and what would change that."""

    async def body(session: Session) -> None:
        told = await explained(session.ports, machine(vm))
        if output is Output.JSON:
            sys.stdout.write(told.json.decode() + "\n")
        else:
            sys.stdout.write(told.text)

    run(settings, body)


def coverage(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    standing: Annotated[
        Standing | None, typer.Option(help="List the VMs of this standing.")
    ] = None,
    cause: Annotated[str, typer.Option(help="List the VMs with this cause.")] = "",
    subscription: Annotated[str, typer.Option(help="Only this subscription.")] = "",
    *,
    compare_azure_policy: Annotated[
        bool, typer.Option(help="List VMs for which Azure Policy's audit says something else.")
    ] = False,
) -> None:
    """[read-only] The numbers of the coverage page; VMs, if something is filtered."""

    async def body(session: Session) -> Exit | None:
        filters = Filters(standing=standing or "", cause=cause, subscription=subscription.lower())
        counted = await _counted(session)
        if subscription and filters.subscription not in {one.subscription for one in counted}:
            raise BadWish(f"nothing was counted of subscription {subscription}")
        if compare_azure_policy:
            return await _compared(session, counted, output)
        if standing or cause:
            rows = [
                {
                    "vm": found.id,
                    "standing": found.standing,
                    "causes": found.entry.causes,
                    "why": found.entry.why,
                }
                async for found in every(session.ports, counted, filters)
            ]
            show(rows, ("vm", "standing", "causes", "why"), output)
            if cause and not rows:
                known = ", ".join(one.key for one in overview(counted, Filters()).causes)
                say(f"No such VM. Causes there are: {known or 'none'}")
            return None
        _numbers(counted, filters, output)
        return None

    run(settings, body)


def _numbers(counted: tuple[Counted, ...], filters: Filters, output: Output) -> None:
    cover = overview(counted, filters)
    if output is Output.TABLE:
        say(f"Protected with proof: {cover.protected} of {cover.of} VMs ({cover.share})")
        say(
            f"enrolled within {lasting(cover.enroll_p50)} (p95 {lasting(cover.enroll_p95)}), "
            f"protected within {lasting(cover.protect_p50)} (p95 {lasting(cover.protect_p95)})"
        )
        for one in cover.doubts:
            say(f"subscription {one.subscription}: {one.why}")
    rows: list[dict[str, Any]] = [
        {"what": "total", "name": "protected", "VMs": cover.protected},
        {"what": "total", "name": "of", "VMs": cover.of},
        *({"what": "standing", "name": one.key, "VMs": one.count} for one in cover.standings),
        *({"what": "cause", "name": one.key, "VMs": one.count} for one in cover.causes),
    ]
    show(rows, ("what", "name", "VMs"), output)


async def _counted(session: Session) -> tuple[Counted, ...]:
    ports = session.ports
    return considered(
        await ports.coverage.summaries(),
        await ports.ledger.sweeps(),
        scope=session.settings.subscriptions,
        now=ports.clock.now(),
        every=timedelta(seconds=session.settings.sweep_seconds),
    )


async def _compared(session: Session, counted: tuple[Counted, ...], output: Output) -> Exit | None:
    from ops.azure_policy import differences

    rows = await differences(session, counted)
    show(rows, ("vm", "standing", "azure_policy", "means"), output)
    say(f"{len(rows)} VMs differ")
    return Exit.FOUND if rows else None


def export(
    file: Annotated[Path, typer.Argument(help="File to write; a line per VM.")],
    settings: options.Settings = None,
    subscription: options.Subscriptions = None,
) -> None:
    """[read-only] Write the estate to a file, for `simulate` and for questions to us."""

    async def body(session: Session) -> None:
        found = [
            one.snapshot
            async for one in _snapshots(session, subscription or [])
            if one.snapshot is not None
        ]
        vaults, policies, room = _shared(found)
        lines = write(
            found, at=session.ports.clock.now(), vaults=vaults, policies=policies, room=room
        )
        with file.open("wb") as out:
            for line in lines:
                out.write(line + b"\n")
        say(f"{len(found)} VMs written to {file}")

    run(settings, body)


def _snapshots(session: Session, subscriptions: list[str]) -> AsyncIterator[Rehearsed]:
    return rehearse(session.ports, subscriptions=subscriptions)


def _shared(
    found: list[Snapshot],
) -> tuple[tuple[Vault, ...], dict[str, tuple[Policy, ...]], dict[str, Room]]:
    """Give what the VMs of an estate share, put together from what each was decided by."""
    vaults = {vault.id.key: vault for one in found for vault in one.vaults}
    policies = {key: some for one in found for key, some in one.policies.items()}
    room = {key: left for one in found for key, left in one.room.items()}
    return tuple(vaults.values()), policies, room
