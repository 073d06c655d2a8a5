"""Who is to be protected, and by which rule: the first half of every decision.

Not ours, excluded, or matched by exactly one rule with its tier; which values of tags were not
understood comes along as findings. `considered` says why the other rules did not match.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.domain.catalogue import finding
from shared.domain.findings import Finding, Severity
from shared.domain.managed import SHORT_LIVED, not_ours, short_lived
from shared.domain.model import Snapshot, Vm
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.remedies import tags as tag_remedies
from shared.domain.rules import ReadyRule, Rules
from shared.domain.rules.model import Choice, UnknownValue
from shared.domain.rules.options import Options
from shared.domain.rules.selectors import EffectiveTags, Tag, Traits, effective_tags, traits_of
from shared.domain.spelling import did_you_mean, nearest, plain


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

    """

    rule: str
    ready: ReadyRule
    tier: str
    tier_because: str
    tags: EffectiveTags
    findings: tuple[Finding, ...] = ()
    not_before: datetime | None = None
    young_because: str = ""

    @property
    def options(self) -> Options:
        return self.ready.options

    @property
    def routes(self) -> tuple[str, ...]:
        return (self.ready.rule.notices,) if self.ready.rule.notices else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A governed reason not to enroll.

    ``since`` is set for a tag's exclusion: the caller keeps it (``Past.tag_excluded_since``), so
    that ``max_days`` counts from the first time and not from every look.
    """

    by: str  # "rule NAME", "decision", "tag NAME"
    owner: str
    reason: str
    until: datetime | None
    since: datetime | None = None
    self_excluded: bool = False


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
    excluded, expired = _excluded(rules, snapshot, traits, tags, decisions, now)
    if excluded is not None:
        return excluded
    ready = next((rule for rule in rules.rules if rule.when.test(traits)), rules.default)
    odd = (*expired, *_misspelled(rules, vm, traits, tags))
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
    tier, because, tier_findings = _tier(rules, ready, vm, tags)
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
    )


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


def in_force(decisions: Iterable[PersonDecision], kind: DecisionKind) -> PersonDecision | None:
    """Give the latest decision of a kind that nobody took back, expired or not."""
    made = list(decisions)
    revoked = {one.revokes for one in made if one.kind is DecisionKind.REVOKE and one.revokes}
    valid = [one for one in made if one.kind is kind and one.key not in revoked]
    return max(valid, key=lambda one: one.at, default=None)


# --- exclusions ----------------------------------------------------------------------------------


def _excluded(
    rules: Rules,
    snapshot: Snapshot,
    traits: Traits,
    tags: EffectiveTags,
    decisions: tuple[PersonDecision, ...],
    now: datetime,
) -> tuple[Exclusion | None, tuple[Finding, ...]]:
    """Give the exclusion in force, or findings about those that ended."""
    expired: list[Finding] = []
    if decision := in_force(decisions, DecisionKind.EXCLUDE):
        if decision.until is None or now < decision.until:
            return (
                Exclusion(
                    by="decision", owner=decision.by, reason=decision.reason, until=decision.until
                ),
                (),
            )
        expired.append(_expired("the decision", decision.by, decision.reason, decision.until))
    for ready in rules.exclusions:
        if not ready.when.test(traits):
            continue
        one = ready.exclusion
        until = _end_of(one.expires)
        if now < until:
            return (
                Exclusion(by=f"rule {one.name}", owner=one.owner, reason=one.reason, until=until),
                (),
            )
        expired.append(_expired(f"exclusion {one.name}", one.owner, one.reason, until))
    own = _tag_exclusion(rules, snapshot, traits, tags, now)
    if isinstance(own, Exclusion):
        return own, ()
    return None, (*expired, *own)


def _tag_exclusion(
    rules: Rules, snapshot: Snapshot, traits: Traits, tags: EffectiveTags, now: datetime
) -> Exclusion | tuple[Finding, ...]:
    found: tuple[Finding, ...] = ()
    for ready in rules.tag_exclusions:
        tag = tags.get(ready.key)
        if tag is None or not ready.excludes(plain(tag.value)) or not ready.when.test(traits):
            continue
        since = snapshot.past.tag_excluded_since or now
        until = since + timedelta(days=ready.exclusion.max_days)
        reason = f"tag {tag.name}={tag.value}"[:200] + _origin(tag)
        owner = tags["owner"].value[:200] if "owner" in tags else "the VM's owner"
        if now < until:
            return Exclusion(
                by=f"tag {tag.name}",
                owner=owner,
                reason=reason,
                until=until,
                since=since,
                self_excluded=True,
            )
        found = (*found, _expired(f"the exclusion by tag {tag.name}", owner, reason, until))
    return found


def _expired(what: str, owner: str, reason: str, until: datetime | None) -> Finding:
    day = until.date().isoformat() if until else ""
    return finding(
        "EXCLUSION_EXPIRED",
        text=f"{what[0].upper()}{what[1:]} has ended, so this VM is enrolled again.",
        evidence=f"{what} of {owner} ended {day}: {reason}"[:400],
        remedies=(tag_remedies.renew_exclusion(),),
    )


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)


def _origin(tag: Tag) -> str:
    return "" if tag.origin == "vm" else f" of the {tag.origin.replace('-', ' ')}"


# --- tiers ---------------------------------------------------------------------------------------


def _tier(
    rules: Rules, ready: ReadyRule, vm: Vm, tags: EffectiveTags
) -> tuple[str, str, tuple[Finding, ...]]:
    """Choose the tier: fixed by the rule, by the tag, by default; or say why there is none."""
    tiers = rules.content.tiers
    default = ready.rule.default_tier or tiers.default
    if ready.rule.tier:
        return ready.rule.tier, f"rule {ready.name} says so", ()
    tag = tags.get(plain(tiers.tag))
    if tag is not None:
        if known := rules.tier_words.get(plain(tag.value)):
            return known, f"tag {tag.name}={tag.value}{_origin(tag)}", ()
        fallback = tiers.unknown_value is UnknownValue.DEFAULT and bool(default)
        odd = _unknown_value(
            vm, tag, tuple(rules.tier_words), tuple(tiers.names), fallback, default
        )
        if fallback:
            return default, f"default, as {tag.name}={tag.value[:60]} is no tier", (odd,)
        return "", "", (odd,)
    similar = _similar_name(vm, tiers.tag, tags)
    if default:
        used = finding(
            "DEFAULT_TIER_USED",
            text=f"There is no tag {tiers.tag}, so the default tier {default} is used.",
            evidence=f"no tag {tiers.tag} on the VM{_inherited(rules)}",
            remedies=(tag_remedies.set_tag(vm, tiers.tag, default, tuple(tiers.names)),),
        )
        return default, "default, as there is no tag", (used, *similar)
    missing = finding(
        "NO_TIER",
        text=f"There is no tag {tiers.tag}, and the rules have no default tier.",
        evidence=f"no tag {tiers.tag} on the VM{_inherited(rules)}",
        remedies=(
            tag_remedies.set_tag(vm, tiers.tag, next(iter(tiers.names)), tuple(tiers.names)),
        ),
    )
    return "", "", (missing, *similar)


def _inherited(rules: Rules) -> str:
    places = [f"its {source.value.replace('-', ' ')}" for source in rules.content.inherit_tags]
    return "".join(f", nor on {place}" for place in places)


def _unknown_value(
    vm: Vm, tag: Tag, words: tuple[str, ...], names: tuple[str, ...], fallback: bool, default: str
) -> Finding:
    best = nearest(tag.value, words)
    hint = did_you_mean(tag.value, words)
    ending = f"; the default tier {default} is used" if fallback else ""
    return finding(
        "TAG_VALUE_UNKNOWN",
        severity=Severity.ADVISORY if fallback else Severity.BLOCKER,
        text=f"The value of tag {tag.name} is no tier{ending}: {hint or 'known: ' + ', '.join(names)}",
        evidence=f"{tag.name}={tag.value[:120]}{_origin(tag)}",
        remedies=(tag_remedies.set_tag(vm, tag.name, best or names[0], names),),
    )


def _similar_name(vm: Vm, wanted: str, tags: EffectiveTags) -> tuple[Finding, ...]:
    close = nearest(wanted, [tag.name for tag in tags.values()])
    if not close:
        return ()
    value = tags[plain(close)].value
    return (
        finding(
            "TAG_NAME_SIMILAR",
            text=f"Tag {close} is not read; did you mean {wanted}?",
            evidence=f"{close}={value[:120]}",
            remedies=(tag_remedies.set_tag(vm, wanted, value, ()),),
        ),
    )


# --- odds ----------------------------------------------------------------------------------------


def _misspelled(rules: Rules, vm: Vm, traits: Traits, tags: EffectiveTags) -> tuple[Finding, ...]:
    """Name tag values that look like a misspelling of one the rules speak of."""
    found: tuple[Finding, ...] = ()
    tier = plain(rules.content.tiers.tag)
    for key, vocabulary in rules.vocabularies.items():
        value = traits.tags.get(key)
        if value is None or key == tier:
            continue
        if meant := vocabulary.suspicion(value):
            tag = tags[key]
            found = (
                *found,
                finding(
                    "TAG_VALUE_UNKNOWN",
                    severity=Severity.ADVISORY,
                    text=f"The rules know no such value of tag {tag.name}: did you mean '{meant}'?",
                    evidence=f"{tag.name}={tag.value[:120]}{_origin(tag)}",
                    remedies=(tag_remedies.set_tag(vm, tag.name, meant, vocabulary.values),),
                ),
            )
    return found


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
