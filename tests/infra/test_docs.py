"""The operators' documents: every code has a section, every link leads somewhere, sums are right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import runbook
from shared.domain.catalogue import CATALOGUE
from tests.infra.bicep import INFRA, ROOT, read
from tests.infra.test_code import anchors

OURS = ("deploy", "runbook", "upgrade", "threat-model", "data-protection", "cost")
PAGES = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in OURS}
RUNBOOK = PAGES["runbook"]
every_page = pytest.mark.parametrize("name", OURS)


# --- sections ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_a_finding_has_a_section(code):
    assert f"\n#### {code}\n" in RUNBOOK


def test_the_findings_are_printed_anew(request):
    if request.config.getoption("--update-golden"):
        (ROOT / "docs/runbook.md").write_text(runbook.printed(RUNBOOK), encoding="utf-8")

    assert (ROOT / "docs/runbook.md").read_text(encoding="utf-8") == runbook.printed(RUNBOOK), (
        "run python -m docs.generate"
    )


def calls(name: str) -> Iterator[ast.Call]:
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
                yield node


def told() -> set[str]:
    """Give the codes that operators are told; of a computed code its fixed beginning."""
    found = set()
    for call in calls("tell_operators"):
        code = call.args[0]
        if isinstance(code, ast.Constant):
            found.add(str(code.value))
        elif isinstance(code, ast.JoinedStr) and isinstance(code.values[0], ast.Constant):
            found.add(str(code.values[0].value).strip(" _"))
    # A name that a constant was bound to before the call.
    notify = (ROOT / "shared/notify.py").read_text(encoding="utf-8")
    found |= set(re.findall(r'code, text = \(?"([A-Z_]+)"', notify))
    return found


def test_what_operators_are_told_is_found():
    assert {"SWEEP_SUSPICIOUS", "CEILING_REACHED", "MESSAGE_PARKED", "NOTICE_PARKED"} <= told()


def test_what_operators_are_told_has_a_section():
    sections = set(re.findall(r"^### ([A-Z_]+)$", RUNBOOK, re.MULTILINE))

    assert {code for code in told() if not any(one.startswith(code) for one in sections)} == set()


def reasons() -> set[str]:
    """Give the reasons for which messages are parked; those of ops' own files are not."""
    found = {
        str(call.args[0].value)
        for path in (ROOT / "shared").rglob("*.py")
        if path.name != "estate.py"
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "BadMessage"
        and isinstance(call.args[0], ast.Constant)
    }
    events = (ROOT / "shared/domain/events.py").read_text(encoding="utf-8")
    return found | set(re.findall(r'_refuse\("([\w-]+)"', events))


def test_a_reason_to_park_has_a_section():
    known = {"not-json", "poison", "shape", "version"}

    assert known <= reasons()
    assert {one for one in reasons() if f"parked-{one}" not in anchors()} == set()


# --- links and commands --------------------------------------------------------------------------


@every_page
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        file, _, anchor = target.partition("#")
        path = ROOT / "docs" / file if file else ROOT / f"docs/{name}.md"
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#{1,4} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            made = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in made, target


def blocks(text: str) -> list[list[str]]:
    """Give the command blocks of a page, line by line."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block.strip().splitlines() for language, block in found if language in {"", "sh"}]


def ops_commands() -> set[str]:
    """Give the commands that `ops` registers."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ops").rglob("*.py"))
    named = set(re.findall(r'(?:name=|command\()"([a-z-]+)"', text))
    return named | {
        node.name.replace("_", "-")
        for path in (ROOT / "ops").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@every_page
def test_operator_commands_exist(name):
    asked = set(re.findall(r"(?:python -m ops|`ops) ([a-z][a-z-]*)", PAGES[name]))

    assert asked <= ops_commands()


@every_page
def test_deployment_commands_name_files_and_parameters_that_exist(name):
    for line in (line for block in blocks(PAGES[name]) for line in block):
        for path in re.findall(r"(?:--template-file|--parameters|sh) (infra/\S+)", line):
            assert (ROOT / path.rstrip("'\"")).exists(), path
        template = re.search(r"--template-file (infra/\S+)", line)
        if template:
            params = read(ROOT / template[1]).params
            given = set(re.findall(r"\b([a-zA-Z]+)=(?:\"|[A-Z])", line.split("--parameters", 1)[1]))
            assert given <= set(params), line


def test_values_to_set_are_those_azd_reads():
    sample = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    read_by_azd = set(re.findall(r"readEnvironmentVariable\('(\w+)'", sample))
    table = PAGES["deploy"].split("## What to set")[1].split("\n## ")[0]
    described = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}  # fmt: skip

    of_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}  # fmt: skip
    assert read_by_azd == described | of_azd


def test_every_block_of_the_role_is_explained():
    import json

    blocks_known = json.loads((INFRA / "role.json").read_text(encoding="utf-8"))

    for block in set(blocks_known) - {"enroll"}:
        assert f"| `{block}` |" in PAGES["deploy"]


# --- arithmetic ----------------------------------------------------------------------------------

SUMS = [
    line.strip() for line in PAGES["cost"].splitlines() if line.startswith("    ") and " = " in line
]


@pytest.mark.parametrize("line", SUMS)
def test_the_arithmetic_of_the_cost_is_right(line):
    left, right = line.split(" = ")
    said = float(right.split()[0])
    computed = ast.parse(left.replace("×", "*"), mode="eval")
    assert all(
        isinstance(node, ast.Expression | ast.BinOp | ast.Constant | ast.operator)
        for node in ast.walk(computed)
    )
    worth = eval(compile(computed, line, "eval"))
    digits = len(right.split()[0].partition(".")[2])

    assert round(worth, digits) == said


def test_the_timers_of_the_cost_are_those_of_the_app():
    text = (ROOT / "function_app.py").read_text(encoding="utf-8")
    schedules = re.findall(r'schedule="([^"]+)"', text)
    per_month = sum(
        30 * 86400 // (int(seconds.partition("/")[2]) if "/" in seconds else 60)
        for seconds in (schedule.split()[0] for schedule in schedules)
    )

    assert f"= {per_month} executions" in PAGES["cost"]
    assert len(schedules) == 3


def test_prices_used_are_those_of_the_table():
    table = PAGES["cost"].split("## Idle")[0]
    for price in ("0.000026", "0.004", "0.00036", "7.30", "0.000004"):
        assert price in table


def test_pages_name_no_machine():
    for name, text in PAGES.items():
        assert not re.search(r"/(work|root|home|tmp)/", text), name
    assert Path(ROOT / "docs").is_dir()
