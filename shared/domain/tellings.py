"""How a notice changes: what a use case, a person, a delivery or time does to it.

Pure: every function gives the next `Notice`; `shared/notify.py` stores it and sends what is due.
A *telling* is one message to every recipient of the notice. People are told when something new
stands in the way (never when it merely changes words), reminded once, then somebody else is told;
and they hear when it is over. However a VM flaps, they hear at most `Cadence.per_hour` times.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec

from shared.domain import deliveries
from shared.domain.deliveries import Delivery, Kind, Outcome, Route
from shared.domain.digests import lane_key
from shared.domain.notices import Cadence, Notice, NoticeState, rank, severity, worst_first


def raised(
    old: Notice | None,
    fresh: Notice,
    *,
    now: datetime,
    cadence: Cadence,
) -> Notice:
    """Take in what stands in the way now. ``fresh`` holds subject, findings and routes.

    Gives ``old`` itself if nothing changed that anybody keeps.
    """
    fresh = msgspec.structs.replace(fresh, findings=worst_first(fresh.findings))
    if old is None or (old.resolved_at and old.resolved_at + cadence.memory <= now):
        opened = msgspec.structs.replace(
            fresh, id=_episode(fresh.key, now), messages=old.messages if old else ()
        )
        return _tell(opened, Kind.OPENED, now + cadence.settle, cadence)
    notice = msgspec.structs.replace(
        old,
        region=fresh.region,
        rule=fresh.rule,
        next_step=fresh.next_step,
        language=fresh.language,
        owner=fresh.owner,
        findings=fresh.findings,
        routes=fresh.routes,
        trace=fresh.trace or old.trace,
    )
    if old.resolved_at:
        notice = _reopened(notice)
    if not _worse(notice):
        return notice
    if notice.snoozed_until:
        notice = msgspec.structs.replace(notice, snoozed_until=None, state=NoticeState.DELIVERED)
    kind = Kind.UPDATED if notice.told_at else Kind.OPENED
    return _tell(notice, kind, now + cadence.settle, cadence)


def cleared(
    notice: Notice, how: str, *, now: datetime, cadence: Cadence, out_already: bool = False
) -> Notice:
    """Nothing stands in the way any more.

    Who was not told of the trouble does not hear of its end. ``out_already``: a digest that
    names the VM is leaving at this moment.
    """
    if notice.resolved_at:
        return notice
    notice = _withdrawn(notice)
    out = any(d.outcome is not Outcome.PARKED for d in notice.deliveries)
    known = notice.told_at is not None or out or out_already
    resolved = msgspec.structs.replace(
        notice,
        state=NoticeState.RESOLVED,
        before=notice.state,
        resolved_at=now,
        how=how,
        snoozed_until=None,
    )
    if not known:
        return msgspec.structs.replace(resolved, told=(), told_severity=None)
    return _tell(resolved, Kind.RESOLVED, now + cadence.calm, cadence)


def snoozed(notice: Notice, until: datetime, by: str) -> Notice:
    """Keep quiet about the causes known today until then."""
    if notice.resolved_at:
        return notice
    return msgspec.structs.replace(
        _withdrawn(notice),
        state=NoticeState.SNOOZED,
        snoozed_until=until,
        snoozed_by=by,
        told=tuple(f.code for f in notice.findings),
        told_severity=severity(notice.findings),
    )


def advanced(
    notice: Notice, *, now: datetime, cadence: Cadence, operators: tuple[Route, ...]
) -> Notice:
    """Close a telling that is through, and open the one that is due by time."""
    notice = _concluded(notice, now)
    if notice.telling or notice.resolved_at:
        return notice
    at = now + cadence.settle
    match notice.state:
        case NoticeState.SNOOZED if notice.snoozed_until and notice.snoozed_until <= now:
            awake = msgspec.structs.replace(
                notice, state=NoticeState.DELIVERED, snoozed_until=None, told_at=notice.opened_at
            )
            return _tell(awake, Kind.REMINDER, at, cadence)
        case NoticeState.DELIVERED if _since(notice) + cadence.remind <= now:
            return _tell(notice, Kind.REMINDER, at, cadence)
        case NoticeState.REMINDED if _since(notice) + cadence.escalate <= now:
            others = tuple(route for route in operators if route not in notice.routes)
            return _tell(notice, Kind.ESCALATION, at, cadence, others)
        case _:
            return notice


def due(notice: Notice, cadence: Cadence) -> datetime | None:
    """When somebody must look at this notice again."""
    times = [d.due_at for d in notice.deliveries if d.due_at]
    if notice.telling and notice.deliveries and all(d.settled for d in notice.deliveries):
        times.append(notice.opened_at)  # only its conclusion is missing
    if not notice.telling and not notice.resolved_at:
        match notice.state:
            case NoticeState.SNOOZED if notice.snoozed_until:
                times.append(notice.snoozed_until)
            case NoticeState.DELIVERED:
                times.append(_since(notice) + cadence.remind)
            case NoticeState.REMINDED:
                times.append(_since(notice) + cadence.escalate)
            case _:
                pass
    return min(times, default=None)


def with_delivery(notice: Notice, delivery: Delivery, now: datetime) -> Notice:
    """Take in how one delivery stands (if it was not withdrawn meanwhile) and conclude.

    What certainly did not leave and is no longer true is not tried again.
    """
    ending = delivery.kind is Kind.RESOLVED
    stale = delivery.untouched and ending is notice.is_open
    notice = msgspec.structs.replace(
        notice,
        deliveries=tuple(
            delivery if d.id == delivery.id else d
            for d in notice.deliveries
            if not (stale and d.id == delivery.id)
        ),
    )
    return _concluded(notice, now)


def replayed(notice: Notice, now: datetime) -> Notice:
    """Try the parked deliveries again, at an operator's wish."""
    again = tuple(
        deliveries.replayed(d, now) if d.outcome is Outcome.PARKED else d for d in notice.deliveries
    )
    if again == notice.deliveries:
        return notice
    kind = next(d.kind for d in again if d.outcome is Outcome.PENDING)
    return msgspec.structs.replace(notice, deliveries=again, telling=kind)


