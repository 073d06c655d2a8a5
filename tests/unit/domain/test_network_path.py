"""The way out: Azure's own rules, published examples, and an independent evaluator."""

import itertools
import random
import shlex

import pytest

from shared.domain.ids import ArmId
from shared.domain.model import Reachability
from shared.domain.network import (
    Access,
    Network,
    NextHop,
    Nsg,
    Route,
    Rule,
    Target,
    Traffic,
    evaluate,
    network_path,
    of_vm,
)
from tests.unit.domain.worlds import SUB

REGION = "westeurope"
ASG = "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/applicationSecurityGroups/web"
ALLOW, DENY = Access.ALLOW, Access.DENY


def rule(access, to="*", priority=1000, ports="*", **changes) -> Rule:
    base = {
        "name": f"{access}_{priority}",
        "priority": priority,
        "access": access,
        "protocol": "*",
        "sources": ("*",),
        "source_ports": ("*",),
        "destinations": (to,) if isinstance(to, str) else to,
        "ports": (ports,) if isinstance(ports, str) else ports,
    }
    return Rule(**(base | changes))


def nsg(*rules: Rule, name="nsg-1") -> Nsg:
    return Nsg(
        id=ArmId.parse(
            f"/subscriptions/{SUB}/resourceGroups/rg-net/providers"
            f"/Microsoft.Network/networkSecurityGroups/{name}"
        ),
        rules=rules,
    )


def network(subnet=None, nic=None, **changes) -> Network:
    base = {
        "subnet": "app",
        "private_address": "10.0.1.4",
        "subnet_nsg": subnet,
        "nic_nsg": nic,
    }
    return Network(**(base | changes))


def path(*rules: Rule, **changes):
    return network_path(network(nsg(*rules), **changes), REGION)


OVERVIEW = "Network security groups: how traffic is evaluated"
TAGS = "Virtual network service tags"
GUIDE = "Prepare to back up Azure VMs: network"
ROUTES = "Virtual network traffic routing"
YES, NO, UNKNOWN = Reachability.ALLOWED, Reachability.BLOCKED, Reachability.UNKNOWN
DENY_ALL = rule(DENY, priority=1000, name="Deny_All")

# what the published text says, the network it describes, the answer
PUBLISHED = [
    (OVERVIEW, "without rules of its own a group lets everything out to the internet", path(), YES),
    (OVERVIEW, "without a group everything passes", network_path(network(), REGION), YES),
    (OVERVIEW, "a deny below the defaults wins over them", path(DENY_ALL), NO),
    (OVERVIEW, "the lower number decides: allow before deny",
     path(rule(ALLOW, priority=100), DENY_ALL), YES),
    (OVERVIEW, "the lower number decides: deny before allow",
     path(rule(DENY, priority=100), rule(ALLOW, priority=200)), NO),
    (OVERVIEW, "the interface's group is asked too: it denies",
     network_path(network(nsg(), nsg(DENY_ALL, name="nsg-nic")), REGION), NO),
    (OVERVIEW, "both groups must allow: the subnet's denies",
     network_path(network(nsg(DENY_ALL), nsg()), REGION), NO),
    (OVERVIEW, "a deny of another protocol does not matter",
     path(rule(DENY, protocol="Udp")), YES),
    (OVERVIEW, "a deny of other ports does not matter", path(rule(DENY, ports="80")), YES),
    (OVERVIEW, "a range of ports holds the port", path(rule(DENY, ports="400-500")), NO),
    (OVERVIEW, "a rule for an application security group is for its members",
     path(rule(DENY, sources=(), source_groups=(ASG,)), application_groups=(ASG.upper(),)), NO),
    (OVERVIEW, "a rule for an application security group is not for others",
     path(rule(DENY, sources=(), source_groups=(ASG,))), YES),
    (OVERVIEW, "a rule towards an application security group is not about public services",
     path(rule(DENY, (), destination_groups=(ASG,))), YES),
    (OVERVIEW, "a rule for another source does not matter",
     path(rule(DENY, sources=("10.0.2.0/24",))), YES),
    (TAGS, "the tag Internet holds Azure's public services too",
     path(rule(DENY, "Internet", name="Deny_Internet")), NO),
    (TAGS, "a tag without region holds every region",
     path(rule(ALLOW, ("Storage", "AzureBackup", "AzureActiveDirectory"), 200), DENY_ALL), YES),
    (TAGS, "a tag of another region is another thing",
     path(rule(ALLOW, ("Storage.eastus", "AzureBackup", "AzureActiveDirectory"), 200), DENY_ALL), NO),
    (GUIDE, "storage, backup and sign-in by tag, port 443, above a deny of everything",
     path(rule(ALLOW, "AzureBackup", 200, "443"), rule(ALLOW, "Storage.WestEurope", 201, "443"),
          rule(ALLOW, "AzureActiveDirectory", 202, "443"), DENY_ALL), YES),
    (GUIDE, "the same below the deny does nothing",
     path(rule(ALLOW, ("AzureBackup", "Storage", "AzureActiveDirectory"), 2000, "443"), DENY_ALL), NO),
    (ROUTES, "a default route to an appliance: what it does cannot be seen",
     path(routes=(Route(name="default", prefix="0.0.0.0/0", next_hop=NextHop.APPLIANCE, address="10.0.9.4"),)), UNKNOWN),
    (ROUTES, "a default route to a gateway (forced tunnel): cannot be seen",
     path(routes=(Route(name="tunnel", prefix="0.0.0.0/0", next_hop=NextHop.GATEWAY),)), UNKNOWN),
    (ROUTES, "routes of the service tags past the appliance: it gets out",
     path(routes=(Route(name="default", prefix="0.0.0.0/0", next_hop=NextHop.APPLIANCE),
                  *(Route(name=tag, prefix=tag, next_hop=NextHop.INTERNET)
                    for tag in ("Storage", "AzureBackup", "AzureActiveDirectory")))), YES),
    (ROUTES, "a route inside the virtual network does not matter",
     path(routes=(Route(name="x", prefix="10.1.0.0/16", next_hop=NextHop.APPLIANCE),)), YES),
]  # fmt: skip


