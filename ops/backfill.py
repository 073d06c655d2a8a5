"""Backfill: enroll what was there before, in waves, and stop when it goes wrong (row F55).

The command only says "look at this VM" (cause BACKFILL); the service decides and enrolls as
always, under its own budgets and ceilings. Here is the pace: a wave leaves when the one before
has settled, and none leaves once more than the allowed share of VMs did not become what was
planned.

Everything is in a state file, written before and after each wave and after each look. Killed at
any moment, `--resume` goes on: a VM that was sent is looked for in the ledger, and sent again
only if nothing happened to it; level-based reconciles make that harmless.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched
from pathlib import Path
from types import MappingProxyType

import msgspec

from shared.abreast import abreast
from shared.domain.ids import ArmId
from shared.domain.messages import Cause, WorkItem
from shared.domain.records import Row
from shared.domain.states import State
from shared.errors import AzureFault, Disposition
from shared.ports import Ports

FEWEST = 20  # VMs that must have ended before a share of failures means anything
LOST = timedelta(minutes=20)  # after which a VM that nobody looked at may be sent again
SOON = timedelta(minutes=15)  # a wait up to here is part of the wave, a longer one is not
LOOK_EVERY = 10.0  # seconds of our clock between two looks at a wave
READ_ABREAST = 16
LOOKED_AT = 64  # found under way, after which a look ends: a large wave is not read over and over
FAULTS = 5  # of storage in a row that a run sits out
BACKLOG = "enrollments-backlog"  # the queue of what is sent
PAUSED = "paused"
NOWHERE: Mapping[str, str] = MappingProxyType({})


class Fate(StrEnum):
    """What became of one VM."""

    PLANNED = "planned"
    SENT = "sent"
    ENROLLED = "enrolled"  # a policy is attached
    POSTPONED = (
        "postponed"  # waits for a quota, a window or a ceiling: the service goes on by itself
    )
    FAILED = "failed"  # ended as something else than planned


ENDED = frozenset({Fate.ENROLLED, Fate.POSTPONED, Fate.FAILED})
_WELL = frozenset({State.ENROLLED, State.PROTECTED})
_UNDER_WAY = frozenset({State.ENROLLING, State.WAITING})


class Item(msgspec.Struct, kw_only=True):
    """One VM of a backfill."""

    vm: str
    fate: Fate = Fate.PLANNED
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    times: int = 0  # it was sent
    said: str = ""
    planned: str = ""  # id of the vault it was planned for
    vault: str = ""  # id of the vault it is in

    @property
    def elsewhere(self) -> bool:
        """Tell whether it is in another vault than planned."""
        return bool(self.planned and self.vault) and ArmId.parse(self.planned) != ArmId.parse(
            self.vault
        )


class Run(msgspec.Struct, kw_only=True):
    """A backfill, as its state file holds it."""

    started_at: datetime
    by: str
    wave: int
    threshold: float
    items: list[Item]
    stopped: str = ""
    v: int = 1

    def counts(self) -> Counter[Fate]:
        return Counter(item.fate for item in self.items)

    def under_way(self) -> list[Item]:
        return [item for item in self.items if item.fate is Fate.SENT]

    def next_wave(self) -> list[Item]:
        return [item for item in self.items if item.fate is Fate.PLANNED][: self.wave]

    def over_threshold(self) -> str:
        """Say that too many did not become what was planned, or ""."""
        counts = self.counts()
        ended = sum(counts[fate] for fate in ENDED)
        if ended < FEWEST or counts[Fate.FAILED] <= self.threshold * ended:
            return ""
        said = Counter(item.said for item in self.items if item.fate is Fate.FAILED)
        worst, count = said.most_common(1)[0]
        last = next(item for item in reversed(self.items) if item.fate is Fate.FAILED)
        return (
            f"{counts[Fate.FAILED]} of {ended} VMs did not become what was planned "
            f"(allowed: {self.threshold:.0%}); most often: {worst} ({count}); e.g. {last.vm}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is. ``left`` is None until one wave has shown how long one takes."""

    done: int
    of: int
    counts: Mapping[Fate, int]
    left: timedelta | None


class StateFile:
    """The one copy of a run on disk, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Run:
        """Raises ValueError if it is no state file."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Run)
        except msgspec.MsgspecError as error:
            raise ValueError(f"{self.path} is no state file of a backfill: {error}") from error

    def write(self, run: Run) -> None:
        beside = self.path.with_name(f".{self.path.name}.new")
        with beside.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run), indent=1))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def new_run(
    vms: Iterable[str],
    *,
    now: datetime,
    by: str,
    wave: int,
    threshold: float,
    vaults: Mapping[str, str] = NOWHERE,
) -> Run:
    """Begin a run; ``vaults`` says where each VM is planned to go."""
    items = [Item(vm=vm, planned=vaults.get(vm, "")) for vm in dict.fromkeys(vms)]
    return Run(started_at=now, by=by, wave=wave, threshold=threshold, items=items)


