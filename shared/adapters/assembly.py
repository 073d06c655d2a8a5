"""Assembly: which adapter answers which port. Called by `bootstrap`, once per process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shared.adapters.stores import Stores
from shared.ports import Clock, ParkedMessages, Ports
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.notify import Notifier


@cache
def _stores(settings: Settings) -> Stores:
    """Give the process's storage clients; in Azure they use the app's identity."""

    def credential() -> AsyncTokenCredential:
        from azure.identity.aio import ManagedIdentityCredential

        return ManagedIdentityCredential(client_id=settings.identity_client_id or None)

    return Stores(settings, credential)


def parked_messages(settings: Settings) -> ParkedMessages:
    """Give only the parked table: intake needs nothing else, and only for what is unusable."""
    from shared.adapters.parked import TableParkedMessages

    return TableParkedMessages(_stores(settings))


def assemble(settings: Settings, clock: Clock) -> tuple[Ports, Notifier]:
    """Build every port; no network is touched before a port is used."""
    from shared.adapters.backup import ArmBackup
    from shared.adapters.channels import notifier_of
    from shared.adapters.clients import Clients
    from shared.adapters.compute import ArmMachines
    from shared.adapters.coverage import TableCoverage
    from shared.adapters.directory import ArmDirectory
    from shared.adapters.governor import Governor
    from shared.adapters.graph import GraphEstate
    from shared.adapters.index import GraphIndex
    from shared.adapters.ledger import TableLedger
    from shared.adapters.parked import TableParkedMessages
    from shared.adapters.people import TablePeople
    from shared.adapters.queues import StorageQueues
    from shared.adapters.rules_source import rules_of

    stores = _stores(settings)
    governor = Governor(settings, clock)
    clients = Clients(settings, clock, governor)
    estate = GraphEstate(clients, settings, clock)
    directory = ArmDirectory(clients, settings, clock, estate)
    queues = StorageQueues(stores, clock)
    rules = rules_of(settings, clock, clients.credential)
    notifier = notifier_of(settings, clock, stores, queues, rules, clients)
    ports = Ports(
        settings=settings,
        clock=clock,
        machines=ArmMachines(clients, settings),
        backup=ArmBackup(clients, clock),
        directory=directory,
        index=GraphIndex(clients, settings, clock, estate, directory),
        estate=estate,
        pace=governor,
        ledger=TableLedger(stores),
        coverage=TableCoverage(stores),
        people=TablePeople(stores),
        parked=TableParkedMessages(stores),
        queues=queues,
        rules=rules,
        notices=notifier,
    )
    return ports, notifier
