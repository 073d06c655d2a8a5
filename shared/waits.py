"""Waits: what became of a pass, how long a VM waits that Azure put off, and who owns the wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import rights, telemetry
from shared.act import SETTLES_WITHOUT_JOB
from shared.claims import FOLD
from shared.domain.decisions import On
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import Row
from shared.domain.states import State
from shared.errors import AzureFault, Disposition
from shared.ledger_rows import move
from shared.ports import Ports

MESSAGE_WAIT = timedelta(minutes=15)  # longer waits are rows (DESIGN §3.4)
AFTER_HICCUP = timedelta(seconds=20)
AFTER_FAULT = timedelta(minutes=2)
AFTER_REFUSAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The row to release, the outcome's name, and the wait that must have an owner."""

    row: Row
    outcome: str
    until: datetime | None = None


def unknown(row: Row, now: datetime, trace: str, after: timedelta = FOLD) -> Done:
    """Leave a PUT that may have taken effect alone until the absence of its job says otherwise.

    The watch settles it as soon as its job is listed. Another PUT meanwhile, even the same, would
    be refused as a conflict or, worse, change something.
    """
    assert row.intent is not None, "only a change that was sent has an answer"
    until = max(row.intent.at + SETTLES_WITHOUT_JOB, now + after)
    row = move(row, On.SENT, now, "answer-unknown", trace=trace)
    return waiting(row, until, "answer-unknown")


def paused(ports: Ports, row: Row, fault: AzureFault) -> Done | None:
    """A throttle or an outage is waited out; a refusal is decided on."""
    if fault.disposition is not Disposition.DEFER:
        return None
    now = ports.clock.now()
    why = f"azure {fault.code or fault.status}"
    return waiting(move(row, On.WAIT, now, why), now + pause(fault), why)


async def could_not(ports: Ports, row: Row, fault: AzureFault, trace: str) -> Done:
    """Record that we could not find out. Nothing is concluded from it (DESIGN §3.13)."""
    now = ports.clock.now()
    why = f"{fault.operation} {fault.code or fault.status}"
    telemetry.wide(
        "azure.fault",
        vm=row.vm,
        operation=fault.operation,
        status=fault.status,
        code=fault.code,
        disposition=fault.disposition,
        request=fault.request_id,
        trace=trace,
    )
    if fault.disposition is Disposition.PARK:
        if lacked := await rights.refused(ports, ArmId.parse(row.vm), fault, now):
            why = lacked
        else:
            await ports.notices.tell_operators(
                fault.code or f"HTTP_{fault.status}",
                f"{fault.operation} was refused: {fault.message}",
                row.vm,
                now,
            )
        stuck = move(row, On.NOT_FOUND_OUT, now, why, trace=trace)
        return waiting(stuck, now + AFTER_REFUSAL, why)
    later = now + pause(fault, _patience(row, now))
    return waiting(move(row, On.NOT_NOW, now, why, trace=trace), later, why)


def _patience(row: Row, now: datetime) -> timedelta:
    """Try soon what failed for the first time, and as long as it waited already after that.

    A hiccup must not cost a new VM its minute, an outage must not be asked in a frenzy.
    """
    if row.state is not State.WAITING:
        return AFTER_FAULT
    return min(max(now - row.since, AFTER_HICCUP), AFTER_FAULT)


def pause(fault: AzureFault, untold: timedelta = AFTER_FAULT) -> timedelta:
    told = timedelta(seconds=fault.retry_after) if fault.retry_after is not None else untold
    return max(told, FOLD)


def waiting(row: Row, until: datetime, why: str) -> Done:
    return Done(row=replace(row, until=until), outcome=f"wait {why}", until=until)


async def owned(ports: Ports, work: WorkItem, done: Done, trace: str, *, backlog: bool) -> None:
    """Give a wait its one owner: a delayed message, or a row of the due index.

    What waits for the ceiling is a row, too: it is as many as the estate has, and would wake as a
    herd (DESIGN §3.4).
    """
    assert done.until is not None, "only what waits has an owner"
    until = done.until
    wait = until - ports.clock.now()
    if wait > MESSAGE_WAIT or done.row.waits_for_ceiling:
        await ports.ledger.put_due(work.vm_id, until)
        return
    await ports.queues.send(
        WorkItem(vm=work.vm, seen_at=until, cause=Cause.RETRY, trace=trace),
        delay=max(wait.total_seconds(), 0.0),
        backlog=backlog,
    )
