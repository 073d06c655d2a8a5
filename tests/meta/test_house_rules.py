"""Rules of the house that a person would otherwise have to remember."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import TABLE

ROOT = Path(__file__).parents[2]
PRODUCT = sorted((ROOT / "shared").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_import_contracts_hold():
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout


def test_only_adapters_import_azure():
    guilty = [
        str(path.relative_to(ROOT))
        for path in PRODUCT
        if "adapters" not in path.parts
        and any(name.split(".")[0] == "azure" for name in imports(path))
    ]

    assert guilty == []


def test_only_settings_read_the_environment():
    guilty = [
        str(path.relative_to(ROOT))
        for path in PRODUCT
        if path.name != "settings.py"
        and re.search(r"os\.environ|os\.getenv|\bgetenv\(", path.read_text(encoding="utf-8"))
    ]

    assert guilty == []


def test_function_app_imports_the_functions_sdk_and_the_composition_root_only():
    found = {
        name.split(".")[0] + "." + name.split(".")[1]
        for name in imports(ROOT / "function_app.py")
        if "." in name
    }

    assert found <= {"azure.functions", "shared.bootstrap", "shared.triggers"}


def test_loading_function_app_imports_no_sdk_but_functions():
    code = (
        "import sys, function_app; print(sorted({m for m in sys.modules if m.startswith("
        "('azure.mgmt', 'azure.identity', 'azure.storage', 'azure.data', 'azure.core', 'aiohttp', "
        "'ruamel', 'opentelemetry', 'jinja2'))}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "[]"


def test_the_sample_settings_are_complete():
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))
    values = sample["Values"]

    assert set(values) - {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_ENABLE_OPENTELEMETRY"} == {
        entry.name for entry in TABLE
    }
    wrong = [
        entry.name
        for entry in TABLE
        if entry.default and values[entry.name] != entry.default and not entry.secret
    ]

    assert wrong == []


def test_readme_names_every_setting():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [entry.name for entry in TABLE if f"`{entry.name}`" not in readme] == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "NotImplementedError"])
def test_nothing_unfinished_is_left_in_the_product(word):
    guilty = [
        str(path.relative_to(ROOT))
        for path in [*PRODUCT, ROOT / "function_app.py"]
        if re.search(rf"\b{word}\b", path.read_text(encoding="utf-8"))
    ]

    assert guilty == []
