"""Assembly: which adapter answers which port. Called by `bootstrap`, once per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.stores import Stores
from shared.ports import Clock, ParkedMessages, Ports
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.adapters.rules_source import StoredRules
    from shared.notify import Notifier
    from shared.web.desk import Desk


class Foundation:
    """What every way in shares: the way to Azure, what paces it, and storage. One per process."""

    def __init__(
        self, settings: Settings, clock: Clock, *, credential: AsyncTokenCredential | None = None
    ) -> None:
        """Remember settings and clock; ``credential`` is an operator's own login."""
        from shared.adapters.clients import Clients
        from shared.adapters.governor import Governor

        self.settings = settings
        self.clock = clock
        self.governor = Governor(settings, clock)
        self.clients = Clients(settings, clock, self.governor, credential=credential)
        self.stores = Stores(settings, self.clients.credential)
        self.rules: StoredRules | None = None  # the source, once it is assembled

    async def aclose(self) -> None:
        """Close what was opened. The app never does: it lives as long as its process."""
        for opened in (self.rules, self.stores, self.clients):
            if opened is not None:
                await opened.aclose()


def parked_messages(foundation: Foundation) -> ParkedMessages:
    """Give only the parked table: intake needs nothing else, and only for what is unusable."""
    from shared.adapters.parked import TableParkedMessages

    return TableParkedMessages(foundation.stores)


def assemble(foundation: Foundation) -> tuple[Ports, Notifier]:
    """Build every port; no network is touched before a port is used."""
    from shared.adapters.backup import ArmBackup
    from shared.adapters.channels import notifier_of
    from shared.adapters.compute import ArmMachines
    from shared.adapters.coverage import TableCoverage
    from shared.adapters.directory import ArmDirectory
    from shared.adapters.graph import GraphEstate
    from shared.adapters.index import GraphIndex
    from shared.adapters.last_good import TableLastGood
    from shared.adapters.network import ArmNetworks
    from shared.adapters.parked import TableParkedMessages
    from shared.adapters.people import TablePeople
    from shared.adapters.queues import StorageQueues
    from shared.adapters.remembered import RememberingLedger
    from shared.adapters.rules_source import rules_of
    from shared.adapters.setup import ArmSetup

    settings, clock = foundation.settings, foundation.clock
    stores, clients, governor = foundation.stores, foundation.clients, foundation.governor
    estate = GraphEstate(clients, settings, clock)
    directory = ArmDirectory(clients, settings, clock, estate)
    queues = StorageQueues(stores, clock)
    rules = rules_of(settings, clock, clients.credential, TableLastGood(stores, clock))
    foundation.rules = rules
    notifier = notifier_of(settings, clock, stores, queues, rules, clients)
    ports = Ports(
        settings=settings,
        clock=clock,
        machines=ArmMachines(clients, settings),
        backup=ArmBackup(clients, clock),
        directory=directory,
        networks=ArmNetworks(clients, settings, clock),
        setup=ArmSetup(clients, settings, clock),
        index=GraphIndex(clients, settings, clock, estate, directory),
        estate=estate,
        pace=governor,
        ledger=RememberingLedger(stores, clock),
        coverage=TableCoverage(stores),
        people=TablePeople(stores),
        parked=TableParkedMessages(stores),
        queues=queues,
        rules=rules,
        notices=notifier,
    )
    return ports, notifier


def desk(foundation: Foundation, ports: Ports, notifier: Notifier) -> Desk:
    """Build what the page and the API reach."""
    from shared.adapters.notice_store import TableNoticeStore
    from shared.adapters.signing_keys import EntraSigningKeys
    from shared.adapters.soundings import Soundings
    from shared.web.desk import Desk

    return Desk(
        ports=ports,
        keys=EntraSigningKeys(foundation.clients, foundation.settings),
        notices=TableNoticeStore(foundation.stores),
        hush=notifier,
        soundings=Soundings(foundation),
    )
