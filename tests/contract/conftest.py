"""What the contract suites share: the storage emulator, and stores that speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters.stores import Stores
from shared.settings import read
from simulator.azurite import Azurite

TENANT = "11111111-1111-4111-8111-111111111111"


def emulated(connection: str) -> Stores:
    """Make stores for the emulator, as one instance of the product would have them."""
    settings = read(
        {"TENANT_ID": TENANT, "RULES_URI": "rules.yaml", "AzureWebJobsStorage": connection}
    )
    return Stores(settings, credential=_no_credential)


def _no_credential():
    raise AssertionError("the emulator's connection string needs no credential")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[str]:
    """One emulator for the run; gives its connection string."""
    async with Azurite() as running:
        yield running.connection_string


@pytest_asyncio.fixture
async def instance(azurite: str) -> AsyncIterator[Callable[[], Stores]]:
    """Make instances of the product's stores; what they left in the emulator is removed after."""
    opened: list[Stores] = []

    def another() -> Stores:
        opened.append(emulated(azurite))
        return opened[-1]

    yield another
    for stores in opened:
        await stores.aclose()
    async with TableServiceClient.from_connection_string(azurite) as tables:
        for name in [table.name async for table in tables.list_tables()]:
            await tables.delete_table(name)
    async with QueueServiceClient.from_connection_string(azurite) as queues:
        for name in [queue.name async for queue in queues.list_queues()]:
            await queues.delete_queue(name)
