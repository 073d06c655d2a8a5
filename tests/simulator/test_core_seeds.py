"""Seeds and timelines: what is there at the start, and what is played through ARM after it."""

import pytest

from simulator.assembly import build, reset
from simulator.roles import READER
from simulator.seeds import SeedError
from tests.simulator.core import (
    CORE_PARTS,
    GROUP,
    SUB,
    azure,
    vm_body,
    vm_id,
)
from tests.simulator.test_core_access import granted

GUID = "55555555-5555-4555-8555-555555555555"


@pytest.mark.parametrize(
    "seed,why",
    [
        ({"resource": []}, "no member 'resource'"),
        ({"resources": {}}, "resources is a list"),
        ({"resources": [1]}, r"resources\[0\] is an object"),
        ({"resources": [{"name": "x"}]}, r"resources\[0\].id"),
        ({"resources": [{"id": "vm1"}]}, "not a resource id"),
        ({"subscriptions": [{"subscriptionId": "one"}]}, "is a GUID"),
        ({"timeline": [{"put": vm_body("x")}]}, r"timeline\[0\].at"),
        ({"timeline": [{"at": True, "put": vm_body("x")}]}, r"timeline\[0\].at"),
        ({"timeline": [{"at": 1}]}, "exactly one of"),
        ({"timeline": [{"at": 1, "put": {}, "delete": "x"}]}, "exactly one of"),
        ({"timeline": [{"at": 1, "put": {"name": "x"}}]}, r"timeline\[0\].put.id"),
        ({"people": [{"appId": "x"}]}, r"people\[0\]"),
    ],
)
def test_a_seed_that_is_wrong_names_the_place(seed: dict, why: str) -> None:
    with pytest.raises(SeedError, match=why):
        build(seed=seed, parts=CORE_PARTS)


def test_an_unknown_knob_in_a_seed_is_an_error_with_a_hint() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'graph\.lag_seconds'"):
        build(seed={"knobs": {"graph.lag_second": 1}}, parts=CORE_PARTS)


def test_an_unknown_profile_is_an_error() -> None:
    with pytest.raises(ValueError, match="seen-2025"):
        build(profile="azure", parts=CORE_PARTS)


def test_a_seed_without_groups_or_subscriptions_gets_them_from_its_resources() -> None:
    world = build(seed={"resources": [vm_body("vm1")]}, parts=CORE_PARTS, speed=0)
    assert SUB in world.subscriptions
    assert world.get(GROUP.upper())["location"] == "westeurope"


def test_planting_publishes_nothing_and_playing_publishes_everything() -> None:
    a = azure(
        vm_body("old"),
        timeline=[
            {"at": 10, "put": vm_body("new")},
            {"at": 20, "put": vm_body("new", tags={"tier": "gold"})},
            {"at": 30, "delete": vm_id("new")},
            {"at": 40, "put": {"id": f"{GROUP}/providers/Microsoft.Sql/servers/s", "x": 1}},
        ],
    )
    assert a.changes == []
    a.wait(60)
    told = [(c.kind, c.operation_name, (c.at - a.world.started).seconds) for c in a.changes]
    assert told == [
        ("write", "Microsoft.Compute/virtualMachines/write", 10),
        ("write", "Microsoft.Compute/virtualMachines/write", 20),
        ("delete", "Microsoft.Compute/virtualMachines/delete", 30),
        ("write", "Microsoft.Sql/servers/write", 40),
    ]
    assert a.changes[1].tags == {"tier": "gold"}
    assert a.changes[0].correlation_id != a.changes[1].correlation_id
    assert [entry["status"] for entry in a.world.timeline] == [201, 200, 200, 200]


def test_a_timeline_that_arm_refuses_is_kept_with_the_reason() -> None:
    body = vm_body("vm1", location="eastus")
    a = azure(vm_body("vm1"), timeline=[{"at": 1, "put": body}])
    a.wait(2)
    assert a.world.timeline[0]["code"] == "InvalidResourceLocation"


