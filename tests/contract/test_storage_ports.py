"""One contract of the storage ports, held against the fakes and against tables and queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.adapters.ledger import TableLedger
from shared.adapters.parked import TableParkedMessages
from shared.adapters.people import TablePeople
from shared.adapters.queues import StorageQueues
from shared.adapters.stores import Stores
from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.messages import Cause, NoticeItem, SweepPage, WorkItem
from shared.domain.records import (
    ChangeKind,
    Claim,
    DecisionKind,
    InFlight,
    Intent,
    Look,
    Parked,
    PersonDecision,
    Row,
    SweepMark,
    Transition,
)
from shared.domain.states import State
from shared.errors import Conflict
from shared.ports import Ledger, ParkedMessages, People, Queues
from tests.fakes.azure import FakeClock
from tests.fakes.storage import FakeLedger, FakeParkedMessages, FakePeople, FakeQueues

SUB = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER_SUB = "aaaaaaaa-0000-4000-8000-000000000002"
VM = virtual_machine(SUB, "rg-web", "web-01")
VAULT = ArmId.of(SUB, "rg-backup", "Microsoft.RecoveryServices", (("vaults", "rsv-weu"),))
OTHER_VAULT = ArmId.of(SUB, "rg-backup", "Microsoft.RecoveryServices", (("vaults", "rsv-neu"),))
NOW = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)
DAY = "2026-03-02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The four ports of one instance; ``another`` gives those of a second one."""

    ledger: Ledger
    people: People
    parked: ParkedMessages
    queues: Queues
    another: Callable[[], Ledger]


