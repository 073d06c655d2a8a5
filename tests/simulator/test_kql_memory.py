"""What steps made of rows is remembered while the rows stay the same objects, and no longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from simulator import kql_memory
from simulator.kql import parse
from simulator.kql_memory import Memory
from simulator.kql_run import run

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WALK = (
    "resources | where type =~ 'vm' | extend key = tolower(name) | where strcmp(key, '{after}') > 0"
)


class Counted(Mapping[str, object]):
    """A row that counts how often it was looked at."""

    def __init__(self, **columns: object) -> None:
        self._columns = {"type": "vm", **columns}
        self.looks = 0

    def __getitem__(self, name: str) -> object:
        self.looks += 1
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def rows(*names: str) -> list[Counted]:
    return [Counted(name=name) for name in names]


def ask(memory: Memory, table: list, query: str, now: datetime = NOW) -> list[object]:
    found = run(parse(query), list(table), now, memory)
    return [row["name"] for row in found.page(0, 100)]


def test_a_second_page_looks_at_the_rows_themselves_no_more():
    memory, table = Memory(), rows("A", "B", "C")
    assert ask(memory, table, WALK.format(after="")) == ["A", "B", "C"]
    looks = [row.looks for row in table]
    assert ask(memory, table, WALK.format(after="a")) == ["B", "C"]
    assert [row.looks for row in table] == looks


@pytest.mark.parametrize(
    "change",
    [lambda table: table[:-1], lambda table: [*table[:-1], *rows("D")]],
    ids=["one fewer", "another one"],
)
def test_rows_that_changed_are_looked_at_again(change):
    memory, table = Memory(), rows("A", "B", "C")
    ask(memory, table, WALK.format(after=""))
    later = change(table)
    assert ask(memory, later, WALK.format(after="")) == [row["name"] for row in later]


def test_a_question_of_the_time_is_asked_each_time():
    memory, table = Memory(), [Counted(name="A", at="2026-03-02T08:30:00Z")]
    query = "resources | where todatetime(at) > ago(1h)"
    assert ask(memory, table, query) == ["A"]
    assert ask(memory, table, query, NOW + timedelta(hours=1)) == []


def test_one_is_not_true():
    memory, table = Memory(), [Counted(name="A", zone="1")]
    assert ask(memory, table, "resources | where zone == 1") == ["A"]
    assert ask(memory, table, "resources | where zone == true") == []


def test_it_forgets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kql_memory, "STEPS", 5)
    memory, table = Memory(), rows("A", "B", "C")
    for _ in range(2):
        for after in "abcdef":
            ask(memory, table, WALK.format(after=after))
    assert len(memory.made) == 5
