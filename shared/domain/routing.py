"""Who hears of a VM: owner tags of VM, group and subscription, then the rule's fallback (F42).

Pure. What people wrote into tags is attacker text: only what parses as an address becomes a
recipient; the rest is a finding on the notice, never an exception and never a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.catalogue import finding
from shared.domain.deliveries import Route, Target
from shared.domain.findings import Finding, Remedy
from shared.domain.model import Tags
from shared.domain.quoting import printable
from shared.domain.rules.model import Route as DeclaredRoute
from shared.domain.rules.model import Selector
from shared.domain.rules.selectors import matcher
from shared.domain.spelling import plain

MOST = 10  # recipients of one notice; a longer list belongs into a distribution list

# RFC 5321 in the forms people use: no quoted local parts, no address literals, ASCII only (a
# look-alike letter in a domain is somebody else's domain).
_MAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?P<domain>[A-Za-z0-9.-]+)"
)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SEPARATORS = re.compile(r"[,;\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What this deployment can reach, and whom. ``mail`` names mail channels in failover order."""

    owner_tags: tuple[str, ...] = ("owner", "contact", "backup-owner")
    operators: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()  # names of webhooks; the first is the default one
    sandbox: bool = False  # observe mode: only the operators hear, whomever the rules name


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """One route per recipient, where they come from in words, and what was no address."""

    routes: tuple[Route, ...]
    source: str
    findings: tuple[Finding, ...] = ()


def is_mail(text: str) -> bool:
    """Tell whether a text is a mail address we write to."""
    match = _MAIL.fullmatch(text)
    if match is None or len(text) > 254 or len(text) - len(match["domain"]) > 65:
        return False
    labels = match["domain"].split(".")
    return len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)


def routed(
    *,
    to: Sequence[str],
    tags: Tags,
    group_tags: Tags,
    subscription_tags: Tags,
    fallback: Sequence[str],
    routing: Routing,
) -> Routed:
    """Find the recipients of a VM's notice.

    ``to`` holds the words of the rule's route (``owner``, ``mail:ADDRESS``, ``teams:CHANNEL`` or
    a bare address); none means the owner. ``fallback`` in the same words is for a VM without one;
    without a fallback it is the default Teams channel, else the operators.
    """
    if routing.sandbox:
        return Routed(routes=operators(routing), source="observe mode: operators only")
    found: list[Route] = []
    findings: list[Finding] = []
    sources: list[str] = []
    for word in to or ("owner",):
        if word.strip().lower() == "owner":
            levels = (
                ("VM tag", tags),
                ("resource group tag", group_tags),
                ("subscription tag", subscription_tags),
            )
            routes, source, problems = _owner(levels, routing)
            findings += problems
        else:
            source = "rule"
            routes, bad = _recipients(word, routing)
            findings += [_no_address("rule", word, text) for text in bad]
        found += routes
        sources += [source] if routes else []
    if not found:
        found, bad = _many(fallback, routing)
        findings += [_no_address("fallback", "fallback", text) for text in bad]
        sources = ["fallback of the rules"]
    if not found and routing.teams:
        found, sources = [(Target("teams", routing.teams[0]),)], ["default Teams channel"]
    if not found:
        found, sources = list(operators(routing)), ["operators"]
    return Routed(
        routes=_with_next(_distinct(found)[:MOST], routing),
        source=", ".join(dict.fromkeys(sources)),
        findings=tuple(findings),
    )


def declared_route(
    routes: Sequence[DeclaredRoute], names: Sequence[str], findings: Sequence[Finding]
) -> DeclaredRoute | None:
    """Choose the rules' route for what was found on a VM.

    ``names`` are the routes for this VM, the best first (`selection`).
    """
    for one in routes:
        for_this_vm = one.name in names or one.when == Selector()
        if one.by_cause and for_this_vm and any(_concerns(one, found) for found in findings):
            return one
    by_name = {one.name: one for one in routes if not one.by_cause}
    return next((by_name[name] for name in names if name in by_name), None)


