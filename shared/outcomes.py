"""Outcomes for machines: announced when a row takes another state, before it is written.

Called wherever a row ends in a state: by `reconcile`, `settle`, `sweep` and `poison`. A run that
dies before its row is written says the same again, under the same episode: the state that the row
was in until then. (Blocked, waiting too long and resolved go with the notices of people: `notify`.)
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.ids import ArmId
from shared.domain.letters import Happened
from shared.domain.records import Row
from shared.domain.states import State
from shared.ports import Ports

_TOLD = {
    State.ENROLLED: Happened.ENROLLED,
    State.PROTECTED: Happened.PROTECTED,
    State.ORPHANED: Happened.ORPHANED,
    State.STUCK: Happened.WAITING,
}


async def announce(ports: Ports, before: Row, after: Row, now: datetime) -> None:
    """Tell machines what became of a VM, if its state changed to one that they subscribe to."""
    what = _TOLD.get(after.state)
    if what is None or before.state is after.state:
        return
    if after.state in {State.ENROLLED, State.PROTECTED} and before.protected_at is not None:
        return  # it was protected before, under another policy perhaps
    await ports.notices.announce(
        what,
        ArmId.parse(after.vm),
        now,
        after.trace,
        episode=f"{before.state} {before.since.isoformat()}",
        **{name: value for name in ("vault", "policy", "why") if (value := getattr(after, name))},
    )
