"""Faults to order, noise, and the three forms an error body has."""

import pytest

from simulator.arm import Wire
from tests.simulator.core import COMPUTE, azure, code_of, vm_body, vm_id

READ = "Microsoft.Compute/virtualMachines/read"
BROKEN = {"status": 503, "code": "ServiceUnavailable", "message": "Later."}


def statuses(order: dict, count: int = 7) -> list[int]:
    a = azure(vm_body("vm1"), vm_body("vm2"))
    a.world.gateway.faults.order(order)
    return [a.get(vm_id("vm1")).status for _ in range(count)]


@pytest.mark.parametrize(
    "nth,expected",
    [
        ("first", [503, 200, 200, 200, 200, 200, 200]),
        ("second", [200, 503, 200, 200, 200, 200, 200]),
        ("every-third", [200, 200, 503, 200, 200, 503, 200]),
        ("all", [503] * 7),
    ],
)
def test_an_order_says_which_requests_fail(nth: str, expected: list[int]) -> None:
    assert statuses({"match": {"action": READ}, "nth": nth, "fault": BROKEN}) == expected


def test_an_order_may_be_used_up() -> None:
    assert statuses({"match": {"action": READ}, "count": 2, "fault": BROKEN}, 4) == [
        503,
        503,
        200,
        200,
    ]


@pytest.mark.parametrize(
    "match,hit",
    [
        ({"method": "get"}, True),
        ({"method": "PUT"}, False),
        ({"path": "virtualmachines/VM1$"}, True),
        ({"path": "vm2$"}, False),
        ({"vm": "VM1"}, True),
        ({"vm": vm_id("vm1")}, True),
        ({"vm": "vm"}, False),
        ({"operation": "VirtualMachines_Get"}, True),
        ({"caller": "APP-1"}, True),
        ({"action": READ, "vm": "vm2"}, False),
    ],
)
def test_an_order_matches_what_it_names_and_nothing_else(match: dict, hit: bool) -> None:
    assert statuses({"match": match, "fault": BROKEN}, 1) == [503 if hit else 200]


def test_a_vault_may_answer_429_for_324_seconds() -> None:
    a = azure(vm_body("vm1"))
    a.world.gateway.faults.order(
        {
            "match": {"action": READ},
            "seconds": 324,
            "fault": {
                "status": 429,
                "code": "ResourceRequestsThrottled",
                "message": "Please try again after '{remaining}' seconds.",
                "headers": {"Retry-After": "{remaining}"},
            },
        }
    )
    assert a.get(vm_id("vm1")).headers["Retry-After"] == "324"
    a.wait(300)
    late = a.get(vm_id("vm1"))
    assert late.body["error"]["message"] == "Please try again after '24' seconds."
    a.wait(24)
    assert a.get(vm_id("vm1")).status == 200


def test_an_answer_may_be_lost_after_the_work_was_done() -> None:
    a = azure()
    a.world.gateway.faults.order(
        {"match": {"method": "PUT"}, "fault": {"reset": True, "after": True}}
    )
    lost = a.ask("PUT", vm_id("new"), vm_body("new"))
    assert lost.wire == Wire(reset=True)
    assert a.get(vm_id("new")).status == 200


def test_a_status_ordered_after_the_work_replaces_the_answer() -> None:
    """Recorded: a PUT answered 504 whose retry then worked (report §2.2)."""
    a = azure()
    fault = {"status": 504, "code": "GatewayTimeout", "message": "x", "after": True}
    a.world.gateway.faults.order({"match": {"method": "PUT"}, "nth": "first", "fault": fault})
    assert a.ask("PUT", vm_id("new"), vm_body("new")).status == 504
    assert a.get(vm_id("new")).status == 200


@pytest.mark.parametrize(
    "form,body",
    [
        ("arm", {"error": {"code": "C", "message": "m"}}),
        (
            "arm-nulls",
            {
                "error": {
                    "code": "C",
                    "message": "m",
                    "target": None,
                    "details": None,
                    "innerError": None,
                }
            },
        ),
        (
            "legacy",
            {"ErrorCode": "C", "Message": {"Language": "en-US", "Value": "m"}, "Values": []},
        ),
    ],
    ids=["recorded: arm", "recorded: service", "recorded: legacy"],
)
def test_an_error_has_one_of_the_three_recorded_forms(form: str, body: dict) -> None:
    a = azure()
    fault = {"status": 500, "code": "C", "message": "m", "form": form}
    a.world.gateway.faults.order({"fault": fault})
    reply = a.get(COMPUTE)
    assert (reply.status, reply.body) == (500, body)
    assert a.world.calls.since()[-1].code == "C"
    assert a.world.calls.since()[-1].fault == "fault-1"


def test_a_fault_may_answer_what_no_arm_would() -> None:
    a = azure()
    a.world.gateway.faults.order({"fault": {"status": 200, "body": "<html>proxy</html>"}})
    reply = a.get(COMPUTE)
    assert (reply.raw, reply.content_type) == (b"<html>proxy</html>", "text/html")


@pytest.mark.parametrize(
    "order,why",
    [
        ({"fault": {}}, "fault is an object"),
        ({"fault": {"status": 500, "stauts": 1}}, "fault is an object"),
        ({"match": {"vmm": "x"}, "fault": BROKEN}, "match is an object"),
        ({"nth": "third", "fault": BROKEN}, "nth is one of"),
        ({"often": 3, "fault": BROKEN}, "knows no"),
        ({"fault": {"message": "x"}}, "does nothing"),
    ],
)
def test_an_order_that_is_wrong_is_refused(order: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        azure().world.gateway.faults.order(order)


def test_noise_is_off_by_default_and_near_its_share_when_on() -> None:
    a = azure(knobs={"budgets.enforced": False})
    assert {a.get(COMPUTE).status for _ in range(300)} == {200}
    a.world.knobs.turn({"noise.share": 0.2})
    bad = [a.get(COMPUTE) for _ in range(1000)]
    failed = [reply for reply in bad if reply.status != 200]
    assert 150 < len(failed) < 250
    assert {reply.status for reply in failed} <= {429, 500, 502, 504}
    assert any(code_of(r) == "GatewayTimeout" for r in failed if "error" in r.body)


def test_the_same_seed_gives_the_same_noise() -> None:
    def run() -> list[int]:
        a = azure(knobs={"budgets.enforced": False, "noise.share": 0.3})
        return [a.get(COMPUTE).status for _ in range(50)]

    assert run() == run()
