"""Security groups and routes as values. Adapters parse Azure's bodies into these."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.ids import ArmId


class Access(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One outbound rule. Lists are OR; words are prefixes, tags, ``*`` or port ranges."""

    name: str
    priority: int
    access: Access
    protocol: str  # Tcp, Udp, Icmp, Esp, Ah, *
    sources: tuple[str, ...]
    source_ports: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: tuple[str, ...]
    source_groups: tuple[str, ...] = ()  # ids of application security groups, any case
    destination_groups: tuple[str, ...] = ()
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nsg:
    """One network security group: its own rules; Azure's default ones are added when evaluated."""

    id: ArmId
    rules: tuple[Rule, ...]

    @property
    def name(self) -> str:
        return self.id.name


class NextHop(StrEnum):
    INTERNET = "Internet"
    VNET = "VnetLocal"
    GATEWAY = "VirtualNetworkGateway"
    APPLIANCE = "VirtualAppliance"
    NONE = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the subnet's table: a prefix or a service tag, and where it leads."""

    name: str
    prefix: str
    next_hop: NextHop
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What was read for one interface. None: there is none; absent facts are said by the caller."""

    subnet: str
    private_address: str
    subnet_nsg: Nsg | None = None
    nic_nsg: Nsg | None = None
    routes: tuple[Route, ...] = ()
    application_groups: tuple[str, ...] = ()  # of the interface
    service_endpoints: frozenset[str] = field(default_factory=frozenset)  # Microsoft.Storage ...
    lost: tuple[str, ...] = ()  # what a restore does not bring back: pools, fixed addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing the VM should reach: a service tag of the region and a TCP port."""

    tag: str  # Storage, AzureBackup, AzureActiveDirectory
    region: str
    port: int = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One outbound packet: from the interface to a target."""

    target: Target
    protocol: str = "Tcp"
    source_port: int = 50_000
