"""Who is protected and by which rule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.model import Image, OsType, Past
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.rules import parse
from shared.domain.selection import Exclusion, Ignored, Match, NoRule, considered, select
from tests.unit.domain.worlds import NOW, OTHER_SUB, RULES, SUB, rules, snapshot, vm

HEAD = RULES.split("rules:", maxsplit=1)[0]


def chosen(when: str, **changes) -> bool:
    found = select(
        parse(f"{HEAD}rules: [{{name: it, when: {when}}}]\ndefault: nothing\n"),
        snapshot(vm(**changes)),
        (),
        NOW,
    )
    return isinstance(found, Match)


@pytest.mark.parametrize(
    "when, changes, expected",
    [
        pytest.param("{}", {}, True, id="everything"),
        pytest.param("{tags: {env: prod}}", {"tags": {"env": "prod"}}, True, id="tag equals"),
        pytest.param(
            "{tags: {Env: PROD}}", {"tags": {" eNV ": " Prod "}}, True, id="tag case and blanks"
        ),
        pytest.param(
            "{tags: {cost center: a b}}",
            {"tags": {"Cost  Center": "A   B"}},
            True,
            id="inner blanks",
        ),
        pytest.param("{tags: {env: prod}}", {"tags": {"env": "dev"}}, False, id="tag differs"),
        pytest.param("{tags: {env: prod}}", {"tags": {}}, False, id="tag absent"),
        pytest.param("{tags: {env: [a, b]}}", {"tags": {"env": "b"}}, True, id="any of"),
        pytest.param("{tags: {env: pr*}}", {"tags": {"env": "Prod"}}, True, id="glob"),
        pytest.param(
            "{tags: {env: 'p[r]*'}}", {"tags": {"env": "prod"}}, False, id="brackets are plain"
        ),
        pytest.param(
            "{tags: {env: 'p[r]*'}}",
            {"tags": {"env": "p[r]x"}},
            True,
            id="brackets match themselves",
        ),
        pytest.param("{tags: {env: {present: true}}}", {"tags": {"env": ""}}, True, id="present"),
        pytest.param("{tags: {env: {present: true}}}", {"tags": {}}, False, id="not present"),
        pytest.param("{tags: {env: {present: false}}}", {"tags": {}}, True, id="absent"),
        pytest.param(
            "{tags: {env: {present: false}}}", {"tags": {"Env": "x"}}, False, id="not absent"
        ),
        pytest.param(
            "{tags: {env: {none_of: [a, b*]}}}", {"tags": {"env": "bc"}}, False, id="none of"
        ),
        pytest.param("{tags: {env: {none_of: a}}}", {"tags": {}}, True, id="none of, absent"),
        pytest.param(
            "{tags: {env: {any_of: [a, b]}}}", {"tags": {"env": "B"}}, True, id="any_of test"
        ),
        pytest.param(
            "{tags: {env: {any_of: [a, b]}}}", {"tags": {"env": "c"}}, False, id="not any_of"
        ),
        pytest.param(
            "{tags: {env: prod, app: web}}",
            {"tags": {"env": "prod", "app": "db"}},
            False,
            id="tags AND",
        ),
        pytest.param(
            "{any: [{tags: {env: prod}}, {names: 'web-*'}]}",
            {"tags": {}},
            True,
            id="OR over selectors",
        ),
        pytest.param(
            "{any: [{tags: {env: prod}}, {names: db}]}", {"tags": {}}, False, id="OR, none holds"
        ),
        pytest.param("{all: [{os: Windows}, {regions: westeurope}]}", {}, True, id="all"),
        pytest.param("{none: [{os: Windows}]}", {}, False, id="none"),
        pytest.param("{none: [{os: Linux}]}", {}, True, id="none, other system"),
        pytest.param("{regions: West Europe}", {}, True, id="region in any spelling"),
        pytest.param("{regions: [eastus, northeurope]}", {}, False, id="other region"),
        pytest.param("{groups: 'RG-*'}", {}, True, id="group glob"),
        pytest.param("{groups: rg-app-2}", {}, False, id="other group"),
        pytest.param(f"{{subscriptions: {SUB}}}", {}, True, id="subscription"),
        pytest.param(f"{{subscriptions: {OTHER_SUB}}}", {}, False, id="other subscription"),
        pytest.param("{sizes: 'standard_d*'}", {}, True, id="size"),
        pytest.param("{publishers: microsoftwindowsserver}", {}, True, id="publisher"),
        pytest.param("{publishers: canonical}", {"image": Image()}, False, id="no publisher"),
        pytest.param("{os: linux}", {"os": OsType.LINUX}, True, id="os in any case"),
        pytest.param("{os: linux}", {"os": None}, False, id="os unknown"),
        pytest.param("{os: Windows, names: web-2}", {}, False, id="conditions AND"),
    ],
)
def test_a_selector_takes_exactly_the_vms_it_describes(when, changes, expected) -> None:
    assert chosen(when, **changes) is expected


def test_the_first_matching_rule_decides() -> None:
    text = HEAD + "rules: [{name: a, when: {names: 'x*'}}, {name: b}, {name: c}]\ndefault: {}\n"
    found = select(parse(text), snapshot(), (), NOW)
    assert isinstance(found, Match)
    assert found.rule == "b"


def test_why_other_rules_did_not_match_is_said_for_each() -> None:
    text = (
        HEAD
        + "rules: [{name: a, when: {names: 'x*', os: Linux}}, {name: b, when: {tags: {env: prod}}}]\ndefault: {}\n"
    )
    found = considered(parse(text), snapshot(vm(tags={"env": "dev"})))
    assert [(one.rule, one.why_not) for one in found] == [
        ("a", "name is web-1, not x*; operating system is windows, not Linux"),
        ("b", "tag env is 'dev', not prod"),
        ("default", ""),
    ]


def test_without_a_matching_rule_and_without_a_default_the_vm_is_blocked_and_told_why() -> None:
    text = HEAD + "rules: [{name: a, when: {names: x}}]\ndefault: nothing\n"
    found = select(parse(text), snapshot(), (), NOW)
    assert isinstance(found, NoRule)
    assert [one.code for one in found.findings] == ["NO_RULE"]
    assert found.findings[0].severity is Severity.BLOCKER


# --- not ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, said",
    [
        pytest.param({"managed_by": "/subscriptions/x/a/b/c"}, "managed by", id="managedBy"),
        pytest.param({"group": "MC_rg_aks_westeurope"}, "AKS", id="AKS group"),
        pytest.param({"group": "databricks-rg-ws-abc123"}, "Databricks", id="Databricks group"),
        pytest.param(
            {"image": Image(publisher="AzureDatabricks")}, "Databricks", id="Databricks image"
        ),
        pytest.param(
            {"image": Image(publisher="azureopenshift")}, "OpenShift", id="OpenShift image"
        ),
        pytest.param({"scale_set": "/subscriptions/x"}, "flexible scale set", id="scale set"),
    ],
)
def test_vms_that_others_look_after_are_ignored_with_the_reason(changes, said) -> None:
    found = select(rules(), snapshot(vm(**changes)), (), NOW)
    assert isinstance(found, Ignored)
    assert said in found.why


@pytest.mark.parametrize(
    "tail, said",
    [
        pytest.param("Microsoft.ClassicCompute/virtualMachines/web-1", "classic VM", id="classic"),
        pytest.param(
            "Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0", "uniform", id="uniform"
        ),
        pytest.param("Microsoft.HybridCompute/machines/web-1", "not an Azure", id="Arc"),
    ],
)
def test_other_kinds_of_machine_are_ignored(tail, said) -> None:
    other = ArmId.parse(f"/subscriptions/{SUB}/resourceGroups/rg/providers/{tail}")
    found = select(rules(), replace(snapshot(), id=other, vm=None), (), NOW)
    assert isinstance(found, Ignored)
    assert said in found.why


def test_a_vm_in_a_managed_resource_group_is_ignored() -> None:
    found = select(rules(), snapshot(group_managed_by="/subscriptions/x/y/z/w"), (), NOW)
    assert isinstance(found, Ignored)


def test_a_rule_may_enroll_scale_set_instances_after_ten_minutes() -> None:
    text = RULES.replace("default: {}", "default: {options: {scale_set_instances: enroll}}")
    born = NOW - timedelta(minutes=4)
    found = select(parse(text), snapshot(vm(scale_set="/s", created=born)), (), NOW)
    assert isinstance(found, Match)
    assert found.not_before == born + timedelta(minutes=10)
    assert found.young_because == "an instance of a scale set"


@pytest.mark.parametrize(
    "changes, minutes",
    [
        pytest.param({"priority": "Spot"}, 10, id="spot"),
        pytest.param({"group": "IT_images_win_0001"}, 10, id="image builder group"),
        pytest.param({"group": "pkr-Resource-Group-abc"}, 10, id="packer group"),
        pytest.param({"tags": {"createdBy": "AzureVMImageBuilder"}}, 10, id="image builder tag"),
        pytest.param({}, 0, id="any other VM"),
    ],
)
def test_short_lived_kinds_of_vm_wait_until_they_are_ten_minutes_old(changes, minutes) -> None:
    found = select(rules(), snapshot(vm(created=NOW, **changes)), (), NOW)
    assert isinstance(found, Match)
    assert found.not_before == (NOW + timedelta(minutes=minutes) if minutes else None)


def test_a_rules_own_minimum_age_wins() -> None:
    text = RULES.replace("default: {}", "default: {options: {minimum_age_minutes: 0}}")
    found = select(parse(text), snapshot(vm(created=NOW, priority="Spot")), (), NOW)
    assert isinstance(found, Match)
    assert found.not_before is None


def test_a_rule_may_leave_spot_vms_alone() -> None:
    text = RULES.replace("default: {}", "default: {options: {spot_vms: ignore}}")
    assert isinstance(select(parse(text), snapshot(vm(priority="Spot")), (), NOW), Ignored)


def test_a_rule_may_ignore_with_its_reason() -> None:
    text = RULES.replace("default: {}", "default: {ignore: rebuilt from code every night}")
    found = select(parse(text), snapshot(), (), NOW)
    assert isinstance(found, Ignored)
    assert "rebuilt from code" in found.why


# --- tiers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags, tier",
    [
        pytest.param({"backup-tier": "gold"}, "gold", id="plain"),
        pytest.param({" Backup-TIER": " GOLD "}, "gold", id="case and blanks"),
        pytest.param({"backup-tier": "platinum"}, "gold", id="alias"),
        pytest.param({}, "silver", id="default"),
    ],
)
def test_the_tier_comes_from_the_tag_or_is_the_default(tags, tier) -> None:
    found = select(rules(), snapshot(vm(tags=tags)), (), NOW)
    assert isinstance(found, Match)
    assert found.tier == tier


def test_a_tag_is_inherited_from_group_then_subscription_and_the_vms_own_wins() -> None:
    groups, subscriptions = {"backup-tier": "bronze"}, {"backup-tier": "gold"}
    plain = snapshot(vm(tags={}), group_tags=groups, subscription_tags=subscriptions)
    own = snapshot(vm(tags={"Backup-Tier": "silver"}), group_tags=groups)
    far = snapshot(vm(tags={}), subscription_tags=subscriptions)
    tiers = [select(rules(), one, (), NOW) for one in (plain, own, far)]
    assert [one.tier for one in tiers] == ["bronze", "silver", "gold"]
    assert "of the resource group" in tiers[0].tier_because


def test_inheritance_can_be_switched_off() -> None:
    text = RULES.replace("version: 1", "version: 1\ninherit_tags: []")
    found = select(parse(text), snapshot(vm(tags={}), group_tags={"backup-tier": "gold"}), (), NOW)
    assert found.tier == "silver"


def test_a_missing_tag_uses_the_default_and_says_so() -> None:
    found = select(rules(), snapshot(vm(tags={})), (), NOW)
    assert [one.code for one in found.findings] == ["DEFAULT_TIER_USED"]
    assert "--tags backup-tier=silver" in found.findings[0].remedies[0].az


def test_a_missing_tag_without_a_default_blocks() -> None:
    found = select(parse(RULES.replace("  default: silver\n", "")), snapshot(vm(tags={})), (), NOW)
    assert found.tier == ""
    assert [one.code for one in found.findings] == ["NO_TIER"]


def test_a_tag_with_nearly_the_right_name_is_pointed_out() -> None:
    found = select(rules(), snapshot(vm(tags={"bakcup-tier": "gold"})), (), NOW)
    assert "TAG_NAME_SIMILAR" in [one.code for one in found.findings]


def test_a_misspelled_tier_blocks_and_the_right_word_is_offered() -> None:
    found = select(rules(), snapshot(vm(tags={"backup-tier": "glod"})), (), NOW)
    assert found.tier == ""
    (one,) = found.findings
    assert (one.code, one.severity) == ("TAG_VALUE_UNKNOWN", Severity.BLOCKER)
    assert "did you mean 'gold'?" in one.text
    assert "--tags backup-tier=gold" in one.remedies[0].az


def test_a_misspelled_tier_may_use_the_default_by_rule_and_is_still_told() -> None:
    text = RULES.replace("  default: silver", "  default: silver\n  unknown_value: default")
    found = select(parse(text), snapshot(vm(tags={"backup-tier": "glod"})), (), NOW)
    assert found.tier == "silver"
    (one,) = found.findings
    assert (one.code, one.severity) == ("TAG_VALUE_UNKNOWN", Severity.ADVISORY)
    assert one.code in found.options.tell


def test_a_rule_may_fix_the_tier_or_its_own_default() -> None:
    fixed = parse(RULES.replace("default: {}", "default: {tier: bronze}"))
    own = parse(RULES.replace("default: {}", "default: {default_tier: bronze}"))
    assert select(fixed, snapshot(), (), NOW).tier == "bronze"
    assert select(own, snapshot(), (), NOW).tier == "gold"
    assert select(own, snapshot(vm(tags={})), (), NOW).tier == "bronze"


def test_a_misspelled_value_of_a_tag_in_a_selector_is_never_ignored_in_silence() -> None:
    found = select(rules(), snapshot(vm(tags={"env": "prdo", "backup-tier": "gold"})), (), NOW)
    (one,) = found.findings
    assert one.code == "TAG_VALUE_UNKNOWN"
    assert "did you mean 'prod'?" in one.text
    assert one.severity is Severity.ADVISORY


@pytest.mark.parametrize(
    "value, meant",
    [
        ("prodution", "production"),
        ("prdouction", "production"),
        ("Production1x", ""),
        ("produktion", "production"),
        ("productions", "production"),
        ("web-17", ""),
        ("web-1x", "web-1"),
        ("wbe-1", "web-1"),
    ],
)
def test_only_one_slip_of_the_keyboard_is_taken_for_a_misspelling(value, meant) -> None:
    text = HEAD + "rules: [{name: a, when: {tags: {env: [production, web-1, ab]}}}]\ndefault: {}\n"
    body = vm(tags={"env": value, "backup-tier": "gold"})
    found = select(parse(text), snapshot(body), (), NOW)
    assert [f"did you mean '{meant}'?" in one.text for one in found.findings] == [True] * bool(
        meant
    )


def test_a_quite_different_value_of_a_tag_in_a_selector_is_fine() -> None:
    found = select(rules(), snapshot(vm(tags={"env": "dev", "backup-tier": "gold"})), (), NOW)
    assert found.findings == ()


# --- exclusions ----------------------------------------------------------------------------------

EXCLUDING = (
    RULES
    + """
