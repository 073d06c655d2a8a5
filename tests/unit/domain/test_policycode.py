"""Policies as code: Azure's limits, the body there and back, and never shorter by accident."""

import json

import msgspec
import pytest

from shared.domain.policycode import (
    Create,
    Keep,
    Refuse,
    Update,
    from_body,
    plan,
    problems,
    to_body,
)
from shared.domain.rules import parse
from shared.domain.rules.declared import DeclaredPolicy
from shared.errors import BadRules
from tests.unit.domain.worlds import RULES

DAILY = {"daily": "23:00"}
WEEKLY = {"weekly": {"at": "22:00", "days": ["Saturday"]}}
HOURLY = {"hourly": {"every_hours": 4, "start": "08:00", "window_hours": 12}}
GUIDES = {  # the example of the guides: 30 d, Sundays 104 w, last Sunday 120 m, first of January 99 y
    "days": 30,
    "weekly": {"weeks": 104, "days": ["Sunday"]},
    "monthly": {"months": 120, "weeks": ["Last"], "days": ["Sunday"]},
    "yearly": {"years": 99, "in_months": ["January"], "weeks": ["First"], "days": ["Sunday"]},
}


def policy(**changes) -> DeclaredPolicy:
    base = {"name": "gold", "kind": "standard", "schedule": DAILY, "keep": {"days": 30}}
    return msgspec.convert(base | changes, DeclaredPolicy)


def said(**changes) -> list[str]:
    return [f"{'.'.join(where)}: {what}" for where, what, _, _ in problems(policy(**changes))]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="daily"),
        pytest.param({"keep": GUIDES}, id="the guides' example"),
        pytest.param({"kind": "enhanced", "schedule": HOURLY, "instant_restore_days": 17}, id="hourly"),
        pytest.param(
            {"schedule": WEEKLY, "instant_restore_days": 5, "keep": {"weekly": {"weeks": 8, "days": ["Saturday"]}}},
            id="weekly",
        ),
        pytest.param(
            {"keep": {"days": 7, "yearly": {"years": 7, "in_months": ["March", "June", "September", "December"], "dates": [0]}}},
            id="ends of quarters",
        ),
    ],
)  # fmt: skip
def test_a_policy_within_azures_limits_is_fine_and_round_trips(changes) -> None:
    declared = policy(**changes)
    assert said(**changes) == []
    body = json.loads(json.dumps(to_body(declared)))
    assert isinstance(plan(declared, body), Keep)
    assert to_body(from_body("gold", body)) == to_body(declared)


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"name": "1gold"}, "name: '1gold' is no policy name"),
        ({"name": "gold-"}, "name: 'gold-' is no policy name"),
        ({"schedule": {}}, "schedule: must be exactly one of"),
        ({"schedule": DAILY | WEEKLY}, "schedule: must be exactly one of"),
        ({"schedule": HOURLY}, "schedule.hourly: a Standard policy backs up once a day"),
        ({"kind": "enhanced", "schedule": {"hourly": HOURLY["hourly"] | {"every_hours": 5}}}, "cannot be 5"),
        ({"kind": "enhanced", "schedule": {"hourly": HOURLY["hourly"] | {"every_hours": 24}}}, "shorter than the interval"),
        ({"instant_restore_days": 6}, "cannot be 6 for a Standard policy"),
        ({"instant_restore_days": 0}, "cannot be 0 for a Standard policy"),
        ({"kind": "enhanced", "instant_restore_days": 31}, "cannot be 31"),
        ({"kind": "enhanced", "schedule": HOURLY, "instant_restore_days": 18}, "cannot be 18"),
        ({"schedule": WEEKLY, "keep": {"weekly": {"weeks": 8, "days": ["Saturday"]}}}, "must be 5 for a weekly"),
        ({"schedule": WEEKLY, "instant_restore_days": 5, "keep": {"days": 30, "weekly": {"weeks": 8, "days": ["Saturday"]}}}, "has no daily points"),
        ({"schedule": WEEKLY, "instant_restore_days": 5, "keep": {}}, "needs `weekly`"),
        ({"schedule": WEEKLY, "instant_restore_days": 5, "keep": {"weekly": {"weeks": 8, "days": ["Sunday"]}}}, "days of the schedule"),
        ({"schedule": WEEKLY, "instant_restore_days": 5, "keep": {"weekly": {"weeks": 8, "days": ["Saturday"]}, "monthly": {"months": 3, "weeks": ["First"], "days": ["Monday"]}}}, "a day without a backup"),
        ({"schedule": WEEKLY, "instant_restore_days": 5, "keep": {"weekly": {"weeks": 8, "days": ["Saturday"]}, "monthly": {"months": 3, "dates": [1]}}}, "not dates"),
        ({"keep": {}}, "needs `days`"),
        ({"keep": {"days": 6}}, "cannot be 6"),
        ({"keep": {"days": 10000}}, "cannot be 10000"),
        ({"keep": {"days": 9, "weekly": {"weeks": 0, "days": ["Sunday"]}}}, "cannot be 0"),
        ({"keep": {"days": 9, "weekly": {"weeks": 5164, "days": ["Sunday"]}}}, "cannot be 5164"),
        ({"keep": {"days": 9, "monthly": {"months": 1189, "dates": [1]}}}, "cannot be 1189"),
        ({"keep": {"days": 9, "yearly": {"years": 100, "in_months": ["May"], "dates": [1]}}}, "cannot be 100"),
        ({"keep": {"days": 9, "monthly": {"months": 3}}}, "either weeks and days, or dates"),
        ({"keep": {"days": 9, "monthly": {"months": 3, "weeks": ["First"]}}}, "both weeks and days"),
        ({"keep": {"days": 9, "monthly": {"months": 3, "dates": [29]}}}, "cannot hold 29"),
        ({"time_zone": "Europe/Berlin"}, "is no Windows time zone"),
        ({"time_zone": "W. Europe Standard Time"}, "moves its clocks (from the last Sunday of March"),
        ({"crash_consistent_only": True}, "needs kind: enhanced"),
    ],
)  # fmt: skip
def test_what_azure_would_refuse_is_said_before_it_is_asked(changes, problem) -> None:
    assert any(problem in line for line in said(**changes)), said(**changes)


