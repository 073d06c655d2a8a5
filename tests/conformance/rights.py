"""Which rights the service used in a run of the suite, held against the role of `infra/`.

Every simulated Azure of every test is listened to, whatever process the test runs in. An action that
is not in the role fails the run at once; an action of the role that nobody asked for fails a run of
the whole suite. The walk of tests/infra/test_role.py does not count: the suite shall show it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator.arm import PrincipalKind, Reply
from simulator.gateway import Gateway, Incoming
from tests.conformance.traffic import PRODUCT

ROLE = Path(__file__).parents[2] / "infra" / "role.json"
#: What the command line of a person says of itself; its rights are the person's.
OPERATOR = "an-operator"
#: The walk over every adapter, and the commands of a person, whose rights are their own.
NOT_THE_SERVICE = ("tests/infra/test_role.py", "tests/unit/ops/")
#: Blocks that nothing uses today; infra/role.json says why.
RESERVED = frozenset({"storageReads"})
#: Resource Graph needs no right of its own: rows are what the caller may read.
RIGHTLESS = frozenset({"microsoft.resourcegraph/resources/read"})
#: No route of ARM's asks for these: Resource Graph shows rows by the first two, and Azure Backup
#: itself checks the third on the VM.
UNLOGGED = frozenset(
    {
        "microsoft.resources/subscriptions/read",
        "microsoft.compute/disks/read",
        "microsoft.compute/virtualmachines/write",
    }
)


def granted(blocks: Mapping[str, Any] | None = None) -> set[str]:
    """Give the actions of the role that something uses, in lower case."""
    found = blocks if blocks is not None else json.loads(ROLE.read_text("utf-8"))
    return {
        action.lower()
        for name, block in found.items()
        if name not in RESERVED
        for action in block["actions"]
    }


def missing(used: Iterable[str], role: set[str]) -> Iterator[str]:
    """Say what was used without a right to it."""
    for action in sorted({*used} - role - RIGHTLESS):
        yield f"infra/role.json does not grant {action}"


def unused(used: Iterable[str], role: set[str]) -> Iterator[str]:
    """Say what is granted though nothing used it."""
    for action in sorted(role - {*used} - UNLOGGED):
        yield f"infra/role.json grants {action}, which no test used"


def whole(config: pytest.Config) -> bool:
    """Say whether this run is one of the whole suite, of which every action can be expected."""
    chosen = config.option.keyword or config.option.markexpr or config.option.deselect
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen


@dataclass(slots=True)
class Rights:
    """The actions that were asked for, each with a test that did."""

    used: dict[str, str] = field(default_factory=dict)
    test: str = ""

    def see(self, action: str) -> None:
        if action and not self.test.startswith(NOT_THE_SERVICE):
            self.used.setdefault(action.lower(), self.test)


def listen(rights: Rights) -> Callable[[], None]:
    """Note what the service's identity asks of every simulated Azure of this process, until ended."""
    faithful: Any = Gateway.answer

    def answer(self: Gateway, incoming: Incoming) -> Reply:
        reply = faithful(self, incoming)
        agent = incoming.headers.get("user-agent", "")
        ours = PRODUCT in agent and OPERATOR not in agent
        if ours and incoming.principal.kind is PrincipalKind.SERVICE:
            rights.see(self.last_action)
        return reply  # type: ignore[no-any-return] # it is what the gateway gave

    Gateway.answer = answer  # type: ignore[method-assign]

    def stop() -> None:
        Gateway.answer = faithful  # type: ignore[method-assign]

    return stop
