"""Two thousand VMs in waves: paused, killed, resumed, stopped when it goes wrong; each VM once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from ops import backfill
from ops.backfill import (
    FAULTS,
    FEWEST,
    LOOKED_AT,
    LOST,
    Fate,
    Item,
    Run,
    StateFile,
    carry_on,
    new_run,
)
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.messages import WorkItem
from shared.domain.records import Claim, Row
from shared.domain.states import State
from shared.errors import AzureFault
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

SUB = worlds.SUB
LATELY = House().clock.now()


def vm(number: int) -> ArmId:
    return virtual_machine(SUB, "rg-app", f"vm-{number:04d}")


class Service:
    """The service as a backfill sees it: takes messages, writes rows a while later."""

    def __init__(self, house: House, *, becomes=State.ENROLLED, slow: float = 30.0) -> None:
        self.house = house
        self.becomes = becomes
        self.slow = slow
        self.taken: Counter[str] = Counter()
        self.enrolled: Counter[str] = Counter()
        self.deaf = False

    async def turn(self) -> None:
        """Take what was sent and carry out what is due."""
        if self.deaf:
            self.house.queues.take()
            return
        theirs, self.house.ledger.on_call = self.house.ledger.on_call, lambda _name: None
        for sent in self.house.queues.take("enrollments-backlog"):
            assert isinstance(sent.message, WorkItem)
            self.taken[sent.message.vm] += 1
            await self._write(ArmId.parse(sent.message.vm))
        self.house.ledger.on_call = theirs  # storage is away for the command alone

    async def _write(self, of: ArmId) -> None:
        now = self.house.clock.now()
        known = await self.house.ledger.read(of)
        if known is not None and known[0].state is State.ENROLLED:
            return
        state = self.becomes(of) if callable(self.becomes) else self.becomes
        if state is State.ENROLLED:
            self.enrolled[str(of)] += 1
        row = Row(vm=str(of), state=state, since=now, seen_at=now, why="because", let_in=True)
        if known is None:
            await self.house.ledger.insert(row)
        else:
            await self.house.ledger.replace(row, known[1])


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """A house whose waits advance its clock and let its service work."""
    made = House()
    made.service = Service(made)

    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            made.clock.advance(seconds)
            await made.service.turn()
        else:
            await real_sleep(0)

    monkeypatch.setattr(backfill.asyncio, "sleep", sleep)
    return made


def run_of(house: House, count: int, **changes) -> Run:
    how = {"now": house.clock.now(), "by": "ann", "wave": 100, "threshold": 0.1, **changes}
    return new_run((str(vm(number)) for number in range(count)), **how)


class Killed(BaseException):
    """The process ends here."""


async def test_two_thousand_vms_paused_killed_and_resumed_end_with_each_vm_once(house, tmp_path):
    state = StateFile(tmp_path / "backfill.json")
    run = run_of(house, 2000)
    looks = []

    paused = await carry_on(
        house.ports,
        run,
        state,
        paused=lambda: sum(map(bool, looks)) or len(house.queues.calls) > 300,
    )
    assert paused.stopped == "paused"
    assert 0 < paused.counts()[Fate.ENROLLED] < 2000

    house.queues.on_call = _killing_at(house, 150)
    with pytest.raises(Killed):
        await carry_on(house.ports, state.read(), state)
    house.queues.on_call = lambda _name: None

    done = await carry_on(house.ports, state.read(), state)

    assert done.stopped == ""
    assert done.counts() == {Fate.ENROLLED: 2000}
    assert set(house.service.enrolled.values()) == {1}
    assert len(house.service.enrolled) == 2000
    assert state.read() == done


def _killing_at(house: House, calls: int):
    seen = []

    def on_call(name: str) -> None:
        seen.append(name)
        if len(seen) == calls:
            raise Killed

    return on_call


@pytest.mark.parametrize("at", [1, 2, 40, 99, 100, 101])
async def test_killed_at_any_send_nobody_is_forgotten(house, tmp_path, at):
    state = StateFile(tmp_path / "state.json")
    house.queues.on_call = _killing_at(house, at)
    with pytest.raises(Killed):
        await carry_on(house.ports, run_of(house, 150), state)
    house.queues.on_call = lambda _name: None

    done = await carry_on(house.ports, state.read(), state)

    assert done.counts() == {Fate.ENROLLED: 150}
    assert set(house.service.enrolled.values()) == {1}


@pytest.mark.parametrize(
    "storage, call",
    [
        pytest.param("ledger", "read", id="a look"),
        pytest.param("queues", "send", id="a message"),
    ],
)
async def test_storage_that_is_away_for_a_while_is_sat_out(house, tmp_path, storage, call):
    left = [FAULTS]

    def away(name: str) -> None:
        if name == call and left[0]:
            left[0] -= 1
            raise fault()

    getattr(house, storage).on_call = away
    done = await carry_on(house.ports, run_of(house, 150), StateFile(tmp_path / "s.json"))

    assert left == [0]
    assert done.counts() == {Fate.ENROLLED: 150}
    assert set(house.service.enrolled.values()) == {1}


async def test_storage_that_stays_away_ends_the_command_and_the_file_goes_on_later(house, tmp_path):
    state = StateFile(tmp_path / "s.json")

    def away(name: str) -> None:
        if name == "read":
            raise fault()

    house.ledger.on_call = away
    with pytest.raises(AzureFault):
        await carry_on(house.ports, run_of(house, 150), state)
    house.ledger.on_call = lambda _name: None
    done = await carry_on(house.ports, state.read(), state)

    assert done.counts() == {Fate.ENROLLED: 150}
    assert set(house.service.enrolled.values()) == {1}


async def test_a_large_wave_under_way_is_not_read_over_and_over(house):
    run = run_of(house, 1000)
    for item in run.items:
        item.fate, item.sent_at = Fate.SENT, house.clock.now()
    house.ledger.calls.clear()
    await backfill.look(house.ports, run, most=LOOKED_AT)

    assert house.ledger.calls.count("read") == LOOKED_AT


async def test_no_wave_leaves_before_the_one_before_has_ended(house, tmp_path):
    most = []
    await carry_on(
        house.ports,
        run_of(house, 350),
        StateFile(tmp_path / "s.json"),
        told=lambda now: most.append(now.counts.get(Fate.SENT, 0)),
    )

    assert max(most) <= 100


async def test_a_rule_error_stops_it_at_the_threshold_and_it_says_where(house, tmp_path):
    house.service.becomes = lambda of: State.BLOCKED if int(of.name[-4:]) >= 100 else State.ENROLLED
    state = StateFile(tmp_path / "s.json")
    done = await carry_on(house.ports, run_of(house, 2000), state)

    assert "did not become what was planned" in done.stopped
    assert "Blocked: because" in done.stopped
    assert "vm-01" in done.stopped
    assert done.counts()[Fate.PLANNED] == 1800
    assert sum(house.service.taken.values()) == 200


async def test_resumed_with_the_cause_removed_it_goes_on(house, tmp_path):
    house.service.becomes = State.BLOCKED
    state = StateFile(tmp_path / "s.json")
    stopped = await carry_on(house.ports, run_of(house, 300), state)
    house.service.becomes = State.ENROLLED
    done = await carry_on(house.ports, state.read(), state)

    assert stopped.counts()[Fate.FAILED] == 100
    assert done.counts() == {Fate.ENROLLED: 300}


async def test_what_met_the_same_cause_after_the_stop_is_sent_again_too(house, tmp_path):
    service, last = house.service, vm(99)
    written = service._write

    async def write(of: ArmId) -> None:
        if of != last:
            await written(of)

    service.becomes, service._write = State.BLOCKED, write
    state = StateFile(tmp_path / "s.json")
    stopped = await carry_on(house.ports, run_of(house, 150), state)
    assert stopped.counts()[Fate.SENT] == 1
    await written(last)
    service.becomes, service._write = State.ENROLLED, written
    done = await carry_on(house.ports, state.read(), state)

    assert done.counts() == {Fate.ENROLLED: 150}


async def test_a_few_failures_are_reported_and_do_not_stop_it(house, tmp_path):
    house.service.becomes = lambda of: (
        State.BLOCKED if int(of.name[-4:]) % 20 == 0 else State.ENROLLED
    )
    done = await carry_on(house.ports, run_of(house, 400), StateFile(tmp_path / "s.json"))

    assert done.stopped == ""
    assert done.counts() == {Fate.ENROLLED: 380, Fate.FAILED: 20}


async def test_lost_messages_are_sent_again_after_a_while(house, tmp_path):
    house.service.deaf = True
    run = run_of(house, 5)
    began = house.clock.now()

    def told(_now) -> None:
        if house.clock.now() - began > timedelta(minutes=15):
            house.service.deaf = False

    done = await carry_on(house.ports, run, StateFile(tmp_path / "s.json"), told=told)

    assert done.counts() == {Fate.ENROLLED: 5}
    assert {item.times for item in done.items} == {2}


async def test_what_may_stand_in_line_is_not_sent_again(house, tmp_path):
    """A service slower than the patience, whose queue would grow with every look."""
    taken = house.service.turn
    began = house.clock.now()

    async def turn() -> None:
        if house.clock.now() - began > 3 * LOST:
            await taken()

    house.service.turn = turn
    done = await carry_on(house.ports, run_of(house, 50), StateFile(tmp_path / "s.json"))

    assert done.counts() == {Fate.ENROLLED: 50}
    assert {item.times for item in done.items} == {1}


@pytest.mark.parametrize(
    "changes, fate",
    [
        pytest.param({"state": State.ENROLLED}, Fate.ENROLLED, id="enrolled"),
        pytest.param({"state": State.PROTECTED}, Fate.ENROLLED, id="protected"),
        pytest.param({"state": State.ENROLLING}, Fate.SENT, id="on its way"),
        pytest.param({"state": State.BLOCKED}, Fate.FAILED, id="blocked"),
        pytest.param({"state": State.STUCK}, Fate.FAILED, id="stuck"),
        pytest.param({"state": State.OBSERVED}, Fate.FAILED, id="only observed"),
        pytest.param({"state": State.BLOCKED, "seen": -60}, Fate.SENT, id="an old verdict"),
        pytest.param(
            {"state": State.OBSERVED, "let_in": False}, Fate.SENT, id="a sweep was there first"
        ),
        pytest.param(
            {"state": State.OBSERVED, "gathering_since": LATELY, "again": LATELY},
            Fate.SENT,
            id="a sweep was at it, and another look follows",
        ),
        pytest.param({"state": State.BLOCKED, "claimed": True}, Fate.SENT, id="being looked at"),
        pytest.param({"state": State.WAITING, "until": 600}, Fate.SENT, id="a short wait"),
        pytest.param({"state": State.WAITING, "until": 36_000}, Fate.POSTPONED, id="a long wait"),
    ],
)
async def test_what_a_row_means(house, changes, fate):
    now = house.clock.now()
    seen = now + timedelta(seconds=changes.pop("seen", 1))
    claim = None
    if changes.pop("claimed", False):
        claim = Claim(since=now, by="m", expires=now + timedelta(minutes=10))
    until = now + timedelta(seconds=changes.pop("until")) if "until" in changes else None
    row = Row(
        vm=str(vm(1)),
        since=now,
        seen_at=seen,
        until=until,
        claim=claim,
        why="because",
        **{"let_in": True, **changes},
    )
    await house.ledger.insert(row)
    run = run_of(house, 2)
    run.items[1].fate, run.items[1].sent_at = Fate.SENT, now
    await backfill.look(house.ports, run)

    assert run.items[1].fate is fate


async def test_what_is_postponed_does_not_hold_up_the_others(house, tmp_path):
    async def write(of: ArmId) -> None:
        now = house.clock.now()
        long = int(of.name[-4:]) % 2 == 0
        row = Row(
            vm=str(of),
            state=State.WAITING if long else State.ENROLLED,
            since=now,
            seen_at=now,
            until=now + timedelta(hours=9) if long else None,
            why="vault-full-today",
            let_in=True,
        )
        await house.ledger.insert(row)

    house.service._write = write
    done = await carry_on(house.ports, run_of(house, 150), StateFile(tmp_path / "s.json"))

    assert done.counts() == {Fate.ENROLLED: 75, Fate.POSTPONED: 75}
    assert "vault-full-today until" in done.items[0].said


def test_too_few_ends_prove_nothing():
    items = [Item(vm=str(vm(n)), fate=Fate.FAILED) for n in range(FEWEST - 1)]
    run = Run(started_at=House().clock.now(), by="a", wave=10, threshold=0.1, items=items)

    assert run.over_threshold() == ""


async def test_the_time_left_is_unknown_until_a_wave_has_ended(house, tmp_path):
    told = []
    await carry_on(
        house.ports, run_of(house, 300), StateFile(tmp_path / "s.json"), told=told.append
    )
    known = [one.left for one in told if one.left is not None]

    assert told[0].left is None
    assert known[-1] == timedelta(0)
    assert known == sorted(known, reverse=True)


def test_a_state_file_is_whole_or_the_one_before(tmp_path: Path):
    state = StateFile(tmp_path / "s.json")
    run = run_of(House(), 3)
    state.write(run)

    assert state.read() == run
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"items": 3}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text):
    (tmp_path / "s.json").write_bytes(text)

    with pytest.raises(ValueError, match="no state file"):
        StateFile(tmp_path / "s.json").read()


def test_a_vm_named_twice_is_sent_once():
    run = new_run([str(vm(1)), str(vm(1))], now=House().clock.now(), by="a", wave=1, threshold=0)

    assert len(run.items) == 1
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