def test_daylight_saving_is_a_warning_and_says_what_to_do() -> None:
    ((_, _, hint, level),) = problems(policy(time_zone="GMT Standard Time"))
    assert level == "warning"
    assert "by hand" in hint


def test_the_guides_example_has_the_body_that_was_reviewed(golden) -> None:
    golden("policy-guides.json", json.dumps(to_body(policy(keep=GUIDES)), indent=2) + "\n")


def test_a_missing_policy_is_created() -> None:
    assert isinstance(plan(policy(), None), Create)


def test_a_longer_retention_is_an_update_that_says_what_changes() -> None:
    found = plan(policy(keep=GUIDES), to_body(policy()))
    assert isinstance(found, Update)
    assert "keep.weekly.weeks: none -> 104" in found.differences
    assert "keep.monthly.weeks: none -> Last" in found.differences
    assert found.shortens == ()


def test_more_of_every_tier_shortens_nothing_and_the_order_of_days_is_no_difference() -> None:
    less = GUIDES | {
        "weekly": {"weeks": 9, "days": ["Sunday", "Friday"]},
        "monthly": GUIDES["monthly"] | {"months": 9},
        "yearly": GUIDES["yearly"] | {"years": 9},
    }
    more = GUIDES | {"weekly": {"weeks": 104, "days": ["Friday", "Sunday"]}}
    found = plan(policy(keep=more), to_body(policy(keep=less)))
    assert isinstance(found, Update)
    assert found.shortens == ()
    assert found.differences == (
        "keep.monthly.months: 9 -> 120",
        "keep.weekly.weeks: 9 -> 104",
        "keep.yearly.years: 9 -> 99",
    )


SHORTER = [
    ({"keep": {"days": 31}}, {"keep": {"days": 30}}, "daily points: 31 -> 30"),
    ({"keep": GUIDES}, {"keep": {"days": 30}}, "weekly points: 104 -> none"),
    ({"instant_restore_days": 5}, {"instant_restore_days": 2}, "instant restore days: 5 -> 2"),
    ({"instant_restore_days": 5}, {}, "instant restore days: 5 -> 2"),
    (
        {"keep": {"days": 30, "weekly": {"weeks": 9, "days": ["Sunday", "Friday"]}}},
        {"keep": {"days": 30, "weekly": {"weeks": 9, "days": ["Sunday"]}}},
        "weekly points no longer kept: Friday",
    ),
    (
        {
            "keep": {
                "days": 30,
                "yearly": {"years": 9, "in_months": ["March", "June"], "dates": [0]},
            }
        },
        {"keep": {"days": 30, "yearly": {"years": 9, "in_months": ["June"], "dates": [0]}}},
        "yearly points no longer kept: the last day of March",
    ),
    *(
        ({"keep": GUIDES}, {"keep": GUIDES | {tier: less}}, shrinks)
        for tier, less, shrinks in (
            ("weekly", GUIDES["weekly"] | {"weeks": 103}, "weekly points: 104 -> 103"),
            ("monthly", GUIDES["monthly"] | {"months": 119}, "monthly points: 120 -> 119"),
            ("monthly", None, "monthly points: 120 -> none"),
            ("yearly", GUIDES["yearly"] | {"years": 98}, "yearly points: 99 -> 98"),
            ("yearly", None, "yearly points: 99 -> none"),
        )
    ),
    (
        {"keep": {"days": 30, "monthly": {"months": 9, "dates": [0, 15]}}},
        {"keep": {"days": 30, "monthly": {"months": 9, "dates": [0]}}},
        "monthly points no longer kept: day 15",
    ),
    (
        {"kind": "enhanced", "schedule": HOURLY},
        {"kind": "enhanced"},
        "backups a week: 21 -> 7",
    ),
    (
        {"kind": "enhanced"},
        {"kind": "enhanced", "crash_consistent_only": True},
        "consistency: crash-consistent only",
    ),
]


