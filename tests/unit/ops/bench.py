"""Commands on fakes: a house behind the session, a terminal of sorts."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops import cli, session
from shared.web.desk import Desk
from tests.fakes.notices import FakeNoticeStore
from tests.unit.web.counter import Hushed, NoKeys, Quiet
from tests.usecases.house import House


class Terminal:
    """Runs commands against one house."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.notices = FakeNoticeStore()
        self.notifier = Hushed()
        self.foundation: Any = SimpleNamespace()

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli.app, list(words))

    def rows(self, *words: str) -> list[dict[str, Any]]:
        done = self(*words, "-o", "json")
        assert done.exit_code in {0, 1}, done.output
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    @asynccontextmanager
    async def opened(self, _file: object):
        ports = self.house.ports
        yield session.Session(
            settings=self.house.settings,
            foundation=self.foundation,
            ports=ports,
            notifier=self.notifier,  # type: ignore[arg-type]
            notices=self.notices,  # type: ignore[arg-type]
            desk=Desk(
                ports=ports,
                keys=NoKeys(),
                notices=self.notices,
                hush=self.notifier,
                soundings=Quiet(),
            ),
        )


def terminal_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    def on(**environment: str) -> Terminal:
        made = Terminal(House(**environment))
        monkeypatch.setattr(session, "opened", made.opened)
        return made

    return on
