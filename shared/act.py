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

from shared import telemetry
from shared.claims import Held
from shared.domain.decisions import Change as Decided
from shared.domain.decisions import ChangePolicy, Enroll, Resume, Undelete
from shared.domain.ids import ArmId, item_of
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import ChangeKind, InFlight, Intent, Look, Row
from shared.errors import AzureFault
from shared.ports import Change, Ports

FIRST_LOOK = timedelta(seconds=40)  # of 631 recorded enables the median took 35 s (report §1.1)
SLACK = timedelta(seconds=100)  # second look; a look further off than that is brought forward
SETTLES_WITHOUT_JOB = timedelta(seconds=180)  # longest wait for a job to appear


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The change cannot start now. ``full`` names a vault without a free place today."""

    seconds: float
    why: str
    full: ArmId | None = None


async def change(
    ports: Ports, held: Held, row: Row, decision: Decided, work: WorkItem, trace: str
) -> Postponed | None:
    """Send one change and record it; ``row`` is what else is to be written with its intent.

    Raises:
        AzureFault: a refusal has taken the intent back; any other failure leaves it on the row,
            since nobody knows whether the PUT took effect (`unresolved`).
        Conflict: the claim was lost; at most the same PUT was sent.

    """
    now = ports.clock.now()
    vault, policy, kind = _target(decision)
    day = now.date().isoformat()
    vm = work.vm_id
    if postponed := await _over_ceiling(ports, vm.subscription, work.cause, now):
        return postponed
    if kind is ChangeKind.ENROLL:
        if not await ports.ledger.take_place(vault, day, vm, ports.settings.place_cap):
            return Postponed(seconds=0.0, why="vault-full-today", full=vault)
        if wait := await ports.pace.vault_slot(vault):
            return Postponed(seconds=wait, why="vault-busy")
    intent = Intent(
        kind=kind,
        vault=str(vault),
        policy=str(policy) if policy else "",
        request_id=request_id(trace, row.attempts + 1),
        at=now,
        day=day,
        trace=trace,
        asked_by=_consent(decision),
        excluded_luns=() if isinstance(decision, Undelete) else decision.excluded_luns,
    )
    await held.save(replace(row, intent=intent, attempts=row.attempts + 1))
    entry = InFlight(
        vm=held.row.vm,
        vault=intent.vault,
        request_id=intent.request_id,
        sent_at=now,
        kind=kind,
        trace=trace,
    )
    await ports.ledger.put_in_flight(entry)
    await look_at(ports, vault, now)
    await ports.ledger.count_change(vm.subscription, now)
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
        if _never_arrived(fault):
            await taken_back(ports, held)
        raise
    telemetry.wide(
        "change.sent",
        vm=held.row.vm,
        kind=kind,
        vault=intent.vault,
        policy=intent.policy,
        request=intent.request_id,
        trace=trace,
    )
    done = replace(intent, accepted_at=ports.clock.now(), operation=accepted.operation)
    await held.save(replace(held.row, intent=done))
    return None


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
    looks = {ArmId.parse(look.vault): look for look in await ports.ledger.looks()}
    known = looks.get(vault)
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


async def _over_ceiling(
    ports: Ports, subscription: str, cause: Cause, now: datetime
) -> Postponed | None:
    """Bound the blast radius: one ceiling for all causes (DESIGN §3.14)."""
    hour, day = await ports.ledger.changes(subscription, now)
    next_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    next_day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if day >= ports.settings.changes_per_day:
        until, reached = next_day, f"{day} changes today"
    elif hour >= ports.settings.changes_per_hour:
        until, reached = next_hour, f"{hour} changes this hour"
    else:
        return None
    await ports.notices.tell_operators(
        "CEILING_REACHED",
        "The ceiling of changes was reached; further VMs wait. Raise CHANGES_PER_HOUR or "
        "CHANGES_PER_DAY if this is intended.",
        f"subscription {subscription}: {reached} (last cause: {cause})",
        now,
    )
    return Postponed(seconds=(until - now).total_seconds(), why="ceiling")


def unresolved(row: Row) -> bool:
    """Tell whether a PUT may have been sent whose answer nobody recorded."""
    return row.intent is not None and row.intent.accepted_at is None


def in_flight(row: Row) -> bool:
    """Tell whether Azure has accepted a change that is not settled."""
    return row.intent is not None and row.intent.accepted_at is not None
