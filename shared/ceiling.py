"""The ceiling: how many changes a subscription sees per hour and per day, for all causes.

It bounds the blast radius (DESIGN §3.14). Thousands of VMs can wait for it, each hour anew, so
asking costs one row of a table and nothing of Azure's budgets. Called by `reconcile` before it
looks at a VM that waits for this alone, and by `act` before it changes anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.claims import TIMED
from shared.domain.messages import WorkItem
from shared.domain.records import Row
from shared.ports import Ports

CEILING = "ceiling"


async def reached(ports: Ports, work: WorkItem, now: datetime) -> datetime | None:
    """Say until when a change must wait, and tell the operators; None if it need not."""
    subscription, settings = work.vm_id.subscription, ports.settings
    hour, day = await ports.ledger.changes(subscription, now)
    if day >= settings.changes_per_day:
        until, changes = _next_day(now), f"{day} changes today"
    elif hour >= settings.changes_per_hour:
        until, changes = next_hour(now), f"{hour} changes this hour"
    else:
        return None
    await ports.notices.tell_operators(
        "CEILING_REACHED",
        "The ceiling of changes was reached; further VMs wait. Raise CHANGES_PER_HOUR or "
        "CHANGES_PER_DAY if this is intended.",
        f"subscription {subscription}: {changes} (last cause: {work.cause})",
        now,
    )
    return until


async def still_reached(
    ports: Ports, work: WorkItem, row: Row | None, now: datetime
) -> datetime | None:
    """Say until when a VM waits on whose wait for the ceiling has ended; None: look at it.

    Only its own wait is prolonged so: an event, a sweep or an operator may have seen news.
    """
    if row is None or not row.waits_for_ceiling or work.cause not in TIMED:
        return None
    return await reached(ports, work, now)


def next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _next_day(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
