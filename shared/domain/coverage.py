"""Coverage: what is protected with proof, and what is not, and why. Pure.

The page never reads the ledger. `shared/coverage.py` counts each subscription's rows into a
`Summary` (cells by standing, region, vault, policy, rule and causes) and keeps one short `Entry`
per VM beside it for lists and search; both are projections of the ledger, which is one itself.

Nothing here may flatter: only `PROTECTED` counts as protected, unknown and excluded VMs stay in
the number that is divided by, a claim of protection expires when nobody has looked for two
sweeps, and percentages are rounded down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.quoting import one_line
from shared.domain.records import Row, SweepMark
from shared.domain.states import State
from shared.errors import BadArmId


class Standing(StrEnum):
    """Where a VM stands, in the order in which the page tells it."""

    PROTECTED = "protected"  # a recovery point exists
    FIRST_BACKUP = "first-backup"  # a policy is attached, no recovery point yet
    ENROLLING = "enrolling"  # Azure has accepted, not settled
    WAITING = "waiting"  # passes by itself
    WOULD = "would-enroll"  # held back: observe mode, or created before ENROLL_SINCE
    BLOCKED = "blocked"  # a person must act
    STOPPED = "stopped"  # protection stopped, or the item soft-deleted
    STUCK = "stuck"  # could not find out or could not do
    UNKNOWN = "unknown"  # nobody has looked for two sweeps, or there is no row yet
    EXCLUDED = "excluded"  # by a rule or a person's decision
    SELF_EXCLUDED = "self-excluded"  # by the VM's own tag
    ELSEWHERE = "elsewhere"  # protected in a vault the rules do not choose
    ORPHANED = "orphaned"  # recovery points without a VM
    IGNORED = "ignored"  # not ours to protect


MEANING: Mapping[Standing, str] = {
    Standing.PROTECTED: "A recovery point exists.",
    Standing.FIRST_BACKUP: "A policy is attached; there is no recovery point yet.",
    Standing.ENROLLING: "Azure has accepted the enrollment and has not finished it.",
    Standing.WAITING: "Passes by itself; looked at again at a known time.",
    Standing.WOULD: "Would be changed, but is held back: observe mode, or an old VM.",
    Standing.BLOCKED: "A person must act; the causes say how.",
    Standing.STOPPED: "Somebody stopped its protection or deleted its backups.",
    Standing.STUCK: "We could not find out, or could not do it.",
    Standing.UNKNOWN: "Nobody has looked for two sweeps, or not yet.",
    Standing.EXCLUDED: "A rule or a person decided not to protect it.",
    Standing.SELF_EXCLUDED: "Its own tag excludes it, where a rule allows that.",
    Standing.ELSEWHERE: "Protected in a vault that the rules do not choose; left alone.",
    Standing.ORPHANED: "The VM is gone, its recovery points are kept.",
    Standing.IGNORED: "Not ours: managed by something else, or ignored by a rule.",
}

NO_VM = frozenset({Standing.ORPHANED, Standing.IGNORED})  # not part of what is to be protected
CLAIMS = frozenset(  # good news, which expires; bad news stays until somebody looks again
    {Standing.PROTECTED, Standing.FIRST_BACKUP, Standing.ENROLLING, Standing.ELSEWHERE}
)
_STANDING = {
    State.PROTECTED: Standing.PROTECTED,
    State.ENROLLED: Standing.FIRST_BACKUP,
    State.ENROLLING: Standing.ENROLLING,
    State.WAITING: Standing.WAITING,
    State.OBSERVED: Standing.WOULD,
    State.BLOCKED: Standing.BLOCKED,
    State.STOPPED: Standing.STOPPED,
    State.SOFT_DELETED: Standing.STOPPED,
    State.STUCK: Standing.STUCK,
    State.UNKNOWN: Standing.UNKNOWN,
    State.EXCLUDED: Standing.EXCLUDED,
    State.ELSEWHERE: Standing.ELSEWHERE,
    State.ORPHANED: Standing.ORPHANED,
    State.IGNORED: Standing.IGNORED,
}
_SELF_EXCLUDED = "tag "  # how `decide` says that a VM's own tag excluded it
_TOLD_BY_REASON = frozenset({Standing.WAITING, Standing.WOULD, Standing.STUCK, Standing.EXCLUDED})
_IN_THE_WAY = frozenset({Severity.BLOCKER, Severity.NEEDS_ENHANCED})
_WHY, _TAG = 120, 64  # characters kept of a reason and of a tag
RECENT = timedelta(days=30)  # enrollments that count for the time they took


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One VM in a list. Times are seconds since 1970, 0 for none."""

    group: str
    name: str
    standing: Standing
    region: str = ""
    vault: str = ""  # resource id
    policy: str = ""  # name
    rule: str = ""
    causes: tuple[str, ...] = ()
    why: str = ""
    since: int = 0
    until: int = 0
    point: int = 0  # latest recovery point known
    tags: dict[str, str] = {}


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """How many VMs share all of this."""

    standing: Standing
    region: str
    vault: str
    policy: str
    rule: str
    causes: tuple[str, ...]
    count: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription, counted. ``mark`` is what the ledger's change mark said before."""

    subscription: str
    counted_at: datetime
    mark: str = ""
    generation: str = ""  # of the entries that belong to it
    rows: int = 0
    gone: int = 0  # VMs found deleted since the latest sweep began
    cells: tuple[Cell, ...] = ()
    enroll: dict[int, int] = {}  # step of `took` -> VMs
    protect: dict[int, int] = {}


