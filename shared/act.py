"""Act: carry out a change of protection, crash-safe (docs/protocol.md, steps d and e).

The order is the point: place, intent, in-flight entry, PUT, outcome. Whatever is lost after any of
them is found again: by the redelivered message, by `watch`, or by a sweep. No change exists here
that stops protection, deletes, moves, or weakens without a recorded consent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from shared import ceiling, telemetry
from shared.claims import Held
from shared.domain.decisions import Change as Decided
from shared.domain.decisions import ChangePolicy, Enroll, Resume, Undelete
from shared.domain.ids import ArmId, item_of
from shared.domain.messages import WorkItem
from shared.domain.records import ChangeKind, InFlight, Intent, Look, Row
from shared.errors import AzureFault, EnrollmentError
from shared.ports import Change, Ports

FIRST_LOOK = timedelta(seconds=40)  # of 631 recorded enables the median took 35 s (report §1.1)
SLACK = timedelta(seconds=100)  # second look; a look further off than that is brought forward
SETTLES_WITHOUT_JOB = timedelta(seconds=180)  # longest wait for a job to appear


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Azure accepted the change; the run's release writes this into the row (step f)."""

    intent: Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The change cannot start now. ``full`` names a vault without a free place today."""

    seconds: float
    why: str
    full: ArmId | None = None


class Refused(EnrollmentError):
    """Azure Backup answered that it does not make the change."""

    def __init__(self, fault: AzureFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def change(
    ports: Ports, held: Held, row: Row, decision: Decided, work: WorkItem, trace: str
) -> Sent | Postponed:
    """Send one change; ``row`` is what else is to be written with its intent.

    Raises:
        Refused: Azure said no and did nothing; the intent is taken back.
        AzureFault: anything else. If the intent is on the row, nobody knows whether the PUT took
            effect (`unresolved`).
        Conflict: the claim was lost; at most the same PUT was sent.

    """
    now = ports.clock.now()
    vault, policy, kind = _target(decision)
    day = now.date().isoformat()
    vm = work.vm_id
    if postponed := await _no_room(ports, vault, kind, work, now):
        return postponed
    intent = Intent(
        kind=kind,
        vault=str(vault),
        policy=str(policy) if policy else "",
        request_id=request_id(trace, row.attempts + 1),
        at=now,
        day=day,
        trace=trace,
        asked_by=_consent(decision),
        excluded_luns=_excluded(decision),
    )
    await held.save(replace(row, intent=intent, attempts=row.attempts + 1))
    await ports.ledger.put_in_flight(
        InFlight(
            vm=held.row.vm,
            vault=intent.vault,
            request_id=intent.request_id,
            sent_at=now,
            kind=kind,
            trace=trace,
        )
    )
    await look_at(ports, vault, now)
    try:
        accepted = await ports.backup.send(
            Change(
                kind=kind,
                vm=vm,
                vault=vault,
                policy=policy or vault,
                request_id=intent.request_id,
                excluded_luns=intent.excluded_luns,
                item=_item(decision, vault, vm),
            )
        )
    except AzureFault as fault:
        if not _never_arrived(fault):
            raise
        await taken_back(ports, held)
        raise Refused(fault) from fault
    telemetry.wide(
        "change.sent",
        vm=held.row.vm,
        kind=kind,
        vault=intent.vault,
        policy=intent.policy,
        request=intent.request_id,
        trace=trace,
    )
    return Sent(intent=replace(intent, accepted_at=ports.clock.now(), operation=accepted.operation))


async def taken_back(ports: Ports, held: Held) -> None:
    """Forget an intent of which Azure certainly did nothing, with the place it took."""
    intent = held.row.intent
    assert intent is not None, "only an intent can be taken back"
    vault, vm = ArmId.parse(intent.vault), ArmId.parse(held.row.vm)
    ports.pace.settled(vault)
    await ports.ledger.drop_in_flight(vault, vm, intent.request_id)
    if intent.kind is ChangeKind.ENROLL:
        await ports.ledger.give_place(vault, intent.day, vm)
    await held.save(replace(held.row, intent=None))


async def look_at(ports: Ports, vault: ArmId, sent: datetime) -> None:
    """Make sure that the watch looks at this vault's jobs, first 40 s after the oldest change."""
    known = await ports.ledger.look(vault)
    if known is None or known.next_at > sent + SLACK:
        await ports.ledger.put_look(
            Look(vault=str(vault), next_at=sent + FIRST_LOOK, interval=60.0, oldest=sent)
        )


def request_id(trace: str, attempt: int) -> str:
    """Derive the PUT's own request id from the trace and the attempt (STYLE 14)."""
    return str(UUID(bytes=sha256(f"{trace}/{attempt}".encode()).digest()[:16], version=4))


def _never_arrived(fault: AzureFault) -> bool:
    """Tell whether Azure certainly did nothing: it answered with a refusal or a throttle."""
    return 400 <= fault.status < 500 and fault.status != 408


def _target(decision: Decided) -> tuple[ArmId, ArmId | None, ChangeKind]:
    match decision:
        case Enroll():
            return decision.vault.id, decision.policy.id, ChangeKind.ENROLL
        case ChangePolicy():
            return decision.item.vault, decision.policy.id, ChangeKind.CHANGE_POLICY
        case Resume():
            return decision.item.vault, decision.policy.id, ChangeKind.RESUME
        case Undelete():
            return decision.item.vault, None, ChangeKind.UNDELETE
    assert_never(decision)


def _item(decision: Decided, vault: ArmId, vm: ArmId) -> ArmId:
    return item_of(vault, vm) if isinstance(decision, Enroll) else decision.item.id


def _consent(decision: Decided) -> str:
    return "" if isinstance(decision, Enroll) else decision.consent


def _excluded(decision: Decided) -> tuple[int, ...]:
    return () if isinstance(decision, Undelete) else decision.excluded_luns


async def _no_room(
    ports: Ports, vault: ArmId, kind: ChangeKind, work: WorkItem, now: datetime
) -> Postponed | None:
    """Take a place, a slot of the vault and one of the hour's changes; or say what is missing.

    The ceiling is counted last, so that what is not sent is not counted.
    """
    vm, settings = work.vm_id, ports.settings
    if kind is ChangeKind.ENROLL:
        today = now.date().isoformat()
        if not await ports.ledger.take_place(vault, today, vm, settings.place_cap):
            return Postponed(seconds=0.0, why="vault-full-today", full=vault)
        if wait := await ports.pace.vault_slot(vault):
            return Postponed(seconds=wait, why="vault-busy")
    if await ports.ledger.count_change(
        vm.subscription, now, per_hour=settings.changes_per_hour, per_day=settings.changes_per_day
    ):
        return None
    if kind is ChangeKind.ENROLL:
        ports.pace.settled(vault)
        await ports.ledger.give_place(vault, now.date().isoformat(), vm)
    until = await ceiling.reached(ports, work, now) or ceiling.next_hour(now)
    return Postponed(seconds=(until - now).total_seconds(), why=ceiling.CEILING)


def unresolved(row: Row) -> bool:
    """Tell whether a PUT may have been sent whose answer nobody recorded."""
    return row.intent is not None and row.intent.accepted_at is None


def in_flight(row: Row) -> Intent | None:
    """Give the change that Azure has accepted and nobody has settled."""
    return row.intent if row.intent is not None and row.intent.accepted_at is not None else None
