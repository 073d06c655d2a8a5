"""What types cannot say about a rules file: names that must exist, be unique, be reachable."""

from __future__ import annotations

from shared.domain.catalogue import CATALOGUE
from shared.domain.ids import VAULTS, ArmId
from shared.domain.policycode import check as policy_limits
from shared.domain.rules.decode import Decoder, Path
from shared.domain.rules.ensured import declared_problems
from shared.domain.rules.model import (
    DefaultRule,
    Rule,
    RulesFile,
    Selector,
    Subscriptions,
)
from shared.domain.rules.reach import selector_problems, unreachable
from shared.domain.rules.saying import Found, Say, known
from shared.domain.spelling import did_you_mean, plain
from shared.errors import BadArmId, Problem

_TARGETS = ("owner", "topic", "mail:", "teams:")


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
        *selector_problems(content, say),
        *unreachable(content, say),
        *_notices(content, say),
        *_tell(content, say),
        *declared_problems(content, say),
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
                if not policy_limits.NAME.fullmatch(policy):
                    yield say(
                        (*path, kind, at),
                        f"{policy[:80]!r} is no policy name",
                        policy_limits.NAME_HINT,
                    )
        both = {plain(p) for p in tier.standard} & {plain(p) for p in tier.enhanced}
        if both:
            yield say(path, f"{', '.join(sorted(both))} cannot be Standard and Enhanced at once")
        for at, alias in enumerate(tier.aliases):
            other = seen.setdefault(plain(alias), name)
            if other != name:
                yield say((*path, "aliases", at), f"{alias!r} means tier {other} already")
    if tiers.default:
        yield from known(("tiers", "default"), "tier", tiers.default, tiers.names, say)


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
            yield from known((*path, "vaults", at), "vault set", name, content.vaults, say)
        for key in ("tier", "default_tier"):
            if name := getattr(rule, key):
                yield from known((*path, key), "tier", name, content.tiers.names, say)
        if rule.notices:
            yield from known((*path, "notices"), "route", rule.notices, routes, say)
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


def _notices(content: RulesFile, say: Say) -> Found:
    named = {
        plain(rule.notices)
        for rule in (*content.rules, content.default)
        if isinstance(rule, Rule | DefaultRule)
    }
    for at, route in enumerate(content.notices.routes):
        if route.when == Selector() and plain(route.name) not in named and not route.by_cause:
            yield say(
                ("notices", "routes", at, "name"),
                f"route {route.name!r} is never taken: no rule names it and it chooses no VM",
                'for every VM: `when: {names: "*"}`',
                level="warning",
            )
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
                    "owner, topic, mail:ADDRESS or teams:CHANNEL",
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
