"""What selection says of its reasons, word by word: people act on these."""

import pytest

from shared.domain.model import Past
from shared.domain.rules import parse
from shared.domain.selection import considered, select
from tests.unit.domain.worlds import NOW, RULES, snapshot, vm

TAGGED = RULES + "tag_exclusions: [{tag: no-backup, max_days: 30}]\n"


def test_rules_after_the_matching_one_are_not_spoken_of() -> None:
    text = RULES.replace("rules:\n", "rules:\n  - name: first\n    when: {names: 'x*'}\n")
    found = considered(parse(text), snapshot(vm(tags={"env": "prod"})))
    assert [(one.rule, one.why_not) for one in found] == [
        ("first", "name is web-1, not x*"),
        ("production", ""),
    ]


def test_a_misspelled_tier_says_which_default_is_used_and_only_then() -> None:
    glod = snapshot(vm(tags={"backup-tier": "glod"}))
    lenient = RULES.replace("  default: silver", "  default: silver\n  unknown_value: default")
    (used,) = select(parse(lenient), glod, (), NOW).findings
    (blocked,) = select(parse(RULES), glod, (), NOW).findings
    assert "; the default tier silver is used" in used.text
    assert "default" not in blocked.text


@pytest.mark.parametrize(
    "tags, owner", [({"Owner": "ann@contoso.com"}, "ann@contoso.com"), ({}, "the VM's owner")]
)
def test_an_exclusion_by_tag_is_its_owners(tags, owner) -> None:
    body = vm(tags={"no-backup": "1", **tags})
    assert select(parse(TAGGED), snapshot(body), (), NOW).owner == owner
    past = Past(tag_excluded_since=NOW.replace(year=2025))
    (ended,) = [
        one
        for one in select(parse(TAGGED), snapshot(body, past=past), (), NOW).findings
        if one.code == "EXCLUSION_EXPIRED"
    ]
    assert f"of {owner} ended 2025-12-20: tag no-backup=1" in ended.evidence


@pytest.mark.parametrize(
    "managed_by, said",
    [
        ("/subscriptions/s/resourceGroups/g/providers/P/clusters/c1", "managed by P/clusters/c1"),
        ("cluster", "managed by cluster"),
    ],
)
def test_who_manages_a_vm_is_named_shortly(managed_by, said) -> None:
    assert select(parse(RULES), snapshot(vm(managed_by=managed_by)), (), NOW).why == said
