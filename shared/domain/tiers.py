"""Which tier a VM's tags ask for, and which of its tags were not understood (rows F22-F24)."""

from __future__ import annotations

from shared.domain.catalogue import finding
from shared.domain.findings import Finding, Severity
from shared.domain.model import Vm
from shared.domain.remedies import tags as tag_remedies
from shared.domain.rules import ReadyRule, Rules
from shared.domain.rules.model import UnknownValue
from shared.domain.rules.selectors import EffectiveTags, Tag, Traits
from shared.domain.spelling import did_you_mean, nearest, plain


def tier_of(
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
            return known, f"tag {tag.name}={tag.value}{tag.whence}", ()
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
        evidence=f"{tag.name}={tag.value[:120]}{tag.whence}",
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


def misspelled(rules: Rules, vm: Vm, traits: Traits, tags: EffectiveTags) -> tuple[Finding, ...]:
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
                    evidence=f"{tag.name}={tag.value[:120]}{tag.whence}",
                    remedies=(tag_remedies.set_tag(vm, tag.name, meant, vocabulary.values),),
                ),
            )
    return found
