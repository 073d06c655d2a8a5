"""From one interface's network to an answer with the rule that decides, and the rule to add."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.model import NetworkPath, Reachability
from shared.domain.network.model import Access, Network, NextHop, Nsg, Target, Traffic
from shared.domain.network.rules import Answer, evaluate, ordered
from shared.domain.quoting import ps, sh

# Ports of the guides: 80 for unmanaged disks in an unencrypted account, 443 in an encrypted one,
# 8443 for managed disks. Unmanaged disks are refused today, and TCP 443 serves all (facts §3.6).
FIRST_FREE, LAST_FREE = 100, 4096
RULE_NAME = "AllowAzureBackupStorage"
_DEFAULT_ROUTES = frozenset({"0.0.0.0/0"})


def targets_for(region: str) -> tuple[Target, ...]:
    """Give what a VM of a region should reach: backup, its region's storage, sign-in."""
    return (
        Target(tag="Storage", region=region),
        Target(tag="AzureBackup", region=region),
        Target(tag="AzureActiveDirectory", region=""),  # a service without regions
    )


def network_path(
    network: Network, region: str, *, regional_tags: frozenset[str] | None = None
) -> NetworkPath:
    """Say whether the VM gets out, what decides, and what to add if it does not.

    ``regional_tags`` are the regions that have a storage tag (None: all have): where there is
    none, the rule names ``Storage`` without a region.
    """
    for target in targets_for(region):
        if (detour := _detour(network, target)) is not None:
            return NetworkPath(answer=Reachability.UNKNOWN, decided_by=detour)
        for where, nsg in (("interface", network.nic_nsg), ("subnet", network.subnet_nsg)):
            if nsg is None:
                continue
            answer = evaluate(nsg, Traffic(target=target), network)
            if answer.access is Access.ALLOW:
                continue
            return _not_allowed(nsg, where, answer, target, region, regional_tags)
    if network.nic_nsg is None and network.subnet_nsg is None:
        return NetworkPath(
            answer=Reachability.ALLOWED, decided_by="no security group on interface or subnet"
        )
    return NetworkPath(
        answer=Reachability.ALLOWED,
        decided_by="every security group lets it out to storage, backup and sign-in",
    )


def _detour(network: Network, target: Target) -> str | None:
    """Name the route that takes the traffic where Azure cannot show what happens to it."""
    chosen = None
    for route in network.routes:
        prefix = route.prefix.strip().lower()
        if prefix in {target.tag.lower(), f"{target.tag.lower()}.{target.region}"}:
            chosen = route  # a service tag is longer than the default route
            break
        if prefix in _DEFAULT_ROUTES:
            chosen = route
    if chosen is None or chosen.next_hop in {NextHop.INTERNET, NextHop.VNET}:
        return None
    if target.tag == "Storage" and "microsoft.storage" in {
        one.lower() for one in network.service_endpoints
    }:
        return None  # a service endpoint goes past the default route
    words = {
        NextHop.APPLIANCE: f"an appliance or firewall at {chosen.address or 'an unknown address'}",
        NextHop.GATEWAY: "a gateway to another network",
        NextHop.NONE: "nowhere",
    }[chosen.next_hop]
    return f"route {chosen.name} of subnet {network.subnet} leads {chosen.prefix} to {words}"


def _not_allowed(
    nsg: Nsg,
    where: str,
    answer: Answer,
    target: Target,
    region: str,
    regional_tags: frozenset[str] | None,
) -> NetworkPath:
    rule = answer.rule
    place = f"rule {rule.name} of {nsg.name} ({where}) at priority {rule.priority}"
    if answer.access is None:
        return NetworkPath(
            answer=Reachability.UNKNOWN,
            decided_by=f"{place} names addresses that may or may not be {target.tag}'s",
            nsg=nsg.name,
        )
    number = free_priority(nsg, below=rule.priority)
    decided = f"{place} denies TCP {target.port} to {target.tag}"
    if number is None:
        return NetworkPath(
            answer=Reachability.BLOCKED,
            decided_by=f"{decided}; no free number is left below it",
            nsg=nsg.name,
        )
    tag = target.tag
    if tag == "Storage" and (regional_tags is None or region in regional_tags):
        tag = f"Storage.{region}"
    az, powershell = rule_to_add(nsg, tag, target.port, number)
    return NetworkPath(
        answer=Reachability.BLOCKED,
        decided_by=decided,
        remedy_az=az,
        remedy_powershell=powershell,
        nsg=nsg.name,
    )


def free_priority(nsg: Nsg, below: int) -> int | None:
    """Give a number that no rule has, below the denying one (and every deny before it)."""
    denies = [rule.priority for rule in ordered(nsg) if rule.access is Access.DENY]
    ceiling = min([below, *denies, LAST_FREE + 1])
    taken = {rule.priority for rule in nsg.rules}
    for number in range(ceiling - 1, FIRST_FREE - 1, -1):
        if number not in taken:
            return number
    return None


def rule_to_add(nsg: Nsg, tag: str, port: int, priority: int) -> tuple[str, str]:
    """Give the rule with every field filled in, for az and PowerShell; one per security group."""
    name = f"{RULE_NAME}{tag.split('.', maxsplit=1)[0] if not tag.startswith('Storage') else ''}"
    text = f"Azure Backup: outbound to {tag}"
    az = (
        f"az network nsg rule create --subscription {sh(nsg.id.subscription)}"
        f" --resource-group {sh(nsg.id.group)} --nsg-name {sh(nsg.name)} --name {sh(name)}"
        f" --description {sh(text)} --priority {priority} --direction Outbound --access Allow"
        " --protocol Tcp --source-address-prefixes VirtualNetwork --source-port-ranges '*'"
        f" --destination-address-prefixes {sh(tag)} --destination-port-ranges {port}"
    )
    powershell = (
        f"Get-AzNetworkSecurityGroup -ResourceGroupName {ps(nsg.id.group)} -Name {ps(nsg.name)} |\n"
        f"  Add-AzNetworkSecurityRuleConfig -Name {ps(name)} -Description {ps(text)}"
        f" -Priority {priority} -Direction Outbound -Access Allow -Protocol Tcp"
        " -SourceAddressPrefix VirtualNetwork -SourcePortRange *"
        f" -DestinationAddressPrefix {ps(tag)} -DestinationPortRange {port} |\n"
        "  Set-AzNetworkSecurityGroup"
    )
    return az, powershell


def of_vm(paths: Iterable[NetworkPath]) -> NetworkPath | None:
    """Choose the answer of a VM with several interfaces: its first one that lets it out.

    The guest may use any of them; with none that does, the first blocked one is told.
    """
    found = list(paths)
    order = (Reachability.ALLOWED, Reachability.UNKNOWN, Reachability.BLOCKED)
    return min(found, key=lambda path: order.index(path.answer), default=None)
