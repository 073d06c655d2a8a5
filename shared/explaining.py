"""Explain one VM to a person: what is known, what would be decided now, what happens next.

Gathers like a reconcile does and changes nothing. Used by the HTTP API, the page and `ops`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from shared.closer_look import closer_look
from shared.domain.decide import decide
from shared.domain.explain import Explanation, as_text, explain
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.gather import gather
from shared.ports import Ports


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """The explanation of this moment beside the ledger's row, if there is one."""

    vm: str
    state: str  # the ledger's word, "" if the VM has no row
    row: Row | None
    explanation: Explanation
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The same explanation as text for people and as JSON for machines."""

    text: str
    json: bytes


async def explanation(ports: Ports, vm: ArmId) -> Explained:
    """Explain one VM as values. Raises `AzureFault` if Azure cannot be read."""
    now = ports.clock.now()
    found = await ports.ledger.read(vm)
    row = found[0] if found is not None else None
    rules = await ports.rules.current()
    snapshot = await gather(ports, vm, row, now)
    people = await ports.people.of(vm)
    snapshot = await closer_look(ports, snapshot, row, rules, people, may_write=False)
    verdict = decide(snapshot, rules, people, now, day_cap=ports.settings.place_cap)
    return Explained(
        vm=str(vm),
        state=row.state if row is not None else "",
        row=row,
        explanation=explain(
            snapshot, rules, verdict, now, state=row.state if row is not None else None
        ),
        decision=verdict.kind,
    )


async def explained(ports: Ports, vm: ArmId) -> Told:
    """Explain one VM as text and JSON. Raises `AzureFault` if Azure cannot be read."""
    answer = await explanation(ports, vm)
    return Told(text=as_text(answer.explanation), json=msgspec.json.encode(answer))