def _episode(key: str, now: datetime) -> str:
    return hashlib.sha256(f"{key}|{now.isoformat()}".encode()).hexdigest()[:16]


def _since(notice: Notice) -> datetime:
    return notice.told_at or notice.opened_at


def _worse(notice: Notice) -> bool:
    """Severity or the set of causes rose above what people know, or will hear anyway."""
    codes = {f.code for f in notice.findings}
    if codes - set(notice.told):
        return True
    told = notice.told_severity
    return told is None or rank(severity(notice.findings)) > rank(told)


def _tell(
    notice: Notice, kind: Kind, at: datetime, cadence: Cadence, others: tuple[Route, ...] = ()
) -> Notice:
    """Plan one telling, in place of whatever has not left yet; no sooner than the caps allow."""
    in_flight = tuple(d for d in notice.deliveries if not d.settled and not d.untouched)
    at = max(at, _allowed(notice.messages, cadence, at))
    number = notice.tellings + 1
    topic = f"{kind}:{notice.findings[0].code}"
    planned = tuple(
        Delivery(
            id=f"{notice.id}-{number}{_letter(index)}",
            kind=kind,
            route=route,
            next_at=at,
            topic=topic,
            lane=lane_key(route),
        )
        for index, route in enumerate((*notice.routes, *others))
    )
    state = notice.state
    if not planned and not in_flight:
        state = NoticeState.PARKED  # rules that route nowhere: kept, and the operators hear
    codes = tuple(f.code for f in notice.findings)
    return msgspec.structs.replace(
        notice,
        state=state,
        telling=kind if planned or in_flight else None,
        tellings=number,
        deliveries=(*in_flight, *planned),
        told=codes,
        told_severity=severity(notice.findings),
    )


def _letter(index: int) -> str:
    """Give a, b ... z, a1, b1 ... for the recipients of a telling."""
    return chr(ord("a") + index % 26) + (str(index // 26) if index >= 26 else "")


def _allowed(messages: tuple[datetime, ...], cadence: Cadence, at: datetime) -> datetime:
    """Give the first moment from ``at`` on at which another message keeps within the caps."""
    for count, span in (
        (cadence.per_hour, timedelta(hours=1)),
        (cadence.per_day, timedelta(days=1)),
    ):
        if len(messages) >= count:
            at = max(at, messages[-count] + span)
    return at


def _withdrawn(notice: Notice) -> Notice:
    """Take back what has not left. Entries it had in lanes are found stale there."""
    kept = tuple(d for d in notice.deliveries if not d.untouched)
    if len(kept) == len(notice.deliveries):
        return notice
    telling = notice.telling if any(not d.settled for d in kept) else None
    return msgspec.structs.replace(notice, deliveries=kept, telling=telling)


def _reopened(notice: Notice) -> Notice:
    """Be open again, as before the end; silently if nobody has heard of the end yet."""
    leaving = notice.telling is Kind.RESOLVED
    notice = msgspec.structs.replace(
        _withdrawn(notice), resolved_at=None, how="", flaps=notice.flaps + 1
    )
    some = any(
        d.kind is Kind.RESOLVED and d.outcome is not Outcome.PARKED for d in notice.deliveries
    )
    if leaving and not some:
        return msgspec.structs.replace(notice, state=notice.before or NoticeState.OPEN, before=None)
    return msgspec.structs.replace(
        notice, state=NoticeState.OPEN, before=None, told=(), told_severity=None, told_at=None
    )


def _concluded(notice: Notice, now: datetime) -> Notice:
    """Close the telling once every delivery is settled."""
    if notice.telling is None or not all(d.settled for d in notice.deliveries):
        return notice
    kind = notice.telling
    reached = any(d.outcome is Outcome.SENT for d in notice.deliveries)
    if not reached:
        return msgspec.structs.replace(notice, telling=None, state=NoticeState.PARKED)
    state = {
        Kind.REMINDER: NoticeState.REMINDED,
        Kind.ESCALATION: NoticeState.ESCALATED,
    }.get(kind, NoticeState.DELIVERED)
    notice = msgspec.structs.replace(notice, telling=None, messages=(*notice.messages, now)[-4:])
    if kind is Kind.RESOLVED:
        return msgspec.structs.replace(
            notice, state=NoticeState.RESOLVED, told=(), told_severity=None, told_at=None
        )
    if notice.resolved_at:  # the end was found while the telling was on its way
        return msgspec.structs.replace(notice, told_at=now)
    return msgspec.structs.replace(notice, state=state, told_at=now)
