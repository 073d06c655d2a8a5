"""Assembly: which adapter answers which port. Called by `bootstrap`, once per process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shared.adapters.stores import Stores
from shared.ports import Clock, ParkedMessages, Ports
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.clients import Clients
    from shared.adapters.governor import Governor
    from shared.notify import Notifier


@cache
def _clients(settings: Settings, clock: Clock) -> tuple[Clients, Governor]:
    """Give the process's one way to Azure, and what paces it."""
    from shared.adapters.clients import Clients
    from shared.adapters.governor import Governor

    governor = Governor(settings, clock)
    return Clients(settings, clock, governor), governor


@cache
def _stores(settings: Settings, clock: Clock) -> Stores:
    """Give the process's storage clients; in Azure they use the app's identity."""
    return Stores(settings, lambda: _clients(settings, clock)[0].credential())


def parked_messages(settings: Settings, clock: Clock) -> ParkedMessages:
    """Give only the parked table: intake needs nothing else, and only for what is unusable."""
    from shared.adapters.parked import TableParkedMessages

    return TableParkedMessages(_stores(settings, clock))


def assemble(settings: Settings, clock: Clock) -> tuple[Ports, Notifier]:
    """Build every port; no network is touched before a port is used."""
    from shared.adapters.backup import ArmBackup
    from shared.adapters.channels import notifier_of
    from shared.adapters.compute import ArmMachines
    from shared.adapters.coverage import TableCoverage
    from shared.adapters.directory import ArmDirectory
    from shared.adapters.graph import GraphEstate
    from shared.adapters.index import GraphIndex
    from shared.adapters.ledger import TableLedger
    from shared.adapters.parked import TableParkedMessages
    from shared.adapters.people import TablePeople
    from shared.adapters.queues import StorageQueues
    from shared.adapters.rules_source import rules_of

    stores = _stores(settings, clock)
    clients, governor = _clients(settings, clock)
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