def _concerns(route: DeclaredRoute, found: Finding) -> bool:
    return (not route.causes or matcher(route.causes)(plain(found.code))) and (
        not route.severity or found.severity in route.severity
    )


def operators(routing: Routing) -> tuple[Route, ...]:
    """Give the routes to the operators; without any, the default Teams channel."""
    found, _ = _many(routing.operators, routing)
    if not found and routing.teams:
        found = [(Target("teams", routing.teams[0]),)]
    return _with_next(_distinct(found)[:MOST], routing)


def unreachable(words: Iterable[str], routing: Routing) -> tuple[str, ...]:
    """Give the words that reach nobody here; for `lint` and `doctor`."""
    return tuple(_many([word for word in words if word not in {"owner", "topic"}], routing)[1])


def _owner(
    levels: Iterable[tuple[str, Tags]], routing: Routing
) -> tuple[list[Route], str, list[Finding]]:
    problems: list[Finding] = []
    for level, tags in levels:
        lowered = {name.strip().lower(): (name, value) for name, value in tags.items()}
        for wanted in routing.owner_tags:
            if wanted.lower() not in lowered:
                continue
            name, value = lowered[wanted.lower()]
            routes, bad = _recipients(value, routing)
            problems += [_no_address(level, name, text) for text in bad]
            if routes:
                return routes, f"{level} {printable(name)[:100]}", problems
    return [], "", problems


def _many(words: Iterable[str], routing: Routing) -> tuple[list[Route], list[str]]:
    routes: list[Route] = []
    bad: list[str] = []
    for word in words:
        more, wrong = _recipients(word, routing)
        routes += more
        bad += wrong
    return routes, bad


def _recipients(text: str, routing: Routing) -> tuple[list[Route], list[str]]:
    """Read a list of addresses: one route for each, and the words that are no address."""
    routes: list[Route] = []
    bad: list[str] = []
    for word in filter(None, _SEPARATORS.split(text[:2000])):
        scheme, _, rest = word.partition(":")
        address = rest if scheme.lower() in {"mail", "mailto", "teams"} else word
        if scheme.lower() == "topic":
            continue  # outcomes go to the topic anyway
        if scheme.lower() == "teams" or (address.lower() in {"teams", *routing.teams}):
            name = next((n for n in routing.teams if n.lower() == address.lower()), "")
            if not name and address.lower() == "teams" and routing.teams:
                name = routing.teams[0]
            if name:
                routes.append((Target("teams", name),))
                continue
        elif is_mail(address) and routing.mail:
            routes.append(tuple(Target(channel, address) for channel in routing.mail))
            continue
        bad.append(word)
    return routes, bad


def _distinct(routes: Iterable[Route]) -> tuple[Route, ...]:
    kept: dict[tuple[str, str], Route] = {}
    for route in routes:
        kept.setdefault((route[0].channel, route[0].address.lower()), route)
    return tuple(kept.values())


def _with_next(routes: tuple[Route, ...], routing: Routing) -> tuple[Route, ...]:
    """End every route in the default Teams channel, or a Teams route in the operators' mail."""
    last: list[Target] = [Target("teams", routing.teams[0])] if routing.teams else []
    mails = [word for word in routing.operators if is_mail(word)]
    if mails:
        last += [Target(channel, mails[0]) for channel in routing.mail]
    return tuple(
        (*route, *(t for t in last if t not in route and t.address != route[0].address))
        for route in routes
    )


def _no_address(level: str, name: str, value: str) -> Finding:
    return finding(
        "OWNER_ADDRESS",
        text="The owner named here is no address that notices can be sent to.",
        evidence=f"{level} {printable(name)[:100]} = {printable(value)[:200]}",
        remedies=(Remedy(text="Put a mail address or the name of a Teams channel there."),),
    )
