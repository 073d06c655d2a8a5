"""What Azure cannot show, and clocks that move."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from shared.domain.catalogue import CATALOGUE
from shared.domain.daylight import Change, daylight, next_change
from shared.domain.findings import Severity
from shared.domain.model import NetworkPath, OsType, Reachability
from shared.domain.readiness import caveats
from shared.domain.readiness.unseen import consistency
from tests.unit.domain.worlds import NOW, policy, snapshot, vault, vm


def codes(body, zone="UTC") -> list[str]:
    of = policy(vault(), "gold", time_zone=zone)
    return [one.code for one in caveats(snapshot(body), of, NOW)]


def test_what_the_interfaces_show_of_a_restore_is_the_evidence() -> None:
    seen = NetworkPath(
        answer=Reachability.ALLOWED, decided_by="x", lost=("pool a of load balancer b",)
    )
    by_code = {one.code: one for one in caveats(snapshot(network=seen), None, NOW)}
    assert by_code["RESTORE_NETWORK"].evidence == "pool a of load balancer b"
    by_code = {one.code: one for one in caveats(snapshot(), None, NOW)}
    assert by_code["RESTORE_NETWORK"].evidence == "not visible from Azure"


def test_every_unseen_code_is_told_to_somebody_and_none_is_more_than_advice() -> None:
    told = {*codes(vm(), "W. Europe Standard Time"), *codes(vm(os=OsType.LINUX))}
    assert told == {entry.code for entry in CATALOGUE.values() if entry.unseen}
    assert all(one.severity is Severity.ADVISORY for one in caveats(snapshot(), None, NOW))


@pytest.mark.parametrize(
    "os, has, lacks",
    [
        pytest.param(OsType.WINDOWS, "GUEST_CLUSTER", "GUEST_LUKS", id="Windows"),
        pytest.param(OsType.LINUX, "GUEST_LUKS", "GUEST_CLUSTER", id="Linux"),
    ],
)
def test_a_caveat_is_told_where_it_can_apply(os, has, lacks) -> None:
    found = codes(vm(os=os))
    assert has in found
    assert lacks not in found


def test_the_proxy_of_each_system_is_set_its_own_way() -> None:
    for os, word in ((OsType.WINDOWS, "netsh"), (OsType.LINUX, "waagent.conf")):
        (one,) = [x for x in caveats(snapshot(vm(os=os)), None, NOW) if x.code == "GUEST_PROXY"]
        assert word in one.remedies[0].powershell + one.remedies[0].az
        assert "Get-Item" in one.remedies[0].powershell or os is OsType.LINUX
        assert "80 443" in one.remedies[1].az


@pytest.mark.parametrize(
    "changes, said",
    [
        pytest.param({}, "application-consistent", id="Windows running"),
        pytest.param({"os": OsType.LINUX}, "file-system-consistent", id="Linux running"),
        pytest.param({"power": "deallocated"}, "crash-consistent", id="off"),
        pytest.param({"allow_extensions": False}, "crash-consistent", id="no extensions"),
        pytest.param({"os": None}, "at least crash-consistent", id="unknown system"),
    ],
)
def test_the_consistency_to_expect_is_said_with_its_reason(changes, said) -> None:
    found = consistency(vm(**changes))
    assert said in found.text
    assert bool(found.remedies) is (changes.get("os") is OsType.LINUX)


def test_nothing_is_said_of_a_vm_that_is_gone() -> None:
    assert caveats(replace(snapshot(), vm=None), None, NOW) == ()


@pytest.mark.parametrize(
    "zone, after, change",
    [
        ("W. Europe Standard Time", date(2026, 11, 20), Change(on=date(2027, 3, 28), minutes=60)),
        ("W. Europe Standard Time", date(2026, 3, 28), Change(on=date(2026, 3, 29), minutes=60)),
        ("w. europe standard time", date(2026, 3, 29), Change(on=date(2026, 10, 25), minutes=-60)),
        ("Eastern Standard Time", date(2026, 1, 1), Change(on=date(2026, 3, 8), minutes=60)),
        ("Pacific Standard Time", date(2026, 6, 1), Change(on=date(2026, 11, 1), minutes=-60)),
        ("AUS Eastern Standard Time", date(2026, 1, 1), Change(on=date(2026, 4, 5), minutes=-60)),
        ("New Zealand Standard Time", date(2026, 6, 1), Change(on=date(2026, 9, 27), minutes=60)),
        ("Lord Howe Standard Time", date(2026, 6, 1), Change(on=date(2026, 10, 4), minutes=30)),
        ("Israel Standard Time", date(2026, 1, 1), Change(on=date(2026, 3, 27), minutes=60)),
        ("Egypt Standard Time", date(2026, 1, 1), Change(on=date(2026, 4, 24), minutes=60)),
        ("Pacific SA Standard Time", date(2026, 5, 1), Change(on=date(2026, 9, 6), minutes=60)),
        ("UTC", date(2026, 1, 1), None),
        ("Korea Standard Time", date(2026, 1, 1), None),
        ("Morocco Standard Time", date(2026, 1, 1), None),
        ("No Such Time", date(2026, 1, 1), None),
    ],
)
def test_the_next_move_of_the_clocks_is_known(zone, after, change) -> None:
    assert next_change(zone, after) == change


def test_a_zone_without_a_calendar_rule_is_named_all_the_same() -> None:
    assert daylight("Morocco Standard Time") is not None
    found = list(caveats(snapshot(), policy(vault(), "p", time_zone="Morocco Standard Time"), NOW))
    assert "dates announced every year" in found[-1].text


def test_the_shift_of_a_schedule_is_said_with_date_and_hours() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    of = policy(vault(), "gold", time_zone="W. Europe Standard Time")
    found = caveats(snapshot(), of, now)[-1]
    assert found.text == (
        "Policy gold does not follow daylight saving:"
        " from 2027-03-28 it starts 1 h later by the wall clock."
    )
