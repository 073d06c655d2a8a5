"""Backups that run by schedule or on demand, their jobs and recovery points.

Truth: report §1.2, §2, §3.3, §5 and facts §1.8, §1.9, §6.2.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from simulator.backup.schedules import next_run
from tests.simulator.backup_lab import (
    VAULT,
    daily_policy,
    enable_body,
    item_path,
    lab,
    operation_id,
    policy_id,
    vm,
    vm_id,
)

ON_DEMAND = {
    "properties": {
        "objectType": "IaasVMBackupRequest",
        "recoveryPointExpiryTimeInUTC": "2026-04-01T00:00:00.000Z",
    }
}
NIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)


def _gold(**more):
    """A world that starts at 08:00 with ``vm1`` under a policy that runs at 23:00."""
    sim = lab(**more)
    sim.ask("PUT", policy_id("gold"), {"properties": daily_policy()})
    sim.enable(policy="gold")
    return sim


def _until(sim, when: datetime) -> None:
    sim.advance((when - sim.world.clock.now()).total_seconds())


def test_nothing_is_backed_up_before_the_first_schedule():
    sim = _gold()
    _until(sim, NIGHT - timedelta(seconds=1))
    assert sim.item()["protectionState"] == "IRPending"
    assert [job["operation"] for job in sim.jobs()] == ["ConfigureBackup"]


def test_the_first_backup_starts_soon_after_its_time_and_protects_the_vm():
    sim = _gold()
    _until(sim, NIGHT + timedelta(minutes=16))
    job = sim.jobs(_filter="operation eq 'Backup'")[0]
    assert job["status"] == "InProgress"
    assert "endTime" not in job
    assert NIGHT <= datetime.fromisoformat(job["startTime"]) <= NIGHT + timedelta(minutes=15)
    assert sim.item()["protectionState"] == "IRPending"
    _until(sim, NIGHT + timedelta(hours=2))
    item = sim.item()
    assert item["protectionState"] == "Protected"
    assert item["lastBackupStatus"] == "Completed"
    assert item["lastBackupTime"] == job["startTime"]
    assert item["healthDetails"][0]["title"] == "IaasVmHealthGreenDefault"
    assert item["lastRecoveryPoint"] > item["lastBackupTime"]


def test_a_jump_of_three_nights_makes_three_backups_on_their_own_nights():
    sim = _gold()
    _until(sim, NIGHT + timedelta(days=2, hours=3))
    started = [job["startTime"][:10] for job in sim.jobs(_filter="operation eq 'Backup'")]
    assert started == ["2026-03-04", "2026-03-03", "2026-03-02"]
    assert len(sim.get(f"{item_path()}/recoveryPoints")["value"]) == 3


def test_backup_jobs_end_when_the_service_looks_every_ten_minutes():
    sim = lab(*[vm(f"m{n}") for n in range(20)])
    sim.ask("PUT", policy_id("gold"), {"properties": daily_policy()})
    for number in range(20):
        sim.put_item(f"m{number}", "gold")
    _until(sim, NIGHT + timedelta(hours=3))
    lengths = sorted(
        datetime.fromisoformat(job["endTime"]) - datetime.fromisoformat(job["startTime"])
        for job in sim.jobs(_filter="operation eq 'Backup' and status eq 'Completed'")
    )
    seconds = [length.total_seconds() for length in lengths]
    assert len(seconds) == 20
    assert 2472 <= seconds[0] < 2476  # 41 minutes, the recorded median
    assert all((length - 2472) % 600 < 16 for length in seconds)


@pytest.mark.parametrize(
    "policy, after, expected",
    [
        pytest.param(daily_policy(), NIGHT - timedelta(hours=1), NIGHT, id="daily, today"),
        pytest.param(daily_policy(), NIGHT, NIGHT + timedelta(days=1), id="daily, strictly after"),
        pytest.param(
            daily_policy(timeZone="W. Europe Standard Time"),
            NIGHT - timedelta(hours=5),
            NIGHT - timedelta(hours=1),
            id="daily, one hour east",
        ),
        pytest.param(
            daily_policy(timeZone="W. Europe Standard Time"),
            datetime(2026, 7, 1, 12, tzinfo=UTC),
            datetime(2026, 7, 1, 22, tzinfo=UTC),
            id="no daylight saving in summer",
        ),
        pytest.param(
            daily_policy(timeZone="Tokyo Standard Time"),
            datetime(2026, 3, 2, 0, tzinfo=UTC),
            datetime(2026, 3, 2, 14, tzinfo=UTC),
            id="daily, nine hours east",
        ),
        pytest.param(
            daily_policy(at="2026-03-02T03:00:00Z", timeZone="Pacific Standard Time"),
            datetime(2026, 3, 2, 12, tzinfo=UTC),
            datetime(2026, 3, 3, 11, tzinfo=UTC),
            id="daily, eight hours west",
        ),
    ],
)
def test_a_schedule_runs_at_its_own_hour_in_its_own_zone(policy, after, expected):
    assert next_run(policy, after) == expected


def test_a_weekly_schedule_waits_for_its_day():
    policy = daily_policy()
    policy["schedulePolicy"] |= {"scheduleRunFrequency": "Weekly", "scheduleRunDays": ["Sunday"]}
    assert next_run(policy, NIGHT) == datetime(2026, 3, 8, 23, tzinfo=UTC)


def _enhanced(frequency: str, **plan):
    return {
        "timeZone": "UTC",
        "schedulePolicy": {
            "schedulePolicyType": "SimpleSchedulePolicyV2",
            "scheduleRunFrequency": frequency,
            f"{frequency.lower()}Schedule": plan,
        },
    }


def _walk(policy, after: datetime, count: int) -> list[str]:
    runs = []
    for _ in range(count):
        at = next_run(policy, after)
        assert at is not None
        runs.append(f"{at:%d %H:%M}")
        after = at
    return runs


def test_an_enhanced_hourly_schedule_runs_through_its_window():
    policy = _enhanced(
        "Hourly",
        interval=4,
        scheduleWindowStartTime="2026-03-01T08:00:00Z",
        scheduleWindowDuration=12,
    )
    start = datetime(2026, 3, 2, 5, tzinfo=UTC)
    assert _walk(policy, start, 5) == ["02 08:00", "02 12:00", "02 16:00", "02 20:00", "03 08:00"]


def test_an_enhanced_window_may_pass_midnight():
    policy = _enhanced(
        "Hourly",
        interval=6,
        scheduleWindowStartTime="2026-03-01T20:00:00Z",
        scheduleWindowDuration=24,
    )
    start = datetime(2026, 3, 2, 19, tzinfo=UTC)
    assert _walk(policy, start, 5) == ["02 20:00", "03 02:00", "03 08:00", "03 14:00", "03 20:00"]


@pytest.mark.parametrize(
    "policy, expected",
    [
        pytest.param(
            _enhanced("Daily", scheduleRunTimes=["2026-03-01T21:30:00Z"]), ["02 21:30"], id="daily"
        ),
        pytest.param(
            _enhanced(
                "Weekly", scheduleRunDays=["Friday"], scheduleRunTimes=["2026-03-01T21:30:00Z"]
            ),
            ["06 21:30"],
            id="weekly",
        ),
        pytest.param({"schedulePolicy": {}}, None, id="nothing scheduled"),
    ],
)
def test_other_enhanced_schedules(policy, expected):
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    if expected is None:
        assert next_run(policy, start) is None
    else:
        assert _walk(policy, start, 1) == expected


def test_a_changed_schedule_moves_the_next_backup():
    sim = _gold()
    moved = daily_policy(at="2026-03-02T12:00:00Z")
    reply = sim.ask("PUT", policy_id("gold"), {"properties": moved})
    assert reply.status == 202  # a policy with items changes them all
    _until(sim, NIGHT - timedelta(hours=6))
    assert sim.item()["protectionState"] == "Protected"


def test_changing_a_policy_with_items_gives_each_item_a_job():
    sim = _gold()
    reply = sim.ask("PUT", policy_id("gold"), {"properties": daily_policy(days=60)})
    path = f"{policy_id('gold')}/operations/{operation_id(reply)}"
    assert sim.get(path)["status"] == "InProgress"
    assert sim.ask("GET", path.replace("/operations/", "/operationResults/")).status == 202
    sim.advance(10)
    assert sim.get(path)["status"] == "Succeeded"
    kept = sim.get(path.replace("/operations/", "/operationResults/"))["properties"]
    assert kept["retentionPolicy"]["dailySchedule"]["retentionDuration"]["count"] == 60
    assert [job["operation"] for job in sim.jobs()] == ["ConfigureBackup", "ConfigureBackup"]


def test_an_on_demand_backup_is_accepted_when_its_job_exists():
    sim = _gold()
    reply = sim.ask("POST", f"{item_path()}/backup", ON_DEMAND, request_id="mine")
    assert (reply.status, reply.body, reply.headers["Retry-After"]) == (202, None, "60")
    sim.advance(5)
    done = sim.operation(reply)
    assert done["status"] == "Succeeded"
    job = sim.get(f"{VAULT}/backupJobs/{done['properties']['jobId']}")["properties"]
    assert (job["status"], job["activityId"]) == ("InProgress", "mine")
    assert job["actionsInfo"] == ["Cancellable"]
    bag = job["extendedInfo"]["propertyBag"]
    assert bag == {"VM Name": "vm1", "Recovery Point Expiry Time in UTC": "4/1/2026 12:00:00 AM"}
    snapshot, transfer = job["extendedInfo"]["tasksList"]
    assert (snapshot["taskId"], snapshot["status"]) == ("Take Snapshot", "InProgress")
    assert (transfer["taskId"], transfer["status"]) == ("Transfer data to vault", "NotStarted")
    assert transfer["startTime"] == "0001-01-01T00:00:00"


def test_a_finished_backup_has_a_size_and_both_tasks_completed():
    sim = _gold()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(6000)
    (job_id,) = [
        entry["name"]
        for entry in sim.get(f"{VAULT}/backupJobs", _filter="operation eq 'Backup'")["value"]
    ]
    job = sim.get(f"{VAULT}/backupJobs/{job_id}")["properties"]
    assert {task["status"] for task in job["extendedInfo"]["tasksList"]} == {"Completed"}
    assert job["extendedInfo"]["propertyBag"]["Backup Size"].endswith(" MB")
    assert job["duration"].startswith("PT")


def test_a_point_is_a_snapshot_first_and_in_the_vault_later():
    sim = _gold()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(600)
    (early,) = sim.get(f"{item_path()}/recoveryPoints")["value"]
    assert [tier["type"] for tier in early["properties"]["recoveryPointTierDetails"]] == [
        "InstantRP"
    ]
    sim.advance(6000)
    point = sim.get(f"{item_path()}/recoveryPoints/{early['name']}")
    assert [tier["type"] for tier in point["properties"]["recoveryPointTierDetails"]] == [
        "InstantRP",
        "HardenedRP",
    ]
    assert point["properties"]["createdWithPolicyType"] == "V1"
    assert sim.item()["lastRecoveryPoint"] == point["properties"]["recoveryPointTime"]


def test_a_point_goes_when_it_expires():
    sim = _gold()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(6000)
    sim.ask("PUT", item_path(), _stop())
    _until(sim, datetime(2026, 4, 1, 1, tzinfo=UTC))
    assert sim.get(f"{item_path()}/recoveryPoints")["value"] == []


def _stop():
    stopped = {"protectionState": "ProtectionStopped", "policyId": ""}
    return {"properties": enable_body()["properties"] | stopped}


def test_a_stopped_item_takes_no_more_backups():
    sim = _gold()
    sim.ask("PUT", item_path(), _stop())
    sim.advance(3 * 86_400)
    assert sim.jobs(_filter="operation eq 'Backup'") == []


def test_a_vm_that_is_gone_fails_its_backup():
    """Recorded June 2021."""
    sim = _gold()
    sim.world.delete(vm_id(), None)
    _until(sim, NIGHT + timedelta(hours=1))
    job = sim.jobs(_filter="operation eq 'Backup'")[0]
    assert job["status"] == "Failed"
    assert job["errorDetails"][0]["errorCode"] == 400136
    assert sim.item()["lastBackupStatus"] == "Failed"


def test_a_vm_that_goes_during_its_backup_leaves_warnings():
    """Recorded 2020 and 2021."""
    sim = _gold()
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(600)
    sim.world.delete(vm_id(), None)
    sim.advance(6000)
    job = sim.jobs(_filter="operation eq 'Backup'")[0]
    assert job["status"] == "CompletedWithWarnings"
    assert job["errorDetails"][0]["errorCode"] == 320001


def test_the_first_backups_of_a_vm_can_be_ordered_to_fail():
    order = {"backup": {"code": "UserErrorGuestAgentStatusUnavailable", "times": 1}}
    sim = lab(vm("vm1", sim=order))
    sim.ask("PUT", policy_id("gold"), {"properties": daily_policy()})
    sim.enable(policy="gold")
    _until(sim, NIGHT + timedelta(hours=2))
    item = sim.item()
    assert (item["protectionStatus"], item["protectionState"]) == ("Unhealthy", "IRPending")
    assert (item["healthStatus"], item["lastBackupStatus"]) == ("ActionRequired", "Failed")
    assert item["healthDetails"][0]["code"] == 400196
    _until(sim, NIGHT + timedelta(days=1, hours=2))
    assert sim.item()["protectionState"] == "Protected"


@pytest.mark.parametrize(
    "after, ends_as",
    [
        pytest.param(60, "Cancelled", id="before the snapshot"),
        pytest.param(600, "CompletedWithWarnings", id="after the snapshot"),
    ],
)
def test_a_running_backup_can_be_cancelled(after, ends_as):
    sim = _gold()
    reply = sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    sim.advance(after)
    job_id = sim.operation(reply)["properties"]["jobId"]
    cancel = sim.ask("POST", f"{VAULT}/backupJobs/{job_id}/cancel")
    assert cancel.status == 202
    assert f"/backupJobs/{job_id}/operationResults/" in cancel.headers["Location"]
    sim.advance(5)
    job = sim.get(f"{VAULT}/backupJobs/{job_id}")["properties"]
    assert job["status"] == ends_as
    assert job["errorDetails"][0]["errorCode"] == 400158
    assert sim.ask("POST", f"{VAULT}/backupJobs/{job_id}/cancel").status == 400


def test_the_first_backup_publishes_the_extension_it_installs():
    """Inferred (facts §5.2): the feedback loop an event consumer must survive."""
    sim = _gold()
    seen = []
    sim.world.changes.append(lambda change: seen.append(change.operation_name))
    sim.advance(2 * 86_400)
    assert seen.count("Microsoft.Compute/virtualMachines/extensions/write") == 1


@pytest.mark.parametrize(
    "text, operations",
    [
        pytest.param("operation eq 'Backup'", ["Backup"], id="operation"),
        pytest.param("status eq 'InProgress'", ["Backup"], id="status"),
        pytest.param(
            "backupManagementType eq 'AzureIaasVM' and operation eq 'ConfigureBackup'",
            ["ConfigureBackup"],
            id="two terms",
        ),
        pytest.param(
            "startTime eq '2026-03-02 08:10:00 AM' and endTime eq '2026-03-02 11:00:00 AM'",
            ["Backup"],
            id="times",
        ),
        pytest.param("endTime eq '2026-03-02 08:05:00 AM'", ["ConfigureBackup"], id="until"),
        pytest.param("backupManagementType eq 'MAB'", [], id="another product"),
    ],
)
def test_jobs_are_listed_by_what_a_filter_asks_newest_first(text, operations):
    sim = _gold()
    _until(sim, datetime(2026, 3, 2, 8, 30, tzinfo=UTC))
    sim.ask("POST", f"{item_path()}/backup", ON_DEMAND)
    assert [job["operation"] for job in sim.jobs(_filter=text)] == operations
    assert [job["operation"] for job in sim.jobs()] == ["Backup", "ConfigureBackup"]


def test_a_job_is_found_by_its_id_and_has_details_only_alone():
    sim = _gold()
    (entry,) = sim.get(f"{VAULT}/backupJobs")["value"]
    (found,) = sim.jobs(_filter=f"jobId eq '{entry['name']}'")
    assert "extendedInfo" not in found
    alone = sim.get(f"{VAULT}/backupJobs/{entry['name']}")["properties"]
    assert alone["extendedInfo"] == {
        "tasksList": [],
        "propertyBag": {"VM Name": "vm1", "Policy Name": "gold"},
    }
