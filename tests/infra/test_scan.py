"""The scan's own logic: nothing unexplained passes, no explanation outlives its finding."""

from __future__ import annotations

import json

import pytest

from tests.infra.scan import EXCEPTIONS, problems
from tests.infra.test_shapes import INFRA

EXCUSED = json.loads(EXCEPTIONS.read_text(encoding="utf-8"))


def found(*failed: tuple[str, str], passed: int = 1, unread: int = 0) -> dict:
    return {
        "results": {
            "failed_checks": [
                {"check_id": check, "file_path": f"/{file}", "check_name": "name"}
                for check, file in failed
            ]
        },
        "summary": {"passed": passed, "parsing_errors": unread},
    }


ALL = [(one["check"], one["file"]) for one in EXCUSED]


def test_what_is_explained_passes():
    assert problems(found(*ALL)) == []


@pytest.mark.parametrize(
    "report, says",
    [
        pytest.param(
            found(*ALL, ("CKV_AZURE_1", "main.bicep")), "CKV_AZURE_1 in main.bicep", id="new"
        ),
        pytest.param(found(*ALL[1:]), "is excused and does not fail", id="explained for nothing"),
        pytest.param(found(*ALL, unread=1), "cannot read 1 files", id="unreadable"),
        pytest.param(found(*ALL, passed=0), "passed nothing", id="vacuous"),
    ],
)
def test_anything_else_does_not(report, says):
    (said,) = problems(report)

    assert says in said


@pytest.mark.parametrize("one", EXCUSED, ids=[f"{o['check']}-{o['file']}" for o in EXCUSED])
def test_an_exception_names_a_file_and_a_reason(one):
    assert (INFRA / one["file"]).exists()
    assert len(one["why"]) > 20
