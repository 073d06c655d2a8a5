"""Every call of every port fails in every way, the first, the second or every third time: the
story ends as it does without trouble, and people hear what they would have heard.
"""

from __future__ import annotations

import pytest

from tests.usecases import stories
from tests.usecases.disturbed import AZURE, KINDS, THIRDS, Trouble, cells
from tests.usecases.house import House


def heard(house: House) -> tuple[list[tuple[str, tuple[str, ...]]], list[str]]:
    """Give what owners were told, whatever the order."""
    return sorted(house.notices.reported), sorted(house.notices.cleared)


@pytest.fixture(scope="module")
def quiet_story():
    """The story without trouble, told once."""
    kept = {}

    async def tell():
        if not kept:
            house = await stories.told(await stories.begin())
            kept["told"] = (await stories.endings(house), heard(house), len(house.backup.sent))
        return kept["told"]

    return tell


async def test_the_story_shows_every_kind_of_end(quiet_story):
    ends, (reported, cleared), sent = await quiet_story()

    assert {name: end.state for name, end in ends.items()} == {
        "plain": "Protected",
        "agent": "Protected",
        "fat": "Blocked",
        "far": "Protected",
        "rising": "Protected",
        "falling": "Protected",
        "leaving": "Orphaned",
        "buried": "Protected",
        "silent": "Protected",
        "refused": "Blocked",
        "theirs": "ProtectedElsewhere",
    }
    assert [name for name, _ in reported] == ["falling", "far", "fat", "refused"]
    assert cleared == ["far"]
    assert sent == 11  # one each; agent and rising twice, buried undeleted and resumed
    assert ends["rising"].policy.endswith("/gold")
    assert ends["falling"].policy.endswith("/gold")


@pytest.mark.matrix
@pytest.mark.parametrize(
    "call, kind, when, done",
    [
        pytest.param(*cell, id=f"{cell[0]} {cell[1]} {cell[2]}{' after' if cell[3] else ''}")
        for cell in cells()
    ],
)
async def test_trouble_changes_nothing_that_lasts(quiet_story, call, kind, when, done):
    ends, said, sent = await quiet_story()
    house = await stories.begin()
    trouble = Trouble(house, call, kind, when, done=done)

    await stories.told(house)

    assert await stories.endings(house) == ends
    assert heard(house) == said
    parked = kind == "not ARM" or not call.startswith(AZURE)  # five failures of one message
    assert house.notices.operators in ([], ["MESSAGE_PARKED"] if parked and when == THIRDS else [])
    enough = {"first": 1, "second": 2}.get(when, 3)
    assert trouble.hits or trouble.calls < enough or trouble.by_chance
    assert len(house.backup.sent) == sent
    assert [one for one in house.ledger.all_due() if one[1] < house.clock.now()] == []
    assert house.queues.sent == []


def test_the_matrix_has_every_kind():
    assert {cell[1] for cell in cells()} == set(KINDS)
