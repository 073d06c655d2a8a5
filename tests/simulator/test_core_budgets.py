"""What is left, in the recorded headers, and the 429 when nothing is (facts §4, report §4)."""

import pytest

from simulator.arm import Reply, Route
from simulator.gateway import Gateway
from tests.simulator.core import COMPUTE, GROUP, SUB, Azure, azure, code_of, vm_body, vm_id

VAULT = GROUP + "/providers/Microsoft.RecoveryServices/vaults/v1"
LEFT = "x-ms-ratelimit-remaining-"
SERVED = LEFT + "subscription-resource-requests"


def backup(method: str, below: str, action: str) -> Route:
    template = "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.RecoveryServices/vaults"
    body = {"location": "westeurope"} if method == "PUT" else {}
    return Route(
        method=method,
        template=template + "/{v}" + below,
        operation=action,
        action="Microsoft.RecoveryServices/Vaults/" + action,
        handler=lambda _world, _call: Reply(status=200, body=body),
        truth="recorded",
        source="test",
    )


def with_backup(**seed: object) -> Azure:
    """A core world with three backup routes that only count."""
    a = azure(vm_body("vm1"), **seed)
    a.world.gateway = Gateway(
        a.world,
        [
            *a.world.gateway.routes,
            backup("GET", "/backupJobs", "backupJobs/read"),
            backup("GET", "/backupPolicies", "backupPolicies/read"),
            backup("PUT", "", "write"),
        ],
    )
    return a


@pytest.mark.parametrize(
    "profile,jobs,policies,vault,writes",
    [
        pytest.param("doc", 449, 299, 299, 199, id="doc"),
        pytest.param("seen-2025", 249, 1099, 249, 799, id="recorded: Oct 2025 and Jul 2026"),
        pytest.param("legacy", 149, 149, 199, 1199, id="recorded: 2020-2022"),
    ],
)
def test_a_profile_sets_what_the_first_answers_say(
    profile: str, jobs: int, policies: int, vault: int, writes: int
) -> None:
    a = with_backup(profile=profile)
    assert a.get(VAULT + "/backupJobs").headers[SERVED] == str(jobs)
    policies_read = a.get(VAULT + "/backupPolicies").headers
    assert policies_read[SERVED] == str(policies)
    assert LEFT + "subscription-reads" not in policies_read
    assert a.ask("PUT", VAULT, {}).headers[SERVED] == str(vault)
    patched = a.ask("PATCH", vm_id("vm1"), {"tags": {}}).headers
    assert patched[LEFT + "subscription-writes"] == str(writes)
    assert ("x-ms-throttling-version" in patched) is (profile == "seen-2025")


def test_a_spent_backup_budget_is_refused_for_324_seconds_in_the_recorded_words() -> None:
    """Recorded: ten 429s, all 324 s; the counter shows -1 first (facts §2.1, §4.2)."""
    a = with_backup(profile="legacy")
    shown = [a.get(VAULT + "/backupJobs").headers[SERVED] for _ in range(151)]
    assert (shown[0], shown[-2], shown[-1]) == ("149", "0", "-1")
    refused = a.get(VAULT + "/backupJobs")
    assert (refused.status, code_of(refused)) == (429, "ResourceRequestsThrottled")
    assert refused.body["error"]["message"] == (
        "Number of requests for action 'Microsoft.RecoveryServices/vaults/backupJobs/read' "
        "exceeded the limit of '150' for time interval '01:00:00'. Please try again after '324' "
        "seconds."
    )
    assert refused.headers["Retry-After"] == "324"
    assert refused.headers["x-ms-failure-cause"] == "gateway"
    assert a.get(VAULT + "/backupPolicies").status == 200
    a.wait(323)
    assert a.get(VAULT + "/backupJobs").status == 429
    a.wait(1)
    again = a.get(VAULT + "/backupJobs")
    assert again.status == 200
    assert int(again.headers[SERVED]) in {39, 134, 147}


def test_a_429_may_come_without_the_header() -> None:
    """Assumed: the cassettes strip Retry-After, so the text alone must be enough."""
    a = with_backup(profile="legacy", knobs={"budgets.retry_after": False})
    refused = [a.get(VAULT + "/backupJobs") for _ in range(152)][-1]
    assert refused.status == 429
    assert "Retry-After" not in refused.headers


def test_two_front_ends_disagree_about_what_is_left() -> None:
    """Recorded: values are not monotonic between calls (facts §4.2)."""
    a = with_backup(knobs={"budgets.front_ends": 2})
    shown = [int(a.get(VAULT + "/backupJobs").headers[SERVED]) for _ in range(20)]
    assert shown != sorted(shown, reverse=True)
    assert min(shown) > 449 - 20


def test_a_foreign_client_uses_up_its_share() -> None:
    a = with_backup(profile="legacy", knobs={"budgets.foreign_share": 0.5})
    a.get(VAULT + "/backupJobs")
    a.wait(1800)
    assert int(a.get(VAULT + "/backupJobs").headers[SERVED]) == 110


def test_the_hour_passes_and_the_budget_is_whole_again() -> None:
    a = with_backup(profile="legacy")
    for _ in range(100):
        a.get(VAULT + "/backupJobs")
    a.wait(3600)
    assert a.get(VAULT + "/backupJobs").headers[SERVED] == "149"


def test_arms_own_bucket_refills_by_the_second() -> None:
    """Specified: 250 reads, 25 a second (ARMLIM25)."""
    a = azure(knobs={"budgets.profile": "doc"})
    path = f"/subscriptions/{SUB}/resourceGroups"
    answers = [a.get(path) for _ in range(251)]
    assert [answer.status for answer in answers[-2:]] == [200, 429]
    assert code_of(answers[-1]) == "SubscriptionRequestsThrottled"
    assert answers[-1].headers["Retry-After"] == "1"
    a.wait(1)
    assert a.get(path).headers[LEFT + "subscription-reads"] == "24"


def test_compute_counts_per_vm_too() -> None:
    """Recorded: the header's names and order (report §4); limits: CRPLIM24."""
    a = azure(vm_body("vm1"), vm_body("vm2"))
    first = a.get(vm_id("vm1"))
    assert first.headers[LEFT + "resource"] == (
        "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,Microsoft.Compute/LowCostGetResource;35"
    )
    for _ in range(35):
        last = a.get(vm_id("vm1"))
    assert last.status == 200
    refused = a.get(vm_id("vm1"))
    assert (refused.status, code_of(refused)) == (429, "OperationNotAllowed")
    assert refused.body["error"]["details"][0]["target"] == "LowCostGetResource"
    assert a.get(vm_id("vm2")).status == 200
    listed = a.get(COMPUTE).headers[LEFT + "resource"]
    assert listed == "Microsoft.Compute/HighCostGetSubscriptionMaximum;899"


def test_graph_has_a_quota_of_its_own_per_caller() -> None:
    """Specified: 15 queries per 5 seconds (facts §4.5)."""
    a = azure()
    answers = [a.graph("Resources | count") for _ in range(16)]
    assert answers[0].headers["x-ms-user-quota-remaining"] == "14"
    assert answers[14].status == 200
    assert answers[15].status == 429
    assert answers[15].headers["x-ms-user-quota-resets-after"] == "00:00:05"
    a.wait(5)
    assert a.graph("Resources | count").status == 200


def test_budgets_can_be_counted_without_being_enforced() -> None:
    a = azure(vm_body("vm1"), knobs={"budgets.enforced": False})
    assert {a.get(vm_id("vm1")).status for _ in range(300)} == {200}