@pytest.mark.parametrize("old, new, shrinks", SHORTER, ids=[row[2] for row in SHORTER])
def test_shortening_is_refused_unless_the_policy_is_named(old, new, shrinks) -> None:
    there, wanted = to_body(policy(**old)), policy(**new)
    found = plan(wanted, there)
    assert isinstance(found, Refuse)
    assert shrinks in found.because
    assert isinstance(plan(wanted, there, may_shorten={"silver"}), Refuse)
    allowed = plan(wanted, there, may_shorten={"gold"})
    assert isinstance(allowed, Update)
    assert shrinks in allowed.shortens


def test_the_kind_of_a_policy_cannot_be_changed_even_if_it_is_named() -> None:
    found = plan(policy(kind="enhanced"), to_body(policy()), may_shorten={"gold"})
    assert isinstance(found, Refuse)
    assert found.because == ("a policy's kind cannot be changed",)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="empty"),
        pytest.param({"schedulePolicy": None, "retentionPolicy": None}, id="nulls"),
        pytest.param({"schedulePolicy": {"scheduleRunFrequency": "Yearly"}}, id="unknown schedule"),
        pytest.param(
            to_body(policy()) | {"retentionPolicy": {"retentionPolicyType": "SimpleRetentionPolicy"}},
            id="unknown retention",
        ),
        pytest.param(
            {"schedulePolicy": {"scheduleRunFrequency": "Daily", "scheduleRunTimes": []}}, id="no time"
        ),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_read_is_left_alone(body) -> None:
    assert from_body("gold", body) is None
    assert isinstance(plan(policy(), body), Refuse)


def test_the_recorded_default_policies_can_be_read() -> None:
    default = {
        "backupManagementType": "AzureIaasVM", "instantRPDetails": {}, "protectedItemsCount": 0,
        "schedulePolicy": {"schedulePolicyType": "SimpleSchedulePolicy", "scheduleRunFrequency": "Daily",
                           "scheduleRunTimes": ["2024-04-28T16:30:00Z"], "scheduleWeeklyFrequency": 0},
        "retentionPolicy": {"retentionPolicyType": "LongTermRetentionPolicy",
                            "dailySchedule": {"retentionTimes": ["2024-04-28T16:30:00Z"],
                                              "retentionDuration": {"count": 30, "durationType": "Days"}}},
        "instantRpRetentionRangeInDays": 2, "timeZone": "UTC",
    }  # fmt: skip
    read = from_body("DefaultPolicy", default)
    assert (read.schedule.daily, read.keep.days) == ("16:30", 30)
    hourly = default | {
        "policyType": "V2",
        "schedulePolicy": {"schedulePolicyType": "SimpleSchedulePolicyV2", "scheduleRunFrequency": "Hourly",
                           "hourlySchedule": {"interval": 4, "scheduleWindowStartTime": "2024-04-28T08:00:00Z",
                                              "scheduleWindowDuration": 12}},
    }  # fmt: skip
    assert from_body("EnhancedPolicy", hourly).schedule.hourly.window_hours == 12


def test_a_wrong_declared_policy_is_a_problem_of_the_rules_file_with_line_and_column() -> None:
    text = RULES + (
        "declared:\n  policies:\n    - name: gold\n      kind: enhanced\n"
        '      schedule: {daily: "23:00"}\n      keep: {days: 6}\n'
    )
    with pytest.raises(BadRules) as caught:
        parse(text, "r.yaml")
    lines = [str(one) for one in caught.value.problems]
    assert any(":22:20: error: keep.days: cannot be 6 (7 to 9999)" in one for one in lines), lines
    assert any("tier gold has it as the other kind" in one for one in lines)
