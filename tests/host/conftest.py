"""One running sample app per module for the rows that leave it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.host.rig import EMULATOR, Rig, rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _emulator_ends() -> Iterator[None]:
    yield
    EMULATOR.stop()
