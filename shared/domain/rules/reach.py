"""Selectors of a rules file: values that cannot be meant, rules that are never reached."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.model import region_of
from shared.domain.rules.model import RulesFile, Selector, TagTest
from shared.domain.rules.saying import Found, Say, is_guid
from shared.domain.rules.selectors import is_glob, matcher
from shared.domain.rules.vocabulary import selectors, values_of
from shared.domain.spelling import did_you_mean, plain

type Demands = dict[str, frozenset[str]]  # what a selector looks at -> words and globs it allows
type Takes = dict[str, tuple[frozenset[str], Callable[[str], bool]]]

_WORDS = ("subscriptions", "groups", "names", "regions", "os", "sizes", "publishers")
_OUTERMOST = 4  # parts of the longest path of a selector that is not inside another one


def selector_problems(content: RulesFile, say: Say) -> Found:
    tier_tag = plain(content.tiers.tag)
    tiers = [*content.tiers.names, *(a for t in content.tiers.names.values() for a in t.aliases)]
    known = {plain(word) for word in tiers}
    for path, selector in selectors(content):
        if selector == Selector() and (path[0] == "exclusions" or len(path) > _OUTERMOST):
            yield say(path, "the selector has no condition", 'all VMs are `names: "*"`')
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
    earlier: list[tuple[str, Selector, Takes | None]] = []
    for at, rule in enumerate(content.rules):
        demands, whole = _demands(rule.when)
        for name, selector, takes in earlier:
            if _covers(takes, demands) if takes is not None else rule.when == selector:
                yield say(
                    ("rules", at, "name"),
                    f"rule {rule.name!r} is never reached: {name!r} before it takes all its VMs",
                    "move it up, or narrow the earlier one",
                    level="warning",
                )
                break
        taking = {key: (words, matcher(tuple(words))) for key, words in demands.items()}
        earlier.append((rule.name, rule.when, taking if whole else None))


def _demands(selector: Selector) -> tuple[Demands, bool]:
    """Give the words that each key allows, and whether that is all the selector asks."""
    demands: Demands = {}
    for name in _WORDS:
        if words := getattr(selector, name):
            of = region_of if name == "regions" else plain
            demands[name] = frozenset(of(str(word)) for word in words)
    whole = not (selector.all or selector.any or selector.none)
    for name, test in selector.tags.items():
        words, key = values_of(test), f"tag {plain(name)}"
        if isinstance(test, TagTest):
            whole = whole and not test.none_of and test.present is not False
            words = test.any_of or (("*",) if test.present else ())
        if words:
            demands[key] = frozenset(map(plain, words))
    return demands, whole


def _covers(takes: Takes, later: Demands) -> bool:
    """Say whether all that fits the later selector fits the earlier one."""
    for key, (words, fits) in takes.items():
        asked = later.get(key)
        if asked is None:
            if "*" in words and not key.startswith("tag "):
                continue
            return False  # a VM may lack the tag
        for word in asked - words:
            # An earlier glob takes a later one that it would take as text, unless by a ``?``.
            if not fits(word) or (is_glob(word) and any("?" in one for one in words)):
                return False
    return True
