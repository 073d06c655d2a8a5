"""Who is to be protected, and by which rule: the first half of every decision.

Not ours, excluded, or matched by exactly one rule with its tier; which values of tags were not
understood comes along as findings. `considered` says why the other rules did not match.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.catalogue import finding
from shared.domain.exclusions import Exclusion, excluded, in_force
from shared.domain.findings import Finding
from shared.domain.managed import SHORT_LIVED, not_ours, short_lived
from shared.domain.model import Snapshot, Vm
from shared.domain.records import PersonDecision
from shared.domain.remedies import tags as tag_remedies
from shared.domain.rules import ReadyRule, Rules
from shared.domain.rules.model import Choice
from shared.domain.rules.options import Options
from shared.domain.rules.selectors import EffectiveTags, Traits, effective_tags, traits_of
from shared.domain.tiers import misspelled, tier_of

__all__ = [
    "Considered",
    "Exclusion",
    "Ignored",
    "Match",
    "NoRule",
    "Selected",
    "considered",
    "in_force",
    "select",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One rule takes this VM.

    Attributes:
        rule: the rule's name, ``default`` for the default.
        tier: the tier to be applied; "" if none could be found out (findings say why).
        tier_because: where the tier comes from, in words.
        tags: effective tags, inherited ones included.
        findings: what was odd: unknown values, missing tags, an expired exclusion.
        not_before: the VM is too young to be enrolled until then; None: old enough.
        young_because: why a minimum age applies.
        routes: names of the routes its notices take; none: the owner, or the fallback.

    """

    rule: str
    ready: ReadyRule
    tier: str
    tier_because: str
    tags: EffectiveTags
    findings: tuple[Finding, ...] = ()
    not_before: datetime | None = None
    young_because: str = ""
    routes: tuple[str, ...] = ()

    @property
    def options(self) -> Options:
        return self.ready.options


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Not ours to protect."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRule:
    """No rule matches and the file has no default."""

    findings: tuple[Finding, ...]


type Selected = Match | Exclusion | Ignored | NoRule


def select(
    rules: Rules, snapshot: Snapshot, decisions: tuple[PersonDecision, ...], now: datetime
) -> Selected:
    """Find the rule for a VM, or why it gets none. Never raises; looks at nothing else."""
    if why := not_ours(snapshot):
        return Ignored(why=why)
    vm = snapshot.vm
    if vm is None:
        return Ignored(why="the VM does not exist any more")
    tags = effective_tags(snapshot, rules.content.inherit_tags)
    traits = traits_of(snapshot.id, vm, tags)
    exclusion, expired = excluded(rules, snapshot, traits, tags, decisions, now)
    if exclusion is not None:
        return exclusion
    ready = next((rule for rule in rules.rules if rule.when.test(traits)), rules.default)
    odd = (*expired, *misspelled(rules, vm, traits, tags))
    if ready is None:
        return NoRule(findings=(_no_rule(rules, vm), *odd))
    if ready.rule.ignore:
        return Ignored(why=f"rule {ready.name}: {ready.rule.ignore}")
    options = ready.options
    if vm.scale_set and options.scale_set_instances is Choice.IGNORE:
        return Ignored(
            why="an instance of a flexible scale set; such VMs are replaced, not restored"
            " (rules may enroll them: scale_set_instances)"
        )
    if (vm.priority or "").lower() in {"spot", "low"} and options.spot_vms is Choice.IGNORE:
        return Ignored(why=f"a Spot VM, which rule {ready.name} leaves alone")
    tier, because, tier_findings = tier_of(rules, ready, vm, tags)
    not_before, young = _age(vm, snapshot, options, now)
    return Match(
        rule=ready.name,
        ready=ready,
        tier=tier,
        tier_because=because,
        tags=tags,
        findings=(*tier_findings, *odd),
        not_before=not_before,
        young_because=young,
        routes=_routes(rules, ready, traits),
    )


def _routes(rules: Rules, ready: ReadyRule, traits: Traits) -> tuple[str, ...]:
    """Give the route that the rule names, then those that choose the VM itself, in order."""
    named = (ready.rule.notices,) if ready.rule.notices else ()
    return (*named, *(name for name, when in rules.routes if when.test(traits)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """One rule and why it did not match; "" for the one that did."""

    rule: str
    why_not: str


def considered(rules: Rules, snapshot: Snapshot) -> tuple[Considered, ...]:
    """Say of every rule up to the matching one why it did not match. For explain, not for work."""
    tags = effective_tags(snapshot, rules.content.inherit_tags)
    traits = traits_of(snapshot.id, snapshot.vm, tags)
    found: list[Considered] = []
    for rule in rules.rules:
        if rule.when.test(traits):
            return (*found, Considered(rule=rule.name, why_not=""))
        found.append(Considered(rule=rule.name, why_not=rule.when.why_not(traits)))
    if rules.default is not None:
        found.append(Considered(rule=rules.default.name, why_not=""))
    return tuple(found)


def _no_rule(rules: Rules, vm: Vm) -> Finding:
    return finding(
        "NO_RULE",
        text="No rule matches this VM, and the rules have no default.",
        evidence=f"{len(rules.rules)} rules of {rules.file}, version {rules.version}",
        remedies=(tag_remedies.add_rule(vm),),
    )


def _age(
    vm: Vm, snapshot: Snapshot, options: Options, now: datetime
) -> tuple[datetime | None, str]:
    if options.minimum_age_minutes is None:
        why = short_lived(vm)
        minimum = SHORT_LIVED if why else timedelta()
    else:
        why = "the rule's minimum age"
        minimum = timedelta(minutes=options.minimum_age_minutes)
    born = vm.created or snapshot.past.first_seen or now
    if not minimum or now >= born + minimum:
        return None, ""
    return born + minimum, why
