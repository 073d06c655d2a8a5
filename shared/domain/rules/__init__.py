"""The team's intent in one reviewable file: who gets which vault and policy, and who does not.

`parse` turns text into a frozen `Rules` or raises `BadRules` with every problem's file, line,
column and nearest valid spelling. Nothing here reads files; the rules source hands us the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.domain.rules.model import (
    DefaultRule,
    Rule,
    RuleExclusion,
    RulesFile,
    Selector,
    TagExclusion,
    Tier,
    VaultSet,
)
from shared.domain.rules.options import Options, resolved
from shared.domain.rules.selectors import Condition, compiled, matcher
from shared.domain.rules.vocabulary import Vocabulary, vocabularies
from shared.domain.spelling import plain
from shared.errors import BadRules, Problem

if TYPE_CHECKING:
    from shared.domain.rules.decode import Decoder, Path

__all__ = ["ReadyExclusion", "ReadyRule", "ReadyTagExclusion", "Rules", "parse"]

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRule:
    """One rule with its selector compiled and its options resolved."""

    name: str
    rule: Rule | DefaultRule
    when: Condition = field(compare=False, repr=False)
    options: Options
    vaults: tuple[tuple[str, VaultSet], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyExclusion:
    """One exclusion of the file with its selector compiled."""

    exclusion: RuleExclusion
    when: Condition = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyTagExclusion:
    """One tag that may exclude, compiled."""

    exclusion: TagExclusion
    key: str
    when: Condition = field(compare=False, repr=False)
    excludes: Callable[[str], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A rules file in force. Equal versions mean equal text."""

    version: str
    file: str
    content: RulesFile
    warnings: tuple[Problem, ...] = ()
    rules: tuple[ReadyRule, ...] = ()
    default: ReadyRule | None = None
    exclusions: tuple[ReadyExclusion, ...] = ()
    tag_exclusions: tuple[ReadyTagExclusion, ...] = ()
    routes: tuple[tuple[str, Condition], ...] = ()  # those that choose VMs themselves, in order
    tier_words: Mapping[str, str] = field(default_factory=dict)  # plain value or alias -> tier
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)  # plain tag name ->
    marks: Mapping[Path, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def tier_tag(self) -> str:
        return self.content.tiers.tag

    def tier(self, name: str) -> Tier:
        """Give a tier by its exact name, as `tier_words` holds it."""
        return self.content.tiers.names[name]


def parse(text: str, file: str = "rules.yaml") -> Rules:
    """Parse a rules file.

    Raises:
        BadRules: lists every problem; nothing of a wrong file is used.

    """
    from shared.domain.rules import checks, tree  # the parser comes with the first text
    from shared.domain.rules.decode import decode

    content, decoder = decode(tree.read(text, file), RulesFile, file)
    if content is None:
        raise BadRules(tuple(decoder.problems))
    found = checks.problems(content, decoder)
    errors = tuple(problem for problem in found if problem.level == "error")
    if errors:
        raise BadRules(errors)
    return _ready(content, text, file, decoder, tuple(found))


def _ready(
    content: RulesFile, text: str, file: str, decoder: Decoder, warnings: tuple[Problem, ...]
) -> Rules:
    tiers = content.tiers
    words = {plain(name): name for name in tiers.names}
    for name, tier in tiers.names.items():
        words.update((plain(alias), name) for alias in tier.aliases)
    return Rules(
        version=hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12],
        file=file,
        content=content,
        warnings=warnings,
        rules=tuple(_rule(content, rule.name, rule, compiled(rule.when)) for rule in content.rules),
        default=(
            _rule(content, DEFAULT, content.default, _EVERY)
            if isinstance(content.default, DefaultRule)
            else None
        ),
        exclusions=tuple(
            ReadyExclusion(exclusion=one, when=compiled(one.when)) for one in content.exclusions
        ),
        tag_exclusions=tuple(
            ReadyTagExclusion(
                exclusion=one,
                key=plain(one.tag),
                when=compiled(one.when),
                excludes=matcher(one.values or ("*",)),
            )
            for one in content.tag_exclusions
        ),
        routes=tuple(
            (one.name, compiled(one.when))
            for one in content.notices.routes
            if one.when != Selector()
        ),
        tier_words=words,
        vocabularies=vocabularies(content),
        marks=decoder.marks,
    )


_EVERY = Condition(lambda _: True, lambda _: "")


def _rule(content: RulesFile, name: str, rule: Rule | DefaultRule, when: Condition) -> ReadyRule:
    names = rule.vaults or tuple(content.vaults)[:1]
    by_name = {plain(key): (key, value) for key, value in content.vaults.items()}
    return ReadyRule(
        name=name,
        rule=rule,
        when=when,
        options=resolved(rule.options, content.options),
        vaults=tuple(by_name[plain(one)] for one in names),
    )
