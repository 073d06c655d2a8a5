"""Tables whose rows are found by key answer as the emulator does that looks at every row."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableClient, TableServiceClient

from simulator.azurite import Azurite

pytestmark = pytest.mark.host

STEPS = 150
PARTITIONS = ["a", "a b", "o'brien", "ä", "z"]
KEYS = [*"ABab", "a'b", "aa", "a|", "z z", "é", "€", "2026-03-03T00:00:00Z|vm"]
FILTERS = [
    "",
    "PartitionKey eq @partition",
    "PartitionKey eq @partition and RowKey gt @above",
    "PartitionKey eq @partition and RowKey lt @below",
    "PartitionKey eq @partition and RowKey gt @above and RowKey lt @below",
    "PartitionKey eq @partition or RowKey gt @above",
    "RowKey gt @above and RowKey lt @below",
    "PartitionKey ne @partition and number gt 50",
]


@contextlib.asynccontextmanager
async def table(*, as_it_comes: bool) -> AsyncIterator[TableClient]:
    async with (
        Azurite(as_it_comes=as_it_comes) as azurite,
        TableServiceClient.from_connection_string(azurite.connection_string) as service,
    ):
        yield await service.create_table("rows")


def plan(seed: int) -> list[tuple]:
    """Give steps: a name and what it takes."""
    chance = random.Random(seed)

    def entity() -> dict[str, object]:
        name = chance.choice(["number", "other"])
        return {
            "PartitionKey": chance.choice(PARTITIONS),
            "RowKey": chance.choice(KEYS),
            name: chance.randrange(100),
        }

    def batch() -> list[tuple[str, dict[str, object]]]:
        partition = chance.choice(PARTITIONS)
        keys = chance.sample(KEYS, 3)
        kinds = chance.choices(["upsert", "create", "update", "delete"], [6, 1, 2, 1], k=3)
        return [
            (kind, entity() | {"PartitionKey": partition, "RowKey": key})
            for kind, key in zip(kinds, keys, strict=True)
        ]

    def query() -> dict[str, object]:
        text = chance.choice(FILTERS)
        return {
            "query_filter": text,
            "parameters": text
            and {
                "partition": chance.choice(PARTITIONS),
                "above": chance.choice(KEYS),
                "below": chance.choice(KEYS),
            },
            "results_per_page": chance.choice([1, 2, 3, None]),
        }

    steps = {
        "insert": (entity, 3),
        "upsert": (entity, 5),
        "replace": (entity, 3),
        "replace stale": (entity, 1),
        "merge": (entity, 3),
        "delete": (entity, 2),
        "batch": (batch, 2),
        "query": (query, 5),
    }
    names = chance.choices(list(steps), [weight for _, weight in steps.values()], k=STEPS)
    return [(name, steps[name][0]()) for name in names]


async def outcome(client: TableClient, name: str, given) -> object:
    """Take a step; tell what came of it, times and etags aside."""
    try:
        return await taken(client, name, given)
    except TableTransactionError as error:
        return error.status_code, error.index
    except HttpResponseError as error:
        return error.status_code, type(error).__name__


async def taken(client: TableClient, name: str, given) -> object:
    match name:
        case "insert":
            await client.create_entity(given)
        case "upsert":
            await client.upsert_entity(given, mode="replace")
        case "replace" | "replace stale":
            found = await client.get_entity(given["PartitionKey"], given["RowKey"])
            etag = found.metadata["etag"]
            if name == "replace stale":
                await client.upsert_entity(given, mode="replace")
            await client.update_entity(
                given, mode="replace", etag=etag, match_condition=MatchConditions.IfNotModified
            )
        case "merge":
            await client.update_entity(given, mode="merge")
        case "delete":
            await client.delete_entity(given)
        case "batch":
            await client.submit_transaction(given)
        case "query":
            return [
                [dict(row) async for row in page]
                async for page in client.query_entities(**given).by_page()
            ]
    return "done"


async def test_every_step_of_a_random_life_comes_out_the_same():
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    async with table(as_it_comes=False) as ours, table(as_it_comes=True) as theirs:
        for number, (name, given) in enumerate(plan(seed)):
            said = await outcome(theirs, name, given)
            assert await outcome(ours, name, given) == said, (
                f"seed {seed}, {number}: {name} {given}"
            )
        left = [dict(row) async for row in theirs.list_entities()]
        assert [dict(row) async for row in ours.list_entities()] == left
    assert len(left) > 10
