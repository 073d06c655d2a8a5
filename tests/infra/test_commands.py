"""Every command in README and docs is one that exists, and runs in a named test or needs Azure.

A command is a line of a shell block, or a piece of text in backticks that begins like one. Of
`ops` its words and options are taken apart by the command line itself; of other modules each
option must be in their source; of make the target must exist.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import typer

from ops.cli import app
from tests.infra.bicep import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MARK = "# needs Azure"
OURS = ("make", "python")
AZURES = ("az", "azd", "sh", "set", "export")
PLAIN = {"export", "make test-all"}  # the latter is the suite itself, with every cell
AZ = ROOT / ".venv-az" / "bin" / "az"

#: Which test runs a command. `make X` has what `python -m` below it has.
RUN_BY = {
    "make demo": "tests/e2e/test_main_job.py",
    "make up": "tests/host/test_up.py",
    "make test": ".ci/run",
    "make check": ".ci/run",
    "make setup": ".ci/run",
    "make package": "tests/packaging/test_package.py",
    "make bench": "tests/packaging/test_cold_start.py",
    "make conformance": "tests/conformance/test_replay.py",
    "make conformance-az": "tests/conformance/test_infidelities.py",
    "python -m bench": "tests/packaging/test_cold_start.py",
    "python -m demo": "tests/e2e/test_demo_options.py",
    "python -m docs.generate": "tests/unit/domain/test_documents.py",
    "python -m simulator serve": "tests/simulator/test_core_server.py",
    "python -m simulator up": "tests/host/test_up.py",
    "python -m simulator coverage": "tests/simulator/test_core_coverage.py",
    "python -m tests.conformance.replay": "tests/conformance/test_replay_elsewhere.py",
    "python -m tests.conformance.az": "tests/conformance/test_infidelities.py",
    "python -m tests.infra.scan": ".ci/run",
    "python -m ops backfill": "tests/e2e/test_backfill.py",
    "python -m ops coverage": "tests/unit/ops/test_commands.py",
    "python -m ops plan": "tests/e2e/test_page_and_ops.py",
    "python -m ops doctor": "tests/e2e/test_page_and_ops.py",
    "python -m ops decide": "tests/unit/ops/test_commands.py",
    "python -m ops decisions": "tests/unit/ops/test_restoring.py",
    "python -m ops restore": "tests/unit/ops/test_restoring.py",
    "python -m ops lint": "tests/unit/ops/test_commands.py",
    "python -m ops notices list": "tests/unit/ops/test_commands.py",
    "python -m ops notices resend": "tests/unit/ops/test_commands.py",
    "python -m ops onboard": "tests/unit/ops/test_commands.py",
    "python -m ops policies ensure": "tests/unit/ops/test_commands.py",
    "python -m ops replay dead-letters": "tests/contract/test_dead_letters.py",
    "python -m ops replay dismiss": "tests/unit/ops/test_commands.py",
    "python -m ops replay list": "tests/unit/ops/test_commands.py",
    "python -m ops replay parked": "tests/unit/ops/test_commands.py",
    "python -m ops replay show": "tests/unit/ops/test_commands.py",
    "az cloud register": "tests/conformance/az_session.py",
    "az cloud set": "tests/conformance/az_session.py",
    "az login": "tests/conformance/az_session.py",
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One line that somebody may paste. ``marked``: it stands in a block that needs Azure."""

    page: str
    text: str
    marked: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text.partition(" > ")[0], comments=True)

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def written() -> Iterator[Command]:
    """Find the commands of all pages."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            lines = block.strip().splitlines()
            if language not in {"", "sh"} or "►" in block:  # other text, or a drawing
                continue
            for line in lines:
                if line != MARK:
                    yield Command(page=path.name, text=line, marked=lines[0] == MARK)
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for found in re.findall(r"`((?:make|python -m) [^`]+)`", prose):
            yield Command(page=path.name, text=" ".join(found.split()))


COMMANDS = [*written()]
OPS = [one for one in COMMANDS if one.words[:3] == ["python", "-m", "ops"]]
MODULES = [one for one in COMMANDS if one.words[:2] == ["python", "-m"] and one not in OPS]
MAKE = [one for one in COMMANDS if one.words[0] == "make"]
PLACEHOLDERS = {"python -m ops COMMAND"}


def test_commands_are_found():
    assert len(OPS) > 15
    assert {"README.md", "runbook.md", "deploy.md"} <= {one.page for one in COMMANDS}


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.marked], ids=str)
def test_what_needs_azure_is_azures_or_ours(command):
    assert command.words[0] in (*AZURES, *OURS)


@pytest.mark.parametrize("command", [one for one in COMMANDS if not one.marked], ids=str)
def test_what_is_not_marked_runs_in_a_test(command):
    name = named(command)
    if command.text in PLACEHOLDERS or name in PLAIN:
        return

    assert name in RUN_BY, f"say in RUN_BY which test runs it, or mark it with {MARK}"


def _azs() -> dict[str, set[str]]:
    """Give each command of `az` in the pages and the hook with the options it is given."""
    hook = (ROOT / "infra/hooks/postdeploy.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [part.strip() for one in COMMANDS for part in re.split(r"&&|\|", one.text)]
    lines += re.findall(r"(?:^|[(\s])(az [a-z][^\n)]*)", hook)
    found: dict[str, set[str]] = {}
    for line in lines:
        if name := re.match(r"az ((?:[a-z][a-z-]* ?)+)(?= |$)", line):
            options = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", line))
            found.setdefault(name[1].strip(), set()).update(options)
    return found


def test_azures_own_command_line_knows_its_commands(pytestconfig):
    """Held against the help of the real Azure CLI: a second for each."""
    if not (pytestconfig.getoption("--all-cells") and AZ.exists()):
        pytest.skip("make conformance-az installs the Azure CLI, make test-all asks it")
    wrong = {}
    for name, options in _azs().items():
        asked = subprocess.run(
            [AZ, *name.split(), "--help"], capture_output=True, text=True, check=False
        )
        said = {*re.findall(r"(?<![\w-])--?[a-z][a-z-]*", asked.stdout)}
        if asked.returncode or not options <= said:
            wrong[name] = (options - said, asked.stderr)

    assert len(_azs()) > 15
    assert wrong == {}


def named(command: Command) -> str:
    """Give the key of a command in RUN_BY: without arguments and options."""
    match command.words:
        case ["make", target, *_]:
            return f"make {target}"
        case ["python", "-m", "ops", ("notices" | "replay" | "policies") as group, one, *_]:
            return f"python -m ops {group} {one}"
        case ["python", "-m", ("ops" | "simulator") as module, one, *_]:
            return f"python -m {module} {one}"
        case ["python", "-m", module, *_]:
            return f"python -m {module}"
        case ["az", "cloud", one, *_]:
            return f"az cloud {one}"
        case ["az", one, *_]:
            return f"az {one}"
        case [first, *_]:
            return first
    raise AssertionError(command)


def test_every_test_named_is_there_and_none_too_many():
    assert {place for place in RUN_BY.values() if not (ROOT / place).exists()} == set()
    assert set(RUN_BY) - {named(one) for one in COMMANDS} == set()


@pytest.mark.parametrize("name, place", RUN_BY.items())
def test_a_test_that_is_named_runs_the_command(name, place):
    text = (ROOT / place).read_text(encoding="utf-8")
    if place == ".ci/run":
        assert name in text or f"-m {name.split()[-1]}" in _recipes()
        return
    last = name.split()[-1].rpartition(".")[2]

    assert re.search(rf"\b{last.removeprefix('conformance-')}\b", text), (
        f"{place} does not name {last}"
    )


def _recipes() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", MAKE, ids=str)
def test_a_target_of_make_exists(command):
    assert re.search(rf"^{command.words[1]}:", _recipes(), re.MULTILINE)


@pytest.mark.parametrize("command", MODULES, ids=str)
def test_a_module_exists_and_knows_the_options(command):
    module = ROOT / command.words[2].replace(".", "/")
    files = [module.with_suffix(".py")] if module.with_suffix(".py").exists() else [*module.glob("*.py")]  # fmt: skip
    source = "".join(path.read_text(encoding="utf-8") for path in files)

    assert source
    for option in re.findall(r"(?<=[\s\[])--[a-z-]+", command.text):
        assert f'"{option}"' in source, option


@pytest.mark.parametrize("command", [one for one in OPS if one.text not in PLACEHOLDERS], ids=str)
def test_ops_understands_it(command):
    """Words lead to a command; its options are known, and what it requires is given."""
    found, words = _followed(command.words[3:])
    assert not hasattr(found, "commands"), f"{command.text}: which of {sorted(found.commands)}?"
    context = found.context_class(found, info_name=found.name)
    given, left, _ = found.make_parser(context).parse_args(words)
    asked = {
        parameter.name
        for parameter in found.params
        if parameter.required and given.get(parameter.name) in (None, ())
    }

    assert (left, asked) == ([], set()), f"{found.name} lacks {asked}, or has too much: {left}"


def _followed(words: list[str]) -> tuple[Any, list[str]]:
    """Give the command that words lead to, and the words that are left."""
    found: Any = typer.main.get_command(app)
    left = list(words)
    while left and left[0] in getattr(found, "commands", {}):
        found = found.commands[left.pop(0)]
    return found, left


def _said() -> Iterator[tuple[str, str]]:
    """Give the texts of the product that name a command of ours; what is filled in reads VALUE."""
    for path in (ROOT / "shared").rglob("*.py"):
        nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
        parts = {
            id(one) for node in nodes if isinstance(node, ast.JoinedStr) for one in node.values
        }
        for node in nodes:
            match node:
                case ast.Constant(value=str(text)) if id(node) not in parts:
                    pass
                case ast.JoinedStr(values=values):
                    text = "".join(
                        str(one.value) if isinstance(one, ast.Constant) else "VALUE"
                        for one in values
                    )
                case _:
                    continue
            if found := re.search(r"python -m ops ([a-z].*)", text):
                yield path.name, found[1]


SAID = sorted({(page, text) for page, text in _said() if text.strip()})


def test_the_product_names_commands():
    assert len(SAID) > 8
    assert "lifecycle.py" in {page for page, _ in SAID}


@pytest.mark.parametrize("page, text", SAID)
def test_a_command_that_the_product_names_exists(page, text):
    found, left = _followed(re.split(r"[;.,]? (?:or|then|shows)\b|[;`]", text)[0].split())
    known = {option for parameter in found.params for option in parameter.opts}
    required = [one for one in found.params if one.required]

    assert not hasattr(found, "commands"), f"which of {sorted(found.commands)}?"
    assert {word for word in left if word.startswith("--")} <= known
    assert len(left) >= len(required)
