"""The schema for editors is current, and agrees with the parser about the sample and mistakes."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from shared.domain.rules import parse, schema
from shared.errors import BadRules

ROOT = Path(__file__).parents[3]
SAMPLE = (ROOT / "rules.sample.yaml").read_text(encoding="utf-8")
STORED = json.loads((ROOT / "shared/domain/rules/schema.json").read_text(encoding="utf-8"))


def mistakes(text: str) -> list[str]:
    document = YAML(typ="safe", pure=True).load(text)
    plain = json.loads(json.dumps(document, default=str))
    return [one.message for one in jsonschema.Draft202012Validator(STORED).iter_errors(plain)]


def test_the_stored_schema_is_what_the_types_say() -> None:
    assert (ROOT / "shared/domain/rules/schema.json").read_text(encoding="utf-8") == schema.text()
    jsonschema.Draft202012Validator.check_schema(STORED)


def test_the_sample_lints_clean_and_fits_the_schema_it_names() -> None:
    assert parse(SAMPLE, "rules.sample.yaml").warnings == ()
    assert mistakes(SAMPLE) == []
    named = SAMPLE.splitlines()[0].split("$schema=")[1]
    assert (ROOT / named).is_file()


def test_the_sample_shows_every_key_of_the_file() -> None:
    for name in STORED["$defs"]["RulesFile"]["properties"]:
        assert f"\n{name}:" in SAMPLE, name


@pytest.mark.parametrize(
    "old, new",
    [
        ("version: 1", "version: 2"),
        ("inherit_tags:", "inherit_tag:"),
        ("standard: bronze-weekly", "standrad: bronze-weekly"),
        ("prefer: [redundancy,", "prefer: [redundance,"),
        ("grace_minutes: 60", "grace_minutes: soon"),
        ("expires: 2027-06-30", "reason2: x"),
        ("max_days: 30", "max_days: 4000"),
        ('daily: "01:00"', 'daily: "01:10"'),
    ],
)
def test_schema_and_parser_refuse_the_same_mistakes(old, new) -> None:
    assert old in SAMPLE
    wrong = SAMPLE.replace(old, new)
    assert mistakes(wrong)
    with pytest.raises(BadRules):
        parse(wrong)
