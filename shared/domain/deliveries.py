"""One telling of one thing to one recipient, through the channels of its route, in order.

The record is written before anything is sent and again after. What happened in between may stay
unknown (a crash, a timeout after the request left): such an attempt is *uncertain*. A channel
that takes a key may be asked again with the same key. One that does not is asked once more, never
a third time: the next channel is better than a third copy.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

LEASE = timedelta(minutes=5)  # longer than any send may take; after it a begun attempt is lost
BACKOFF = (30.0, 120.0, 600.0, 1800.0, 3600.0)  # seconds after the 1st, 2nd ... failure in a row
TRIES = len(BACKOFF) + 1  # on one channel, before the next one is taken
THROTTLES = 12  # times a channel may ask us to wait, before the next one is taken
COPIES = 2  # a channel without keys may get a message twice, where the first answer was lost


class Kind(StrEnum):
    """Why we write to somebody."""

    OPENED = "opened"
    UPDATED = "updated"  # severity or causes rose
    REMINDER = "reminder"
    ESCALATION = "escalation"
    RESOLVED = "resolved"
    DIGEST = "digest"
    OUTCOME = "outcome"  # for machines: the Event Grid topic


class Target(msgspec.Struct, frozen=True):
    """A channel and an address in it: ``smtp``, ``a@contoso.com`` or ``teams``, ``default``."""

    channel: str
    address: str

    def __str__(self) -> str:
        """Give the form that logs and the page show."""
        return f"{self.channel}:{self.address}"


type Route = tuple[Target, ...]  # in the order in which they are tried; one recipient


class Outcome(StrEnum):
    PENDING = "pending"
    GATHERED = "gathered"  # its lane tells it, in a digest
    SENT = "sent"  # the channel accepted it
    PARKED = "parked"  # every channel of the route failed; a person must look


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Where one telling stands with one recipient."""

    id: str
    kind: Kind
    route: Route
    next_at: datetime
    topic: str = ""  # what a digest groups by: kind and main cause
    lane: str = ""
    outcome: Outcome = Outcome.PENDING
    at: int = 0  # which target of the route
    began: datetime | None = None  # an attempt is under way, or its end was never recorded
    failures: int = 0  # certain ones, on this target
    refused: int = 0  # ... while no attempt of unknown end stood
    uncertain: int = 0  # on this target
    throttled: int = 0  # on this target
    error: str = ""
    sent_at: datetime | None = None
    receipt: str = ""  # the channel's own id of the message

    @property
    def target(self) -> Target:
        return self.route[min(self.at, len(self.route) - 1)]

    @property
    def key(self) -> str:
        """What makes a repeat recognisable.

        New after a failure that is certain, so that no channel takes the next attempt for the one
        it refused; the same as long as an attempt of unknown end may have been taken.
        """
        return f"{self.id}.{self.at}.{self.refused}"

    @property
    def due_at(self) -> datetime | None:
        """When somebody must look at it again; None once it is settled or its lane's business."""
        if self.outcome is not Outcome.PENDING:
            return None
        return self.began + LEASE if self.began else self.next_at

    @property
    def untouched(self) -> bool:
        """Nothing has left for anybody yet, so it may be withdrawn."""
        pending = self.outcome is Outcome.PENDING and self.began is None and not self.uncertain
        return pending or self.outcome is Outcome.GATHERED

    @property
    def settled(self) -> bool:
        return self.outcome in {Outcome.SENT, Outcome.PARKED}


def begun(delivery: Delivery, now: datetime) -> Delivery:
    """Mark that an attempt starts; written before the channel is called."""
    return msgspec.structs.replace(delivery, began=now)


def sent(delivery: Delivery, now: datetime, receipt: str) -> Delivery:
    """The channel accepted it."""
    return msgspec.structs.replace(
        delivery, outcome=Outcome.SENT, began=None, sent_at=now, receipt=receipt, error=""
    )


def failed(
    delivery: Delivery,
    now: datetime,
    *,
    error: str,
    retry_after: float | None = None,
    permanent: bool = False,
    throttled: bool = False,
) -> Delivery:
    """The channel said no: later again, or the next channel, or parked.

    ``throttled``: it said "not so fast", which is no failure until it is said for very long.
    """
    if throttled and delivery.throttled < THROTTLES:
        return msgspec.structs.replace(
            delivery,
            began=None,
            throttled=delivery.throttled + 1,
            error=error,
            next_at=now + timedelta(seconds=max(BACKOFF[0], retry_after or 0.0)),
        )
    failures = delivery.failures + 1
    if permanent or failures >= TRIES:
        return _next_target(delivery, now, error)
    wait = max(BACKOFF[failures - 1], retry_after or 0.0)
    return msgspec.structs.replace(
        delivery,
        began=None,
        failures=failures,
        refused=delivery.refused if delivery.uncertain else delivery.refused + 1,
        error=error,
        next_at=now + timedelta(seconds=wait),
    )


def lost(
    delivery: Delivery, now: datetime, *, keyed: bool, error: str, waited: bool = False
) -> Delivery:
    """Nobody knows how the attempt ended: ask again as often as copies may exist.

    ``waited``: its lease has run out, which was wait enough.
    """
    uncertain = delivery.uncertain + 1
    if uncertain >= (TRIES if keyed else COPIES):
        return _next_target(delivery, now, error)
    return msgspec.structs.replace(
        delivery,
        began=None,
        uncertain=uncertain,
        error=error,
        next_at=now if waited else now + timedelta(seconds=BACKOFF[uncertain - 1]),
    )


def gathered(delivery: Delivery) -> Delivery:
    """Leave it to its lane's next digest."""
    return msgspec.structs.replace(delivery, outcome=Outcome.GATHERED, began=None)


def replayed(delivery: Delivery, now: datetime) -> Delivery:
    """An operator wants a parked delivery tried again, from the start of its route.

    The id gets a mark, so that channels with keys do not take it for the old one.
    """
    return msgspec.structs.replace(
        delivery,
        id=f"{delivery.id}r",
        outcome=Outcome.PENDING,
        at=0,
        began=None,
        failures=0,
        refused=0,
        uncertain=0,
        throttled=0,
        next_at=now,
    )


def _next_target(delivery: Delivery, now: datetime, error: str) -> Delivery:
    at = delivery.at + 1
    parked = at >= len(delivery.route)
    return msgspec.structs.replace(
        delivery,
        outcome=Outcome.PARKED if parked else Outcome.PENDING,
        at=at,
        began=None,
        failures=0,
        refused=0,
        uncertain=0,
        throttled=0,
        error=error,
        next_at=now,
    )
