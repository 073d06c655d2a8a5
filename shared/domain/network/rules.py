"""One security group against one outbound packet, as Azure decides it.

Destinations of a packet here are service tags and not addresses: which addresses a tag holds is
not known. So a rule for plain addresses neither surely matches nor surely does not, unless it
covers everything or lies in a private range; such a rule makes the answer unknown.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.network.model import Access, Network, Nsg, Rule, Traffic

# Outbound defaults of every group (AllowVnetOutBound, AllowInternetOutBound, DenyAllOutBound).
DEFAULTS: tuple[Rule, ...] = (
    Rule(
        name="AllowVnetOutBound",
        priority=65_000,
        access=Access.ALLOW,
        protocol="*",
        sources=("VirtualNetwork",),
        source_ports=("*",),
        destinations=("VirtualNetwork",),
        ports=("*",),
        default=True,
    ),
    Rule(
        name="AllowInternetOutBound",
        priority=65_001,
        access=Access.ALLOW,
        protocol="*",
        sources=("*",),
        source_ports=("*",),
        destinations=("Internet",),
        ports=("*",),
        default=True,
    ),
    Rule(
        name="DenyAllOutBound",
        priority=65_500,
        access=Access.DENY,
        protocol="*",
        sources=("*",),
        source_ports=("*",),
        destinations=("*",),
        ports=("*",),
        default=True,
    ),
)

# Public Azure services count as Internet for security groups; AzureCloud holds them all.
_HOLDS_ALL = frozenset({"*", "any", "internet", "azurecloud", "0.0.0.0/0"})
_NONE: frozenset[str] = frozenset()
_ADDRESS_RANGES = frozenset({"*", "any", "0.0.0.0/0"})


class Fit(StrEnum):
    """Whether a rule applies to a packet."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a group says: allow, deny, or None (unknown), and the rule that says so."""

    access: Access | None
    rule: Rule


def ordered(nsg: Nsg) -> tuple[Rule, ...]:
    """Give the group's rules with the defaults, lowest number first."""
    return tuple(sorted((*nsg.rules, *DEFAULTS), key=lambda rule: rule.priority))


def evaluate(nsg: Nsg, traffic: Traffic, network: Network) -> Answer:
    """Find the rule that decides; unknown if a rule that may apply would decide otherwise.

    A doubtful rule counts only if some word of it is not in an earlier doubtful rule: else that
    one applies first whenever this one does.
    """
    doubts: list[Rule] = []
    words: set[str] = set()
    for rule in ordered(nsg):
        fit, open_words = fits(rule, traffic, network)
        if fit is Fit.NO:
            continue
        if fit is Fit.MAYBE:
            if not open_words <= words:
                doubts.append(rule)
            words |= open_words
            continue
        against = [doubt for doubt in doubts if doubt.access is not rule.access]
        if against:
            return Answer(access=None, rule=against[0])
        return Answer(access=rule.access, rule=rule)
    raise AssertionError("DenyAllOutBound applies to everything")


def fits(rule: Rule, traffic: Traffic, network: Network) -> tuple[Fit, frozenset[str]]:
    """Say whether a rule applies (every part must), and for a maybe, which words are in doubt."""
    if rule.protocol.lower() not in {"*", "any", traffic.protocol.lower()}:
        return Fit.NO, _NONE
    if not _in_ports(traffic.target.port, rule.ports) or not _source(rule, network):
        return Fit.NO, _NONE
    fit, words = _destination(rule, traffic)
    if fit is not Fit.NO and not _in_ports(traffic.source_port, rule.source_ports):
        # The guest chooses its source port: a rule for some of them may apply or not.
        return Fit.MAYBE, frozenset({f"source ports of {rule.name} at {rule.priority}"})
    return fit, words


def _source(rule: Rule, network: Network) -> bool:
    if rule.source_groups:
        mine = {group.lower() for group in network.application_groups}
        wanted = {group.lower() for group in rule.source_groups}
        return bool(mine & wanted)
    address = ipaddress.ip_address(network.private_address)
    for word in rule.sources:
        lower = word.strip().lower()
        if lower in _ADDRESS_RANGES or lower == "virtualnetwork":
            return True
        if (prefix := prefix_of(lower)) is not None and address in prefix:
            return True
    return False


def _destination(rule: Rule, traffic: Traffic) -> tuple[Fit, frozenset[str]]:
    if rule.destination_groups:
        return Fit.NO, _NONE  # application security groups hold interfaces, no public services
    doubtful = set()
    for text in rule.destinations:
        word = text.strip().lower()
        match _holds(word, traffic):
            case Fit.YES:
                return Fit.YES, _NONE
            case Fit.MAYBE:
                doubtful.add(word)
            case Fit.NO:
                continue
    return (Fit.MAYBE if doubtful else Fit.NO), frozenset(doubtful)


def _holds(word: str, traffic: Traffic) -> Fit:
    """Say whether a destination word holds the target's addresses, all of them or none."""
    target = traffic.target
    if word in _HOLDS_ALL:
        return Fit.YES
    tag, _, region = word.partition(".")
    if tag == "azurecloud" and region and not target.region:
        return Fit.MAYBE
    if tag in {target.tag.lower(), "azurecloud"}:
        return Fit.YES if region in {"", target.region} else Fit.NO
    prefix = prefix_of(word)
    if prefix is None:
        return Fit.NO  # another service's tag, VirtualNetwork, AzureLoadBalancer
    return Fit.NO if prefix.is_private else Fit.MAYBE


def prefix_of(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Read an address or a prefix; None for tags and anything else."""
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None


def _in_ports(port: int, ranges: tuple[str, ...]) -> bool:
    for word in ranges:
        low, _, high = word.strip().partition("-")
        if low in {"*", "any"}:
            return True
        if low.isdigit() and (high or low).isdigit() and int(low) <= port <= int(high or low):
            return True
    return False
