"""Virtual machines by ARM (the `Machines` port): one GET per look, with the instance view."""

from __future__ import annotations

from typing import Any

from shared.adapters.bodies.machines import parse_vm
from shared.adapters.clients import Clients
from shared.adapters.faults import asking
from shared.domain.ids import ArmId
from shared.domain.model import Vm
from shared.errors import AzureFault
from shared.settings import Settings


class ArmMachines:
    """Answers the `Machines` port."""

    def __init__(self, clients: Clients, settings: Settings) -> None:
        self._clients = clients
        self._settings = settings

    async def machine(self, vm: ArmId) -> Vm | None:
        try:
            with asking("vm.get"):
                body = await self._clients.compute(vm.subscription).virtual_machines.get(
                    vm.group,
                    vm.name,
                    expand="instanceView",
                    api_version=self._settings.compute_api,
                    cls=_json,
                )
                return parse_vm(body, vm)
        except AzureFault as fault:
            if fault.status == 404 and fault.code == "ResourceNotFound":
                return None
            raise


def _json(response: Any, _model: object, _headers: object) -> Any:
    return response.http_response.json()