@pytest.mark.parametrize("row", PUBLISHED, ids=[row[1] for row in PUBLISHED])
def test_what_microsoft_publishes_about_rules_and_routes_holds(row) -> None:
    source, _, found, expected = row
    assert source
    assert found.answer is expected, found


def test_that_nothing_stands_in_the_way_is_said_differently_with_and_without_a_group() -> None:
    assert network_path(network(), REGION).decided_by == "no security group on interface or subnet"
    assert path().decided_by.startswith("every security group lets it out")


def test_there_are_at_least_twenty_published_cases() -> None:
    assert len(PUBLISHED) >= 20


# --- an evaluator of its own ---------------------------------------------------------------------
# It knows nothing of fits and doubts: it makes concrete worlds (which addresses lie in which public
# prefix), sends one packet through the sorted rules of each, and compares the worlds.

TARGETS = [
    Target(tag="Storage", region=REGION),
    Target(tag="AzureBackup", region=REGION),
    Target(tag="AzureActiveDirectory", region=""),
]
WORDS = (
    "*", "0.0.0.0/0", "Internet", "VirtualNetwork", "Storage", "storage.westeurope", "Storage.eastus",
    "AzureBackup", "AzureBackup.westeurope", "AzureActiveDirectory", "AzureCloud",
    "AzureCloud.westeurope", "AzureCloud.eastus", "Sql", "10.0.0.0/8", "192.168.7.0/24",
)  # fmt: skip
SOURCES = ("*", "VirtualNetwork", "10.0.1.0/24", "10.0.1.4", "10.0.2.0/24", "Internet")
PORTS = ("*", "443", "80", "400-450", "8443")


def holds(word: str, target: Target, inside: frozenset[str]) -> bool:
    low = word.lower()
    if word in inside:
        return True
    everything = {"*", "0.0.0.0/0", "internet", "azurecloud"}
    named = {target.tag.lower(), f"{target.tag.lower()}.{target.region}"}
    if target.region:
        named.add(f"azurecloud.{target.region}")
    return low in everything | named


def from_here(word: str) -> bool:
    return word in {"*", "VirtualNetwork", "10.0.1.0/24", "10.0.1.4"}


def open_port(words, port: int) -> bool:
    for word in words:
        if word == "*":
            return True
        ends = [int(part) for part in word.split("-")]
        if ends[0] <= port <= ends[-1]:
            return True
    return False


def packet(rules, target: Target, inside: frozenset[str]) -> Access:
    for one in sorted(rules, key=lambda item: item.priority):
        if (
            one.protocol in {"*", "Tcp"}
            and open_port(one.ports, target.port)
            and any(map(from_here, one.sources))
            and any(holds(word, target, inside) for word in one.destinations)
        ):
            return one.access
    return ALLOW  # AllowInternetOutBound


def brute(rules, target: Target) -> Access | None:
    """Try every world: each public prefix, and a region's cloud for sign-in, holds it or not."""
    open_words = {w for one in rules for w in one.destinations if w.startswith("20.")}
    if not target.region:
        open_words |= {w for one in rules for w in one.destinations if w.startswith("AzureCloud.")}
    answers = {
        packet(rules, target, frozenset(chosen))
        for size in range(len(open_words) + 1)
        for chosen in itertools.combinations(sorted(open_words), size)
    }
    return answers.pop() if len(answers) == 1 else None


def generated(chance: random.Random) -> tuple[Rule, ...]:
    """Make up to six rules; a few public prefixes recur, so that doubts overlap."""
    words = (*WORDS, "20.1.0.0/16", "20.2.0.0/16", "20.3.0.0/16")
    return tuple(
        rule(
            chance.choice((ALLOW, DENY)),
            tuple(chance.sample(words, chance.randint(1, 2))),
            priority,
            tuple(chance.sample(PORTS, chance.randint(1, 2))),
            protocol=chance.choice(("*", "Tcp", "Tcp", "Udp")),
            sources=tuple(chance.sample(SOURCES, chance.randint(1, 2))),
        )
        for priority in chance.sample(range(100, 4096), chance.randrange(7))
    )


