"""Explain one VM to a person: what is known, what would be decided now, what happens next.

Gathers like a reconcile does and changes nothing. Used by the HTTP API, the page and `ops`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from shared.closer_look import closer_look
from shared.domain.catalogue import finding
from shared.domain.decide import decide
from shared.domain.explain import Explanation, as_text, explain
from shared.domain.findings import Remedy
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.rights import Lack, lack_of
from shared.errors import AzureFault
from shared.gather import gather
from shared.ports import Ports

_GRANT = (
    "Grant the service this right: with the role of infra/role.json, or a built-in one. It may take"
    " ten minutes to work."
)


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """The explanation of this moment beside the ledger's row, if there is one."""

    vm: str
    state: str  # the ledger's word, "" if the VM has no row
    row: Row | None
    explanation: Explanation
    decision: str  # "" if Azure did not let us look


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The same explanation as text for people and as JSON for machines."""

    text: str
    json: bytes


async def explanation(ports: Ports, vm: ArmId) -> Explained:
    """Explain one VM as values; a right that we lack is part of the answer.

    Raises:
        AzureFault: Azure cannot be read for another reason.

    """
    now = ports.clock.now()
    found = await ports.ledger.read(vm)
    row = found[0] if found is not None else None
    rules = await ports.rules.current()
    people = await ports.people.of(vm)
    try:
        snapshot = await gather(ports, vm, row, now)
        snapshot = await closer_look(ports, snapshot, row, rules, people, may_write=False)
    except AzureFault as fault:
        lack = lack_of(fault.code, fault.message, vm)
        if lack is None:
            raise
        identity = ports.settings.identity_client_id
        return _unseen(vm, row, fault, lack, identity, rules.version, now)
    verdict = decide(snapshot, rules, people, now, day_cap=ports.settings.place_cap)
    return Explained(
        vm=str(vm),
        state=row.state if row is not None else "",
        row=row,
        explanation=explain(
            snapshot,
            rules,
            verdict,
            now,
            state=row.state if row is not None else None,
            jobs=tuple(_jobs(row)) if row is not None else (),
        ),
        decision=verdict.kind,
    )


def _jobs(row: Row) -> Iterator[str]:
    """Name the jobs behind a VM, as the vault's list of jobs knows them (row S7)."""
    if row.job:
        yield f"latest change: {row.job}, in vault {row.vault.rpartition('/')[2]}"
    if row.backup_job:
        yield f"first backup, started by us: activity {row.backup_job}"


def _unseen(
    vm: ArmId,
    row: Row | None,
    fault: AzureFault,
    lack: Lack,
    identity: str,
    rules: str,
    now: datetime,
) -> Explained:
    """Give what the ledger last knew, and the right without which no more can be said."""
    known = "The ledger does not know it either."
    if row is not None:
        place = "/".join(one.rpartition("/")[2] for one in (row.vault, row.policy) if one)
        known = f"Last known: {row.state}{f' in {place}' if place else ''}, since {row.since:%Y-%m-%d %H:%M} UTC."
    remedy = Remedy(text=lack.words(identity))
    if command := lack.grant(identity):
        remedy = Remedy(text=_GRANT, az=command)
    return Explained(
        vm=str(vm),
        state=row.state if row is not None else "",
        row=row,
        explanation=Explanation(
            vm=str(vm),
            at=now,
            headline="The service lacks the right to look.",
            next=f"{known} Looked at again by itself once the right is there.",
            would_change=(f"OUR_RIGHTS: {remedy.text}",),
            looked_for=(),
            rules=(),
            rules_version=rules,
            why=(),
            policy="",
            checklist=(),
            findings=(
                finding(
                    "OUR_RIGHTS",
                    text=f"No right: {lack.registration or lack.action or fault.operation} at {lack.scope}.",
                    evidence=f"{fault.operation}: {fault.code}: {fault.message}",
                    remedies=(remedy,),
                ),
            ),
            caveats=(),
        ),
        decision="",
    )


async def explained(ports: Ports, vm: ArmId) -> Told:
    """Explain one VM as text and JSON. Raises `AzureFault` if Azure cannot be read."""
    answer = await explanation(ports, vm)
    return Told(text=as_text(answer.explanation), json=msgspec.json.encode(answer))
