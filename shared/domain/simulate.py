"""What a change of the rules would do to today's estate, before it is rolled out (row F27)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.decide import decide
from shared.domain.decisions import (
    AlreadyProtected,
    Block,
    ChangePolicy,
    Enroll,
    Exclude,
    Ignore,
    Resume,
    Undelete,
    Verdict,
)
from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.model import Snapshot
from shared.domain.records import PersonDecision
from shared.domain.rules import Rules

NAMES_SHOWN = 20


class Effect(StrEnum):
    """What the new rules do to a VM that the old ones do not."""

    ENROLLED = "would be enrolled"
    OTHER_VAULT = "would go to another vault"
    OTHER_POLICY = "would get another policy"
    EXCLUDED = "would be excluded"
    IGNORED = "would be left alone"
    BLOCKED = "would be blocked"
    OTHER_FINDINGS = "would be blocked by something else"
    OTHER = "would change otherwise"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One VM for which the rules differ."""

    vm: str
    effect: Effect
    before: str
    after: str


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """The result: counts of everything, and every VM that changes."""

    vms: int
    unchanged: int
    counts: dict[str, int]
    decisions_before: dict[str, int]
    decisions_after: dict[str, int]
    changed: tuple[Changed, ...]


def simulate(
    old: Rules,
    new: Rules,
    estate: Iterable[Snapshot],
    now: datetime,
    people: Callable[[ArmId], tuple[PersonDecision, ...]] = lambda _: (),
) -> Simulation:
    """Decide every VM under both files and compare. Walks the estate once."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    changed: list[Changed] = []
    for world in estate:
        decisions = people(world.id)
        was = decide(world, old, decisions, now)
        would = decide(world, new, decisions, now)
        before[was.kind] += 1
        after[would.kind] += 1
        effect = compare(was, would)
        if effect is not None:
            counts[effect.value] += 1
            changed.append(
                Changed(vm=str(world.id), effect=effect, before=words(was), after=words(would))
            )
    total = sum(before.values())
    return Simulation(
        vms=total,
        unchanged=total - len(changed),
        counts=dict(counts),
        decisions_before=dict(sorted(before.items())),
        decisions_after=dict(sorted(after.items())),
        changed=tuple(changed),
    )


def compare(was: Verdict, would: Verdict) -> Effect | None:
    """Name the difference between two verdicts about one VM; None if there is none."""
    if words(was) == words(would):
        return None
    match would.decision:
        case Exclude():
            return Effect.EXCLUDED
        case Ignore():
            return Effect.IGNORED
        case Block():
            return Effect.OTHER_FINDINGS if isinstance(was.decision, Block) else Effect.BLOCKED
        case Enroll(vault=vault):
            if not isinstance(was.decision, Enroll):
                return Effect.ENROLLED
            same = was.decision.vault.id == vault.id
            return Effect.OTHER_POLICY if same else Effect.OTHER_VAULT
        case ChangePolicy():
            return Effect.OTHER_POLICY
        case _:
            return Effect.OTHER


def words(verdict: Verdict) -> str:
    """Say a verdict in one line that two equal verdicts share."""
    match verdict.decision:
        case Enroll(vault=vault, policy=policy):
            return f"enroll in {vault.name} under {policy.name}"
        case ChangePolicy(item=item, policy=policy) | Resume(item=item, policy=policy):
            return f"{verdict.kind} in {item.vault.name} to {policy.name}"
        case Undelete(item=item) | AlreadyProtected(item=item):
            findings = _codes(verdict, Severity.BLOCKER, Severity.ADVISORY)
            return f"{verdict.kind} in {item.vault.name}{findings}"
        case Block():
            return f"blocked{_codes(verdict, Severity.BLOCKER, Severity.NEEDS_ENHANCED)}"
        case Exclude(by=by):
            return f"excluded by {by}"
        case Ignore(reason=reason):
            return f"ignored: {reason}"
        case _:
            return verdict.kind


def _codes(verdict: Verdict, *severities: Severity) -> str:
    found = sorted({one.code for one in verdict.findings if one.severity in severities})
    return f" ({', '.join(found)})" if found else ""


def as_text(found: Simulation) -> str:
    """Print a simulation for a terminal: counts first, then names, the first of each effect."""
    lines = [f"{found.vms} VMs, {found.unchanged} unchanged"]
    for effect in Effect:
        mine = [one for one in found.changed if one.effect is effect]
        if not mine:
            continue
        lines.append(f"\n{len(mine)} {effect.value}")
        for one in mine[:NAMES_SHOWN]:
            lines.append(f"  {one.vm}")
            lines.append(f"    {one.before} -> {one.after}")
        if len(mine) > NAMES_SHOWN:
            lines.append(f"  and {len(mine) - NAMES_SHOWN} more")
    return "\n".join(lines) + "\n"
