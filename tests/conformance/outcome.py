"""What a replay found: counts, differences with their place, and what was left out by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.conformance.accepted import Accepted
from tests.conformance.compare import Difference
from tests.conformance.recordings import Broken, Exchange


@dataclass(frozen=True, slots=True)
class Found:
    """A difference with where it was found."""

    exchange: Exchange
    operation: str
    difference: Difference

    def __str__(self) -> str:
        return f"{self.exchange.where} {self.operation} {self.difference}"


@dataclass(slots=True)
class Outcome:
    """What a replay of some files found."""

    matched: int = 0
    accepted: int = 0
    differing: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    #: the api-versions in which an operation was compared
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    outside: Counter[str] = field(default_factory=Counter)
    #: lines and exchanges left out ...
    broken: list[Broken] = field(default_factory=list)
    #: ... files and sessions of which nothing was compared
    unread: list[Broken] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    used: Counter[Accepted] = field(default_factory=Counter)
    #: exchanges in surface by file
    files: dict[str, int] = field(default_factory=dict)
    #: what was taken from the recording, a line each
    inputs: list[str] = field(default_factory=list)

    @property
    def in_surface(self) -> int:
        return self.matched + self.accepted + self.differing

    def add(self, other: Outcome) -> None:
        self.matched += other.matched
        self.accepted += other.accepted
        self.differing += other.differing
        self.compared += other.compared
        for operation, versions in other.versions.items():
            self.versions[operation] |= versions
        self.outside += other.outside
        self.broken += other.broken
        self.unread += other.unread
        self.found += other.found
        self.used += other.used
        self.inputs += other.inputs

    def last_line(self) -> str:
        return (
            f"in surface {self.in_surface}, matched {self.matched}, "
            f"accepted {self.accepted}, differing {self.differing}"
        )
