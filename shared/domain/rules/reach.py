"""Selectors of a rules file: values that cannot be meant, rules that are never reached."""

from __future__ import annotations

import msgspec

from shared.domain.rules.model import RulesFile, Selector, TagTest
from shared.domain.rules.saying import Found, Say, is_guid
from shared.domain.rules.selectors import is_glob
from shared.domain.rules.vocabulary import selectors, values_of
from shared.domain.spelling import did_you_mean, plain


def selector_problems(content: RulesFile, say: Say) -> Found:
    tier_tag = plain(content.tiers.tag)
    tiers = [*content.tiers.names, *(a for t in content.tiers.names.values() for a in t.aliases)]
    known = {plain(word) for word in tiers}
    for path, selector in selectors(content):
        for at, text in enumerate(selector.subscriptions):
            if not is_guid(text):
                yield say((*path, "subscriptions", at), f"{text[:60]!r} is no subscription id")
        for name, test in selector.tags.items():
            where = (*path, "tags", name)
            if isinstance(test, TagTest) and not (
                test.any_of or test.none_of or test.present is not None
            ):
                yield say(where, f"the test of tag {name} tests nothing")
            if isinstance(test, TagTest) and test.present is False and test.any_of:
                yield say(where, f"tag {name} cannot be absent and have a value")
            if plain(name) != tier_tag:
                continue
            for value in values_of(test):
                if not is_glob(value) and plain(value) not in known:
                    yield say(
                        where,
                        f"{value[:60]!r} is no value of tag {name}",
                        did_you_mean(value, tiers),
                    )


def unreachable(content: RulesFile, say: Say) -> Found:
    """Warn of rules that an earlier one always hides: order is the only priority."""
    earlier: list[tuple[str, dict[str, frozenset[str]] | None, Selector]] = []
    for at, rule in enumerate(content.rules):
        demands = _demands(rule.when)
        for name, others, selector in earlier:
            hidden = rule.when == selector or (
                others is not None
                and (not others or (demands is not None and _covers(others, demands)))
            )
            if hidden:
                yield say(
                    ("rules", at, "name"),
                    f"rule {rule.name!r} is never reached: {name!r} before it takes all its VMs",
                    "move it up, or narrow the earlier one",
                    level="warning",
                )
                break
        earlier.append((rule.name, demands, rule.when))


def _demands(selector: Selector) -> dict[str, frozenset[str]] | None:
    """Flatten a selector of plain words to key -> allowed words; None if it holds more."""
    if selector.all or selector.any or selector.none:
        return None
    demands: dict[str, frozenset[str]] = {}
    for name in msgspec.structs.asdict(selector):
        if name in {"tags", "all", "any", "none"}:
            continue
        words = tuple(str(word) for word in getattr(selector, name))
        if any(is_glob(word) for word in words):
            return None
        if words:
            demands[name] = frozenset(plain(word).replace(" ", "") for word in words)
    for name, test in selector.tags.items():
        if isinstance(test, TagTest) or any(is_glob(word) for word in values_of(test)):
            return None
        demands[f"tag {plain(name)}"] = frozenset(map(plain, values_of(test)))
    return demands


def _covers(earlier: dict[str, frozenset[str]], later: dict[str, frozenset[str]]) -> bool:
    return all(key in later and later[key] <= words for key, words in earlier.items())
