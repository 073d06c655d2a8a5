"""Accepted differences: few, each of one operation at one JSON path for one reason (accepted.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.compare import Difference

FILE = Path(__file__).parent / "accepted.json"
MOST = 25
#: Never a matter of taste: what is in which order, how an id is spelled, what an error says.
NEVER = (" order", ".id", ".name", "error.message", "error.code", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    operation: str
    path: str
    reason: str

    def covers(self, operation: str, difference: Difference) -> bool:
        return (self.operation, self.path) == (operation, difference.path)

    def __str__(self) -> str:
        return f"{self.operation} {self.path}: {self.reason}"


def load(file: Path = FILE) -> tuple[Accepted, ...]:
    """Read the reviewed list; raise ValueError for an entry that may not be there."""
    entries = tuple(Accepted(**row) for row in json.loads(file.read_text("utf-8")))
    if len(entries) > MOST:
        raise ValueError(f"{len(entries)} accepted differences, at most {MOST}")
    for entry in entries:
        if not entry.reason.strip() or any(entry.path.endswith(tail) for tail in NEVER):
            raise ValueError(f"not acceptable: {entry}")
    return entries
