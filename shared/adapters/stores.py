"""Where storage is: clients for tables and queues, one of each kind per process.

Lazy twice over: a client is made when it is first used, and an SDK is imported when its first
client is made, so that an invocation that only reads a row does not load the queue SDK.
On a laptop the connection string of the emulator is used, in Azure the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.adapters.tables import Table
from shared.loading import loading
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableClient, TableServiceClient
    from azure.storage.queue.aio import QueueClient, QueueServiceClient


class TableName(StrEnum):
    """Every table of the product; nothing can rebuild the last four, all others are a projection."""

    LEDGER = "ledger"  # a row per VM; PartitionKey subscription, RowKey group|vm
    DUE = "due"  # long waits by time, in slices
    IN_FLIGHT = "inflight"  # changes not settled, a partition per vault
    LOOKS = "looks"  # when to look at which vault
    PLACES = "places"  # new VMs, a row per vault and UTC day
    CHANGES = "changes"  # changes counted, a row per subscription and UTC day
    SWEEPS = "sweeps"  # the latest sweep of each subscription
    NOTES = "notes"  # named facts of the service itself
    COVERAGE = "coverage"  # what the page reads: subscriptions counted, their VMs in short
    NOTICES = "notices"  # what people are told, a row per VM
    OUTBOX = "outbox"  # what of that is due, gathered or on its way to the topic
    DECISIONS = "decisions"  # what people decided: append-only
    PARKED = "parked"  # messages nobody could use


# The SDKs' defaults (60 s to read, waits of 15 s and more between tries) outlive an invocation:
# here it is two tries, each of at most 5 s (the servers' own limit for a table query) to answer.
_WAITS: Mapping[str, Any] = {"retry_total": 1, "connection_timeout": 2, "read_timeout": 5}
TABLE_WAITS: Mapping[str, Any] = {**_WAITS, "retry_backoff_factor": 0.2}
QUEUE_WAITS: Mapping[str, Any] = {
    **_WAITS,
    "initial_backoff": 1,
    "increment_base": 0,
    "random_jitter_range": 1,
}


class Stores:
    """Gives tables and queues. ``credential`` is asked for at most once per service."""

    def __init__(self, settings: Settings, credential: Callable[[], AsyncTokenCredential]) -> None:
        self._settings = settings
        self._credential = credential
        self._table_service: TableServiceClient | None = None
        self._queue_service: QueueServiceClient | None = None
        self._tables: dict[TableName, Table] = {}
        self._table_clients: dict[TableName, TableClient] = {}

    def table(self, name: TableName) -> Table:
        """Give the one `Table` of this name; nothing is loaded or asked yet."""
        if name not in self._tables:
            self._tables[name] = Table(name, lambda: self._table_client(name))
        return self._tables[name]

    def queue(self, name: str) -> QueueClient:
        if self._queue_service is None:
            self._queue_service = self._open_queues()
        return self._queue_service.get_queue_client(name)

    async def aclose(self) -> None:
        """Close what was opened."""
        for service in (self._table_service, self._queue_service):
            if service is not None:
                await service.close()
        self._table_service = self._queue_service = None
        self._table_clients.clear()

    def _table_client(self, name: TableName) -> TableClient:
        if self._table_service is None:
            self._table_service = self._open_tables()
        if name not in self._table_clients:
            self._table_clients[name] = self._table_service.get_table_client(name)
        return self._table_clients[name]

    def _open_tables(self) -> TableServiceClient:
        with loading():  # the client itself brings the transport
            from azure.data.tables.aio import TableServiceClient  # lazy: see above

            if self._settings.storage:
                return TableServiceClient.from_connection_string(
                    self._settings.storage, **TABLE_WAITS
                )
            return TableServiceClient(
                self._settings.table_uri, credential=self._credential(), **TABLE_WAITS
            )

    def _open_queues(self) -> QueueServiceClient:
        with loading():  # the client itself brings the transport
            from azure.storage.queue.aio import QueueServiceClient  # lazy: see above

            if self._settings.storage:
                return QueueServiceClient.from_connection_string(
                    self._settings.storage, **QUEUE_WAITS
                )
            return QueueServiceClient(
                self._settings.queue_uri, credential=self._credential(), **QUEUE_WAITS
            )
