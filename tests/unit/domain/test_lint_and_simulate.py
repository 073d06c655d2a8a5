"""Rules held against the estate and the calendar, tried out, and made from Azure Policy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import estate
from shared.domain.importer import imported
from shared.domain.lint import Known, lint
from shared.domain.model import PolicyKind, Room
from shared.domain.rules import parse
from shared.domain.selection import Match, select
from shared.domain.simulate import Effect, as_text, simulate
from shared.errors import BadMessage
from tests.unit.domain.worlds import (
    NOW,
    OTHER_SUB,
    RULES,
    SUB,
    data_disks,
    item,
    policies,
    policy,
    snapshot,
    vault,
    vm,
)

V = vault()
KNOWN = Known(
    vaults=(V,),
    policies={V.id.key: policies(V)},
    vms={"westeurope": 7},
)


def lines(text=RULES, known=KNOWN, now=NOW) -> list[str]:
    return [str(one) for one in lint(parse(text, "r.yaml"), now, known)]


def test_rules_that_fit_the_estate_lint_clean() -> None:
    assert lines() == []


def with_set(text: str) -> str:
    return RULES.replace("{tags: {backup-vault: central}}", text)


@pytest.mark.parametrize(
    "text, known, said",
    [
        pytest.param(
            with_set(f"{{ids: '{vault('rsv-wee').id}'}}"),
            KNOWN,
            ":11:18: error: there is no vault rsv-wee (did you mean 'rsv-we'?)",
            id="vault that does not exist",
        ),
        pytest.param(
            with_set("{tags: {backup-vault: centrall}}"),
            KNOWN,
            ":11:3: warning: no vault fits vault set central",
            id="no vault fits",
        ),
        pytest.param(
            RULES.replace("silver-b", "silver-c"),
            KNOWN,
            "vault rsv-we has no policy silver-c (did you mean 'silver-",
            id="policy that does not exist",
        ),
        pytest.param(
            RULES,
            replace(KNOWN, policies={V.id.key: (*policies(V)[:4], policy(V, "bronze", PolicyKind.ENHANCED))}),
            "bronze in vault rsv-we is an Enhanced policy (move it to enhanced)",
            id="policy of the other kind",
        ),
        pytest.param(
            RULES.replace("when: {", "when: {regions: westeurop, "),
            KNOWN,
            "nothing of ours is in region westeurop (did you mean 'westeurope'?)",
            id="misspelled region",
        ),
        pytest.param(
            RULES,
            replace(KNOWN, vms={"westeurope": 7, "eastus": 2, "Korea Central": 1}),
            "no vault of central lies in eastus (2 VMs), koreacentral (1 VM)",
            id="region without a vault",
        ),
        pytest.param(RULES, Known(vaults=()), "no vault fits vault set central", id="no vault at all"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_named_with_line_column_and_nearest_name(text, known, said) -> None:
    found = lines(text, known)
    assert any(said in one for one in found), found


EXCLUDED = RULES + (
    "exclusions: [{name: lab, when: {names: x}, owner: lab@x.org, reason: because, expires: 2026-11-25}]\n"
)


@pytest.mark.parametrize(
    "days, said",
    [(0, "exclusion lab ends in 5 days"), (6, "exclusion lab has ended"), (-30, None)],
)
def test_exclusions_that_end_are_announced(days, said) -> None:
    found = lines(EXCLUDED, None, NOW + timedelta(days=days))
    assert [said in one for one in found] == ([True] if said else [])


def test_a_move_of_the_clocks_is_announced_with_date_and_minutes() -> None:
    text = RULES + (
        'declared: {policies: [{name: gold, kind: standard, schedule: {daily: "23:00"},'
        " keep: {days: 30}, time_zone: W. Europe Standard Time}]}\n"
    )
    soon = lines(text, None, datetime(2027, 3, 20, tzinfo=UTC))
    assert any("from 2027-03-28 policy gold starts 60 minutes later" in one for one in soon)
    assert len(lines(text, None)) == 1  # only the zone's own warning


# --- simulate ------------------------------------------------------------------------------------


def world(name: str, **changes):
    return snapshot(vm(name, **changes), (V,))


def effects(new: str, *worlds, old: str = RULES) -> dict[str, Effect]:
    found = simulate(parse(old), parse(new), worlds, NOW)
    assert found.vms == len(worlds)
    assert found.unchanged == len(worlds) - len(found.changed)
    return {one.vm.rsplit("/", 1)[-1]: one.effect for one in found.changed}


def test_the_same_rules_change_nothing() -> None:
    assert effects(RULES + "# a comment\n", world("a"), world("b", tags={})) == {}


def test_every_effect_of_a_change_is_named_per_vm() -> None:
    tier = {"backup-tier": "gold"}
    other = vault("rsv-b", tags={"backup-vault": "blue"})
    both = (V, other)
    protected = vm("kept", tags={"backup-tier": "bronze"})
    new = RULES.replace(
        "rules:",
        """rules:
  - {name: out, when: {tags: {team: out}}, ignore: not ours}
  - {name: blue, when: {tags: {team: blue}}, vaults: blue}
  - {name: bronze, when: {tags: {team: bronze}}, tier: bronze}""",
    ).replace("  central:", "  blue: {tags: {backup-vault: blue}}\n  central:")
    new = new.replace("default: {}", "default: {vaults: central}").replace("aliases: platinum", "")
    new = new.replace("    options: {trusted", "    vaults: central\n    options: {trusted")
    new = new.replace("tier: bronze}", "tier: bronze, vaults: central}")
    new += "exclusions: [{name: lab, when: {names: lab-*}, owner: a@b.c, reason: because, expires: 2027-01-01}]\n"
    found = effects(
        new,
        world("same", tags=tier),
        world("lab-1", tags=tier),
        world("ignored", tags=tier | {"team": "out"}),
        snapshot(vm("moved", tags=tier | {"team": "blue"}), both),
        world("cheaper", tags=tier | {"team": "bronze"}),
        world("blocked", tags={"backup-tier": "platinum"}),
        world("worse", tags={"backup-tier": "platinum"}, data_disks=data_disks(33)),
        snapshot(protected, (V,), items=(item(V, protected, "bronze"),)),
    )
    assert found == {
        "lab-1": Effect.EXCLUDED,
        "ignored": Effect.IGNORED,
        "moved": Effect.OTHER_VAULT,
        "cheaper": Effect.OTHER_POLICY,
        "blocked": Effect.BLOCKED,
        "worse": Effect.OTHER_FINDINGS,
    }


def test_the_text_has_counts_first_and_names_only_the_first_of_many() -> None:
    worlds = [world(f"vm-{number}", tags={"backup-tier": "glod"}) for number in range(25)]
    new = RULES.replace("  default: silver", "  default: silver\n  unknown_value: default")
    text = as_text(simulate(parse(RULES), parse(new), worlds, NOW))
    assert text.startswith("25 VMs, 0 unchanged\n\n25 would be enrolled\n")
    assert "and 5 more" in text


def test_an_estate_comes_back_from_its_file_as_it_was() -> None:
    body = vm()
    worlds = [
        world("a"),
        snapshot(body, (V,), items=(item(V, body),), room={V.id.key: Room(items=3, today=1)}),
    ]
    shared = {"vaults": (V,), "policies": worlds[0].policies, "room": worlds[1].room}
    text = list(estate.write(worlds, at=NOW, **shared))
    back = list(estate.read([*text, b"\n"]))
    assert back == [replace(one, room=worlds[1].room) for one in worlds]
    assert len(text) == 3


@pytest.mark.parametrize(
    "content, reason",
    [
        ([], "shape"),
        ([b"{"], "shape"),
        ([b'{"v":9,"at":"2026-01-01T00:00:00Z","vaults":[],"policies":{},"room":{}}'], "version"),
        ([b'{"v":1,"at":"2026-01-01T00:00:00Z","vaults":[],"policies":{},"room":{}}', b"[]"], "shape"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_estate_is_refused_by_line(content, reason) -> None:
    with pytest.raises(BadMessage) as caught:
        list(estate.read(content))
    assert caught.value.reason == reason


# --- importer ------------------------------------------------------------------------------------

POLICY = str(policy(V, "gold").id)


def assignment(definition: str, **changes):
    properties = {
        "displayName": "Back up: production",
        "policyDefinitionId": f"/providers/Microsoft.Authorization/policyDefinitions/{definition}",
        "scope": f"/subscriptions/{SUB}",
        "parameters": {
            "vaultLocation": {"value": "West Europe"},
            "backupPolicyId": {"value": POLICY},
        },
    }
    parameters = properties["parameters"] | changes.pop("parameters", {})
    return {"name": "x", "properties": properties | {"parameters": parameters} | changes}


TAGGED = "345fa903-145c-4fe1-8bcd-93ec2adccde8"
ALL = "09ce66bc-1220-4153-8104-e3f51c936913"


def test_a_tagged_assignment_becomes_a_rule_that_takes_the_same_vms() -> None:
    made = imported(
        [
            assignment(
                TAGGED,
                parameters={
                    "inclusionTagName": {"value": "env"},
                    "inclusionTagValue": {"value": ["prod", "stage"]},
                },
            )
        ],
        {policy(V, "gold").id.key: PolicyKind.ENHANCED},
    )
    rules = parse(made.text)
    assert rules.warnings == ()
    found = select(rules, snapshot(vm(tags={"ENV": "Prod"})), (), NOW)
    assert isinstance(found, Match)
    assert (found.rule, found.tier) == ("Back up production", "gold")
    assert rules.content.tiers.names["gold"].enhanced == ("gold",)
    for other in (
        vm(tags={"env": "dev"}),
        vm(tags={"env": "prod"}, location="eastus"),
        vm(tags={"env": "prod"}, subscription=OTHER_SUB),
    ):
        assert not isinstance(select(rules, snapshot(other), (), NOW), Match)


def test_exclusion_tags_and_excluded_scopes_are_translated_and_remarked_on() -> None:
    made = imported(
        [
            assignment(
                ALL,
                notScopes=[f"/subscriptions/{SUB}/resourceGroups/rg-lab", "/providers/mg"],
                parameters={
                    "exclusionTagName": {"value": "backup"},
                    "exclusionTagValue": {"value": ["no"]},
                },
            )
        ]
    )
    rules = parse(made.text)
    assert isinstance(select(rules, snapshot(vm(tags={})), (), NOW), Match)
    for other in (vm(tags={"backup": "No"}), vm(group="RG-LAB")):
        assert not isinstance(select(rules, snapshot(other), (), NOW), Match)
    notes = "\n".join(made.notes)
    for word in ("tag_exclusions", "/providers/mg is not translated", "taken to be a Standard"):
        assert word in notes


@pytest.mark.parametrize(
    "body, note",
    [
        (assignment("98d0b9f8-fd90-49c9-88e2-d3baf3b0dd86"), "makes vaults of its own"),
        (assignment("013e242c-8828-4970-87b3-ab247555486d"), "only audits"),
        (assignment("11111111-0000-4000-8000-000000000000"), "not one of the built-in"),
        (assignment(ALL, scope="/providers/Microsoft.Management/managementGroups/m"), "is no subscription"),
        (assignment(ALL, scope=f"/subscriptions/{SUB}/resourceGroups/a/providers/x/y/z"), "narrower"),
        (assignment(ALL, enforcementMode="DoNotEnforce"), "is not enforced today"),
        (assignment(ALL, parameters={"effect": {"value": "auditIfNotExists"}}), "does not deploy"),
        (assignment(ALL, parameters={"backupPolicyId": {"value": "nonsense"}}), "is no policy id"),
        (assignment(ALL, parameters={"backupPolicyId": {"value": POLICY + " x"}}), "is no policy id"),
        (assignment(ALL, resourceSelectors=[{"name": "eu"}]), "resource selectors are not translated"),
        (assignment(ALL, overrides=[{"kind": "policyEffect"}]), "overrides are not translated"),
        (assignment(TAGGED, parameters={"inclusionTagName": {"value": "env"}}), "names no value of tag env"),
        (
            assignment(ALL, parameters={"exclusionTagName": {"value": "t"}, "exclusionTagValue": {"value": ["a*"]}}),
            "a* is read as a glob",
        ),
        (assignment(ALL), "exemptions are not part"),
        (assignment(ALL), "list of marketplace images"),
        ({}, "not one of the built-in"),
        ({"properties": []}, "not one of the built-in"),
    ],
)  # fmt: skip
def test_what_has_no_equal_here_is_said_and_the_rest_still_lints(body, note) -> None:
    made = imported([body])
    assert any(note in one for one in made.notes), made.notes
    parse(made.text)


def test_ids_that_differ_in_case_or_share_a_name_get_one_set_and_tier_each() -> None:
    def of(policy_id):
        return assignment(ALL, parameters={"backupPolicyId": {"value": policy_id}})

    elsewhere = str(policy(vault(group="rg-other"), "gold").id)
    far = str(policy(vault(group="rg-other", subscription=OTHER_SUB), "gold").id)
    content = parse(imported([of(POLICY), of(POLICY.upper()), of(elsewhere), of(far)]).text).content
    assert list(content.tiers.names) == ["gold"]
    first, same, other, third = (rule.vaults for rule in content.rules)
    assert first == same
    assert len({first, other, third}) == 3


@given(
    bodies=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=8) | st.sampled_from([ALL, TAGGED, POLICY]),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "properties", "displayName", "policyDefinitionId", "scope", "value",
                     "notScopes", "parameters", "backupPolicyId", "vaultLocation",
                     "inclusionTagName", "inclusionTagValue", "exclusionTagName"]
                ),
                inner, max_size=5,
            ),
            max_leaves=12,
        ).map(lambda body: body if isinstance(body, dict) else {"properties": body}),
        max_size=3,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_the_assignments_hold_the_file_made_of_them_parses(bodies) -> None:
    parse(imported(bodies).text)


def test_assignments_of_one_name_and_hostile_words_make_a_file_that_parses() -> None:
    hostile = assignment(ALL, displayName='x"\n- {evil: [}\u2028')
    made = imported(
        [
            hostile,
            hostile,
            assignment(ALL, displayName="default"),
            assignment(ALL, displayName="!!!"),
        ]
    )
    names = [rule.name for rule in parse(made.text).content.rules]
    assert len(set(names)) == 4


def test_a_region_is_covered_by_any_set_that_its_rule_uses() -> None:
    text = RULES.replace("vaults:\n", "vaults:\n  far: {tags: {backup-vault: far}}\n")
    used = text.replace("default: {}", "default: {vaults: [central, far]}").replace(
        "    options: {trusted", "    vaults: [central]\n    options: {trusted"
    )
    far = vault("rsv-ne", location="northeurope", tags={"backup-vault": "far"})
    known = Known(vaults=(V, far), vms={"westeurope": 3, "northeurope": 4})
    said = [one.message for one in lint(parse(used), NOW, known) if "lies in" in one.message]
    assert said == ["no vault of central lies in northeurope (4 VMs)"]


@pytest.mark.parametrize(
    "rest, said",
    [
        pytest.param("default: {}\n", True, id="the default enrolls there"),
        pytest.param(
            "rules: [{name: not ours, ignore: built anew}]\ndefault: nothing\n",
            False,
            id="nothing does",
        ),
    ],
)
def test_a_region_without_a_vault_is_told_where_something_is_enrolled(rest, said) -> None:
    text = RULES[: RULES.index("rules:")] + rest
    told = lines(text, replace(KNOWN, vms={"eastus": 2}))
    assert any("no vault of central lies in eastus" in one for one in told) is said
