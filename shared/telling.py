"""Telling: the VM's notice is opened, updated or resolved at the end of a pass."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from shared.domain.decisions import Change, Verdict
from shared.domain.findings import Severity
from shared.domain.model import Snapshot
from shared.domain.states import State
from shared.ports import Ports, Subject
from shared.waits import Done

_HOW = {  # in the words that notices know in every language
    State.ENROLLED: "enrolled",
    State.PROTECTED: "protected",
    State.ELSEWHERE: "elsewhere",
    State.EXCLUDED: "excluded",
    State.GONE: "gone",
}
_ENDED_BY_BACKUP = frozenset({"FIRST_BACKUP_OVERDUE", "FIRST_BACKUP_FAILED"})


async def told(ports: Ports, done: Done, snapshot: Snapshot, verdict: Verdict, trace: str) -> Done:
    """Open, update or resolve the VM's notice; written before anything is sent.

    A change that was only sent resolves nothing: its settlement does, unless a cause stands on.
    """
    row = done.row
    notable = tuple(
        one for one in row.findings if one.severity is Severity.BLOCKER or one.code in verdict.tell
    )
    if notable:
        vm = snapshot.vm
        subject = Subject(
            vm=snapshot.id,
            region=row.region,
            tags=vm.tags if vm is not None else row.tags,
            group_tags=snapshot.group_tags or {},
            subscription_tags=snapshot.subscription_tags or {},
            rule=verdict.rule,
            routes=verdict.routes,
            since=row.since,
            next_step=_next_step(done.until),
            trace=trace,
            late=row.state is State.WAITING or _ENDED_BY_BACKUP.issuperset(f.code for f in notable),
        )
        await ports.notices.report(subject, notable, snapshot.at)
        standing = tuple(one.code for one in notable if one.code not in _ENDED_BY_BACKUP)
        row = replace(row, notified=True, standing=standing)
        return Done(row=row, outcome=done.outcome, until=done.until)
    row = replace(row, standing=())
    changing = isinstance(verdict.decision, Change) and done.outcome != "observed"
    if row.notified and not changing and done.outcome != "Wait":
        await ports.notices.clear(snapshot.id, _HOW.get(row.state, row.why), snapshot.at, trace)
        return Done(row=replace(row, notified=False), outcome=done.outcome, until=done.until)
    return Done(row=row, outcome=done.outcome, until=done.until)


def _next_step(until: datetime | None) -> str:
    if until is not None:
        return f"We look again by ourselves at {until:%Y-%m-%d %H:%M} UTC."
    return (
        "We look again regularly and whenever the VM changes. Once the cause is gone, it goes on by"
        " itself."
    )
