"""A wrong simulator is noticed: one thing is made wrong at a time, and the lists must see it.

Here the replay alone is tried, of a seeded third; `make conformance-az` tries the real az too and
writes down, in caught.json, which list saw what.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.az import CAUGHT, caught_by_replay
from tests.conformance.infidelities import INFIDELITIES

pytestmark = pytest.mark.conformance

SEEN = json.loads(CAUGHT.read_text("utf-8"))
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_each_of_them_was_caught_by_the_replay_or_by_az():
    assert list(SEEN) == [one.name for one in INFIDELITIES]
    assert len(INFIDELITIES) >= 25
    assert [name for name, by in SEEN.items() if not (by["az"] or by["replay"])] == []


@pytest.fixture(scope="module")
def tried() -> list[str]:
    return []


@pytest.mark.matrix
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(one, id=one.name.replace(" ", "-"))
        for one in INFIDELITIES
        if SEEN[one.name]["replay"]
    ],
)
def test_the_replay_still_notices(ground_truth, figures, tried, wrong):
    assert caught_by_replay(ground_truth / "recordings", wrong)
    tried.append(wrong.name)
    by = Counter((bool(seen["az"]), bool(seen["replay"])) for seen in SEEN.values())
    figures["infidelities"] = (
        f"{len(SEEN)}: {by[True, True]} caught by both lists, {by[True, False]} by az alone, "
        f"{by[False, True]} by the replay alone, {by[False, False]} by nothing; "
        f"{len(tried)} tried again by the replay"
    )


def test_the_page_has_the_table():
    rows = [
        f"| {name} | {by['az'] or '-'} | {by['replay'].replace('|', ' ') or '-'} |"
        for name, by in SEEN.items()
    ]
    assert "\n".join(rows) in PAGE.read_text("utf-8")
