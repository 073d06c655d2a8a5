"""Every Bicep file parses, and what it refers to exists. What a compiler would say first."""

from __future__ import annotations

import json

import pytest

from tests.infra.bicep import (
    FILES,
    INFRA,
    SAMPLES,
    Expr,
    File,
    NotBicep,
    Param,
    Value,
    is_misread_call,
    parse,
    read,
    read_sample,
    text_of,
    walk,
)

# Functions of Bicep that these files use, with the scopes in which they exist
# (Microsoft's Bicep function reference, 2025).
FUNCTIONS = {
    "bool", "concat", "contains", "empty", "environment", "flatten", "guid", "join", "last",
    "loadJsonContent", "loadTextContent", "managementGroup", "readEnvironmentVariable", "resourceGroup",
    "split", "string", "subscription", "subscriptionResourceId", "tenant", "tenantResourceId",
    "toLower", "union", "uniqueString",
}  # fmt: skip

SHOWN = [str(path.relative_to(INFRA)) for path in FILES]
every_file = pytest.mark.parametrize("path", FILES, ids=SHOWN)
every_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


@every_file
def test_a_file_parses_and_says_what_it_is_for(path):
    read(path)

    assert path.read_text(encoding="utf-8").startswith("// "), "first line: what it is for"


def test_a_file_that_is_not_bicep_is_refused():
    with pytest.raises(NotBicep, match="broken:2"):
        parse("param a string\nresource b 'x@1' = { name: }}\n", "broken")


@every_file
def test_parameters_and_outputs_are_typed_and_described(path):
    file = read(path)
    undescribed = [
        one.name for one in (*file.params.values(), *file.outputs.values()) if not one.description
    ]

    assert undescribed == []
    assert {one.type for one in (*file.params.values(), *file.outputs.values())} <= {
        "string", "int", "bool", "array", "object",
    }  # fmt: skip


def names_used(file: File) -> set[str]:
    """Every name an expression refers to, without keys, declared names and members."""
    found: set[str] = set()
    for node in walk(file.root):
        parent = node.parent
        if node.type != "identifier" or parent is None or is_misread_call(node):
            continue
        if parent.type.endswith("_declaration") and node == parent.named_children[0]:
            continue
        if parent.type == "object_property" and node == parent.named_children[0]:
            continue
        if parent.type == "call_expression" and node == parent.child_by_field_name("function"):
            continue
        if parent.type == "for_statement" and node == parent.named_children[0]:
            continue
        found.add(text_of(node))
    return found


def loop_names(file: File) -> set[str]:
    found: set[str] = set()
    for node in walk(file.root):
        if node.type == "for_statement" and node.named_children[0].type == "identifier":
            found.add(text_of(node.named_children[0]))
        if node.type in {"loop_variable", "loop_enumerator"}:
            found.add(text_of(node))
    return found


@every_file
def test_every_name_is_declared(path):
    file = read(path)

    assert names_used(file) - file.symbols - loop_names(file) == set()


@every_file
def test_nothing_is_declared_for_nothing(path):
    file = read(path)
    declared = {*file.params, *file.variables}

    assert declared - names_used(file) == set()


@every_file
def test_only_known_functions_are_called(path):
    called = {
        text_of(function)
        for node in walk(read(path).root)
        if node.type == "call_expression"
        and node.parent is not None
        and node.parent.type != "decorator"
        and (function := node.child_by_field_name("function")) is not None
        and function.type == "identifier"
    }

    assert called <= FUNCTIONS


@every_file
def test_modules_exist_get_what_they_require_and_nothing_else(path):
    for module in read(path).modules.values():
        target = read((path.parent / module.path).resolve())
        required = {name for name, param in target.params.items() if param.required}
        given = set(module.params)

        assert required - given == set(), f"{module.symbol} misses parameters"
        assert given - set(target.params) == set(), f"{module.symbol} gets unknown parameters"
        for name, passed in module.params.items():
            assert problem(target.params[name], passed) == "", f"{module.symbol}.{name}"


@every_file
def test_modules_are_deployed_at_their_own_scope(path):
    file = read(path)
    for module in file.modules.values():
        wanted = read((path.parent / module.path).resolve()).scope
        scope = module.body.get("scope")
        if scope is None:
            actual = file.scope
        else:
            assert isinstance(scope, Expr)
            names = {name for name, one in file.resources.items() if "resourceGroups" in one.type}
            group = scope.text.startswith("resourceGroup(") or scope.text in names
            actual = "resourceGroup" if group else scope.text
        assert actual == wanted, f"{module.symbol} is deployed at {actual}"


@every_file
def test_outputs_of_modules_exist(path):
    file = read(path)
    for node in walk(file.root):
        if node.type != "member_expression" or ".outputs." not in text_of(node):
            continue
        symbol, _, rest = text_of(node).partition(".outputs.")
        if symbol in file.modules and rest.isidentifier():
            target = read((path.parent / file.modules[symbol].path).resolve())
            assert rest in target.outputs, f"{symbol} has no output {rest}"


@every_file
def test_loaded_files_exist_and_are_what_they_are_loaded_as(path):
    for node in walk(read(path).root):
        if node.type != "call_expression":
            continue
        function = text_of(node.named_children[0])
        if function in {"loadJsonContent", "loadTextContent"}:
            name = text_of(node.named_children[1])[2:-2]
            content = (path.parent / name).read_text(encoding="utf-8")
            json.loads(content)


def problem(param: Param, given: Value) -> str:
    """Say what is wrong with a literal for this parameter, "" if nothing is."""
    kinds = {str: "string", bool: "bool", int: "int", list: "array", dict: "object"}
    if isinstance(given, Expr) or given is None:
        return ""
    if kinds[type(given)] != param.type:
        return f"is {kinds[type(given)]}, not {param.type}"
    members = given if isinstance(given, list) else [given]
    if param.allowed and not all(one in param.allowed for one in members):
        return f"{given!r} is not allowed"
    return ""


@every_file
def test_defaults_have_the_type_of_their_parameter(path):
    for param in read(path).params.values():
        assert problem(param, param.default) == "", param.name


def test_there_are_the_four_samples_and_the_one_of_azd():
    assert {path.stem for path in SAMPLES} == {
        "main", "small-team", "many-subscriptions", "locked-down", "sovereign",
    }  # fmt: skip


@every_sample
def test_a_sample_gives_what_is_required_and_nothing_unknown(path):
    sample = read_sample(path)
    target = read((path.parent / sample.using).resolve())
    required = {name for name, param in target.params.items() if param.required}

    assert required - set(sample.values) == set()
    assert set(sample.values) - set(target.params) == set()
    for name, given in sample.values.items():
        assert problem(target.params[name], given) == "", name


def test_a_wrong_value_in_a_sample_would_be_seen():
    target = read(INFRA / "main.bicep")

    assert problem(target.params["mode"], "enforced") == "'enforced' is not allowed"
    assert problem(target.params["instances"], "4") == "is string, not int"
    assert problem(target.params["grants"], ["everything"]) == "['everything'] is not allowed"
