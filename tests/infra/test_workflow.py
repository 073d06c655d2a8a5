"""The sample workflow: federation instead of secrets, the least rights, tests before anything."""

from __future__ import annotations

import re

from ruamel.yaml import YAML

from packaging_tools.build import NAME
from tests.infra.bicep import ROOT

PATH = ROOT / ".github/workflows/deploy.yml"
TEXT = PATH.read_text(encoding="utf-8")
FLOW = YAML(typ="safe").load(TEXT)
JOBS = FLOW["jobs"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def test_it_knows_no_secret():
    assert "secrets." not in TEXT
    assert FLOW["permissions"] == {"contents": "read"}
    for job in ("preview", "deploy"):
        assert JOBS[job]["permissions"] == {"contents": "read", "id-token": "write"}
        assert "--federated-credential-provider github" in commands(job)
    assert "permissions" not in JOBS["test"]


def test_nothing_is_deployed_untested_or_from_a_pull_request():
    assert JOBS["preview"]["needs"] == JOBS["deploy"]["needs"] == "test"
    assert "github.event_name != 'pull_request'" in JOBS["deploy"]["if"]
    assert "head.repo.full_name == github.repository" in JOBS["preview"]["if"]


def test_it_runs_what_a_developer_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make ([a-z-]+)$", commands("test"), re.MULTILINE)

    assert targets == ["setup", "check", "test", "package"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for module in re.findall(r"python -m ([\w.]+)", commands("test")):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_what_was_tested_is_what_is_deployed():
    assert f"--from-package build/package/{NAME}" in commands("deploy")


def test_python_is_the_projects():
    (setup,) = [step for step in JOBS["test"]["steps"] if "setup-python" in step.get("uses", "")]

    assert setup["with"]["python-version"] == "3.13"
