"""Reads Bicep with tree-sitter, as far as the checks of `infra/` need it. There is no compiler here.

Literals become Python values; everything that is computed stays an `Expr`, its text and its tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
_PARSER = Parser(Language(tree_sitter_bicep.language()))


class NotBicep(Exception):
    """The file does not parse; says where."""


@dataclass(frozen=True)
class Expr:
    """A computed value."""

    text: str
    node: Node = field(compare=False)


Value = str | int | bool | None | list["Value"] | dict[str, "Value"] | Expr


@dataclass(frozen=True, kw_only=True)
class Param:
    name: str
    type: str
    default: Value | None
    required: bool
    description: str
    allowed: tuple[Value, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Resource:
    symbol: str
    type: str
    api: str
    existing: bool
    body: dict[str, Value]
    repeated: bool
    conditional: bool


@dataclass(frozen=True, kw_only=True)
class Module:
    symbol: str
    path: str
    body: dict[str, Value]

    @property
    def params(self) -> dict[str, Value]:
        found = self.body.get("params", {})
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True, kw_only=True)
class Output:
    name: str
    type: str
    value: Value
    description: str


@dataclass(frozen=True, kw_only=True)
class File:
    path: Path
    scope: str
    params: dict[str, Param]
    variables: dict[str, Value]
    resources: dict[str, Resource]
    modules: dict[str, Module]
    outputs: dict[str, Output]
    root: Node

    @property
    def symbols(self) -> set[str]:
        return {*self.params, *self.variables, *self.resources, *self.modules}

    def lists(self, value: Value) -> list[Value]:
        """Give the items of a list, or of a variable that is one."""
        if isinstance(value, Expr):
            value = self.variables[value.text]
        assert isinstance(value, list)
        return value


def text_of(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def parse(source: str, name: str = "?") -> Node:
    """Parse a source text.

    Raises:
        NotBicep: with the first place that is not understood.

    """
    root = _PARSER.parse(source.encode()).root_node
    if root.has_error:
        bad = next(n for n in walk(root) if n.is_error or n.is_missing)
        raise NotBicep(f"{name}:{bad.start_point[0] + 1}: {text_of(bad)[:60]!r}")
    return root


@cache
def read(path: Path) -> File:
    return read_text(path.read_text(encoding="utf-8"), path)


def read_text(source: str, path: Path) -> File:
    root = parse(source, path.name)
    scope, pending = "resourceGroup", []
    params: dict[str, Param] = {}
    variables: dict[str, Value] = {}
    resources: dict[str, Resource] = {}
    modules: dict[str, Module] = {}
    outputs: dict[str, Output] = {}
    for node in root.named_children:
        match node.type:
            case "comment" | "diagnostic_comment":
                continue
            case "decorators":
                pending = [child for child in node.named_children if child.type == "decorator"]
                continue
            case "target_scope_assignment":
                scope = str(value(node.named_children[-1]))
            case "parameter_declaration":
                param = _param(node, pending)
                assert param.name not in params, f"{path.name}: param {param.name} twice"
                params[param.name] = param
            case "variable_declaration":
                variables[text_of(node.named_children[0])] = value(node.named_children[-1])
            case "resource_declaration":
                resource = _resource(node)
                resources[resource.symbol] = resource
            case "module_declaration":
                name, where, inner = node.named_children
                modules[text_of(name)] = Module(
                    symbol=text_of(name), path=str(value(where)), body=_body(inner)
                )
            case "output_declaration":
                output = _output(node, pending)
                outputs[output.name] = output
            case other:
                raise NotBicep(f"{path.name}:{node.start_point[0] + 1}: {other} is not expected")
        pending = []
    return File(
        path=path,
        scope=scope,
        params=params,
        variables=variables,
        resources=resources,
        modules=modules,
        outputs=outputs,
        root=root,
    )


def value(node: Node) -> Value:
    match node.type:
        case "string":
            parts = node.named_children
            if any(part.type == "interpolation" for part in parts):
                return Expr(text_of(node), node)
            return re.sub(r"\\(.)", r"\1", text_of(node)[1:-1])
        case "number":
            return int(text_of(node))
        case "boolean":
            return text_of(node) == "true"
        case "null":
            return None
        case "object":
            return {_key(child): value(child.named_children[-1]) for child in _properties(node)}
        case "array" if any(map(is_misread_call, node.named_children)):
            return Expr(text_of(node), node)
        case "array":
            return [value(child) for child in node.named_children if child.type != "comment"]
        case _:
            return Expr(text_of(node), node)


def is_misread_call(node: Node) -> bool:
    """Tell a function's name that the grammar takes for an item: `[subscription().id]`."""
    following = node.next_sibling
    return (
        node.type == "identifier"
        and node.parent is not None
        and node.parent.type == "array"
        and following is not None
        and text_of(following).startswith("(")
    )


def _properties(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type == "object_property"]


def _key(node: Node) -> str:
    key = value(node.named_children[0])
    return key if isinstance(key, str) else key.text  # type: ignore[union-attr]


def _decorated(decorators: list[Node]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for decorator in decorators:
        call = decorator.named_children[0]
        name, arguments = call.named_children
        inner = arguments.named_children
        found[text_of(name)] = value(inner[0]) if inner else True
    return found


def _param(node: Node, decorators: list[Node]) -> Param:
    name, kind, *default = node.named_children
    said = _decorated(decorators)
    allowed = said.get("allowed", [])
    assert isinstance(allowed, list)
    return Param(
        name=text_of(name),
        type=text_of(kind),
        default=value(default[0]) if default else None,
        required=not default,
        description=str(said.get("description", "")),
        allowed=tuple(allowed),
    )


def _output(node: Node, decorators: list[Node]) -> Output:
    name, kind, inner = node.named_children
    return Output(
        name=text_of(name),
        type=text_of(kind),
        value=value(inner),
        description=str(_decorated(decorators).get("description", "")),
    )


def _resource(node: Node) -> Resource:
    name, kind, *_rest, inner = node.named_children
    declared, _, api = str(value(kind)).partition("@")
    kinds = {child.type for child in walk(inner)}
    return Resource(
        symbol=text_of(name),
        type=declared,
        api=api,
        existing=any(not child.is_named and text_of(child) == "existing" for child in node.children)
        or any(child.type == "existing" for child in node.children),
        body=_body(inner),
        repeated=inner.type == "for_statement",
        conditional="if_statement" in kinds,
    )


def _body(node: Node) -> dict[str, Value]:
    """Give the object of a declaration, inside its loop and condition."""
    while node.type in {"for_statement", "if_statement", "array"}:
        node = node.named_children[-1]
    found = value(node)
    assert isinstance(found, dict), f"{text_of(node)[:60]!r} is no object"
    return found


# --- parameter files -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A .bicepparam file. The grammar has no such thing; its assignments read as variables."""

    path: Path
    using: str
    values: dict[str, Value]


def read_sample(path: Path) -> Sample:
    source = path.read_text(encoding="utf-8")
    using = re.findall(r"^using '([^']+)'$", source, re.MULTILINE)
    assert len(using) == 1, f"{path.name} must have one using line"
    rest = re.sub(r"^using .*$", "", source, flags=re.MULTILINE)
    as_variables = re.sub(r"^param ", "var ", rest, flags=re.MULTILINE)
    inner = read_text(as_variables, path)
    return Sample(path=path, using=using[0], values=inner.variables)


FILES = sorted(INFRA.rglob("*.bicep"))
SAMPLES = sorted(INFRA.rglob("*.bicepparam"))
