"""One running sample app per module for the rows that leave it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.host.rig import Rig, rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running
