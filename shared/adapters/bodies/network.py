"""Interfaces, subnets, security groups and route tables (REST reference of Microsoft.Network)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    flag,
    mapping,
    number,
    rows,
    same,
    text,
    texts,
)
from shared.domain.ids import ArmId
from shared.domain.network import Access, NextHop, Nsg, Route, Rule

_HOPS = {hop.lower(): hop for hop in NextHop}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface at its primary address, with what it points to."""

    address: str
    subnet: ArmId
    nsg: ArmId | None
    application_groups: tuple[str, ...]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One subnet and what it points to."""

    name: str
    nsg: ArmId | None
    route_table: ArmId | None
    service_endpoints: frozenset[str]


def parse_interface(body: Body) -> Interface | None:
    """Give the interface; None if it has no address in a subnet."""
    nsg = arm_id(body, "properties", "networkSecurityGroup", "id")
    configured = sorted(
        rows(body, "properties", "ipConfigurations"),
        key=lambda one: not flag(one, "properties", "primary"),
    )
    for one in configured:
        subnet = arm_id(one, "properties", "subnet", "id")
        address = text(one, "properties", "privateIPAddress")
        if subnet is None or not _is_address(address):
            continue
        groups = rows(one, "properties", "applicationSecurityGroups")
        return Interface(
            address=address,
            subnet=subnet,
            nsg=nsg,
            application_groups=tuple(group for row in groups if (group := text(row, "id"))),
            lost=tuple(dict.fromkeys(_lost(configured))),
        )
    return None


def _lost(configured: Sequence[Body]) -> Iterator[str]:
    """Name what a restore through the portal does not bring back (row S20)."""
    for one in configured:
        for pool in rows(one, "properties", "loadBalancerBackendAddressPools"):
            parts = text(pool, "id").split("/")
            yield f"pool {parts[-1]} of load balancer {parts[-3] if len(parts) > 2 else 'unknown'}"
        if same(text(one, "properties", "privateIPAllocationMethod"), "Static"):
            yield f"fixed address {text(one, 'properties', 'privateIPAddress')}"
        if public := text(one, "properties", "publicIPAddress", "id"):
            yield f"public address {public.rpartition('/')[2]}"


def parse_subnet(body: Body) -> Subnet:
    """Give the subnet.

    Raises:
        ValueError: the body is no subnet's.

    """
    subnet = arm_id(body, "id")
    if subnet is None or "properties" not in body:
        raise ValueError("a body that is no subnet's")
    return Subnet(
        name=subnet.name,
        nsg=arm_id(body, "properties", "networkSecurityGroup", "id"),
        route_table=arm_id(body, "properties", "routeTable", "id"),
        service_endpoints=frozenset(
            text(row, "service") for row in rows(body, "properties", "serviceEndpoints")
        ),
    )


def parse_nsg(body: Body) -> Nsg:
    """Give the group with its outbound rules; Azure's default ones are known to the domain.

    Raises:
        ValueError: the body is no security group's.

    """
    nsg = arm_id(body, "id")
    if nsg is None or "properties" not in body:
        raise ValueError("a body that is no security group's")
    return Nsg(id=nsg, rules=tuple(_outbound(rows(body, "properties", "securityRules"))))


def parse_routes(body: Body) -> tuple[Route, ...]:
    """Give the routes of a table.

    Raises:
        ValueError: the body is no route table's, or leads somewhere we never heard of.

    """
    if "properties" not in body:
        raise ValueError("a body that is no route table's")
    return tuple(_route(row) for row in rows(body, "properties", "routes"))


def _outbound(found: tuple[Body, ...]) -> Iterator[Rule]:
    for row in found:
        one = mapping(row, "properties")
        if not same(text(one, "direction"), "Outbound"):
            continue
        yield Rule(
            name=text(row, "name"),
            priority=number(one, "priority") or 0,
            access=Access.ALLOW if same(text(one, "access"), "Allow") else Access.DENY,
            protocol=text(one, "protocol") or "*",
            sources=_either(one, "sourceAddressPrefix", "sourceAddressPrefixes"),
            source_ports=_either(one, "sourcePortRange", "sourcePortRanges"),
            destinations=_either(one, "destinationAddressPrefix", "destinationAddressPrefixes"),
            ports=_either(one, "destinationPortRange", "destinationPortRanges"),
            source_groups=_groups(one, "sourceApplicationSecurityGroups"),
            destination_groups=_groups(one, "destinationApplicationSecurityGroups"),
        )


def _either(rule: Body, single: str, several: str) -> tuple[str, ...]:
    """Give a rule's words: Azure fills one of two fields, and "" where the other is used."""
    one = text(rule, single)
    return (*((one,) if one else ()), *texts(rule, several))


def _groups(rule: Body, name: str) -> tuple[str, ...]:
    return tuple(group for row in rows(rule, name) if (group := text(row, "id")))


def _route(row: Body) -> Route:
    hop = text(row, "properties", "nextHopType")
    if hop.lower() not in _HOPS:
        raise ValueError(f"a route to {hop!r}")
    return Route(
        name=text(row, "name"),
        prefix=text(row, "properties", "addressPrefix"),
        next_hop=_HOPS[hop.lower()],
        address=text(row, "properties", "nextHopIpAddress"),
    )


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
