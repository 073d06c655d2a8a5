"""Decisions of people, exported and put back."""

from __future__ import annotations

import asyncio
import json

import pytest

from ops.printing import Exit
from tests.unit.domain import worlds
from tests.unit.ops.bench import Terminal, terminal_on

VM = str(worlds.vm().id)


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """A file with two decisions, as the command for the month's routine writes it."""
    terminal = terminal_on(monkeypatch)()
    for kind, until in (("exclude", "2026-12-31"), ("retry", "")):
        done = terminal("decide", kind, VM, "--reason", kind, "--until", until, "--yes")
        assert done.exit_code == 0, done.output
    file = tmp_path / "decisions.json"
    file.write_text(terminal("decisions", "-o", "json").stdout, encoding="utf-8")
    return file


@pytest.fixture
def terminal(exported, monkeypatch) -> Terminal:
    """A service that has lost them."""
    return terminal_on(monkeypatch)()


def decisions(terminal: Terminal) -> list[dict]:
    return terminal.rows("decisions")


def test_lost_decisions_are_put_back_with_their_keys(exported, terminal):
    said = terminal("restore", str(exported))
    assert "2 of 2" in said.output
    assert decisions(terminal) == []

    terminal("restore", str(exported), "--yes")

    assert decisions(terminal) == json.loads(exported.read_text(encoding="utf-8"))


def test_putting_them_back_twice_changes_nothing(exported, terminal):
    for _ in range(2):
        done = terminal("restore", str(exported), "--yes")

    assert "0 of 2" in done.output
    assert len(decisions(terminal)) == 2


def test_what_was_decided_since_stays(exported, terminal):
    terminal.house.clock.advance(60)
    terminal("decide", "retry", VM, "--reason", "new", "--yes")

    terminal("restore", str(exported), "--yes")

    assert {one["reason"] for one in decisions(terminal)} == {"exclude", "retry", "new"}
    assert len(asyncio.run(terminal.house.people.of(worlds.vm().id))) == 3


@pytest.mark.parametrize(
    "text", ["", "{}", '[{"vm": "x"}]'], ids=["empty", "no list", "no decisions"]
)
def test_a_file_of_something_else_is_refused(terminal, tmp_path, text):
    file = tmp_path / "other.json"
    file.write_text(text, encoding="utf-8")

    assert terminal("restore", str(file), "--yes").exit_code == Exit.USAGE


def test_a_decision_without_a_key_is_refused(exported, terminal):
    rows = json.loads(exported.read_text(encoding="utf-8"))
    exported.write_text(json.dumps([{**row, "key": ""} for row in rows]), encoding="utf-8")

    assert terminal("restore", str(exported), "--yes").exit_code == Exit.USAGE
    assert decisions(terminal) == []