def test_a_timeline_orders_faults_turns_knobs_and_asks_anything() -> None:
    power = {"method": "POST", "path": vm_id("vm1") + "/powerOff"}
    a = azure(
        vm_body("vm1"),
        timeline=[
            {"at": 1, "fault": {"fault": {"status": 500, "code": "X", "message": "y"}, "count": 1}},
            {"at": 2, "knobs": {"graph.lag_seconds": 0}},
            {"at": 3, "request": power},
        ],
    )
    a.wait(5)
    assert a.get(vm_id("vm1")).status == 500
    assert a.world.knobs.number("graph.lag_seconds") == 0
    assert a.world.timeline[2]["status"] == 202


def test_the_managed_identity_is_who_the_seed_says_or_its_only_service_principal() -> None:
    only = azure(granted(GROUP, READER, GUID))
    assert only.world.directory.managed_identity.object_id == GUID
    told = azure(granted(GROUP, READER, "x"), identity={"principalId": GUID, "clientId": "C-1"})
    assert told.world.directory.managed_identity.object_id == GUID
    assert told.world.directory.managed_identity.app_id == "c-1"


def test_one_seed_makes_one_world_however_often() -> None:
    def run() -> list[object]:
        a = azure(timeline=[{"at": 10, "put": vm_body("new")}])
        a.ask("PUT", vm_id("mine"), vm_body("mine"))
        a.wait(30)
        shown = [a.get(vm_id(n), __expand="instanceView").body for n in ("new", "mine")]
        return [shown, [(c.at, c.resource_id, c.correlation_id) for c in a.changes]]

    assert run() == run()


def test_a_reset_forgets_everything_but_the_time() -> None:
    a = azure(vm_body("vm1"), knobs={"graph.lag_seconds": 5})
    a.wait(100)
    a.get(vm_id("vm1"))
    now = a.world.clock.now()
    reset(a.world, {"resources": [vm_body("vm2")]})
    assert a.world.get(vm_id("vm1")) is None
    assert a.world.get(vm_id("vm2")) is not None
    assert a.world.clock.now() == now
    assert a.world.calls.total == 0
    assert a.world.knobs.number("graph.lag_seconds") == 60
    assert a.world.knobs.text("budgets.profile") == "doc"


@pytest.mark.parametrize(
    "name,value,why",
    [
        ("graph.lag", 1, "did you mean"),
        ("graph.lag_seconds", "1", "takes int"),
        ("graph.lag_seconds", True, "takes int"),
        ("budgets.enforced", 1, "takes bool"),
        ("budgets.profile", "azure", "takes one of doc, seen-2025, legacy"),
        ("identity.failing", "no", "takes bool"),
    ],
)
def test_a_knob_turned_wrongly_is_refused_and_nothing_is_turned(
    name: str, value: object, why: str
) -> None:
    knobs = azure().world.knobs
    with pytest.raises(ValueError, match=why):
        knobs.turn({"graph.page_size": 7, name: value})
    assert knobs.number("graph.page_size") == 1000


def test_the_log_counts_by_action_and_caller() -> None:
    a = azure(vm_body("vm1"))
    for _ in range(3):
        a.get(vm_id("vm1"), headers={"x-ms-client-request-id": "mine"})
    a.get(vm_id("none"))
    log = a.world.calls
    counted = {(row["action"], row["status"]): row["count"] for row in log.summary()}
    assert counted == {
        ("Microsoft.Compute/virtualMachines/read", 200): 3,
        ("Microsoft.Compute/virtualMachines/read", 404): 1,
    }
    assert [call.sequence for call in log.since(2)] == [3, 4]
    assert log.since()[0].client_request_id == "mine"
    assert log.since()[-1].code == "ResourceNotFound"


def test_the_callers_own_request_id_comes_back() -> None:
    """Recorded: facts §1.0."""
    reply = azure(vm_body("vm1")).get(vm_id("vm1"), headers={"x-ms-client-request-id": "mine"})
    assert reply.headers["x-ms-client-request-id"] == "mine"
    assert reply.headers["x-ms-request-id"]
