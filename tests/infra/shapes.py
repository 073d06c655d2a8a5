"""Which properties the Bicep files set, resource type by resource type, as dotted paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.infra.bicep import Expr, File, Resource, Value, read, text_of, value

_OURS = {"name", "parent", "scope", "dependsOn"}  # Bicep's own words, in no request body
_JOINING = {"concat", "union"}

Used = tuple[str, Value]  # path, literal (or Expr)


def used(path: Path) -> Iterator[tuple[Resource, Used]]:
    """Give each property that a resource of the file sets."""
    file = read(path)
    for resource in file.resources.values():
        if resource.existing:
            continue
        for key, inner in resource.body.items():
            if key not in _OURS:
                for found in _paths(file, key, inner):
                    yield resource, found


def _paths(file: File, path: str, given: Value) -> Iterator[Used]:
    for one in _alternatives(file, given):
        yield path, one
        if isinstance(one, dict):
            for key, inner in one.items():
                yield from _paths(file, f"{path}.{key}", inner)
        elif isinstance(one, list):
            for item in one:
                yield from _paths(file, f"{path}[]", item)


def _alternatives(file: File, given: Value) -> Iterator[Value]:
    """Give what a value may be: itself, both sides of a choice, a variable's content."""
    if not isinstance(given, Expr):
        yield given
        return
    node = given.node
    match node.type:
        case "ternary_expression":
            for side in ("consequence", "alternative"):
                chosen = node.child_by_field_name(side)
                assert chosen is not None
                yield from _alternatives(file, value(chosen))
        case "identifier" if given.text in file.variables:
            yield from _alternatives(file, file.variables[given.text])
        case "subscript_expression" if text_of(node.named_children[0]) in file.variables:
            content = file.variables[text_of(node.named_children[0])]
            assert isinstance(content, dict)
            for member in content.values():
                yield from _alternatives(file, member)
        case "call_expression" if text_of(node.named_children[0]) in _JOINING:
            for argument in node.named_children[1].named_children:
                yield from _alternatives(file, value(argument))
        case "for_statement":
            inner = node.named_children[-1]
            yield [value(inner)]
        case _:
            yield given
