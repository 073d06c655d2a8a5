"""A terminal for each test."""

from __future__ import annotations

import pytest

from tests.unit.ops.bench import Terminal, terminal_on


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return terminal_on(monkeypatch)()


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch):
    return terminal_on(monkeypatch)
