"""Trouble on the way to storage and to what is asked in memory: each call of these ports can fail.

`Trouble` wraps one call of one port of a house. What it raises is what `shared/adapters/faults.py`
makes of the answer. Calls to Azure fail over the wire: `test_faults_over_http.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from shared.adapters.faults import disposition_of
from shared.errors import AzureFault, Disposition
from tests.usecases.house import House

FIRST, SECOND, THIRDS = "first", "second", "every third"
WHEN: dict[str, Callable[[int], bool]] = {
    FIRST: lambda nth: nth == 1,
    SECOND: lambda nth: nth == 2,
    THIRDS: lambda nth: nth % 3 == 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way in which a call fails. ``slow`` seconds pass before it ends."""

    status: int = 0
    code: str = ""
    retry_after: float | None = None
    slow: float = 0.0
    disposition: Disposition | None = None

    def fault(self, call: str) -> AzureFault:
        return AzureFault(
            call,
            status=self.status,
            code=self.code,
            message="ordered by the test",
            disposition=self.disposition or disposition_of(self.status, self.code),
            retry_after=self.retry_after,
        )


RETRY, RAISE = Disposition.RETRY, Disposition.RAISE
KINDS: dict[str, Kind] = {
    "429": Kind(status=429, code="ResourceRequestsThrottled", retry_after=30.0),
    "429 for 324 s": Kind(status=429, code="ResourceRequestsThrottled", retry_after=324.0),
    "500": Kind(status=500, code="InternalServerError"),
    "502": Kind(status=502),
    "503": Kind(status=503, code="ServiceUnavailable"),
    "504": Kind(status=504, code="GatewayTimeout"),
    "reset": Kind(code="ServiceResponseError", disposition=RETRY),
    "timeout": Kind(code="ServiceResponseTimeoutError", disposition=RETRY, slow=30.0),
    "truncated": Kind(status=200, code="", disposition=RETRY),
    "not ARM": Kind(code="ValueError", disposition=RAISE),
    "slow": Kind(slow=20.0),
}

# Calls that leave something behind: their answer can be lost after they were carried out.
WRITES = frozenset(
    {
        "ledger.insert",
        "ledger.replace",
        "ledger.put_due",
        "ledger.drop_due",
        "ledger.put_in_flight",
        "ledger.drop_in_flight",
        "ledger.put_look",
        "ledger.drop_look",
        "ledger.take_place",
        "ledger.give_place",
        "ledger.count_change",
        "ledger.put_sweep",
        "ledger.note",
        "queues.send",
        "notices.report",
        "notices.clear",
    }
)
READS = frozenset(
    {
        "index.named",
        "index.room",
        "people.of",
        "rules.current",
        "ledger.read",
        "ledger.due",
        "ledger.looks",
        "ledger.in_flight",
        "ledger.places",
        "ledger.changes",
        "ledger.sweeps",
        "ledger.subscription_rows",
        "ledger.noted",
        "queues.depth",
    }
)
OF_STORAGE = frozenset({"500", "503", "reset", "timeout", "slow"})  # its SDK has tried three times
TROUBLE = timedelta(minutes=75)
AZURE = ("index.",)


def cells() -> list[tuple[str, str, str, bool]]:
    """Give every cell that can happen: call, kind, when, whether the work was done all the same."""
    found = []
    for call in sorted(READS | WRITES):
        for kind in KINDS:
            if not call.startswith(AZURE) and kind not in OF_STORAGE:
                continue
            lost = call in WRITES and not kind.startswith("429") and kind != "slow"
            for when in WHEN:
                found.append((call, kind, when, False))
                if lost:
                    found.append((call, kind, when, True))
    return found


class Trouble:
    """Fails one call of one port, the first, the second or every third time."""

    def __init__(self, house: House, call: str, kind: str, when: str, *, done: bool) -> None:
        self.call = call
        self.kind = KINDS[kind]
        self.due = WHEN[when]
        self.done = done
        self.calls = 0
        self.hits = 0
        self._clock = house.clock
        # Storage's SDK tries again by itself, and the index is asked in memory: what still fails
        # there is trouble of an hour, by chance.
        self._ends = house.clock.now() + TROUBLE
        self.by_chance = when == THIRDS
        if self.by_chance:
            chance = Random(f"{call} {kind}")
            self.due = lambda _: chance.random() < 1 / 3
        name, method = call.split(".")
        port = getattr(house, name)
        original = getattr(port, method)
        walks = inspect.isasyncgenfunction(original)
        setattr(port, method, self._walk(original) if walks else self._step(original))

    def _hit(self) -> bool:
        if self._clock.now() > self._ends:
            return False
        self.calls += 1
        if not self.due(self.calls):
            return False
        self.hits += 1
        self._clock.advance(self.kind.slow)
        return self.kind.status > 0 or self.kind.code != ""

    def _step(self, original):
        async def step(*args, **kwargs):
            fails = self._hit()
            if fails and not self.done:
                raise self.kind.fault(self.call)
            answer = await original(*args, **kwargs)
            if fails:
                raise self.kind.fault(self.call)
            return answer

        return step

    def _walk(self, original):
        async def walk(*args, **kwargs):
            if self._hit():
                raise self.kind.fault(self.call)
            async for page in original(*args, **kwargs):
                yield page

        return walk
