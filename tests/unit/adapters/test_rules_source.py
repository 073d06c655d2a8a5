"""Where rules come from: read when they changed, the last good copy kept, problems told."""

from __future__ import annotations

import asyncio
import os
import traceback

import pytest

from shared.adapters.rules_source import RulesFile, StoredRules, rules_of
from shared.errors import AzureFault, BadRules
from tests.fakes.azure import FakeClock, fault
from tests.fakes.wire import settings_for

BAD = "version: 1\nnonsense: true\n"


@pytest.fixture
def good() -> str:
    """Rules that are enough."""
    return """version: 1
tiers:
  tag: backup-tier
  names:
    gold: {standard: gold}
vaults:
  central: {tags: {backup-vault: central}}
default: nothing
"""


class Copy:
    """Rules lying somewhere; the version is their text."""

    name = "rules.yaml"

    def __init__(self, text: str) -> None:
        self.text = text
        self.failing: Exception | None = None
        self.reads = 0

    async def newer(self, etag):
        self.reads += 1
        if self.failing is not None:
            raise self.failing
        return None if etag == self.text else (self.text, self.text)

    async def aclose(self):
        """Nothing is open."""


def source(copy: Copy, clock: FakeClock) -> StoredRules:
    return StoredRules(copy, settings_for(), clock)


async def test_rules_are_looked_for_once_a_minute_and_parsed_when_they_changed(good):
    copy, clock = Copy(good), FakeClock()
    rules = source(copy, clock)

    first = await rules.current()
    assert await rules.current() is first
    clock.advance(61)
    assert await rules.current() is first
    assert copy.reads == 2

    copy.text = good + "\n# changed\n"
    clock.advance(61)
    assert (await rules.current()).version != first.version
    assert rules.problems == ()


class Shelf:
    """Keeps the last good copy for the next process."""

    def __init__(self) -> None:
        self.text = ""
        self.failing: Exception | None = None

    async def read(self):
        if self.failing is not None:
            raise self.failing
        return self.text

    async def write(self, text):
        if self.failing is not None:
            raise self.failing
        self.text = text


@pytest.mark.parametrize(
    "wrong", [pytest.param("{", id="broken"), pytest.param(fault(), id="cannot be read")]
)
async def test_a_new_process_that_finds_no_good_copy_goes_on_with_the_last_one(good, wrong):
    shelf, clock = Shelf(), FakeClock()
    before = await StoredRules(Copy(good), settings_for(), clock, shelf).current()
    copy = Copy(good)
    if isinstance(wrong, str):
        copy.text = wrong
    else:
        copy.failing = wrong

    rules = StoredRules(copy, settings_for(), clock, shelf)

    assert (await rules.current()).version == before.version
    assert rules.problems != ()


async def test_a_shelf_that_fails_hinders_nothing(good):
    shelf, clock = Shelf(), FakeClock()
    shelf.failing = fault()

    rules = StoredRules(Copy(good), settings_for(), clock, shelf)
    assert (await rules.current()).version

    with pytest.raises(BadRules):
        await StoredRules(Copy("{"), settings_for(), clock, shelf).current()


@pytest.mark.parametrize("failing", [None, fault()], ids=["wrong", "unread"])
async def test_a_process_that_never_had_rules_says_so_a_thousand_times_and_keeps_no_trace(failing):
    """Each raise of one exception adds the frames it passes, with the message they work on."""
    copy = Copy(BAD)
    copy.failing = failing
    rules = source(copy, FakeClock())

    for _ in range(1000):
        with pytest.raises((BadRules, AzureFault)) as told:
            await rules.current()

    assert len(traceback.extract_tb(told.value.__traceback__)) <= 2


async def test_a_copy_with_errors_changes_nothing_and_says_what_is_wrong(good):
    copy, clock = Copy(good), FakeClock()
    rules = source(copy, clock)
    first = await rules.current()

    copy.text = BAD
    clock.advance(61)

    assert await rules.current() is first
    assert any(problem.level == "error" for problem in rules.problems)
    assert rules.problems[0].file == "rules.yaml"
    reads = copy.reads
    clock.advance(61)
    await rules.current()
    assert rules.problems  # still wrong, though it did not change again
    assert copy.reads == reads + 1
    copy.text = good
    clock.advance(61)
    await rules.current()
    assert rules.problems == ()


async def test_a_copy_that_cannot_be_reached_changes_nothing_and_says_so(good):
    copy, clock = Copy(good), FakeClock()
    rules = source(copy, clock)
    first = await rules.current()

    copy.failing = fault("AuthorizationFailure", status=403)
    clock.advance(61)
    assert await rules.current() is first
    assert "cannot be read" in rules.problems[0].message
    copy.failing = None
    clock.advance(61)
    assert await rules.current() is first
    assert rules.problems == ()


async def test_a_wrong_copy_is_not_forgotten_while_it_cannot_be_reached(good):
    copy, clock = Copy(good), FakeClock()
    rules = source(copy, clock)
    await rules.current()
    for text, failing in ((BAD, None), (BAD, fault()), (BAD, None)):
        copy.text, copy.failing = text, failing
        clock.advance(61)
        await rules.current()

    assert [problem.message for problem in rules.problems]
    assert not any("cannot be read" in problem.message for problem in rules.problems)


async def test_without_a_good_copy_there_are_no_rules():
    with pytest.raises(BadRules):
        await source(Copy(BAD), FakeClock()).current()
    copy = Copy("")
    copy.failing = fault("AuthorizationFailure", status=403)
    with pytest.raises(AzureFault):
        await source(copy, FakeClock()).current()


async def test_many_callers_cost_one_read(good):
    copy = Copy(good)
    rules = source(copy, FakeClock())

    await asyncio.gather(*(rules.current() for _ in range(9)))

    assert copy.reads == 1


async def test_a_file_is_read_again_when_it_changes(tmp_path, good):
    path = tmp_path / "rules.yaml"
    path.write_text(good)
    file = RulesFile(path)

    text, etag = await file.newer("")
    assert text == good
    assert await file.newer(etag) is None
    path.write_text(good + "#")
    os.utime(path, ns=(1, 1))
    changed = await file.newer(etag)
    assert changed is not None
    assert changed[0] == good + "#"


@pytest.mark.parametrize(
    "content, said",
    [
        pytest.param(None, r"rules\.yaml.*cannot be read", id="missing"),
        pytest.param(b"a: 1\n\xff\xfe\x00", r"rules\.yaml:2:1: error: the byte 0xFF", id="no text"),
    ],
)
async def test_a_file_that_cannot_be_read_is_a_problem_with_its_name(tmp_path, content, said):
    path = tmp_path / "rules.yaml"
    if content is not None:
        path.write_bytes(content)
    rules = rules_of(settings_for(RULES_URI=str(path)), FakeClock(), lambda: None)

    with pytest.raises(BadRules, match=said):
        await rules.current()
    await rules.aclose()
