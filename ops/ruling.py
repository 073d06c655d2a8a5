"""Commands about rules: lint, simulate, import-azure-policy, policies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import options
from ops.printing import Exit, Output, plain, say, show
from ops.rehearsal import decisions, rehearse
from ops.session import Session, run
from shared.domain import estate
from shared.domain.coverage import Summary
from shared.domain.importer import imported
from shared.domain.lint import Known, lint
from shared.domain.model import Snapshot
from shared.domain.rules import Rules, parse
from shared.domain.rules.text import decoded
from shared.domain.simulate import as_text, simulate
from shared.ensure import Needed
from shared.errors import BadMessage, BadRules, Problem

PROBLEM_COLUMNS = ("file", "line", "column", "level", "message", "hint")
policies = typer.Typer(
    help="Backup policies declared in the rules.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("lint")(lint_rules)
    app.command("simulate")(simulate_rules)
    app.command("import-azure-policy")(import_azure_policy)
    policies.command("ensure")(ensure)
    app.add_typer(policies, name="policies")


def lint_rules(
    file: Annotated[Path, typer.Argument(help="The rules file.")],
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    *,
    against_azure: Annotated[
        bool, typer.Option(help="Also hold it against the vaults and policies that exist.")
    ] = False,
) -> None:
    """[read-only] What is wrong with a rules file: file, line, column, nearest right spelling."""
    try:
        rules = _parsed(file)
    except BadRules as error:
        _problems(error.problems, output)
        raise typer.Exit(Exit.FOUND) from error
    if not against_azure:
        _judged(lint(rules, datetime.now(UTC)), output)
        return

    async def body(session: Session) -> None:
        vaults = await session.ports.directory.vaults()
        known = Known(
            vaults=vaults,
            policies={
                vault.id.key: await session.ports.directory.policies(vault.id) for vault in vaults
            },
            vms=_living(await session.ports.coverage.summaries()),
        )
        _judged(lint(rules, session.ports.clock.now(), known), output)

    run(settings, body)


def _living(summaries: Iterable[Summary]) -> Counter[str]:
    """Count the VMs of each region."""
    found: Counter[str] = Counter()
    for cell in (cell for summary in summaries for cell in summary.cells if cell.region):
        found[cell.region] += cell.count
    return found


def _judged(problems: tuple[Problem, ...], output: Output) -> None:
    _problems(problems, output)
    if any(one.level == "error" for one in problems):
        raise typer.Exit(Exit.FOUND)


def _problems(problems: tuple[Problem, ...], output: Output) -> None:
    if output is Output.TABLE:
        for one in problems:
            say(str(one))
        if not problems:
            say("no problems")
        return
    rows = [{name: getattr(one, name) for name in PROBLEM_COLUMNS} for one in problems]
    show(rows, PROBLEM_COLUMNS, output)


def simulate_rules(
    new: Annotated[Path, typer.Argument(help="The rules file to try.")],
    estate_file: Annotated[
        Path | None,
        typer.Option("--estate", help="An estate written by `ops export`; none: the live one."),
    ] = None,
    old: Annotated[
        Path | None, typer.Option("--old", help="The rules to compare with; none: those in force.")
    ] = None,
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    *,
    with_decisions: Annotated[
        bool, typer.Option(help="Take decisions of people into account (reads storage).")
    ] = False,
) -> None:
    """[read-only] What a change of the rules would do to an estate, before it is rolled out."""
    before, after = _usable(old) if old is not None else None, _usable(new)

    def compare(
        was: Rules, worlds: Iterable[Snapshot], people: dict[str, Any], now: datetime
    ) -> None:
        try:
            found = simulate(was, after, worlds, now, lambda vm: people.get(vm.key, ()))
        except OSError as error:
            say(plain(error))
            raise typer.Exit(Exit.USAGE) from error
        except BadMessage as error:
            say(f"{estate_file}: no estate of `ops export`: {error.detail}")
            raise typer.Exit(Exit.USAGE) from error
        if output is Output.TABLE:
            typer.echo(as_text(found), nl=False)
            return
        rows = [
            {"vm": one.vm, "effect": one.effect, "before": one.before, "after": one.after}
            for one in found.changed
        ]
        show(rows, ("vm", "effect", "before", "after"), output)

    if estate_file is not None and before is not None and not with_decisions:
        compare(before, _exported(estate_file), {}, datetime.now(UTC))
        return

    async def body(session: Session) -> None:
        ports = session.ports
        was = before or await ports.rules.current()
        people = await decisions(ports) if with_decisions or estate_file is None else {}
        worlds: Iterable[Snapshot]
        if estate_file is not None:
            worlds = _exported(estate_file)
        else:
            seen = [one.snapshot async for one in rehearse(ports)]
            worlds = [one for one in seen if one is not None]
        compare(was, worlds, people, ports.clock.now())

    run(settings, body)


def _exported(file: Path) -> Iterator[Snapshot]:
    with file.open("rb") as lines:
        yield from estate.read(lines)


def import_azure_policy(
    source: Annotated[
        Path,
        typer.Argument(
            help="JSON of the assignments, as `az policy assignment list --disable-scope-strict-match` gives it."
        ),
    ],
    tier_tag: Annotated[str, typer.Option(help="Tag that chooses the tier.")] = "backup-tier",
) -> None:
    """[read-only] Write rules that do what Azure Policy's backup assignments do; notes say what not."""
    try:
        body = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        say(plain(error))
        raise typer.Exit(Exit.USAGE) from error
    except (ValueError, RecursionError) as error:
        say(f"{source}: {error}")
        raise typer.Exit(Exit.USAGE) from error
    assignments = body.get("value") if isinstance(body, dict) else body
    if not isinstance(assignments, list) or not all(isinstance(one, dict) for one in assignments):
        say(f"{source}: no list of assignments")
        raise typer.Exit(Exit.USAGE)
    shaped = [_with_properties(one) for one in assignments]
    found = imported(shaped, tier_tag=tier_tag)
    typer.echo(found.text, nl=False)
    for note in found.notes:
        say(note)


