"""The rules file: what it takes, what it refuses, and where it points when it refuses."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.rules import Rules, parse
from shared.domain.rules.model import FirstBackup, TrustedLaunch
from shared.domain.rules.selectors import effective_tags, traits_of
from shared.domain.rules.text import decoded
from shared.domain.rules.tree import MAX_BYTES
from shared.errors import BadRules
from tests.unit.domain.worlds import RULES, snapshot, vm

SMALL = """version: 1
tiers:
  tag: backup-tier
  names:
    gold: {standard: gold}
vaults:
  central: {tags: {backup-vault: central}}
default: nothing
"""


DAILY = '{name: p-daily, kind: standard, schedule: {daily: "23:00"}, keep: {days: 30}}'
WEEKLY = (
    '{name: p-weekly, kind: enhanced, schedule: {weekly: {days: Sunday, at: "22:00"}},'
    " instant_restore_days: 3, keep: {weekly: {weeks: 8, days: Sunday}}}"
)
VAULT = (
    "{subscription: 11111111-1111-4111-8111-111111111111, group: rg, name: rsv-1, region: eastus}"
)
LAB = "{name: lab, when: {names: a}, owner: me@x, reason: because, expires: 2027-01-01}"


def problems(text: str) -> list[str]:
    with pytest.raises(BadRules) as caught:
        parse(text, "r.yaml")
    return [str(problem) for problem in caught.value.problems]


def warnings(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, "r.yaml").warnings]


def test_a_small_file_is_enough() -> None:
    rules = parse(SMALL, "r.yaml")
    assert rules.default is None
    assert rules.warnings == ()


def test_equal_text_has_an_equal_version_and_other_text_another() -> None:
    assert parse(SMALL).version == parse(SMALL, "elsewhere.yaml").version
    assert parse(SMALL).version != parse(SMALL + "# a comment\n").version
    assert len(parse(SMALL).version) == 12


@pytest.mark.parametrize(
    "text, said",
    [
        pytest.param("", "r.yaml:1:1: error: the file is empty", id="empty"),
        pytest.param("- a", "r.yaml:1:1: error: the file must be a mapping, not a list", id="list"),
        pytest.param("a: [", "r.yaml:1:5: error: expected the node content", id="not YAML"),
        pytest.param("a: &x 1", "r.yaml:1:4: error: anchors and aliases", id="anchor"),
        pytest.param("a: *x", "r.yaml:1:4: error: anchors and aliases", id="alias"),
        pytest.param("a: !!python/name:os.system x", "the tag tag:yaml.org", id="tag"),
        pytest.param("a: {<<: {b: 1}}", "merge keys are not taken", id="merge key"),
        pytest.param("a: 1\n---\nb: 2", "r.yaml:2:1: error: a second document", id="documents"),
        pytest.param("{a: " * 60, "nested deeper than", id="depth"),
        pytest.param(
            "a: 1\nb: x\x07", "r.yaml:2:5: error: the character U+0007 is not allowed", id="control"
        ),
        pytest.param("[" * 5000, "nested deeper than", id="bomb of brackets"),
        pytest.param("a: [" + "1," * 51_000 + "1]", "more than 50000 values", id="many values"),
        pytest.param("? [a]\n: b", "a key must be a word", id="complex key"),
        pytest.param("a: *.x", "globs in quotes", id="glob without quotes"),
        pytest.param(
            "a:\n\tb: 1",
            "r.yaml:2:1: error: found character '\\t' that cannot start any token (indent with blanks)",
            id="tab",
        ),
        pytest.param("a: @b", "(put the text in quotes)", id="reserved character"),
        pytest.param(
            "a: b: c",
            "r.yaml:1:5: error: mapping values are not allowed here (put text",
            id="two colons",
        ),
        pytest.param("a: 1\n b: 2", "r.yaml:2:3: error: mapping values", id="indented too far"),
        pytest.param("a: [x\nb: 1", "(close the bracket", id="open bracket"),
        pytest.param('a: "x\nb: 1', "(close the quotation mark)", id="open quotation mark"),
        pytest.param('a: "\\ud800"', "r.yaml:1:4: error: the character U+D800", id="half a pair"),
        pytest.param('a: "\\0"', "r.yaml:1:4: error: the character U+0000", id="escaped control"),
        pytest.param("a: prod\u200b", "r.yaml:1:4: error: the character U+200B", id="no width"),
        pytest.param("a: x\u202ey", "r.yaml:1:4: error: the character U+202E", id="direction"),
    ],
)
def test_only_harmless_yaml_is_taken(text: str, said: str) -> None:
    assert said in problems(text)[0]


def test_a_file_of_ten_megabytes_is_refused_before_it_is_parsed() -> None:
    found = problems("# " + "x" * (10 * 1024 * 1024))
    assert len(found) == 1
    assert f"at most {MAX_BYTES // 1024} KB" in found[0]
    assert found[0].startswith(f"r.yaml:1:{MAX_BYTES + 1}: ")


@pytest.mark.parametrize(
    "body, said",
    [
        pytest.param(SMALL.encode("utf-16"), "1:1: error: the byte 0xFF", id="UTF-16"),
        pytest.param("a: 1\nb: gr\u00f6n".encode("latin-1"), "2:6: error: the byte 0xF6", id="Latin-1"),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00", "1:1: error: the byte 0x89", id="a picture"),
    ],
)  # fmt: skip
def test_what_is_no_utf8_text_is_refused_where_it_stops_to_be(body: bytes, said: str) -> None:
    with pytest.raises(BadRules) as caught:
        decoded(body, "r.yaml")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"r.yaml:{said}")
    assert problem.hint == "save the file as UTF-8"


def test_a_file_with_a_byte_order_mark_or_windows_line_ends_is_fine() -> None:
    windows = SMALL.replace("\n", "\r\n")
    assert parse(decoded(b"\xef\xbb\xbf" + windows.encode(), "r.yaml")).warnings == ()


@pytest.mark.parametrize(
    "when",
    [
        "{names: []}", "{names: ~}", "{names: [a, '']}", "{groups: []}", "{subscriptions: []}",
        "{regions: []}", "{os: []}", "{sizes: []}", "{publishers: []}", "{all: []}", "{any: []}",
        "{none: []}", "{tags: {}}", "{tags: ~}", "{tags: {env: []}}", "{tags: {env: {any_of: []}}}",
        "{tags: {env: {none_of: ~}}}", "{tags: {'': x}}", "{all: [{}]}", "{any: [{names: a}, {}]}",
        "{none: {all: [{}]}}",
    ],
)  # fmt: skip
def test_a_condition_that_was_left_empty_never_means_every_vm(when: str) -> None:
    (found,) = problems(SMALL + f"rules:\n  - name: a\n    when: {when}\n")
    assert found.startswith("r.yaml:11:")
    exclusion = "name: a, owner: me@x, reason: because, expires: 2027-01-01"
    assert problems(SMALL + f"exclusions: [{{{exclusion}, when: {when}}}]\n")


def test_an_exclusion_of_everything_has_to_say_so() -> None:
    exclusion = "name: a, owner: me@x, reason: because, expires: 2027-01-01"
    (found,) = problems(SMALL + f"exclusions: [{{{exclusion}, when: {{}}}}]\n")
    assert 'all VMs are `names: "*"`' in found
    assert parse(SMALL + f"exclusions: [{{{exclusion}, when: {{names: '*'}}}}]\n").exclusions


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(SMALL) - 1),
    length=st.integers(0, 6),
    put=st.text(st.characters(codec=None), max_size=6),
)
def test_whatever_is_done_to_a_file_each_problem_has_a_line_and_a_column(at, length, put) -> None:
    try:
        parse(SMALL[:at] + put + SMALL[at + length :], "r.yaml")
    except BadRules as bad:
        for one in bad.problems:
            assert one.line >= 1
            assert one.column >= 1
            assert one.message


@pytest.mark.parametrize(
    "old, new, said",
    [
        pytest.param(
            "version: 1", "version: 2", ":1:10: error: version cannot be 2", id="newer format"
        ),
        pytest.param(
            "version: 1", "version: one", ":1:10: error: version is 'one'", id="wrong type"
        ),
        pytest.param("version: 1\n", "", "the file lacks 'version'", id="missing key"),
        pytest.param(
            "tag: backup-tier",
            "tga: x",
            ":3:3: error: unknown key 'tga' in tiers (did you mean 'tag'?)",
            id="unknown key",
        ),
        pytest.param(
            "{standard: gold}",
            "{standard: gold, retention: 30}",
            "retention belongs to the policy",
            id="retention per VM",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nstorage_account: x",
            "no storage account has to be named",
            id="storage account",
        ),
        pytest.param(
            "default: nothing",
            "default: nothign",
            ":8:10: error: default cannot be 'nothign' (did you mean 'nothing'?)",
            id="unknown word",
        ),
        pytest.param("default: nothing", "default: [a]", "default must be", id="wrong shape"),
        pytest.param(
            "default: nothing",
            "default: {tier: glod}",
            ":8:17: error: there is no tier 'glod' (did you mean 'gold'?)",
            id="tier that does not exist",
        ),
        pytest.param(
            "tag: backup-tier",
            "tag: backup-tier\n  default: golt",
            "r.yaml:4:12: error: there is no tier 'golt' (did you mean 'gold'?)",
            id="default tier that does not exist",
        ),
        pytest.param(
            "default: nothing",
            "default: {vaults: centrl}",
            "there is no vault set 'centrl' (did you mean 'central'?)",
            id="vault set that does not exist",
        ),
        pytest.param(
            "default: nothing",
            "default: {notices: team}",
            "there is no route 'team'",
            id="route that does not exist",
        ),
        pytest.param(
            "{standard: gold}", "{standard: 1gold}", "is no policy name", id="bad policy name"
        ),
        pytest.param(
            "{standard: gold}",
            "{standard: gold, enhanced: Gold}",
            "cannot be Standard and Enhanced at once",
            id="policy of both kinds",
        ),
        pytest.param(
            "{standard: gold}", "{aliases: g}", "tier gold names no policy", id="empty tier"
        ),
        pytest.param(
            "    gold: {standard: gold}",
            "    gold: {standard: gold}\n    silver: {standard: silver, aliases: Gold}",
            "'Gold' means tier gold already",
            id="alias of two tiers",
        ),
        pytest.param(
            "{tags: {backup-vault: central}}",
            "{redundancy: GeoRedundant}",
            "names no vault",
            id="vault set without vaults",
        ),
        pytest.param(
            "{tags: {backup-vault: central}}",
            "{ids: /subscriptions/x}",
            "is no vault id",
            id="bad vault id",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nrules: [{name: a}, {name: A}]",
            "a second rule is called 'A'",
            id="duplicate rule names",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nrules: [{name: a, when: {subscriptions: prod}}]",
            "'prod' is no subscription id",
            id="subscription name instead of id",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nrules: [{name: a, when: {tags: {Backup-Tier: glod}}}]",
            "'glod' is no value of tag Backup-Tier (did you mean 'gold'?)",
            id="unknown tag value",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nrules: [{name: a, when: {tags: {env: {}}}}]",
            "tests nothing",
            id="empty tag test",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nrules: [{name: a, when: {os: Linus}}]",
            "did you mean 'Linux'?",
            id="unknown system",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nexclusions: [{name: lab, when: {names: a}, expires: 2027-01-01}]",
            "exclusions[1] lacks 'owner'",
            id="exclusion without owner",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nexclusions: [{name: lab, when: {names: a}, owner: me@x, reason: because}]",
            "exclusions[1] lacks 'expires'",
            id="exclusion without end",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nexclusions: [{name: lab, when: {names: a}, owner: me@x, reason: because, expires: never}]",
            "not a date (write YYYY-MM-DD)",
            id="exclusion with a bad end",
        ),
        *(
            pytest.param(
                "default: nothing",
                "default: nothing\nexclusions: [{name: lab, when: {names: a}, owner: me@x,"
                f" reason: because, expires: {end}}}]",
                f"r.yaml:9:83: error: exclusions[1].expires is '{end}', not a date",
                id=f"end {end}",
            )
            for end in ("20270630", "2027-W01-1", "2027-02-30", "0000-00-00")
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\ntag_exclusions: [{tag: no-backup}]",
            "tag_exclusions[1] lacks 'max_days'",
            id="tag exclusion without limit",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nnotices: {fallback: ops@contoso.com}",
            "is no target of a notice",
            id="notice target without scheme",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nDefault: nothing",
            "Default is there twice (first in line 8)",
            id="duplicate key",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\noptions: {network_check: yes}",
            "write true or false",
            id="yes is no boolean",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\noptions: {grace_minutes: -1}",
            "from 0 to 10080",
            id="number out of range",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\noptions: {tell: TAG_VALUE_UNKNWON}",
            "did you mean 'TAG_VALUE_UNKNOWN'?",
            id="unknown finding code",
        ),
        pytest.param(
            "default: nothing",
            "default: {options: {tell: NO_TEIR}}",
            "r.yaml:8:27: error: there is no finding 'NO_TEIR' (did you mean 'NO_TIER'?)",
            id="unknown finding code of the default",
        ),
        pytest.param("default: nothing", "default:", "default has no value", id="value forgotten"),
        pytest.param(
            "default: nothing",
            f"default: nothing\ndeclared: {{policies: [{DAILY}, {DAILY.replace('p-daily', 'P-Daily')}]}}",
            "r.yaml:9:109: error: a second policy is called 'P-Daily'",
            id="duplicate policies",
        ),
        pytest.param(
            "default: nothing",
            f"default: nothing\ndeclared: {{policies: [{WEEKLY}]}}",
            "instant_restore_days: cannot be 3 with this schedule (5 to 30)",
            id="too few days of instant restore for weekly backups",
        ),
        pytest.param(
            "default: nothing",
            f"default: nothing\ndeclared: {{vaults: [{VAULT.replace('rsv-1', '1rsv')}]}}",
            "'1rsv' is no vault name (2-50 letters",
            id="name of a declared vault",
        ),
        pytest.param(
            "default: nothing",
            f"default: nothing\ndeclared: {{vaults: [{VAULT.replace('11111111', 'prod')}]}}",
            "is no subscription id",
            id="subscription of a declared vault",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nnew_vaults: {subscription: prod}",
            "r.yaml:9:28: error: 'prod' is no subscription id",
            id="subscription of new vaults",
        ),
        pytest.param(
            "default: nothing",
            "default: nothing\nnotices: {routes: [{name: a, to: owner}, {name: A, to: owner}]}",
            "a second route is called 'A'",
            id="duplicate routes",
        ),
        pytest.param(
            "default: nothing",
            f"default: nothing\nexclusions: [{LAB}, {LAB}]",
            "a second exclusion is called 'lab'",
            id="duplicate exclusions",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_right_word(
    old: str, new: str, said: str
) -> None:
    assert old in SMALL
    found = problems(SMALL.replace(old, new))
    assert any(said in line for line in found), found


def test_every_problem_is_told_at_once() -> None:
    text = SMALL.replace("version: 1", "version: x").replace("nothing", "nothin")
    assert len(problems(text)) == 2


@pytest.mark.parametrize(
    "addition, said",
    [
        pytest.param(
            "rules: [{name: a, when: {tags: {env: prod}}}, {name: b, when: {tags: {Env: Prod}, regions: x}}]",
            "rule 'b' is never reached: 'a' before it takes all its VMs",
            id="hidden by an earlier rule",
        ),
        pytest.param(
            "rules: [{name: a}, {name: b, when: {any: [{names: x}]}}]",
            "rule 'b' is never reached",
            id="hidden by a rule that takes everything",
        ),
        pytest.param(
            "rules: [{name: a, ignore: not ours, tier: gold}]",
            "needs neither vaults nor tier",
            id="ignore with a tier",
        ),
        pytest.param(
            "rules: [{name: a, when: {groups: 'rg-*'}}, {name: b, when: {groups: [rg-a, 'rg-b*'], os: Linux}}]",
            "rule 'b' is never reached",
            id="hidden by a glob",
        ),
        pytest.param(
            "rules: [{name: a, when: {regions: West Europe}}, {name: b, when: {regions: westeurope}}]",
            "rule 'b' is never reached",
            id="the same region in another spelling",
        ),
        pytest.param(
            "rules: [{name: a, when: {names: '*'}}, {name: b, when: {os: Linux}}]",
            "rule 'b' is never reached",
            id="hidden by every name",
        ),
        pytest.param(
            "rules: [{name: a, when: {tags: {env: {present: true}}}}, {name: b, when: {tags: {env: prod}}}]",
            "rule 'b' is never reached",
            id="hidden by the presence of a tag",
        ),
        pytest.param(
            "rules: [{name: a, when: {tags: {env: {none_of: x}}}}, {name: b, when: {tags: {env: {none_of: x}}}}]",
            "rule 'b' is never reached",
            id="the same selector twice",
        ),
        pytest.param(
            "rules: [{name: a, tier: gold, default_tier: gold}]",
            "is never used: `tier` decides",
            id="a default that is never used",
        ),
        pytest.param(
            "notices: {routes: [{name: all, to: owner}]}",
            "route 'all' is never taken: no rule names it",
            id="a route that nothing leads to",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_warning_and_the_file_is_used(addition: str, said: str) -> None:
    found = warnings(SMALL + addition)
    assert any(said in line for line in found), found


def test_a_set_that_names_vaults_but_takes_those_of_one_subscription_is_a_warning() -> None:
    named = "{ids: /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg/providers\
/Microsoft.RecoveryServices/vaults/v, subscriptions: same}"
    (found,) = warnings(SMALL.replace("{tags: {backup-vault: central}}", named))
    assert "takes only those of the VM's subscription" in found


@pytest.mark.parametrize(
    "first, second",
    [
        pytest.param("{tags: {env: prod}}", "{tags: {env: [prod, dev]}}", id="more words"),
        pytest.param("{groups: 'rg-*'}", "{groups: ['rg-a', other]}", id="a word besides the glob"),
        pytest.param("{groups: 'rg-?'}", "{groups: 'rg-*'}", id="one letter against any number"),
        pytest.param("{tags: {env: '*'}}", "{names: a}", id="a tag that may be missing"),
        pytest.param("{names: a, os: Linux}", "{names: a}", id="a narrower rule first"),
        pytest.param("{tags: {env: {present: true}}}", "{names: a}", id="presence first"),
        pytest.param("{tags: {env: {present: false}}}", "{names: a}", id="absence first"),
        pytest.param("{any: [{names: a}, {names: b}]}", "{names: a}", id="nested first: not looked into"),
    ],
)  # fmt: skip
def test_rules_that_only_overlap_are_fine_because_order_decides(first: str, second: str) -> None:
    rules = f"rules: [{{name: a, when: {first}}}, {{name: b, when: {second}}}]"
    assert warnings(SMALL + rules) == []


_WORDS = st.lists(st.sampled_from(["a", "b", "ab", "a*", "*b", "*", "a?", "?"]), min_size=1, max_size=2)  # fmt: skip
_WHENS = st.fixed_dictionaries(
    {},
    optional={
        "groups": _WORDS,
        "names": _WORDS,
        "tags": st.fixed_dictionaries({"env": _WORDS | st.just({"present": True})}),
    },
)


@settings(max_examples=60, deadline=None)
@given(first=_WHENS, second=_WHENS)
def test_a_rule_called_unreachable_is_never_reached(first, second) -> None:
    rules = json.dumps([{"name": "a", "when": first}, {"name": "b", "when": second}])
    found = parse(SMALL + f"rules: {rules}")
    if not found.warnings:
        return
    words = ("a", "b", "ab", "ba", "c", "")
    for group, name, env in itertools.product(words[:3], words[1:5], words):
        body = vm(name, group, tags={"env": env} if env else {})
        traits = traits_of(body.id, body, effective_tags(snapshot(body), ()))
        assert found.rules[0].when.test(traits) or not found.rules[1].when.test(traits)


def options(text: str, rule: int = 0):
    rules: Rules = parse(text)
    return rules.rules[rule].options


def test_a_rules_options_win_over_the_files_and_these_over_the_built_in_ones() -> None:
    text = (
        SMALL
        + """