@pytest.fixture(params=["fake", "azurite"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "fake":
        ledger = FakeLedger()
        return Storage(
            ledger=ledger,
            people=FakePeople(),
            parked=FakeParkedMessages(),
            queues=FakeQueues(),
            another=lambda: ledger,
        )
    instance: Callable[[], Stores] = request.getfixturevalue("instance")
    stores = instance()
    return Storage(
        ledger=TableLedger(stores),
        people=TablePeople(stores),
        parked=TableParkedMessages(stores),
        queues=StorageQueues(stores, FakeClock(NOW)),
        another=lambda: TableLedger(instance()),
    )


def vm(number: int, subscription: str = SUB) -> ArmId:
    return virtual_machine(subscription, "rg-web", f"web-{number:03d}")


def row(of: ArmId = VM, **fields) -> Row:
    return Row(**{"vm": str(of), "state": State.WAITING, "since": NOW, "seen_at": NOW} | fields)


def full_row() -> Row:
    finding = Finding(
        code="SHARED_DISK",
        severity=Severity.BLOCKER,
        text="A shared disk is attached.",
        evidence="data-01: maxShares 2",
        remedies=(Remedy(text="Exclude the disk.", az="az vm show"),),
    )
    return row(
        state=State.ENROLLING,
        tags={"Owner": "김민준 <kim@example.com>", 'q"uo\\te': "\u0000\n🙂"},
        until=NOW + timedelta(days=3),
        findings=(finding,),
        claim=Claim(since=NOW, by="message-1", expires=NOW + timedelta(minutes=5)),
        intent=Intent(
            kind=ChangeKind.ENROLL,
            vault=str(VAULT),
            policy=f"{VAULT}/backupPolicies/daily",
            request_id="r-1",
            at=NOW,
            day=DAY,
            excluded_luns=(1, 2),
        ),
        undone=(NOW, NOW + timedelta(hours=1)),
        history=(Transition(at=NOW, state=State.WAITING, why="agent"),),
    )


def in_flight(of: ArmId = VM, vault: ArmId = VAULT, request_id: str = "r-1") -> InFlight:
    return InFlight(
        vm=str(of), vault=str(vault), request_id=request_id, sent_at=NOW, kind=ChangeKind.ENROLL
    )


class TestRows:
    async def test_a_vm_without_a_row_reads_as_none(self, storage: Storage):
        assert await storage.ledger.read(VM) is None

    async def test_a_row_comes_back_as_it_was_written(self, storage: Storage):
        etag = await storage.ledger.insert(full_row())
        assert await storage.ledger.read(VM) == (full_row(), etag)

    async def test_the_case_of_an_id_makes_no_other_vm(self, storage: Storage):
        await storage.ledger.insert(row())
        assert await storage.ledger.read(ArmId.parse(str(VM).upper())) is not None
        with pytest.raises(Conflict):
            await storage.ledger.insert(row(ArmId.parse(str(VM).upper())))

    async def test_equal_names_in_two_subscriptions_or_groups_are_two_vms(self, storage: Storage):
        twins = [vm(1), vm(1, OTHER_SUB), virtual_machine(SUB, "rg-web2", "web-001")]
        for twin in twins:
            await storage.ledger.insert(row(twin))
        for twin in twins:
            found = await storage.ledger.read(twin)
            assert found is not None
            assert found[0].vm == str(twin)

    async def test_a_second_insert_is_a_conflict(self, storage: Storage):
        await storage.ledger.insert(row())
        with pytest.raises(Conflict):
            await storage.ledger.insert(row(why="other"))
        assert (await storage.ledger.read(VM))[0].why == ""

    async def test_a_replace_gives_a_new_etag_and_the_old_one_is_worth_nothing(
        self, storage: Storage
    ):
        first = await storage.ledger.insert(row())
        second = await storage.ledger.replace(row(why="second"), first)
        with pytest.raises(Conflict):
            await storage.ledger.replace(row(why="late"), first)
        assert await storage.ledger.read(VM) == (row(why="second"), second)
        await storage.ledger.replace(row(why="third"), second)

    async def test_replacing_a_row_that_is_not_there_is_a_conflict(self, storage: Storage):
        etag = await storage.ledger.insert(row())
        with pytest.raises(Conflict):
            await storage.ledger.replace(row(vm(99)), etag)

    async def test_of_two_claimers_one_wins(self, storage: Storage):
        etag = await storage.ledger.insert(row())
        ledgers = [storage.ledger, storage.another()]
        claims = [
            row(claim=Claim(since=NOW, by=by, expires=NOW + timedelta(minutes=5)))
            for by in ("message-1", "message-2")
        ]
        outcomes = await asyncio.gather(
            *(ledger.replace(claim, etag) for ledger, claim in zip(ledgers, claims, strict=True)),
            return_exceptions=True,
        )
        lost = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
        winner = claims[next(i for i, out in enumerate(outcomes) if isinstance(out, str))]
        assert len(lost) == 1
        assert (await storage.ledger.read(VM))[0] == winner

    async def test_of_many_first_sights_one_inserts(self, storage: Storage):
        ledgers = [storage.another() for _ in range(3)]
        outcomes = await asyncio.gather(
            *(ledger.insert(row()) for ledger in ledgers * 3), return_exceptions=True
        )
        assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 8

    async def test_a_long_history_survives(self, storage: Storage):
        history = tuple(
            Transition(at=NOW, state=State.WAITING, why="에이전트 🙂 " * 50) for _ in range(300)
        )
        await storage.ledger.insert(row(history=history))
        assert (await storage.ledger.read(VM))[0].history == history

    async def test_a_subscription_is_walked_in_key_order_and_alone(self, storage: Storage):
        mine = [vm(number) for number in range(250)]
        for start in range(0, 250, 50):
            await asyncio.gather(
                *(storage.ledger.insert(row(of)) for of in reversed(mine[start : start + 50]))
            )
        await storage.ledger.insert(row(vm(1, OTHER_SUB)))
        seen = [
            found.vm
            async for page in storage.ledger.subscription_rows(SUB.upper())
            for found in page
        ]
        assert seen == [str(of) for of in mine]

    async def test_key_order_is_the_same_everywhere(self, storage: Storage):
        names = [
            ("rg", "b"),
            ("rg-2", "a"),
            ("RG.3", "a"),
            ("rg_4", "a"),
            ("rg(5)", "a"),
            ("r", "z"),
        ]
        for group, name in names:
            await storage.ledger.insert(row(virtual_machine(SUB, group, name)))
            await storage.ledger.put_in_flight(in_flight(virtual_machine(SUB, group, name)))
        walked = [
            ArmId.parse(found.vm).group
            async for page in storage.ledger.subscription_rows(SUB)
            for found in page
        ]
        assert walked == ["rg(5)", "rg-2", "RG.3", "rg_4", "rg", "r"]
        flying = [ArmId.parse(entry.vm).group for entry in await storage.ledger.in_flight(VAULT)]
        assert flying == walked

    async def test_an_unknown_subscription_has_no_rows(self, storage: Storage):
        assert [page async for page in storage.ledger.subscription_rows(OTHER_SUB)] == []


class TestLongWaits:
    async def test_nothing_is_due_at_first(self, storage: Storage):
        assert await storage.ledger.due(NOW, 10) == ()

    async def test_what_is_due_comes_soonest_first_and_the_future_stays(self, storage: Storage):
        for minutes in (5, -1, 3, 0, -10):
            await storage.ledger.put_due(vm(minutes + 20), NOW + timedelta(minutes=minutes))
        assert await storage.ledger.due(NOW, 10) == (
            (vm(10), NOW - timedelta(minutes=10)),
            (vm(19), NOW - timedelta(minutes=1)),
            (vm(20), NOW),
        )

    async def test_a_limit_keeps_the_soonest_of_all_slices(self, storage: Storage):
        for number in range(40):
            await storage.ledger.put_due(vm(number), NOW - timedelta(seconds=number))
        due = await storage.ledger.due(NOW, 7)
        assert [of for of, _ in due] == [vm(number) for number in range(39, 32, -1)]

    async def test_putting_one_wait_twice_is_one_wait(self, storage: Storage):
        await storage.ledger.put_due(VM, NOW)
        await storage.ledger.put_due(ArmId.parse(str(VM).upper()), NOW)
        assert len(await storage.ledger.due(NOW, 10)) == 1

    async def test_dropping_takes_out_the_wait_of_this_time_only(self, storage: Storage):
        await storage.ledger.put_due(VM, NOW)
        await storage.ledger.put_due(VM, NOW - timedelta(hours=1))
        await storage.ledger.drop_due(VM, NOW - timedelta(hours=1))
        assert await storage.ledger.due(NOW, 10) == ((VM, NOW),)

    async def test_dropping_what_is_not_there_is_nothing(self, storage: Storage):
        await storage.ledger.drop_due(VM, NOW)

    async def test_another_time_zone_is_the_same_instant(self, storage: Storage):
        seoul = NOW.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
        await storage.ledger.put_due(VM, seoul)
        assert await storage.ledger.due(NOW, 1) == ((VM, NOW),)
        await storage.ledger.drop_due(VM, NOW)
        assert await storage.ledger.due(NOW, 1) == ()


class TestInFlight:
    async def test_each_vault_has_its_own(self, storage: Storage):
        await storage.ledger.put_in_flight(in_flight(vm(1)))
        await storage.ledger.put_in_flight(in_flight(vm(2)))
        await storage.ledger.put_in_flight(in_flight(vm(3), OTHER_VAULT))
        assert await storage.ledger.in_flight(VAULT) == (in_flight(vm(1)), in_flight(vm(2)))
        assert await storage.ledger.in_flight(OTHER_VAULT) == (in_flight(vm(3), OTHER_VAULT),)

    async def test_a_newer_request_replaces_the_older(self, storage: Storage):
        await storage.ledger.put_in_flight(in_flight(request_id="r-1"))
        await storage.ledger.put_in_flight(in_flight(request_id="r-2"))
        assert await storage.ledger.in_flight(VAULT) == (in_flight(request_id="r-2"),)

    async def test_dropping_the_current_request_removes_it(self, storage: Storage):
        await storage.ledger.put_in_flight(in_flight())
        await storage.ledger.drop_in_flight(VAULT, VM, "r-1")
        assert await storage.ledger.in_flight(VAULT) == ()
        await storage.ledger.drop_in_flight(VAULT, VM, "r-1")

    async def test_dropping_a_request_that_was_replaced_leaves_its_successor(
        self, storage: Storage
    ):
        await storage.ledger.put_in_flight(in_flight(request_id="r-1"))
        await storage.ledger.put_in_flight(in_flight(request_id="r-2"))
        await storage.ledger.drop_in_flight(VAULT, VM, "r-1")
        assert await storage.ledger.in_flight(VAULT) == (in_flight(request_id="r-2"),)

    async def test_a_successor_put_during_the_drop_survives(self, storage: Storage):
        other = storage.another()
        for attempt in range(10):
            old, new = f"old-{attempt}", f"new-{attempt}"
            await storage.ledger.put_in_flight(in_flight(request_id=old))
            await asyncio.gather(
                storage.ledger.drop_in_flight(VAULT, VM, old),
                other.put_in_flight(in_flight(request_id=new)),
            )
            assert await storage.ledger.in_flight(VAULT) == (in_flight(request_id=new),)

    async def test_looks_are_one_per_vault(self, storage: Storage):
        look = Look(vault=str(VAULT), next_at=NOW, interval=60, oldest=NOW)
        later = msgspec.structs.replace(look, next_at=NOW + timedelta(minutes=1))
        assert await storage.ledger.looks() == ()
        await storage.ledger.put_look(look)
        await storage.ledger.put_look(later)
        assert await storage.ledger.looks() == (later,)
        await storage.ledger.drop_look(VAULT)
        await storage.ledger.drop_look(VAULT)
        assert await storage.ledger.looks() == ()


class TestPlaces:
    async def test_taking_one_twice_takes_one(self, storage: Storage):
        assert await storage.ledger.take_place(VAULT, DAY, VM, 2)
        assert await storage.ledger.take_place(VAULT, DAY, ArmId.parse(str(VM).upper()), 2)
        assert await storage.ledger.places(VAULT, DAY) == 1

    async def test_beyond_the_cap_only_those_who_have_one_have_one(self, storage: Storage):
        assert await storage.ledger.take_place(VAULT, DAY, vm(1), 1)
        assert not await storage.ledger.take_place(VAULT, DAY, vm(2), 1)
        assert await storage.ledger.take_place(VAULT, DAY, vm(1), 1)
        assert await storage.ledger.places(VAULT, DAY) == 1

    async def test_a_place_given_back_can_be_taken(self, storage: Storage):
        await storage.ledger.take_place(VAULT, DAY, vm(1), 1)
        await storage.ledger.give_place(VAULT, DAY, vm(2))
        assert not await storage.ledger.take_place(VAULT, DAY, vm(2), 1)
        await storage.ledger.give_place(VAULT, DAY, vm(1))
        assert await storage.ledger.places(VAULT, DAY) == 0
        assert await storage.ledger.take_place(VAULT, DAY, vm(2), 1)

    async def test_giving_back_in_a_vault_never_used_is_nothing(self, storage: Storage):
        await storage.ledger.give_place(VAULT, DAY, VM)
        assert await storage.ledger.places(VAULT, DAY) == 0

    async def test_vaults_and_days_are_apart(self, storage: Storage):
        await storage.ledger.take_place(VAULT, DAY, VM, 1)
        assert await storage.ledger.take_place(VAULT, "2026-03-03", VM, 1)
        assert await storage.ledger.take_place(OTHER_VAULT, DAY, VM, 1)

    async def test_of_two_takers_of_the_last_place_one_gets_it(self, storage: Storage):
        other = storage.another()
        for number in range(2):
            await storage.ledger.take_place(VAULT, DAY, vm(number), 3)
        taken = await asyncio.gather(
            storage.ledger.take_place(VAULT, DAY, vm(10), 3),
            other.take_place(VAULT, DAY, vm(11), 3),
        )
        assert sorted(taken) == [False, True]
        assert await storage.ledger.places(VAULT, DAY) == 3

    async def test_a_crowd_of_instances_fills_the_day_exactly(self, storage: Storage):
        ledgers = [storage.another() for _ in range(4)]
        taken = await asyncio.gather(
            *(ledgers[n % 4].take_place(VAULT, DAY, vm(n), 12) for n in range(40))
        )
        assert taken.count(True) == 12
        assert await storage.ledger.places(VAULT, DAY) == 12


class TestChanges:
    async def test_hours_and_days_are_counted_apart(self, storage: Storage):
        assert await storage.ledger.changes(SUB, NOW) == (0, 0)
        for hours in (0, 0, -1, -24):
            await storage.ledger.count_change(SUB, NOW + timedelta(hours=hours))
        await storage.ledger.count_change(OTHER_SUB, NOW)
        assert await storage.ledger.changes(SUB.upper(), NOW) == (2, 3)
        assert await storage.ledger.changes(SUB, NOW - timedelta(days=1)) == (1, 1)

    async def test_no_count_is_lost_among_instances(self, storage: Storage):
        ledgers = [storage.another() for _ in range(4)]
        await asyncio.gather(*(ledgers[n % 4].count_change(SUB, NOW) for n in range(40)))
        assert await storage.ledger.changes(SUB, NOW) == (40, 40)


class TestTheServiceItself:
    async def test_the_latest_sweep_of_a_subscription_counts(self, storage: Storage):
        mark = SweepMark(subscription=SUB, sweep="s-1", started_at=NOW, counts={"Protected": 3})
        done = msgspec.structs.replace(mark, finished_at=NOW, suspicious="no rows")
        other = SweepMark(subscription=OTHER_SUB, sweep="s-2", started_at=NOW)
        assert await storage.ledger.sweeps() == ()
        for each in (other, mark, done):
            await storage.ledger.put_sweep(each)
        assert await storage.ledger.sweeps() == (done, other)

    async def test_a_note_is_kept_under_its_name(self, storage: Storage):
        assert await storage.ledger.noted("watch: last run / 1") == ""
        await storage.ledger.note("watch: last run / 1", "older")
        await storage.ledger.note("watch: last run / 1", "한글\n2")
        await storage.ledger.note("watch: last run / 2", "other")
        assert await storage.ledger.noted("watch: last run / 1") == "한글\n2"


class TestPeople:
    def decision(self, of: ArmId = VM, **fields) -> PersonDecision:
        told = {"kind": DecisionKind.EXCLUDE, "by": "op@example.com", "at": NOW, "reason": "lab"}
        return PersonDecision(vm=str(of), **told | fields)

    async def test_decisions_of_a_vm_come_in_the_order_of_their_times(self, storage: Storage):
        late = await storage.people.append(self.decision(at=NOW + timedelta(hours=1)))
        early = await storage.people.append(self.decision(reason="first"))
        await storage.people.append(self.decision(vm(2)))
        assert await storage.people.of(ArmId.parse(str(VM).lower())) == (
            self.decision(reason="first", key=early),
            self.decision(at=NOW + timedelta(hours=1), key=late),
        )

    async def test_nobody_decided_reads_as_nothing(self, storage: Storage):
        assert await storage.people.of(VM) == ()
        assert [page async for page in storage.people.all()] == []

    async def test_two_decisions_of_one_moment_are_both_kept(self, storage: Storage):
        await storage.people.append(self.decision())
        await storage.people.append(self.decision(by="other@example.com"))
        assert len(await storage.people.of(VM)) == 2

    async def test_a_key_of_the_callers_is_kept_and_may_come_again(self, storage: Storage):
        mine = self.decision(key="Cmd-1/retry")
        assert await storage.people.append(mine) == "Cmd-1/retry"
        assert await storage.people.append(mine) == "Cmd-1/retry"
        assert await storage.people.of(VM) == (mine,)

    async def test_a_key_cannot_be_given_to_another_decision(self, storage: Storage):
        await storage.people.append(self.decision(key="k"))
        with pytest.raises(Conflict):
            await storage.people.append(self.decision(key="k", reason="rewritten"))
        assert (await storage.people.of(VM))[0].reason == "lab"

    async def test_all_gives_every_decision_of_every_vm(self, storage: Storage):
        for number in range(5):
            await storage.people.append(self.decision(vm(number)))
        seen = [each.vm async for page in storage.people.all() for each in page]
        assert sorted(seen) == [str(vm(number)) for number in range(5)]


class TestParked:
    def parked(self, **fields) -> Parked:
        told = {"key": "event|1/a?b#c", "source": "event", "reason": "shape", "raw": "{", "at": NOW}
        return Parked(**told | fields)

    async def test_it_comes_back_whole(self, storage: Storage):
        message = self.parked(trace="00-1-1-01", detail="line 1")
        await storage.parked.park(message)
        assert await storage.parked.read(message.key) == message
        assert await storage.parked.read("another") is None

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param("", id="empty"),
            pytest.param('{"a": "\\u0000"}\x00\x1f\x7f\ufffe', id="control characters"),
            pytest.param("\udcff\udc80 half of a pair: \ud800", id="not valid unicode"),
            pytest.param("가나다🙂" * 50_000, id="200 thousand characters of four kinds"),
            pytest.param('"\\' * 500_000, id="a million characters that JSON escapes"),
            pytest.param("x" * 1_048_576, id="one mebibyte"),
        ],
    )
    async def test_any_text_of_any_legal_size_survives(self, storage: Storage, raw: str):
        await storage.parked.park(self.parked(raw=raw))
        found = await storage.parked.read(self.parked().key)
        assert found is not None
        assert found.raw == raw

    async def test_parking_it_again_keeps_the_newer_text(self, storage: Storage):
        await storage.parked.park(self.parked(raw="x" * 900_000))
        await storage.parked.park(self.parked(raw="short"))
        assert await storage.parked.read(self.parked().key) == self.parked(raw="short")

    async def test_all_gives_short_ones_and_long_ones(self, storage: Storage):
        assert [page async for page in storage.parked.all()] == []
        messages = [self.parked(key="a"), self.parked(key="b", raw="x" * 900_000)]
        for message in messages:
            await storage.parked.park(message)
        assert [each async for page in storage.parked.all() for each in page] == messages

    @pytest.mark.parametrize("size", [1, 900_000])
    async def test_a_replay_is_noted_and_the_message_stays(self, storage: Storage, size: int):
        message = self.parked(raw="x" * size)
        await storage.parked.park(message)
        await storage.parked.mark_replayed(message.key, NOW)
        assert await storage.parked.read(message.key) == msgspec.structs.replace(
            message, replayed_at=NOW
        )

    async def test_noting_a_replay_of_nothing_is_a_conflict(self, storage: Storage):
        with pytest.raises(Conflict):
            await storage.parked.mark_replayed("nothing", NOW)


class TestQueues:
    @pytest.mark.parametrize(
        "message, backlog, queue",
        [
            pytest.param(
                WorkItem(vm=str(VM), seen_at=NOW, cause=Cause.EVENT),
                False,
                "enrollments",
                id="a vm",
            ),
            pytest.param(
                WorkItem(vm=str(VM), seen_at=NOW, cause=Cause.SWEEP),
                True,
                "enrollments-backlog",
                id="a vm of the backlog",
            ),
            pytest.param(
                SweepPage(subscription=SUB, sweep="s-1", started_at=NOW),
                False,
                "sweeps",
                id="a page of a sweep",
            ),
            pytest.param(NoticeItem(notice="n-1"), True, "notices", id="a notice"),
        ],
    )
    async def test_messages_are_routed_by_kind(self, storage: Storage, message, backlog, queue):
        await storage.queues.send(message, backlog=backlog)
        await storage.queues.send(message, backlog=backlog, delay=900)
        queues = ("enrollments", "enrollments-backlog", "sweeps", "notices")
        depths = {name: await storage.queues.depth(name) for name in queues}
        assert depths == {name: 2 * (name == queue) for name in queues}
