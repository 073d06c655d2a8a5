"""Wishes: what an authenticated person asks for one VM. Recorded first, carried out then.

Every wish is a `PersonDecision`, which is never changed and never expires by itself: that row is
the audit trail of who did what. Then the VM is looked at, and `decide` takes the decision into
account like any other fact; nothing here changes protection. Used by the page and by `ops decide`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared import telemetry
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import DecisionKind, PersonDecision
from shared.errors import BadWish
from shared.ports import Ports

LONGEST = timedelta(days=400)  # an exception with an end is looked at again some day
SHORTEST_REASON = 5
_MOST = 500  # characters of a reason
_REASONED = frozenset(DecisionKind) - {DecisionKind.RETRY, DecisionKind.REVOKE}
_NAMES_POLICY = frozenset({DecisionKind.CONSENT_WEAKER, DecisionKind.CONSENT_ENHANCED})


class Quiet(Protocol):
    """Whoever keeps notices quiet. Answered by `shared.notify`."""

    async def snooze(self, vm: ArmId, until: datetime, by: str, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for. ``old_too`` lets a retry touch a VM older than ENROLL_SINCE."""

    vm: ArmId
    kind: DecisionKind
    by: str
    reason: str = ""
    until: datetime | None = None
    policy: str = ""
    revokes: str = ""
    old_too: bool = False


async def carry_out(ports: Ports, quiet: Quiet, wish: Wish) -> str:
    """Record a wish and set off what follows from it; give the decision's key.

    Raises:
        BadWish: something needed is missing or makes no sense.

    """
    now = ports.clock.now()
    await examine(ports, wish)
    decision = PersonDecision(
        vm=str(wish.vm),
        kind=wish.kind,
        by=wish.by,
        at=now,
        reason=wish.reason.strip()[:_MOST],
        until=wish.until,
        policy=wish.policy.strip(),
        revokes=wish.revokes,
    )
    key = await ports.people.append(decision)
    with telemetry.span("wish", "", vm=str(wish.vm), kind=wish.kind) as trace:
        if wish.kind is DecisionKind.SNOOZE and wish.until is not None:
            await quiet.snooze(wish.vm, wish.until, wish.by, now)
        else:
            cause = Cause.BACKFILL if wish.old_too else Cause.OPERATOR
            await ports.queues.send(
                WorkItem(vm=str(wish.vm), seen_at=now, cause=cause, trace=trace, by=wish.by)
            )
        telemetry.wide(
            "person.decided", vm=str(wish.vm), kind=wish.kind, by=wish.by, key=key, trace=trace
        )
    return key


async def examine(ports: Ports, wish: Wish) -> None:
    """Say what stands in the way of recording a wish.

    Raises:
        BadWish: something needed is missing or makes no sense.

    """
    now = ports.clock.now()
    if wish.kind in _REASONED and len(wish.reason.strip()) < SHORTEST_REASON:
        raise BadWish(f"Say why, in {SHORTEST_REASON} characters or more: others will read it.")
    if wish.kind is DecisionKind.SNOOZE and wish.until is None:
        raise BadWish("Say until when: a snooze ends.")
    if wish.until is not None and not now < wish.until <= now + LONGEST:
        raise BadWish(f"The end must lie in the next {LONGEST.days} days.")
    if wish.kind in _NAMES_POLICY and not wish.policy.strip():
        raise BadWish("Name the policy: a consent counts for that policy only.")
    if wish.kind is DecisionKind.REVOKE:
        known = {one.key for one in await ports.people.of(wish.vm)}
        if wish.revokes not in known:
            raise BadWish("There is no such decision of this VM to take back.")
