"""Onboarding: a subscription in scope that we cannot see, or whose events never reach us.

Called by `sweep`: once a day, and every hour while one is missing, it asks whether every subscription
can be seen (without a role Resource Graph hides rows and says nothing), and after every walk whether events announced what it found.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.records import SweepMark, Walk
from shared.ports import Ports, SeenVm

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


def noticed(walk: Walk, unknown: Iterable[SeenVm], before: SweepMark | None) -> Walk:
    """Count the VMs of a page that the ledger does not know, each in one walk only.

    While Azure throttles us, a VM can wait for its look from one walk to the next, announced or
    not. So only those count that are younger than all that an earlier walk has found.
    """
    since = before.newest if before is not None else None
    fresh = [vm for vm in unknown if not (since and vm.created and vm.created <= since)]
    born = [vm.created for vm in fresh if vm.created]
    newest = max([*born, *filter(None, (since, walk.newest))], default=None)
    return replace(walk, unannounced=walk.unannounced + len(fresh), newest=newest)


async def announced(ports: Ports, before: SweepMark | None, mark: SweepMark) -> None:
    """Tell the operators when walk after walk finds VMs that no event announced."""
    if before is None or before.suspicious or mark.finished_at is None:
        return  # whatever was there before the service is new to the first walk
    code = f"EVENTS_MISSING {mark.subscription}"
    if mark.unannounced and before.unannounced:
        await ports.notices.tell_operators(
            code,
            "Sweeps find VMs that no event announced, so they are enrolled minutes late. Is the "
            f"event subscription there? python -m ops onboard {mark.subscription} shows what is "
            "missing.",
            f"{before.unannounced} and {mark.unannounced} VMs in the two latest sweeps of "
            f"{mark.subscription}",
            mark.finished_at,
        )
    elif not mark.unannounced and not before.unannounced:
        await ports.notices.operators_clear(code, mark.finished_at)