async def carry_on(
    ports: Ports,
    run: Run,
    state: StateFile,
    *,
    told: Callable[[Progress], None] = lambda _: None,
    paused: Callable[[], bool] = lambda: False,
    look_every: float = LOOK_EVERY,
) -> Run:
    """Send wave after wave until nothing is left, somebody pauses, or too much goes wrong.

    A run that was killed may have written "sent" and not sent: at first, whatever nobody has
    looked at is sent at once. After a stop at the threshold the VMs that failed are sent again,
    since somebody has removed the cause meanwhile; or it stops there once more.
    """
    if run.stopped not in {"", PAUSED}:
        await look(ports, run)  # what was under way met the same cause
        for item in run.items:
            if item.fate is Fate.FAILED:
                item.fate, item.said, item.ended_at = Fate.PLANNED, "", None
    run.stopped = ""
    patience = timedelta(0)
    began = ports.clock.now()
    before = sum(item.fate in ENDED for item in run.items)
    state.write(run)
    faults = 0
    while run.under_way() or run.next_wave():
        await ports.clock.synchronize()
        try:
            unseen = await look(ports, run, patience, most=LOOKED_AT if patience else None)
            told(_progress(run, before, began, ports.clock.now()))
            run.stopped = run.over_threshold() or (PAUSED if paused() else "")
            state.write(run)
            if run.stopped:
                return run
            patience = timedelta(0)  # stopped in between, it is known only who was meant to be sent
            await _send(ports, run, await _lost(ports, unseen), state)
            if not run.under_way():
                await _send(ports, run, run.next_wave(), state)
            patience, faults = LOST, 0
        except AzureFault as fault:
            faults += 1
            if faults > FAULTS or fault.disposition not in {Disposition.DEFER, Disposition.RETRY}:
                raise
        if run.under_way():
            await ports.clock.synchronize()
            await asyncio.sleep(ports.clock.real_seconds(look_every))
    state.write(run)
    told(_progress(run, before, began, ports.clock.now()))
    return run


async def look(
    ports: Ports, run: Run, patience: timedelta = LOST, *, most: int | None = None
) -> list[Item]:
    """Read what became of those under way; give those nobody has looked at for so long.

    ``most`` ends the look when so many are found still under way, in no order, so that a few that
    wait long do not hide the others.
    """
    under_way, unseen = run.under_way(), list[Item]()
    random.shuffle(under_way)
    still = 0
    for few in batched(under_way, READ_ABREAST, strict=False):
        found = await abreast(
            (ports.ledger.read(ArmId.parse(item.vm)) for item in few), READ_ABREAST
        )
        now = ports.clock.now()
        for item, row in zip(few, found, strict=True):
            if row is not None:
                _judge(item, row[0], now)
            if item.fate is Fate.SENT:
                still += 1
                if _unseen(item, row[0] if row is not None else None, now - patience):
                    unseen.append(item)
        if most is not None and still >= most:
            break
    return unseen


def _judge(item: Item, row: Row, now: datetime) -> None:
    """Say what a row means for a VM that was sent: what was seen before it was let in, nothing."""
    assert item.sent_at is not None, "only a VM that was sent is judged"
    seen = (row.let_in and row.seen_at >= item.sent_at) or row.state in _WELL
    if row.claim is not None or row.intent is not None or _waited_for(row) or not seen:
        return
    if row.state in _WELL:
        item.vault = row.vault
        _end(item, Fate.ENROLLED, row.state, now)
    elif row.state not in _UNDER_WAY:
        codes = ", ".join(finding.code for finding in row.findings[:3])
        _end(item, Fate.FAILED, f"{row.state}: {codes or row.why}", now)
    elif row.until is not None and row.until - now > SOON:
        _end(item, Fate.POSTPONED, f"{row.why} until {row.until:%Y-%m-%d %H:%M} UTC", now)


def _waited_for(row: Row) -> bool:
    """Tell whether a look follows the one that wrote this, for a message that met its claim."""
    began = row.gathering_since
    return row.again is not None and began is not None and row.again >= began


def _end(item: Item, fate: Fate, said: str, now: datetime) -> None:
    item.fate, item.said, item.ended_at = fate, said, now


async def _send(ports: Ports, run: Run, items: Sequence[Item], state: StateFile) -> None:
    """Send VMs. The file says so first: killed in between, they are looked for, not forgotten."""
    now = ports.clock.now()
    for item in items:
        item.fate, item.sent_at, item.times = Fate.SENT, now, item.times + 1
    state.write(run)
    for item in items:
        message = WorkItem(vm=item.vm, seen_at=now, cause=Cause.BACKFILL, by=run.by)
        await ports.queues.send(message, backlog=True)


async def _lost(ports: Ports, unseen: list[Item]) -> list[Item]:
    """Give those whose message was never sent, or is lost: not while as many may stand in line.

    A service that is slower than the patience would be given its whole queue again and again.
    """
    if unseen and await ports.queues.depth(BACKLOG) >= len(unseen):
        return []
    return unseen


def _unseen(item: Item, row: Row | None, since: datetime) -> bool:
    assert item.sent_at is not None, "only a VM that was sent is looked for"
    looked_at = row is not None and (
        (row.let_in and row.seen_at >= item.sent_at)
        or row.claim is not None
        or row.intent is not None
    )
    return item.sent_at <= since and not looked_at


def _progress(run: Run, before: int, began: datetime, now: datetime) -> Progress:
    """Reckon what is left from what this call has seen end; nothing is promised before that."""
    counts = run.counts()
    done = sum(counts[fate] for fate in ENDED)
    ended, took = done - before, now - began
    rest = len(run.items) - done
    left = took / ended * rest if ended >= min(run.wave, rest + ended) and ended else None
    return Progress(done=done, of=len(run.items), counts=counts, left=left)
