"""`docs/telemetry.md` lists every line and metric of the product with its fields, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.infra.bicep import ROOT

PAGE = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
KINDS = {"count": "counter", "measure": "histogram, s", "level": "gauge"}
Fields = dict[str, set[str]]


def said() -> Iterator[tuple[str, str, set[str]]]:
    """Give verb, name and fields of every call of `telemetry` in the product."""
    constants = dict(
        re.findall(r'^([A-Z_]+) = "(enrollment\.\w+)"', _source("telemetry.py"), re.MULTILINE)
    )
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="telemetry"), attr=verb),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    pass
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="telemetry"), attr=verb),
                    args=[ast.Attribute(attr=constant), *_],
                ):
                    name = constants[constant]
                case _:
                    continue
            yield verb, name, {str(one.arg) for one in node.keywords if one.arg}


def _source(name: str) -> str:
    return (ROOT / "shared" / name).read_text(encoding="utf-8")


def rows(section: str) -> dict[str, list[str]]:
    """Give the table of a section: name -> the other cells."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in lines}


def fields(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def merged(*verbs: str) -> Fields:
    found: Fields = {}
    for verb, name, named in said():
        if verb in verbs:
            found.setdefault(name, set()).update(named)
    return found


def test_every_line_is_listed_with_its_fields():
    assert {name: fields(cells[0]) for name, cells in rows("Lines").items()} == merged("wide")


def test_every_metric_is_listed_with_kind_and_labels():
    kinds = {name: KINDS[verb] for verb, name, _ in said() if verb in KINDS}

    assert {name: fields(cells[1]) for name, cells in rows("Metrics").items()} == merged(*KINDS)
    assert {name: cells[0] for name, cells in rows("Metrics").items()} == kinds