options: {network_check: true, first_backup: {further_than_hours: 12}, consents: {undelete: true}}
rules:
  - name: a
    options: {network_check: false, trusted_launch: require-enhanced, consents: {resume_stopped: true}}
"""
    )
    found = options(text)
    assert found.network_check is False
    assert found.first_backup == FirstBackup(further_than_hours=12)
    assert found.trusted_launch is TrustedLaunch.REQUIRE
    assert (found.undelete, found.resume_stopped, found.standard_to_enhanced) == (True, True, False)
    assert found.grace_minutes == 60


def test_a_single_word_may_stand_for_a_list() -> None:
    rules = parse(RULES)
    assert rules.content.tiers.names["silver"].standard == ("silver-a", "silver-b")
    assert rules.content.tiers.names["bronze"].standard == ("bronze",)


def test_a_plain_true_as_a_tag_value_is_text() -> None:
    rules = parse(SMALL + "rules: [{name: a, when: {tags: {critical: true, version: 1}}}]")
    assert rules.content.rules[0].when.tags == {"critical": "true", "version": "1"}


@pytest.mark.parametrize(
    "good, bad, said",
    [
        pytest.param(
            "name: production", "name: [a, b]", "rules[1].name must be text, not a list", id="text"
        ),
        pytest.param(
            "name: production", f"name: {'x' * 400}", "rules[1].name is too long", id="length"
        ),
        pytest.param(
            "{tags: {backup-vault: central}}",
            "{tags: [a]}",
            "vaults.central.tags must be a mapping, not a list",
            id="mapping",
        ),
    ],
)
def test_what_has_another_shape_than_it_must_is_named_with_both(good, bad, said) -> None:
    assert good in RULES
    with pytest.raises(BadRules) as told:
        parse(RULES.replace(good, bad), "r.yaml")
    assert [one.message for one in told.value.problems] == [said]
