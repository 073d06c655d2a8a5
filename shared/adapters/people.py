"""Decisions of people in Azure Tables: append-only, and nothing here changes or removes one.

They cannot be observed again (DESIGN: two kinds of state), so this module has no replace and no
delete. A partition per VM; keys begin with the time, so a VM's decisions come in their order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import msgspec

from shared.adapters.keys import anywhere, instant, safe
from shared.adapters.stores import Stores, TableName
from shared.adapters.tables import body_of
from shared.domain.ids import ArmId
from shared.domain.records import PersonDecision
from shared.errors import Conflict


class TablePeople:
    """`ports.People` on Azure Tables."""

    def __init__(self, stores: Stores) -> None:
        self._decisions = stores.table(TableName.DECISIONS)

    async def of(self, vm: ArmId) -> tuple[PersonDecision, ...]:
        found = await self._decisions.all(anywhere(vm))
        return tuple(entity.record(PersonDecision) for entity in found)

    async def append(self, decision: PersonDecision) -> str:
        """Keep a decision; one that has a key already may be appended again.

        Raises:
            Conflict: the key belongs to another decision of this VM.

        """
        partition = anywhere(ArmId.parse(decision.vm))
        key = decision.key or f"{instant(decision.at)}-{uuid4().hex[:8]}"
        kept = msgspec.structs.replace(decision, key=key)
        try:
            await self._decisions.insert(partition, safe(key), body_of(kept))
        except Conflict:
            found = await self._decisions.get(partition, safe(key))
            if found is None or found.record(PersonDecision) != kept:
                raise
        return key

    async def all(self) -> AsyncIterator[Sequence[PersonDecision]]:
        async for page in self._decisions.pages():
            yield tuple(entity.record(PersonDecision) for entity in page)