exclusions:
  - name: lab
    when: {groups: 'rg-lab-*'}
    owner: lab@contoso.com
    reason: rebuilt every night
    expires: 2026-11-20
tag_exclusions:
  - {tag: no-backup, max_days: 30, values: ['yes', 'true']}
"""
)


def decision(kind=DecisionKind.EXCLUDE, **changes) -> PersonDecision:
    base = {
        "vm": "x",
        "kind": kind,
        "by": "ann@contoso.com",
        "at": NOW - timedelta(days=2),
        "reason": "moving house",
        "key": "k1",
    }
    return PersonDecision(**(base | changes))


def test_an_exclusion_holds_through_its_last_day_and_names_owner_and_reason() -> None:
    found = select(parse(EXCLUDING), snapshot(vm(group="rg-lab-1")), (), NOW)
    assert found == Exclusion(
        by="rule lab",
        owner="lab@contoso.com",
        reason="rebuilt every night",
        until=datetime(2026, 11, 21, tzinfo=UTC),
    )


def test_an_expired_exclusion_enrolls_again_and_says_so() -> None:
    later = NOW + timedelta(days=1)
    found = select(parse(EXCLUDING), snapshot(vm(group="rg-lab-1")), (), later)
    assert isinstance(found, Match)
    assert [one.code for one in found.findings] == ["EXCLUSION_EXPIRED"]
    assert "lab@contoso.com" in found.findings[0].evidence


def test_a_persons_exclusion_holds_until_it_ends_or_is_taken_back() -> None:
    until = NOW + timedelta(days=1)
    excluded = decision(until=until)
    assert isinstance(select(rules(), snapshot(), (excluded,), NOW), Exclusion)
    ended = select(rules(), snapshot(), (excluded,), until)
    assert [one.code for one in ended.findings] == ["EXCLUSION_EXPIRED"]
    revoked = decision(DecisionKind.REVOKE, revokes="k1", key="k2")
    assert isinstance(select(rules(), snapshot(), (excluded, revoked), NOW), Match)


def test_the_latest_decision_of_a_person_counts() -> None:
    old = decision(until=NOW + timedelta(days=9))
    new = decision(until=NOW - timedelta(hours=1), at=NOW - timedelta(days=1), key="k2")
    assert isinstance(select(rules(), snapshot(), (new, old), NOW), Match)


def test_other_decisions_do_not_exclude() -> None:
    snooze = decision(DecisionKind.SNOOZE)
    assert isinstance(select(rules(), snapshot(), (snooze,), NOW), Match)


def test_a_tag_excludes_only_where_rules_say_so() -> None:
    tagged = snapshot(vm(tags={"no-backup": "yes"}))
    assert isinstance(select(rules(), tagged, (), NOW), Match)
    found = select(parse(EXCLUDING), tagged, (), NOW)
    assert isinstance(found, Exclusion)
    assert (found.self_excluded, found.since) == (True, NOW)
    assert found.until == NOW + timedelta(days=30)


def test_a_tags_other_values_do_not_exclude() -> None:
    assert isinstance(
        select(parse(EXCLUDING), snapshot(vm(tags={"no-backup": "no"})), (), NOW), Match
    )


def test_the_days_of_a_tags_exclusion_count_from_its_first_sight() -> None:
    first = NOW - timedelta(days=29)
    tagged = snapshot(vm(tags={"No-Backup": "TRUE"}), past=Past(tag_excluded_since=first))
    found = select(parse(EXCLUDING), tagged, (), NOW)
    assert isinstance(found, Exclusion)
    assert found.until == NOW + timedelta(days=1)
    ended = select(parse(EXCLUDING), tagged, (), NOW + timedelta(days=1))
    assert isinstance(ended, Match)
    assert "EXCLUSION_EXPIRED" in [one.code for one in ended.findings]


def test_an_exclusion_is_not_asked_of_what_is_not_ours() -> None:
    found = select(rules(), snapshot(vm(managed_by="/a/b/c")), (decision(),), NOW)
    assert isinstance(found, Ignored)


ROUTES = """rules:
  - {name: a, when: {names: 'named-*'}, notices: pager}
  - {name: b}
default: {}
notices:
  routes:
    - {name: pager, to: ['mail:pager@contoso.com']}
    - {name: web, to: ['mail:web@contoso.com'], when: {names: '*web*'}}
    - {name: late, to: ['mail:late@contoso.com'], when: {names: '*web*'}}
"""


@pytest.mark.parametrize(
    "name, routes",
    [
        pytest.param("named-web", ("pager", "web", "late"), id="the rule names one"),
        pytest.param("web-1", ("web", "late"), id="those that choose it, in order"),
        pytest.param("db-1", (), id="a route without a condition chooses nobody"),
    ],
)
def test_a_notice_may_take_the_route_of_the_rule_and_those_that_choose_the_vm(name, routes):
    found = select(parse(HEAD + ROUTES), snapshot(vm(name)), (), NOW)
    assert isinstance(found, Match)
    assert found.routes == routes
