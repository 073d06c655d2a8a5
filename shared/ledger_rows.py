"""How a ledger row changes: every new state with its reason, its wait and one line of history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shared.domain.decide import PASSING
from shared.domain.decisions import On, Verdict, moved
from shared.domain.findings import Severity
from shared.domain.model import Snapshot, Validation
from shared.domain.records import PastValidation, Row, Transition
from shared.domain.states import State

SETTLED = frozenset({State.ENROLLED, State.PROTECTED})  # their reasons differ by who found out
_PUT_OFF = frozenset({On.WAIT, On.NOT_NOW})  # what is known of the VM stays as it is
HISTORY = 20  # lines kept per VM
_UNDONE = 5  # changes by others kept per VM
_TAGS = 15  # tags kept per VM, for the coverage page's filters
_TEXT = 256
_LONGEST = 500  # characters of Azure's words


def move(row: Row, on: On, now: datetime, why: str, **changes: Any) -> Row:
    """Give the row after ``on``. A row that ``on`` does not move keeps its state and history."""
    state = moved(row.state, on)
    if state is None:
        return row
    if on in _PUT_OFF and state is row.state and state is not State.WAITING:
        return replace(row, until=changes.pop("until", None), **changes)
    same = state is row.state and (why == row.why or state in SETTLED)
    line = Transition(at=now, state=state, why=why, trace=changes.get("trace", row.trace))
    return replace(
        row,
        state=state,
        why=why,
        since=row.since if state is row.state else now,
        until=changes.pop("until", None),
        history=row.history if same else (*row.history, line)[-HISTORY:],
        **changes,
    )


def observed(row: Row, snapshot: Snapshot, verdict: Verdict) -> Row:
    """Take over what was just seen and decided; the state is moved by the caller."""
    vm = snapshot.vm
    row = replace(
        row,
        seen_at=snapshot.at,
        findings=verdict.findings,
        rule=verdict.rule,
        rules_version=verdict.rules_version,
        deadline_hours=verdict.deadline_hours,
        first_backup_after=verdict.first_backup_after,
        would="",
        waits_for_ceiling=False,
        excluded_by="",
        excluded_until=None,
        reason="",
    )
    if vm is None:
        return row
    return replace(
        row,
        vm=str(vm.id),
        uid=vm.uid,
        region=vm.location,
        os=vm.os or "",
        size=vm.size,
        tags=_few(vm.tags),
        passing_since=_passing_since(row, verdict, snapshot.at),
        validation=_remembered(snapshot.validation),
    )


def enrolled_under(uid: str) -> str:
    """Give the name of the note that says under which id a VM (by vmId) was enrolled."""
    return f"enrolled {uid.lower()}"


def _passing_since(row: Row, verdict: Verdict, now: datetime) -> datetime | None:
    """Keep the start of a state that passes by itself, however often it was tried meanwhile."""
    passing = any(one.severity is Severity.WAIT and one.code in PASSING for one in verdict.findings)
    return (row.passing_since or now) if passing else None


def _remembered(said: Validation | None) -> PastValidation | None:
    if said is None:
        return None
    return PastValidation(
        vault=str(said.vault),
        at=said.at,
        code=said.code,
        message=said.message[:_LONGEST],
        recommendation=said.recommendation[:_LONGEST],
    )


def changed_by_others(row: Row, snapshot: Snapshot) -> Row | None:
    """Give the row that remembers a policy change which was not ours; None if there was none.

    The flap guard counts these (DESIGN §3.14). `gather` has asked Azure itself before it shows
    another policy than the ledger's.
    """
    shown = next(
        (one for one in snapshot.items if str(one.vault).lower() == row.vault.lower()), None
    )
    if shown is None or shown.policy is None or not row.policy:
        return None
    policy = str(shown.policy)
    if policy.lower() == row.policy.lower():
        return None
    return replace(row, policy=policy, undone=(*row.undone, snapshot.at)[-_UNDONE:])


def _few(tags: Mapping[str, str]) -> dict[str, str]:
    return {name[:_TEXT]: value[:_TEXT] for name, value in sorted(tags.items())[:_TAGS]}
