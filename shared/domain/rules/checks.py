"""What types cannot say about a rules file: names that must exist, be unique, be reachable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

import msgspec

from shared.domain.catalogue import CATALOGUE
from shared.domain.ids import VAULTS, ArmId
from shared.domain.rules.decode import Decoder, Path
from shared.domain.rules.model import (
    DefaultRule,
    Rule,
    RulesFile,
    Selector,
    Subscriptions,
    TagTest,
)
from shared.domain.rules.selectors import is_glob
from shared.domain.rules.vocabulary import selectors, values_of
from shared.domain.spelling import did_you_mean, plain
from shared.errors import BadArmId, Problem

POLICY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,148}[A-Za-z0-9]")  # facts §1.12
VAULT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")  # facts §1.12, row S2
_TARGETS = ("owner", "topic", "mail:", "teams:", "webhook:")

type Found = Iterator[Problem]
type Say = Callable[..., Problem]


def problems(content: RulesFile, decoder: Decoder) -> list[Problem]:
    """Give every problem and warning of a file whose shape is right, in file order."""

    def say(path: Path, message: str, hint: str = "", level: str = "error") -> Problem:
        line, column = _mark(decoder, path)
        return Problem(
            file=decoder.file, line=line, column=column, message=message, hint=hint, level=level
        )

    found = [
        *_tiers(content, say),
        *_vaults(content, say),
        *_rules(content, say),
        *_names(content, say),
        *_selectors(content, say),
        *_reach(content, say),
        *_notices(content, say),
        *_tell(content, say),
    ]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def _mark(decoder: Decoder, path: Path) -> tuple[int, int]:
    while path and path not in decoder.marks:
        path = path[:-1]
    return decoder.marks.get(path, (0, 0))


def _tiers(content: RulesFile, say: Say) -> Found:
    tiers = content.tiers
    seen = {plain(name): name for name in tiers.names}
    for name, tier in tiers.names.items():
        path: Path = ("tiers", "names", name)
        if not tier.standard and not tier.enhanced:
            yield say(path, f"tier {name} names no policy", "give standard, enhanced or both")
        for kind in ("standard", "enhanced"):
            for at, policy in enumerate(getattr(tier, kind)):
                if not POLICY_NAME.fullmatch(policy):
                    yield say(
                        (*path, kind, at),
                        f"{policy[:80]!r} is no policy name",
                        "3-150 letters, digits, hyphens; starts with a letter, no hyphen at the end",
                    )
        both = {plain(p) for p in tier.standard} & {plain(p) for p in tier.enhanced}
        if both:
            yield say(path, f"{', '.join(sorted(both))} cannot be Standard and Enhanced at once")
        for at, alias in enumerate(tier.aliases):
            other = seen.setdefault(plain(alias), name)
            if other != name:
                yield say((*path, "aliases", at), f"{alias!r} means tier {other} already")
    if tiers.default:
        yield from _known(("tiers", "default"), "tier", tiers.default, tiers.names, say)


def _known(path: Path, what: str, word: str, known: Iterable[str], say: Say) -> Found:
    names = list(known)
    if plain(word) not in {plain(name) for name in names}:
        yield say(path, f"there is no {what} {word[:60]!r}", did_you_mean(word, names))
    elif what == "tier" and word not in names:
        right = next(name for name in names if plain(name) == plain(word))
        yield say(path, f"there is no tier {word[:60]!r}", f"did you mean {right!r}?")


def _vaults(content: RulesFile, say: Say) -> Found:
    for name, vaults in content.vaults.items():
        path: Path = ("vaults", name)
        if not (vaults.ids or vaults.tags or vaults.same_tag):
            yield say(
                path,
                f"vault set {name} names no vault",
                "give ids, tags or same_tag: we never take a vault only because it is there",
            )
        for at, text in enumerate(vaults.ids):
            try:
                good = ArmId.parse(text).type == VAULTS
            except BadArmId:
                good = False
            if not good:
                yield say(
                    (*path, "ids", at),
                    f"{text[:120]!r} is no vault id",
                    "/subscriptions/…/resourceGroups/…/providers/Microsoft.RecoveryServices/"
                    "vaults/…",
                )
        if vaults.subscriptions is Subscriptions.SAME and vaults.ids:
            yield say(
                (*path, "subscriptions"),
                f"vault set {name} names vaults but takes only those of the VM's subscription",
                level="warning",
            )


def _rules(content: RulesFile, say: Say) -> Found:
    places: list[tuple[Path, Rule | DefaultRule]] = [
        (("rules", at), rule) for at, rule in enumerate(content.rules)
    ]
    if isinstance(content.default, DefaultRule):
        places.append((("default",), content.default))
    routes = [route.name for route in content.notices.routes]
    for path, rule in places:
        for at, name in enumerate(rule.vaults):
            yield from _known((*path, "vaults", at), "vault set", name, content.vaults, say)
        for key in ("tier", "default_tier"):
            if name := getattr(rule, key):
                yield from _known((*path, key), "tier", name, content.tiers.names, say)
        if rule.notices:
            yield from _known((*path, "notices"), "route", rule.notices, routes, say)
        if rule.ignore and (rule.vaults or rule.tier or rule.default_tier):
            yield say(
                (*path, "ignore"), "an ignored VM needs neither vaults nor tier", level="warning"
            )
        if rule.tier and rule.default_tier:
            yield say((*path, "default_tier"), "is never used: `tier` decides", level="warning")


def _names(content: RulesFile, say: Say) -> Found:
    groups: tuple[tuple[Path, str, list[str]], ...] = (
        (("rules",), "rule", [rule.name for rule in content.rules]),
        (("exclusions",), "exclusion", [one.name for one in content.exclusions]),
        (("notices", "routes"), "route", [route.name for route in content.notices.routes]),
    )
    for path, what, names in groups:
        seen: set[str] = {"default"} if what == "rule" else set()
        for at, name in enumerate(names):
            if plain(name) in seen:
                yield say((*path, at, "name"), f"a second {what} is called {name!r}")
            seen.add(plain(name))


def _selectors(content: RulesFile, say: Say) -> Found:
    tier_tag = plain(content.tiers.tag)
    tiers = [*content.tiers.names, *(a for t in content.tiers.names.values() for a in t.aliases)]
    known = {plain(word) for word in tiers}
    for path, selector in selectors(content):
        for at, text in enumerate(selector.subscriptions):
            if not _is_guid(text):
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


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.strip().lower()
    except ValueError:
        return False


def _reach(content: RulesFile, say: Say) -> Found:
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


def _notices(content: RulesFile, say: Say) -> Found:
    lists: list[tuple[Path, tuple[str, ...]]] = [
        (("notices", "routes", at, "to"), route.to)
        for at, route in enumerate(content.notices.routes)
    ]
    lists.append((("notices", "fallback"), content.notices.fallback))
    for path, targets in lists:
        for at, target in enumerate(targets):
            scheme = target.split(":", 1)[0] + (":" if ":" in target else "")
            if scheme not in _TARGETS or target.endswith(":"):
                yield say(
                    (*path, at),
                    f"{target[:60]!r} is no target of a notice",
                    "owner, topic, mail:ADDRESS, teams:CHANNEL or webhook:NAME",
                )


def _tell(content: RulesFile, say: Say) -> Found:
    places: list[tuple[Path, tuple[str, ...] | None]] = [
        (("options", "tell"), content.options.tell),
        *((("rules", at, "options", "tell"), r.options.tell) for at, r in enumerate(content.rules)),
    ]
    if isinstance(content.default, DefaultRule):
        places.append((("default", "options", "tell"), content.default.options.tell))
    for path, codes in places:
        for at, code in enumerate(codes or ()):
            if code not in CATALOGUE:
                yield say(
                    (*path, at), f"there is no finding {code[:60]!r}", did_you_mean(code, CATALOGUE)
                )