def _with_properties(one: dict[str, Any]) -> dict[str, Any]:
    """Give an assignment in ARM's shape: az prints its properties at the top."""
    if "properties" in one:
        return one
    outside = {"id", "name", "type", "location", "identity"}
    inside = {name: value for name, value in one.items() if name not in outside}
    return {**{name: one[name] for name in outside & one.keys()}, "properties": inside}


def ensure(
    settings: options.Settings = None,
    output: options.Format = Output.TABLE,
    yes: options.Yes = False,
    vault: Annotated[
        list[str] | None, typer.Option("--vault", help="Only vaults of this name; repeatable.")
    ] = None,
    may_shorten: Annotated[
        list[str] | None,
        typer.Option(help="Policy whose retention may be cut; existing points are deleted."),
    ] = None,
) -> None:
    """[changing] Make vaults and policies what the rules declare; never shortens by itself."""

    async def body(session: Session) -> Exit | None:
        from shared import ensure

        needed = await ensure.plan(session.ports, may_shorten=may_shorten or (), only=vault or ())
        show(_needed(needed), ("resource", "plan", "differences", "because"), output)
        found = Exit.FOUND if needed.refused or needed.uncovered else None
        writing = sum(one.writes for one in needed.policies)
        if not yes:
            say(f"{len(needed.vaults)} vaults and {writing} policies would be written: add --yes.")
            return found
        async for one in ensure.apply(session.ports, needed):
            match one:
                case ensure.Done():
                    say(f"written: {one.resource}")
                case ensure.Failed():
                    say(f"refused: {one.resource}: {one.fault.code} {one.fault.message}")
                    found = Exit.FOUND
                case ensure.Tomorrow():
                    say(f"{one.vault.name} has had its edits of the day: {one.left} are left, run "
                        f"this again after {one.at:%Y-%m-%d %H:%M} UTC")  # fmt: skip
                    found = Exit.STOPPED
        return found

    run(settings, body)


def _needed(needed: Needed) -> list[dict[str, Any]]:
    """Give a line per vault, region and policy that is not as declared, and per policy that is."""
    return [
        *({"resource": str(one.vault), "plan": "create"} for one in needed.vaults),
        *(
            {"resource": str(one.vault), "plan": "differs", "differences": one.differences}
            for one in needed.differing
        ),
        *({"resource": region, "plan": "no vault"} for region in needed.uncovered),
        *(
            {
                "resource": str(one.policy),
                "plan": type(one.plan).__name__.lower(),
                "differences": getattr(one.plan, "differences", ()),
                "because": getattr(one.plan, "because", ()) or getattr(one.plan, "shortens", ()),
            }
            for one in needed.policies
        ),
    ]


def _parsed(file: Path) -> Rules:
    try:
        return parse(decoded(file.read_bytes(), str(file)), str(file))
    except OSError as error:
        say(plain(error))
        raise typer.Exit(Exit.USAGE) from error


def _usable(file: Path) -> Rules:
    try:
        return _parsed(file)
    except BadRules as error:
        say(str(error))
        raise typer.Exit(Exit.FOUND) from error
