"""The networks a VM's interfaces lie in (the `Networks` port), by plain REST.

One GET per interface; subnets, security groups and route tables are kept, since all VMs of a
subnet share them. `azure-mgmt-network` would cost every cold start 200 ms for these four GETs
(docs/adr/0004). Application security groups need no call: rules and interfaces name them by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.adapters.bodies.network import (
    Interface,
    parse_interface,
    parse_nsg,
    parse_routes,
    parse_subnet,
)
from shared.adapters.bodies.reading import Body
from shared.adapters.clients import Clients
from shared.adapters.faults import asking
from shared.adapters.kept import Kept, KeptBy
from shared.domain.ids import ArmId
from shared.domain.model import Vm
from shared.domain.network import Network, Nsg
from shared.errors import BadArmId
from shared.ports import Clock
from shared.settings import Settings

_API = "2024-05-01"
_MOST = 8  # interfaces; the largest sizes take no more


class ArmNetworks:
    """Answers the `Networks` port."""

    def __init__(self, clients: Clients, settings: Settings, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._seconds = settings.directory_seconds
        self._subnets = self._kept("subnet.get", parse_subnet)
        self._nsgs = self._kept("nsg.get", parse_nsg)
        self._routes = self._kept("routes.get", parse_routes)

    async def interfaces(self, vm: Vm) -> tuple[Network, ...]:
        found = []
        for nic in _ids(vm):
            interface = await self._get(nic, "nic.get", parse_interface)
            if interface is not None:
                found.append(await self._network(interface))
        return tuple(found)

    async def _network(self, interface: Interface) -> Network:
        subnet = await self._subnets[interface.subnet].get()
        return Network(
            subnet=subnet.name,
            private_address=interface.address,
            subnet_nsg=await self._nsg(subnet.nsg),
            nic_nsg=await self._nsg(interface.nsg),
            routes=()
            if subnet.route_table is None
            else await self._routes[subnet.route_table].get(),
            application_groups=interface.application_groups,
            service_endpoints=subnet.service_endpoints,
            lost=interface.lost,
        )

    async def _nsg(self, nsg: ArmId | None) -> Nsg | None:
        return None if nsg is None else await self._nsgs[nsg].get()

    def _kept[T](self, operation: str, parse: Callable[[Body], T]) -> KeptBy[ArmId, T]:
        def keep(of: ArmId) -> Kept[T]:
            return Kept(self._clock, lambda: self._get(of, operation, parse), seconds=self._seconds)

        return KeptBy(self._clock, keep)

    async def _get[T](self, of: ArmId, operation: str, parse: Callable[[Body], T]) -> T:
        body = await self._clients.get(of.path(), api_version=_API, operation=operation)
        with asking(operation):
            return parse(body)


def _ids(vm: Vm) -> Iterator[ArmId]:
    for text in vm.nics[:_MOST]:
        try:
            yield ArmId.parse(text)
        except BadArmId:
            continue  # not an interface of ARM's; the answer then rests on the others
