"""Azure's limits as data: today's value, the older ones, source and date (STYLE 9, row S13).

`limits.json` is the file to edit when Microsoft moves a limit; no code holds a number.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Before(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value the limit once had."""

    value: int
    source: str
    date: str


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit with its history."""

    name: str
    now: int
    unit: str
    source: str
    date: str
    before: tuple[Before, ...]


class Limits:
    """The table, by name."""

    def __init__(self, rows: tuple[Limit, ...]) -> None:
        self.rows = rows
        self._by_name = {row.name: row for row in rows}
        self._numbers = {row.name: row.now for row in rows}

    def number(self, name: str) -> int:
        """Give today's value."""
        return self._numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def __getitem__(self, name: str) -> Limit:
        return self._by_name[name]

    def history(self, name: str) -> str:
        """Say since when the value holds and what it was before."""
        row = self._by_name[name]
        earlier = "; ".join(f"{one.value} in {one.date[:4]}" for one in row.before)
        return f"{row.now} {row.unit} ({row.date})" + (f", before: {earlier}" if earlier else "")


def _load() -> Limits:
    content = Path(__file__).with_name("limits.json").read_bytes()
    return Limits(msgspec.json.decode(content, type=tuple[Limit, ...]))


LIMITS = _load()
