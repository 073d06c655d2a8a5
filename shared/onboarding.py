"""Onboarding: a subscription in scope that we cannot see, or whose events never reach us.

Called by `sweep`: once a day, and every hour while one is missing, it asks whether every subscription
can be seen (without a role Resource Graph hides rows and says nothing), and after every walk whether events announced what it found.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.records import SweepMark
from shared.ports import Ports

FOUND_NEW = "looked: new"  # VMs of a walk that the ledger did not know
_EVERY, _AGAIN = timedelta(days=1), timedelta(hours=1)  # the latter while one cannot be seen
_NOTE = "onboarding-due"


async def visible(ports: Ports, now: datetime) -> None:
    """Tell the operators of every subscription in the settings that the identity cannot see."""
    wanted = ports.settings.subscriptions
    due = await ports.ledger.noted(_NOTE)
    if not wanted or (due and now < datetime.fromisoformat(due)):
        return
    seen = {one.lower() for one in await ports.estate.subscription_tags(wanted)}
    for subscription in wanted:
        code = f"SUBSCRIPTION_NOT_ONBOARDED {subscription}"
        if subscription.lower() in seen:
            await ports.notices.operators_clear(code, now)
            continue
        await ports.notices.tell_operators(
            code,
            "A subscription in scope cannot be seen: nothing in it is protected by this service. "
            f"Onboard it: python -m ops onboard {subscription} --yes; or take it out of "
            "SUBSCRIPTIONS.",
            f"Resource Graph does not show subscription {subscription} to the identity",
            now,
        )
    missing = {one.lower() for one in wanted} - seen
    await ports.ledger.note(_NOTE, (now + (_AGAIN if missing else _EVERY)).isoformat())


async def announced(ports: Ports, before: SweepMark | None, mark: SweepMark) -> None:
    """Tell the operators when walk after walk finds VMs that no event announced."""
    if before is None or before.suspicious or mark.finished_at is None:
        return  # whatever was there before the service is new to the first walk
    code = f"EVENTS_MISSING {mark.subscription}"
    found, earlier = mark.counts.get(FOUND_NEW, 0), before.counts.get(FOUND_NEW, 0)
    if found and earlier:
        await ports.notices.tell_operators(
            code,
            "Sweeps find VMs that no event announced, so they are enrolled minutes late. Is the "
            f"event subscription there? python -m ops onboard {mark.subscription} shows what is "
            "missing.",
            f"{earlier} and {found} VMs in the two latest sweeps of {mark.subscription}",
            mark.finished_at,
        )
    elif not found and not earlier:
        await ports.notices.operators_clear(code, mark.finished_at)