def test_ten_thousand_generated_groups_are_judged_as_by_an_independent_evaluator() -> None:
    chance = random.Random(20261121)
    here = network()
    seen = {ALLOW: 0, DENY: 0, None: 0}
    for number in range(10_000):
        rules = generated(chance)
        target = TARGETS[number % 3]
        expected = brute(rules, target)
        found = evaluate(nsg(*rules), Traffic(target=target), here)
        assert found.access is expected, (rules, target)
        seen[expected] += 1
    assert min(seen.values()) > 300, seen  # the generator reaches every answer


# --- the rule to add -----------------------------------------------------------------------------


def test_the_rule_to_add_has_every_field_and_a_free_number_below_every_deny() -> None:
    found = path(rule(DENY, priority=1000, name="Deny_All"), rule(ALLOW, "Sql", priority=999))
    assert (
        found.decided_by
        == "rule Deny_All of nsg-1 (subnet) at priority 1000 denies TCP 443 to Storage"
    )
    words = shlex.split(found.remedy_az)
    given = dict(itertools.pairwise(words))
    assert given["--priority"] == "998"
    assert given["--destination-address-prefixes"] == "Storage.westeurope"
    assert given["--source-address-prefixes"] == "VirtualNetwork"
    assert given["--source-port-ranges"] == "*"
    assert given["--destination-port-ranges"] == "443"
    assert given["--protocol"] == "Tcp"
    assert given["--direction"] == "Outbound"
    assert given["--nsg-name"] == "nsg-1"
    assert "--description" in given
    for word in ("-Priority 998", "'Storage.westeurope'", "Set-AzNetworkSecurityGroup"):
        assert word in found.remedy_powershell


def test_adding_the_rule_as_printed_lets_it_out() -> None:
    denied = (rule(DENY, priority=1000), rule(DENY, "Internet", priority=500))
    rules = denied
    for _ in range(3):  # storage, backup, sign-in: one rule each
        found = path(*rules)
        assert found.answer is NO
        words = shlex.split(found.remedy_az)
        priority = int(words[words.index("--priority") + 1])
        tag = words[words.index("--destination-address-prefixes") + 1]
        name = words[words.index("--name") + 1]
        assert name not in {one.name for one in rules}  # or it would replace the one before
        rules = (
            *rules,
            rule(
                ALLOW, tag, priority, "443", protocol="Tcp", sources=("VirtualNetwork",), name=name
            ),
        )
    assert path(*rules).answer is YES


def test_with_no_free_number_that_is_said_and_no_rule_is_printed() -> None:
    found = path(rule(DENY, priority=100))
    assert "no free number" in found.decided_by
    assert found.remedy_az == ""


def test_a_region_without_a_storage_tag_gets_the_tag_without_region() -> None:
    found = network_path(network(nsg(DENY_ALL)), REGION, regional_tags=frozenset({"eastus"}))
    assert "--destination-address-prefixes Storage " in found.remedy_az


def test_a_deny_of_plain_addresses_is_unknown_and_says_why() -> None:
    found = path(rule(DENY, "20.150.0.0/16"))
    assert found.answer is UNKNOWN
    assert "addresses that may or may not be Storage's" in found.decided_by


def test_a_rule_for_some_source_ports_never_hides_another_doubt() -> None:
    some = rule(ALLOW, "20.1.0.0/16", 100, source_ports=("1-1023",))
    assert path(some, rule(DENY, "20.1.0.0/16", 200)).answer is UNKNOWN
    assert path(rule(DENY, priority=100, source_ports=("1-1023",))).answer is UNKNOWN
    assert path(rule(DENY, priority=100, source_ports=("1024-65535",))).answer is NO


def test_a_service_endpoint_goes_past_the_default_route() -> None:
    routes = (
        Route(name="d", prefix="0.0.0.0/0", next_hop=NextHop.APPLIANCE),
        Route(name="b", prefix="AzureBackup", next_hop=NextHop.INTERNET),
        Route(name="a", prefix="AzureActiveDirectory", next_hop=NextHop.INTERNET),
    )
    assert path(routes=routes).answer is UNKNOWN
    assert path(routes=routes, service_endpoints=frozenset({"Microsoft.Storage"})).answer is YES


def test_a_route_to_nowhere_is_named() -> None:
    found = path(routes=(Route(name="hole", prefix="0.0.0.0/0", next_hop=NextHop.NONE),))
    assert found.decided_by == "route hole of subnet app leads 0.0.0.0/0 to nowhere"


def test_of_several_interfaces_the_one_that_gets_out_counts() -> None:
    assert of_vm([path(DENY_ALL), path()]).answer is YES
    assert of_vm([path(DENY_ALL), path(rule(DENY, "20.0.0.0/8"))]).answer is UNKNOWN
    assert of_vm([]) is None
