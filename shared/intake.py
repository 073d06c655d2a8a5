"""Intake: event text to work item. Keeps no state; what cannot be understood is parked.

Called by the Event Grid trigger, which has 30 s and must not do any work (DESIGN §3.3).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from shared import telemetry
from shared.domain.events import Look, parse, without_personal_data
from shared.domain.messages import Cause, WorkItem, put_back
from shared.domain.records import Parked
from shared.errors import BadMessage
from shared.ports import ParkedMessages, Queues

PATIENCE = timedelta(minutes=15)  # a deployment has replaced all instances by then
LOOK_AGAIN = 60.0  # seconds


def work_item(text: str, now: datetime, trace: str) -> WorkItem | None:
    """Read one event; None if it asks nothing of us (a line says why).

    Raises:
        BadMessage: the event must be parked.

    """
    found = parse(text)
    if isinstance(found, Look):
        with telemetry.span("intake", trace) as here:
            telemetry.count("enrollment.events")
            telemetry.wide("event.taken", vm=str(found.vm), event=found.event, trace=here)
            return WorkItem(vm=str(found.vm), seen_at=now, cause=Cause.EVENT, trace=here)
    telemetry.count("enrollment.events_ignored", reason=found.reason)
    telemetry.wide("event.ignored", reason=found.reason, operation=found.operation)
    return None


async def wait_for_newer(queues: Queues, body: bytes, queue: str, now: datetime) -> bool:
    """Put a message of a newer version back for the instances that a deployment starts.

    False once it has waited in vain: then it is parked like everything nobody understands.
    """
    message = put_back(body, queue, now)
    if now - message.since >= PATIENCE:
        return False
    await queues.send(message, delay=LOOK_AGAIN)
    telemetry.wide("message.newer", queue=queue, since=message.since)
    return True


async def park(
    parked: ParkedMessages, source: str, raw: str, error: BadMessage, now: datetime, trace: str
) -> str:
    """Keep an unusable message, without personal data, until an operator replays it."""
    text = without_personal_data(raw)
    key = f"{now:%Y%m%dT%H%M%S%f}-{sha256(text.encode(errors='replace')).hexdigest()[:16]}"
    await parked.park(
        Parked(
            key=key,
            source=source,
            reason=error.reason,
            detail=error.detail[:1000],
            raw=text,
            at=now,
            trace=trace,
        )
    )
    telemetry.count("enrollment.parked", source=source, reason=error.reason)
    telemetry.wide("message.parked", source=source, reason=error.reason, key=key, trace=trace)
    return key
