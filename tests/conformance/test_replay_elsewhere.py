"""The replay of recordings from elsewhere: other names, ids and masks, parts of files, broken ones.

A changed copy of a recording is as true as the recording, as long as it is changed everywhere alike:
it has to match as much. What cannot be read is named, and never passed over as if it had matched.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import accepted as accepting
from tests.conformance import replay as replaying
from tests.conformance.recordings import label

pytestmark = pytest.mark.conformance

NOBODY = "00000000-0000-0000-0000-000000000000"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ENABLE = "2025/test_backup_protection.jsonl"
#: Each change is tried on every so manieth file, beginning at another one.
STEP = 8

type Change = Callable[[str], str]


def other_subscription(text: str) -> str:
    return text.replace(NOBODY, "6e0f1c52-0a3b-4f7e-9c1d-2b4a5d6e7f80")


def other_guids(text: str) -> str:
    def drawn(found: re.Match[str]) -> str:
        digits = hashlib.md5(found[0].encode(), usedforsecurity=False).hexdigest()
        return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))

    return GUID.sub(drawn, text)


def other_names(text: str) -> str:
    return re.sub(r"(?i)clitest", "acme", text)


def other_masks(text: str) -> str:
    return re.sub(r"(?<=[a-z])0000(\d\d)", lambda n: f"x{'abcdefghij'[int(n[1]) % 10]}{n[1]}", text)


def hashed_names(text: str) -> str:
    def hashed(found: re.Match[str]) -> str:
        digest = hashlib.md5(found[0].lower().encode(), usedforsecurity=False).hexdigest()
        return f"n{digest[:8]}"

    return re.sub(r"(?i)clitest[.-]?[a-z]*0000\d\d", hashed, text)


def other_line_order(text: str) -> str:
    lines = text.splitlines()
    random.Random(7).shuffle(lines)
    return "\n".join(lines)


def by_row(change: Callable[[dict], None]) -> Change:
    @functools.wraps(change)
    def changed(text: str) -> str:
        rows = [json.loads(line) for line in text.splitlines()]
        for row in rows:
            change(row)
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)

    return changed


@by_row
def later_and_sparser(row: dict) -> None:
    row |= {"t_s": row["t_s"] + 777, "seq": row["seq"] * 3 + 5}


@by_row
def capital_headers(row: dict) -> None:
    named = row["response_headers"] or {}
    row["response_headers"] = {name.title(): value for name, value in named.items()}


def dos_lines(text: str) -> str:
    return "\r\n".join(("", *text.splitlines(), "", ""))


CHANGES: tuple[Change, ...] = (
    other_subscription,
    other_guids,
    other_names,
    other_masks,
    hashed_names,
    other_line_order,
    later_and_sparser,
    capital_headers,
    dos_lines,
)


def copied(ground_truth: Path, tmp_path: Path, source: Path, change: Change) -> Path:
    target = tmp_path / source.relative_to(ground_truth)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(change(source.read_text("utf-8")), "utf-8", newline="")
    return target


@pytest.mark.parametrize(
    "turn, change", [pytest.param(i, c, id=c.__name__) for i, c in enumerate(CHANGES)]
)
def test_a_copy_changed_everywhere_alike_matches_as_much(ground_truth, tmp_path, turn, change):
    sources = sorted((ground_truth / "recordings").rglob("*.jsonl"))[turn % STEP :: STEP]
    copies = [copied(ground_truth, tmp_path, source, change) for source in sources]
    counted = json.loads(replaying.COMPARED.read_text("utf-8"))

    outcome = replaying.replay(copies, accepting.load())

    assert not outcome.found, "\n".join(str(found) for found in outcome.found[:20])
    assert replaying.complaints(outcome, accepting.load()) == []
    assert outcome.files == {label(source): counted[label(source)] for source in sources}


def test_files_do_not_know_of_each_other(ground_truth):
    """One alone, a few, or in another order: each file finds the same."""
    paths = sorted((ground_truth / "recordings" / "2025").glob("*.jsonl"))[:4]
    together = replaying.replay(reversed(paths), accepting.load())
    for path in paths:
        alone = replaying.replay([path], accepting.load())
        assert alone.files[label(path)] == together.files[label(path)]
        assert replaying.complaints(alone, accepting.load()) == []
        assert not alone.found


@pytest.mark.parametrize("seed", range(2))
def test_lines_that_are_missing_break_nothing_else(ground_truth, tmp_path, seed):
    """What a missing line tells shows as a difference; the replay itself goes on to the end."""

    def without_a_tenth(text: str) -> str:
        drawn = random.Random(seed)
        return "\n".join(line for line in text.splitlines() if drawn.random() > 0.1)

    sources = sorted((ground_truth / "recordings").rglob("*.jsonl"))[seed::STEP]
    copies = [copied(ground_truth, tmp_path, source, without_a_tenth) for source in sources]
    outcome = replaying.replay(copies, accepting.load())
    assert not outcome.broken
    assert not outcome.unread
    assert [found for found in outcome.found if found.difference.path == "replay"] == []
    assert outcome.outside["GET of what began before the recording"] > 0
    assert outcome.matched > 0.7 * outcome.in_surface


@pytest.mark.parametrize(
    "name", ["2019/test_backup_item.jsonl", "2025/test_backup_protection.jsonl"]
)
def test_of_a_later_half_what_began_before_is_counted_apart(ground_truth, tmp_path, name):
    """It starts with vaults, items and VMs that nobody made: they are somebody else's."""

    def later_half(text: str) -> str:
        lines = text.splitlines()
        return "\n".join(lines[len(lines) // 2 :])

    source = ground_truth / "recordings" / name
    outcome = replaying.replay(
        [copied(ground_truth, tmp_path, source, later_half)], accepting.load()
    )
    assert outcome.outside["GET of what began before the recording"] > 0
    assert outcome.in_surface > 25
    assert outcome.matched == outcome.in_surface


# --- what cannot be read -------------------------------------------------------------------------


def line_cut(text: str) -> str:
    return text[:20_000]


def line_garbled(text: str) -> str:
    lines = text.splitlines()
    lines[5] = lines[5][:-9]
    return "\n".join(lines)


def edited(number: int, **changes: object) -> Change:
    def change(text: str) -> str:
        lines = text.splitlines()
        lines[number] = json.dumps({**json.loads(lines[number]), **changes})
        return "\n".join(lines)

    return change


def version(text: str) -> Change:
    def change(whole: str) -> str:
        lines = whole.splitlines()
        lines[-1] = lines[-1].replace("api-version=2024-04-01", f"api-version={text}")
        return "\n".join(lines)

    return change


@pytest.mark.parametrize(
    "change, told",
    [
        pytest.param(line_cut, ":16: no JSON", id="the end of the file is missing"),
        pytest.param(line_garbled, ":6: no JSON", id="a broken line"),
        pytest.param(edited(1, status="ok"), ":2: ", id="a status that is no number"),
        pytest.param(edited(1, t_s=None), ":2: ", id="no time"),
        pytest.param(edited(1, path=7), ":2: ", id="a path that is a number"),
        pytest.param(edited(1, response_headers=[1]), ":2: ", id="headers that are a list"),
        pytest.param(edited(1, response_body='{"id": "/sub'), "truncated body", id="a cut body"),
        pytest.param(version("latest"), "unknown api-version 'latest'", id="a word as version"),
        pytest.param(version("2024-14-41"), "unknown api-version '2024-14-41'", id="no such day"),
        pytest.param(
            version("2031-01-01"), "unknown api-version '2031-01-01'", id="a version to come"
        ),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_compared(ground_truth, tmp_path, change, told):
    target = copied(ground_truth, tmp_path, ground_truth / "recordings" / ENABLE, change)
    outcome = replaying.replay([target], accepting.load())
    assert len(outcome.broken) == 1
    assert told in str(outcome.broken[0])
    assert str(outcome.broken[0]).startswith(ENABLE)
    assert outcome.matched >= 8
    shorter = f"{ENABLE}: {outcome.files[ENABLE]} compared, 50 when last counted"
    assert shorter in replaying.complaints(outcome, accepting.load())


@pytest.mark.parametrize(
    "name, content",
    [
        pytest.param("empty.jsonl", b"", id="empty"),
        pytest.param("blank.jsonl", b"\n\n", id="blank"),
        pytest.param("packed.jsonl", b"\x1f\x8b\x08\x00\n\x00\xff", id="packed"),
        pytest.param("page.jsonl", b"<html>not here</html>\n", id="something else"),
        pytest.param("list.jsonl", b"[1, 2]\n", id="lists"),
        pytest.param(
            "odd.jsonl",
            b'{"seq": 0, "t_s": 0, "method": "GET", "path": "/?api-version=2024-04-01", '
            b'"status": 200, "response_headers": {}, "response_body": {}}\n',
            id="a path that leads nowhere",
        ),
        pytest.param("none.jsonl", None, id="missing"),
    ],
)
def test_a_file_of_which_nothing_is_read_fails_the_run_that_has_others(
    ground_truth, tmp_path, monkeypatch, capsys, name, content
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    good = ground_truth / "recordings" / ENABLE
    monkeypatch.setattr("sys.argv", ["replay", str(tmp_path / name), str(good)])
    assert replaying.main() == 1
    told = capsys.readouterr().out.splitlines()
    assert any(line.startswith("failed: ") and name in line for line in told), told
    assert told[-1] == "in surface 50, matched 50, accepted 0, differing 0"


def test_a_file_of_which_more_is_skipped_than_compared_fails(ground_truth, tmp_path):
    def of_the_future(text: str) -> str:
        return text.replace("api-version=2024-04-01", "api-version=2031-04-01")

    source = ground_truth / "recordings" / ENABLE
    outcome = replaying.replay(
        [copied(ground_truth, tmp_path, source, of_the_future)], accepting.load()
    )
    assert outcome.differing == 0
    assert f"{ENABLE}: {outcome.in_surface} compared, {len(outcome.broken)} skipped" in (
        replaying.complaints(outcome, ())
    )