# --- counting ------------------------------------------------------------------------------------


def standing_of(row: Row) -> Standing | None:
    """Say where a VM stands; None if it is gone with everything of it."""
    if row.state is State.EXCLUDED and row.why.startswith(_SELF_EXCLUDED):
        return Standing.SELF_EXCLUDED
    return _STANDING.get(row.state)


def entry_of(row: Row) -> Entry | None:
    """Shorten a ledger row; None if the VM is gone or its id cannot be read."""
    standing = standing_of(row)
    try:
        vm = ArmId.parse(row.vm)
        policy = ArmId.parse(row.policy).name if row.policy else ""
    except BadArmId:
        return None
    if standing is None:
        return None
    return Entry(
        group=vm.group,
        name=vm.name,
        standing=standing,
        region=row.region,
        vault=row.vault,
        policy=policy,
        rule=row.rule,
        causes=_causes(row, standing),
        why=one_line(row.reason or row.would or row.why, _WHY),
        since=_seconds(row.since),
        until=_seconds(row.excluded_until or row.until),
        point=_seconds(row.last_recovery_point),
        tags={name[:_TAG]: value[:_TAG] for name, value in row.tags.items()},
    )


class Count:
    """Counts one subscription's rows, page by page; of a row it keeps the entry only."""

    def __init__(self, subscription: str, *, now: datetime, swept: SweepMark | None) -> None:
        self.entries: list[Entry] = []
        self._subscription = subscription
        self._now = now
        self._since = swept.started_at if swept is not None else now
        self._gone = 0
        self._enroll: Counter[int] = Counter()
        self._protect: Counter[int] = Counter()

    def add(self, rows: Sequence[Row]) -> None:
        self.entries += (entry for row in rows if (entry := entry_of(row)) is not None)
        self._gone += sum(row.state is State.GONE and row.since >= self._since for row in rows)
        recent = [row for row in rows if _recent(row, self._now)]
        self._enroll.update(_times((row.first_seen, row.enrolled_at) for row in recent))
        self._protect.update(_times((row.first_seen, row.protected_at) for row in recent))

    def summary(self, *, now: datetime, mark: str) -> Summary:
        return Summary(
            subscription=self._subscription,
            counted_at=now,
            mark=mark,
            rows=len(self.entries),
            gone=self._gone,
            cells=cells(self.entries),
            enroll=dict(self._enroll),
            protect=dict(self._protect),
        )


def cells(entries: Iterable[Entry]) -> tuple[Cell, ...]:
    """Count entries that share everything the page can filter by."""
    counts = Counter(
        (one.standing, one.region, one.vault, one.policy, one.rule, one.causes) for one in entries
    )
    return tuple(Cell(*key, count) for key, count in sorted(counts.items()))


def _causes(row: Row, standing: Standing) -> tuple[str, ...]:
    """Say why a VM is not protected: codes of findings, or the reason where there are none."""
    codes = sorted({one.code for one in row.findings if one.severity in _IN_THE_WAY})
    if codes:
        return tuple(codes)
    if standing in _TOLD_BY_REASON:
        return ("parked" if row.why.startswith("parked ") else one_line(row.why, 60),)
    return ()


def _recent(row: Row, now: datetime) -> bool:
    return row.enrolled_at is not None and now - row.enrolled_at < RECENT


def _seconds(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else 0


# --- how long it took ----------------------------------------------------------------------------
# Kept as counts by steps of 10 %, so that subscriptions can be added up.

_STEP = math.log(1.1)


def _times(pairs: Iterable[tuple[datetime | None, datetime | None]]) -> Iterator[int]:
    for start, end in pairs:
        if start is not None and end is not None and end >= start:
            yield round(math.log(max((end - start).total_seconds(), 1.0)) / _STEP)


def percentile(times: Mapping[int, int], share: float) -> float | None:
    """Give the seconds that this share of VMs stayed within, to 10 %; None without any."""
    total, seen = sum(times.values()), 0
    for step in sorted(times):
        seen += times[step]
        if seen >= share * total:
            return math.exp(step * _STEP)
    return None


# --- doubt ---------------------------------------------------------------------------------------


def doubt(swept: SweepMark | None, now: datetime, every: timedelta) -> str:
    """Say why nothing good may be believed of a subscription now, or ""."""
    if swept is None or swept.finished_at is None:
        return "never swept"
    if swept.suspicious:
        return f"sweep not believed: {swept.suspicious}"
    if now - swept.finished_at > 2 * every + timedelta(minutes=2):
        return f"not swept since {swept.finished_at:%Y-%m-%d %H:%M} UTC"
    return ""


def doubted(standing: Standing, *, doubtful: bool) -> Standing:
    """A claim of protection that nobody has confirmed lately is unknown."""
    return Standing.UNKNOWN if doubtful and standing in CLAIMS else standing
