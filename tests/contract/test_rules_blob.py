"""Rules in a blob, on the storage emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from shared.adapters.last_good import TableLastGood
from shared.adapters.rules_source import rules_of
from shared.errors import AzureFault
from tests.fakes.azure import FakeClock
from tests.fakes.wire import settings_for

RULES = """version: 1
tiers:
  tag: backup-tier
  names:
    gold: {standard: gold}
vaults:
  central: {tags: {backup-vault: central}}
default: nothing
"""


@pytest.fixture
async def container(azurite: str) -> AsyncIterator[ContainerClient]:
    async with BlobServiceClient.from_connection_string(azurite) as service:
        found = await service.create_container("rules")
        yield found
        await found.delete_container()


def no_credential():
    raise AssertionError("the emulator's connection string needs no credential")


async def test_a_blob_is_read_when_it_changed(azurite, container):
    blob = container.get_blob_client("team/rules.yaml")
    settings = settings_for(AzureWebJobsStorage=azurite, RULES_URI=blob.url)
    clock = FakeClock()
    source = rules_of(settings, clock, no_credential)
    with pytest.raises(AzureFault):
        await source.current()

    await blob.upload_blob(RULES)
    clock.advance(61)
    first = await source.current()
    clock.advance(61)
    assert await source.current() is first
    await blob.upload_blob(RULES + "# changed\n", overwrite=True)
    clock.advance(61)
    assert (await source.current()).version != first.version

    await blob.upload_blob(b"nonsense: [", overwrite=True)
    clock.advance(61)
    kept = await source.current()
    assert source.problems
    await blob.delete_blob()
    clock.advance(61)
    assert await source.current() is kept
    await source.aclose()


async def test_the_last_good_copy_is_there_for_an_instance_that_starts_after_the_mistake(
    azurite, container, instance
):
    blob = container.get_blob_client("team/rules.yaml")
    settings = settings_for(AzureWebJobsStorage=azurite, RULES_URI=blob.url)
    clock = FakeClock()
    long = RULES + "".join(f"# {number:090}\n" for number in range(2_500))
    await blob.upload_blob(long)
    first = rules_of(settings, clock, no_credential, TableLastGood(instance(), clock))
    version = (await first.current()).version
    await blob.upload_blob(b"nonsense: [", overwrite=True)

    second = rules_of(settings, clock, no_credential, TableLastGood(instance(), clock))

    assert (await second.current()).version == version
    assert second.problems
    await first.aclose()
    await second.aclose()


async def test_without_a_kept_copy_there_is_none(instance):
    assert await TableLastGood(instance(), FakeClock()).read() == ""
