"""A story told over TLS, through the real adapters and their pipeline; how Azure can spoil it.

The calls that can fail are those that the story makes without trouble. A cell of the matrix is one
of them, or all at once, failing in one way the first, the second or every third time for an hour.

What "held by a retry" means: the seconds that one invocation chose to wait, for a second try or
because Azure said so, are counted in simulated time, in which nothing else passes. A call that
hangs or answers late holds its invocation too, for at most the pipeline's own limit; that is no
retry as long as it is not made again in the same invocation, which every cell checks as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from bench import estates
from shared.adapters import clients, tries
from shared.domain.ids import ArmId
from shared.domain.rules import parse
from tests.usecases.mortal import Mortal
from tests.usecases.town import Town, town

PUT = "ProtectedItems_CreateOrUpdate"
TRIGGER = "Backups_Trigger"
OPERATIONS = (
    "Resources",
    "VirtualMachines_Get",
    "Vaults_ListBySubscriptionId",
    "ManagementLocks_ListAtScope",
    PUT,
    "ProtectedItems_Get",
    "BackupJobs_List",
    "BackupPolicies_List",
    "BackupProtectedItems_List",
    "BackupOperationStatuses_Get",
    TRIGGER,
    "ProtectionIntent_Validate",
    "Providers_Get",
)
ALL = "all of them"
WHEN = ("first", "second", "every-third")
HELD = 5.0  # seconds; the longest that an invocation may be held by a retry
TROUBLE = 3600  # seconds; then Azure is well again
CATCHING_UP = 1800  # seconds; told to wait 324 s eleven times, seven VMs take more than the hour
STEP = 60.0
RULES = estates.RULES.read_text(encoding="utf-8").replace(
    "  vaults: central\n",
    "  vaults: central\n  options: {pre_validate: true, first_backup: always}\n",
)
TOLD = (
    "Number of requests for action 'x/read' exceeded the limit of '150' for time interval "
    "'01:00:00'. Please try again after '30' seconds."
)
REFUSED: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "code": "ResourceRequestsThrottled", "headers": {}, "message": TOLD},
    "429 for 324 s": {
        "status": 429,
        "code": "TooManyRequests",
        "message": "Slow down.",
        "headers": {"Retry-After": "324"},
    },
    "500": {"status": 500, "code": "InternalServerError"},
    "502": {"status": 502, "code": "InvalidGatewayHost"},
    "503": {"status": 503, "code": "ServiceUnavailable"},
    "504": {"status": 504, "code": "GatewayTimeout"},
    "not ARM": {"status": 502, "body": "<html>Bad Gateway</html>"},
}
BROKEN: dict[str, dict[str, Any]] = {
    "reset": {"reset": True},
    "timeout": {"timeout": 60},
    "truncated": {"truncate": 20},
    "slow": {"slow": 20},
}
KINDS = REFUSED | BROKEN
LOST = frozenset(
    {"500", "504", "reset", "timeout"}
)  # the PUT may have been carried out all the same
SOON = 0.2  # real seconds in which an answer is given up where it never comes, instead of 30


@dataclass(frozen=True, slots=True)
class Cell:
    """Which calls fail, how and when; ``after``: once they were carried out."""

    failing: str
    kind: str
    when: str
    after: bool = False

    def __str__(self) -> str:
        return f"{self.failing} {self.kind} {self.when}{' after' if self.after else ''}"

    def orders(self) -> list[dict[str, Any]]:
        fault = KINDS[self.kind] | ({"after": True} if self.after else {})
        failing = OPERATIONS if self.failing == ALL else (self.failing,)
        return [
            {"match": {"operation": one}, "nth": self.when, "seconds": TROUBLE, "fault": fault}
            for one in failing
        ]


@dataclass(frozen=True, slots=True)
class Told:
    """How the story ended, as far as anybody can see it."""

    rows: dict[str, tuple[str, ...]]
    items: list[tuple[str, str, str]]
    heard: Counter[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Calm:
    """The story without trouble, and what it took."""

    told: Told
    operations: Counter[str]
    longest_pause: float


def cells(*kinds: str) -> list[Any]:
    """Give all cells as parameters; an ordinary run takes one or two of a kind."""
    found = []
    for kind in kinds:
        chance = Random(kind)
        together = [Cell(ALL, kind, when) for when in WHEN]
        lost = [Cell(PUT, kind, when, after=True) for when in WHEN] if kind in LOST else []
        ordinary = {chance.choice(some) for some in (together, lost) if some}
        alone = [Cell(one, kind, when) for one in OPERATIONS for when in WHEN]
        for cell in (*together, *lost, *alone):
            marks = () if cell in ordinary else (pytest.mark.large,)
            found.append(pytest.param(cell, id=str(cell), marks=marks))
    return found


def vm(number: int, tier: str = "", **changes: Any) -> dict[str, Any]:
    body = estates.machine(number, groups=2)
    tags = {**body["tags"], "owner": "kim@contoso.com"} | ({"backup-tier": tier} if tier else {})
    return body | {"tags": tags} | changes


async def story(house: Town) -> Told:
    """Enroll, fail in job and operation, block, sweep, change a policy both ways, delete."""
    failing = {"code": "UserErrorGuestAgentStatusUnavailable", "times": 1}
    orders = {
        vm(number)["id"]: {"fails": how, **failing}
        for number, how in ((1, "job"), (6, "operation"))
    }
    house.sim.world.knobs.turn({"backup.enable.orders": orders})
    house.rules.rules = parse(RULES, "rules.yaml")
    for number in (0, 1, 2, 3, 6):
        house.put(vm(number))
    house.put(vm(4, location="koreacentral"))
    await house.announce(*house.published())
    house.put(vm(5))
    house.published()  # nobody announces it
    await house.play(TROUBLE + CATCHING_UP, step=STEP)
    house.put(vm(2, "gold"))
    house.put(vm(0, "silver"))
    house.delete(vm(3)["id"])
    await house.announce(*house.published())
    await house.play(2.5 * 3600, step=STEP)
    return await ending(house)


async def ending(house: Town) -> Told:
    rows = {}
    for number in range(7):
        row = await house.row(ArmId.parse(vm(number)["id"]))
        assert row.claim is None
        assert row.intent is None
        codes = ",".join(sorted(one.code for one in row.findings))
        rows[vm(number)["name"]] = (row.state, tier_of(row.policy), codes)
    assert house.queues.sent == []
    items = sorted(
        (item.friendly_name, str(item.state), tier_of(str(item.policy)))
        for vault in house.sim.world.backup.vaults.values()
        for item in vault.items.values()
    )
    return Told(rows=rows, items=items, heard=heard(house))


def tier_of(policy: str) -> str:
    """Give the tier; which of its policies a VM gets depends on who came first."""
    return policy.rpartition("/")[2].rpartition("-")[0]


def heard(house: Mortal) -> Counter[tuple[str, str, str]]:
    """Count what each person was told of each VM, by any channel."""
    return Counter(
        (str(letter.kind), letter.to.address, one.title)
        for channel in (house.post.mail, house.post.teams)
        for letter in channel.got
        for one in letter.stories
    )


def told_in_town():
    """Open the town of the story."""
    return town(estates.seed(vaults=1, groups=2), SWEEP_SECONDS="1800")


def undisturbed() -> Calm:
    async def tell() -> Calm:
        async with told_in_town() as house:
            told = await story(house)
            operations = Counter(one.operation for one in house.calls())
            return Calm(told=told, operations=operations, longest_pause=house.longest_pause)

    return asyncio.run(tell())


async def hold(cell: Cell, calm: Calm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the story with a cell's trouble: it ends as without, and no retry holds anything."""
    if cell.kind == "timeout":  # both limits become shorter by the same factor
        monkeypatch.setattr(tries, "_LIMIT", tries._LIMIT * SOON / clients._ANSWER)
        monkeypatch.setattr(clients, "_ANSWER", SOON)
    async with told_in_town() as house:
        house.slow_wire = cell.kind == "slow"
        faults = house.sim.world.gateway.faults
        orders = [faults.order(order) for order in cell.orders()]

        told = await story(house)

        assert told.rows == calm.told.rows
        assert told.items == calm.told.items
        assert told.heard == calm.told.heard
        assert all(one.hits or one.seen < 1 + WHEN.index(cell.when) for one in orders)
        accepted = Counter(one.operation for one in house.calls() if one.status == 202)
        assert accepted[PUT] <= calm.operations[PUT] + cell.after
        assert accepted[TRIGGER] <= calm.operations[TRIGGER]
        assert house.longest_pause <= HELD
        sent = Counter((one.operation, one.client_request_id) for one in house.calls())
        once = cell.kind in {"slow", "timeout"}
        assert max(sent.values()) <= (1 if once else 2)
        assert max(times for (operation, _), times in sent.items() if operation == PUT) == 1
