"""Checks every answer of every simulated Azure, and every request of the product, as they happen.

Where real Azure deviates from its own documents the simulator may too: deviations.json has what the
same check finds in the recordings, each with the first recording that shows it. What the service has
learned since the documents of 2024-04-01 is in newer.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.arm import Reply
from simulator.gateway import Gateway, Incoming
from simulator.reliance import DECIDES
from tests.conformance.openapi import Catalogue, Deviation
from tests.conformance.recordings import read

DEVIATIONS = Path(__file__).parent / "deviations.json"
NEWER = Path(__file__).parent / "newer.json"
#: How the product names itself to Azure.
PRODUCT = "vm-backup"

type Place = tuple[str, str]


def place(deviation: Deviation) -> Place:
    """Return where in a resource a deviation is, the same for a list and for one of its rows.

    What is about no member at all, a status or a whole body, is of its operation alone.
    """
    path = deviation.path.replace("$.value[]", "$")
    if path in {"$", "status"}:
        path = f"{deviation.operation} {path}"
    return path, deviation.what.split("'")[0]


def recorded(folder: Path) -> dict[Place, str]:
    """Return how real Azure deviates from its documents, with a recording that shows it."""
    catalogue = Catalogue.load(folder / "openapi")
    found: dict[Place, str] = {}
    for path in sorted((folder / "recordings").rglob("*.jsonl")):
        for one in read(path)[0]:
            for deviation in catalogue.answer(one.method, one.path, one.status, one.body):
                found.setdefault(place(deviation), one.where)
    return found


def listed(file: Path) -> dict[Place, str]:
    """Return the deviations of a file, each with where it is known from."""
    rows = json.loads(file.read_text("utf-8"))
    return {(row["path"], row["what"]): row["source"] for row in rows}


@dataclass(slots=True)
class Traffic:
    """What was seen, and what of it the documents do not allow."""

    catalogue: Catalogue
    allowed: dict[Place, str]
    answers: int = 0
    requests: int = 0
    unknown: int = 0
    used: set[Place] = field(default_factory=set)
    wrong: dict[Deviation, str] = field(default_factory=dict)
    _fresh: list[str] = field(default_factory=list)

    @classmethod
    def held_against(cls, folder: Path) -> Traffic:
        return cls(Catalogue.load(folder / "openapi"), {**listed(DEVIATIONS), **listed(NEWER)})

    def see(self, incoming: Incoming, reply: Reply) -> None:
        """Check one exchange; faults that were ordered have bodies of any form and are 4xx or 5xx."""
        if self.catalogue.find(incoming.method, incoming.path) is None:
            self.unknown += 1
            return
        self.answers += 1
        where = f"{incoming.method} {incoming.path} {reply.status}"
        body = reply.body if reply.status < 400 else None
        if reply.status < 400:
            found = self.catalogue.answer(incoming.method, incoming.path, reply.status, body)
            self._note(found, where)
        if PRODUCT in incoming.headers.get("user-agent", "") and incoming.raw:
            self.requests += 1
            asked = json.loads(incoming.raw)
            sent = self.catalogue.request(incoming.method, incoming.path, asked)
            self._note(sent, f"request {where}")

    def ask(self, incoming: Incoming, operation: str) -> None:
        """Check that COVERAGE.md tells what is decided on an operation the product asks for."""
        if PRODUCT in incoming.headers.get("user-agent", "") and operation not in DECIDES:
            self._fresh.append(f"{operation}: simulator/reliance.py does not say what it decides")

    def _note(self, found: Iterable[Deviation], where: str) -> None:
        for deviation in found:
            if place(deviation) in self.allowed:
                self.used.add(place(deviation))
            elif deviation not in self.wrong:
                self.wrong[deviation] = where
                self._fresh.append(f"{deviation} ({where})")

    def fresh(self) -> list[str]:
        """Return what was found wrong since this was last asked."""
        found, self._fresh = self._fresh, []
        return found


def listen(traffic: Traffic) -> Callable[[], None]:
    """Check all traffic of this process from now on; return what ends it."""
    faithful: Any = Gateway.answer

    def answer(self: Gateway, incoming: Incoming) -> Reply:
        reply = faithful(self, incoming)
        if not self.last_fault:
            traffic.see(incoming, reply)
            traffic.ask(incoming, self.operation(incoming.method, incoming.path))
        return reply  # type: ignore[no-any-return] # it is what the gateway gave

    Gateway.answer = answer  # type: ignore[method-assign]

    def stop() -> None:
        Gateway.answer = faithful  # type: ignore[method-assign]

    return stop
