"""Who reconciles a VM now: folding, claiming and releasing (docs/protocol.md, steps b, c and f).

N pending messages cost one reconcile; a wish that arises after a reconcile started causes one
more; a crashed reconcile is taken over by the redelivery of its own message. All of it is etag
arithmetic on the VM's ledger row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import Claim, Row
from shared.domain.states import State
from shared.errors import Conflict, EnrollmentError
from shared.ports import Etag, Ledger

FOLD = timedelta(seconds=5)  # clocks of two instances may differ by this much
LEASE = timedelta(minutes=10)  # as long as the host hides a crashed instance's messages
TIMED = frozenset({Cause.RETRY, Cause.RELEASE})  # messages that are a wait's owner
_TRIES = 8


class Held:
    """A claimed row; ``row`` is always what was last written.

    It changes with every `save`, so that whoever catches an exception still knows where the run
    stood.
    """

    def __init__(self, ledger: Ledger, row: Row, etag: Etag, by: str) -> None:
        self._ledger = ledger
        self._etag = etag
        self.row = row
        self.by = by

    async def save(self, row: Row) -> None:
        """Write the row, keeping what somebody set meanwhile: `again`, `let_in`.

        Raises:
            Conflict: the claim was lost (expired and taken over); the other run decides now.
            EnrollmentError: the row changed under every try; the claim is still ours, so the
                invocation must fail: its redelivery goes on.

        """
        for _ in range(_TRIES):
            try:
                self._etag = await self._ledger.replace(row, self._etag)
            except Conflict:
                fresh = await self._ledger.read(ArmId.parse(row.vm))
                if fresh is not None and fresh[0] == row:  # written; only the answer was lost
                    self.row, self._etag = fresh
                    return
                if fresh is None or fresh[0].claim is None or fresh[0].claim.by != self.by:
                    raise
                kept = replace(row, again=fresh[0].again, let_in=row.let_in or fresh[0].let_in)
                row, self._etag = kept, fresh[1]
            else:
                self.row = row
                return
        raise EnrollmentError(f"{row.vm}: the row changed {_TRIES} times")

    async def release(self, row: Row) -> bool:
        """Write the outcome without the claim; tell whether somebody waits to be served."""
        await self.save(replace(row, claim=None))
        started, again = self.row.gathering_since, self.row.again
        return again is not None and started is not None and again >= started


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Nothing to do for this message: ``why`` is `folded`, `not-due` or `claimed-by-another`."""

    why: str


def folded(row: Row, work: WorkItem, by: str, now: datetime) -> str:
    """Say why a message is superfluous, or "".

    A run's own message is never superfluous (its claim is still on the row), nor is any message
    while somebody waits to be served after the run (`again`), nor a backfill's first: whoever
    looked before it would have left an old VM alone.
    """
    if row.claim is not None and row.claim.by == by:
        return ""
    if work.cause is Cause.BACKFILL and not row.let_in:
        return ""
    started = row.gathering_since
    if started is None or (row.again is not None and row.again >= started):
        return ""
    if work.seen_at + FOLD < started:
        return "folded"
    if work.cause in TIMED and row.until is not None and row.until > now + FOLD:
        return "not-due"
    return ""


async def claim(
    ledger: Ledger, work: WorkItem, by: str, now: datetime, seen: tuple[Row, Etag] | None
) -> Held | Passed:
    """Claim the VM for this run. ``seen`` is the row as it was read for folding.

    Raises:
        EnrollmentError: the row changed under every try.

    """
    vm = work.vm_id
    backfilled = work.cause is Cause.BACKFILL
    for attempt in range(_TRIES):
        current = seen if attempt == 0 else await ledger.read(vm)
        mine = Claim(since=now, by=by, expires=now + LEASE)
        try:
            if current is None:
                row = replace(_new(vm, now, mine), let_in=backfilled)
                return Held(ledger, row, await ledger.insert(row), by)
            row, etag = current
            if why := folded(row, work, by, now):
                return Passed(why=why)
            row = replace(row, let_in=row.let_in or backfilled)
            if row.claim is not None and row.claim.by != by and row.claim.expires > now:
                await ledger.replace(replace(row, again=now), etag)
                return Passed(why="claimed-by-another")
            row = replace(row, claim=mine, gathering_since=now)
            return Held(ledger, row, await ledger.replace(row, etag), by)
        except Conflict:
            continue
    raise EnrollmentError(f"could not claim {vm}: the row changed {_TRIES} times")


def _new(vm: ArmId, now: datetime, mine: Claim) -> Row:
    return Row(
        vm=str(vm),
        state=State.WAITING,
        why="first-look",
        since=now,
        seen_at=now,
        first_seen=now,
        claim=mine,
        gathering_since=now,
    )
