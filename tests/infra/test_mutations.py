"""The consistency tests can fail: each thing taken away in a copy of the tree makes a named one fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.bicep import ROOT

COPIED = (
    "Makefile", "azure.yaml", "docs", "function_app.py", "host.json", "infra", "ops",
    "pyproject.toml", "shared", "simulator", "tests/conformance", "tests/conftest.py",
    "tests/contract", "tests/fakes",
    "tests/infra",
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return root


def without(text: str) -> Callable[[str], str]:
    def edit(content: str) -> str:
        assert content.count(text) == 1, f"{text!r} is there {content.count(text)} times"
        return content.replace(text, "")

    return edit


def instead(old: str, new: str) -> Callable[[str], str]:
    def edit(content: str) -> str:
        assert old in content
        return content.replace(old, new, 1)

    return edit


MUTATIONS = [
    pytest.param(
        "infra/modules/app.bicep", without("  MODE: mode\n"),
        "test_code.py::test_every_setting_the_app_reads_is_set_and_no_other", id="a setting",
    ),
    pytest.param(
        "infra/modules/app.bicep", instead("INSTANCES: string(instances)", "INSTANCES: '4'"),
        "test_code.py::test_the_instance_cap_is_what_the_governor_is_told", id="the governor's N",
    ),
    pytest.param(
        "infra/modules/storage.bicep", without("  'sweeps-poison'\n"),
        "test_code.py::test_queues_are_those_the_functions_bind_and_the_adapter_names", id="a queue",
    ),
    pytest.param(
        "infra/modules/storage.bicep", without("  'decisions'\n"),
        "test_code.py::test_tables_are_those_of_the_stores", id="a table",
    ),
    pytest.param(
        "function_app.py", instead("async def on_vm_event(", "async def on_event("),
        "test_code.py::test_events_go_to_the_function_that_takes_events", id="the function's name",
    ),
    pytest.param(
        "infra/modules/events.bicep", without("'Microsoft.Compute/virtualMachines/delete', "),
        "test_code.py::test_operations_listened_to_are_those_the_intake_looks_at", id="a filter",
    ),
    pytest.param(
        "infra/role.json", without('      "Microsoft.RecoveryServices/Vaults/backupJobs/read",\n'),
        "test_role.py::test_the_role_is_what_the_adapters_call_and_no_more", id="a role's action",
    ),
    pytest.param(
        "infra/role.json", instead('"Microsoft.Compute/disks/read",', '"Microsoft.Compute/disks/read", "Microsoft.RecoveryServices/Vaults/usages/read",'),
        "test_role.py::test_the_role_is_what_the_adapters_call_and_no_more", id="an action too many",
    ),
    pytest.param(
        "infra/role.json", instead("Microsoft.Compute/disks/read", "Microsoft.Compute/disks/*"),
        "test_role.py::test_a_block_says_why_and_has_no_wildcard_and_no_delete", id="a wildcard",
    ),
    pytest.param(
        "infra/alerts.json", instead('"name": "no-sweep"', '"name": "no-swoop"'),
        "test_code.py::test_silence_is_alerted_on", id="an alert",
    ),
    pytest.param(
        "shared/sweep.py", without('telemetry.count("enrollment.sweeps")'),
        "test_code.py::test_an_alert_asks_for_metrics_that_the_product_emits", id="a metric",
    ),
    pytest.param(
        "docs/runbook.md", without("### alert: throttled\n"),
        "test_code.py::test_an_alert_names_a_section_of_the_runbook", id="an alert's section",
    ),
    pytest.param(
        "docs/runbook.md", without("#### POLICY_WEAKER\n"),
        "test_docs.py::test_a_finding_has_a_section", id="a finding's section",
    ),
    pytest.param(
        "docs/telemetry.md", instead("| `claim.lost` |", "| `claim.last` |"),
        "test_telemetry_page.py::test_every_line_is_listed_with_its_fields", id="a line of the log",
    ),
    pytest.param(
        "infra/main.bicep", without("    queueUri: storage.outputs.queueUri\n"),
        "test_parse.py::test_modules_exist_get_what_they_require_and_nothing_else", id="a parameter",
    ),
    pytest.param(
        "infra/modules/app.bicep", instead("instanceMemoryMB:", "instanceMemoryMb:"),
        "test_shapes.py::test_properties_are_those_of_the_model", id="a property's name",
    ),
    pytest.param(
        "infra/main.bicep", without("output SERVICE_PRINCIPAL_ID string = identity.outputs.principalId\n"),
        "test_code.py::test_the_hook_uses_outputs_that_there_are_and_azds_own_names", id="an output",
    ),
]  # fmt: skip


def run(root: Path, test: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", f"tests/infra/{test}"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.matrix
def test_the_untouched_copy_passes(copy):
    named = sorted({param.values[2] for param in MUTATIONS})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(f"tests/infra/{name}" for name in named)],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.matrix
@pytest.mark.parametrize("file, edit, test", MUTATIONS)
def test_without_it_a_named_test_fails(copy, file, edit, test):
    path = copy / file
    content = path.read_text(encoding="utf-8")
    path.write_text(edit(content), encoding="utf-8")
    try:
        done = run(copy, test)
    finally:
        path.write_text(content, encoding="utf-8")

    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"FAILED tests/infra/{test}" in done.stdout
