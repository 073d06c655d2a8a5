"""Lanes: everything one recipient hears goes through one lane, where many become one digest.

A few messages of one cause leave at once; when more wait, or more left within the window, they
are gathered and told together, worst first (F44). Who belongs to a digest is written down before it
is sent: a repeat tells the same, and who was gathered meanwhile is not taken for told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.domain.deliveries import Delivery, Kind, Outcome, Route

LANE = "lane:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """When single messages become a digest."""

    few: int = 5  # messages of one cause that a lane may carry singly in a window
    many: int = 20  # messages of any cause
    window: timedelta = timedelta(hours=1)  # also: at most one digest in it
    gather: timedelta = timedelta(minutes=2)  # how long the first digest waits for the rest
    most: int = 1000  # entries of one digest; the rest is in the next


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One VM's place in a lane: what would be told, grouped by ``topic``."""

    topic: str
    notice: str
    delivery: str
    at: datetime

    @property
    def key(self) -> str:
        return f"{self.topic}|{self.notice}"


class Lane(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="lane"):
    """One recipient: what left singly in this window, and the digest being made."""

    key: str
    route: Route
    window_at: datetime
    single: dict[str, int] = {}  # topic -> messages that left singly in the window
    flush_at: datetime | None = None
    digested_at: datetime | None = None
    digests: int = 0
    members: tuple[str, ...] = ()  # deliveries that the digest on its way tells
    delivery: Delivery | None = None  # the digest on its way
    language: str = ""
    due_at: datetime | None = None
    trace: str = ""
    v: int = 1


def lane_key(route: Route) -> str:
    """Name the lane of a route: one per first target, whatever the fallbacks."""
    return LANE + hashlib.sha256(str(route[0]).encode()).hexdigest()[:24]


def opened(route: Route, now: datetime, language: str) -> Lane:
    """Make the lane of a recipient nobody wrote to before."""
    return Lane(key=lane_key(route), route=route, window_at=now, language=language)


def crowded(lane: Lane, topic: str, waiting: int, *, now: datetime, limits: Crowding) -> bool:
    """Say whether a message of this topic must go into the digest.

    ``waiting`` counts the entries of the topic that have not left yet, this one included.
    """
    single = lane.single if now < lane.window_at + limits.window else {}
    return single.get(topic, 0) + waiting > limits.few or (
        sum(single.values()) + waiting > limits.many
    )


def counted(lane: Lane, topic: str, *, now: datetime, limits: Crowding) -> Lane:
    """Count a message that leaves singly."""
    if now >= lane.window_at + limits.window:
        lane = msgspec.structs.replace(lane, window_at=now, single={})
    single = {**lane.single, topic: lane.single.get(topic, 0) + 1}
    return msgspec.structs.replace(lane, single=single)


def gathering(lane: Lane, *, now: datetime, limits: Crowding, wait: float = 0.0) -> Lane:
    """Make sure that a digest will leave; ``wait`` seconds as a throttled channel asked."""
    if lane.flush_at is not None:
        return lane
    at = now + max(limits.gather, timedelta(seconds=wait))
    if lane.digested_at is not None:
        at = max(at, lane.digested_at + limits.window)
    return msgspec.structs.replace(lane, flush_at=at)


def cut(lane: Lane, now: datetime) -> Lane:
    """Start a digest."""
    number = lane.digests + 1
    delivery = Delivery(
        id=f"{lane.key.removeprefix(LANE)[:12]}-d{number}",
        kind=Kind.DIGEST,
        route=lane.route,
        next_at=now,
    )
    return msgspec.structs.replace(lane, digests=number, delivery=delivery)


def closed(
    lane: Lane,
    *,
    now: datetime,
    told: bool,
    topics: Iterable[str],
    more: bool,
    limits: Crowding,
) -> Lane:
    """The digest is told (or parked) and its members know it, or nothing was left to tell.

    Stragglers of its topics are gathered for the rest of the window, not told one by one.
    """
    lane = msgspec.structs.replace(lane, delivery=None, members=(), flush_at=None)
    if told:
        lane = msgspec.structs.replace(
            lane, digested_at=now, window_at=now, single=dict.fromkeys(topics, limits.few)
        )
    return gathering(lane, now=now, limits=limits) if more else lane


def due(lane: Lane) -> datetime | None:
    """When somebody must look at this lane again."""
    delivery = lane.delivery
    if delivery is None:
        return lane.flush_at
    if delivery.outcome is Outcome.PENDING:
        return delivery.due_at
    return lane.flush_at  # sent or parked; only its members do not know it yet
