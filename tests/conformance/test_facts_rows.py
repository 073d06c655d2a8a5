"""No row of the contract facts is forgotten: support matrix (§3) and error codes (§2)."""

import re
from collections import Counter

import pytest

from docs.generate import documents
from shared.domain.faultbook import BY_CODE

pytestmark = pytest.mark.conformance

# Names in the facts that are no code of Azure's: fields of bodies, and codes that nobody has seen.
_FIELDS = {"errorcode", "healthdetails", "recommendations", "sourceresourceid"}
_NEVER_SEEN = {
    "bmsusererrorpolicynotfound",
    "cloudvmalreadyprotected",
    "bmsusererrorcontainerobjectnotfound",
}


def section(ground_truth, number: int) -> str:
    text = (ground_truth / "facts.md").read_text(encoding="utf-8")
    start = text.index(f"\n## {number}. ")
    return text[start : text.index(f"\n## {number + 1}. ")]


def test_every_row_of_the_support_matrix_is_answered(ground_truth) -> None:
    expected: Counter[str] = Counter()
    for part in re.split(r"\n### ", section(ground_truth, 3))[1:]:
        number = part[:3]
        rows = [line for line in part.splitlines() if line.startswith("|")]
        points = [line for line in part.splitlines() if line.startswith("- ")]
        expected[number] = max(len(rows) - 2, 0) + len(points) or 1  # without head and rule
    answered = Counter(row["n"].rpartition(".")[0] for row in documents.load()["matrix"])
    assert answered == expected


def test_every_error_code_is_in_the_book(ground_truth) -> None:
    text = section(ground_truth, 2)
    codes = {word.lower() for word in re.findall(r"`([A-Z][A-Za-z0-9]{7,})`", text)}
    numbers = set(re.findall(r"\b(?:[34][0-9]{5}|130001)\b", text))
    assert len(codes) > 80
    assert codes - _FIELDS - _NEVER_SEEN - BY_CODE.keys() == set()
    assert numbers - BY_CODE.keys() == set()
