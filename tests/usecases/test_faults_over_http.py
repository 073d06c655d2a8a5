"""Every call to Azure fails in every way, over TLS, through the real adapters and their pipeline.

The calls are those that a story without trouble makes. An ordinary run lets all of them fail at
once, in every way, the first, the second or every third time (a seeded third of the cells);
`--all-cells` also lets each fail alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from bench import estates
from shared.adapters import clients
from shared.domain.ids import ArmId
from shared.domain.rules import parse
from tests.usecases.mortal import Mortal
from tests.usecases.town import Town, town

WHEN = ("first", "second", "every-third")
PUT = "ProtectedItems_CreateOrUpdate"
TRIGGER = "Backups_Trigger"
TROUBLE = 3600  # seconds; then Azure is well again
STEP = 60.0
RULES = estates.RULES.read_text(encoding="utf-8").replace(
    "  vaults: central\n",
    "  vaults: central\n  options: {pre_validate: true, first_backup: always}\n",
)
TOLD = (
    "Number of requests for action 'x/read' exceeded the limit of '150' for time interval "
    "'01:00:00'. Please try again after '30' seconds."
)
KINDS: dict[str, dict[str, Any]] = {
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
    "reset": {"reset": True},
    "timeout": {"timeout": 60},
    "truncated": {"truncate": 20},
    "not ARM": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "slow": {"slow": 20},
}
LOST = frozenset(
    {"500", "504", "reset", "timeout"}
)  # the PUT may have been carried out all the same


@dataclass(frozen=True, slots=True)
class Told:
    """How the story ended, as far as anybody can see it."""

    rows: dict[str, tuple[str, ...]]
    items: list[tuple[str, str, str]]
    heard: frozenset[tuple[str, str, str]]


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
    await house.play(TROUBLE, step=STEP)
    house.put(vm(2, "gold"))
    house.put(vm(0, "silver"))
    house.delete(vm(3)["id"])
    await house.announce(*house.published())
    await house.play(3 * 3600, step=STEP)
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


def heard(house: Mortal) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (str(letter.kind), letter.to.address, ",".join(sorted(s.title for s in letter.stories)))
        for channel in (house.post.mail, house.post.teams)
        for letter in channel.got
    )


def seed() -> dict[str, Any]:
    return estates.seed(vaults=1, groups=2)


@pytest.fixture(scope="module")
def calm():
    async def tell():
        async with town(seed(), SWEEP_SECONDS="1800") as house:
            told = await story(house)
            operations = Counter(one.operation for one in house.calls())
            return told, operations, house.longest

    return asyncio.run(tell())


def test_the_story_makes_every_kind_of_call_and_shows_every_kind_of_end(calm):
    told, operations, longest = calm

    assert told.rows == {
        vm(0)["name"]: ("Protected", "gold", "POLICY_WEAKER"),
        vm(1)["name"]: ("Protected", "silver", ""),
        vm(2)["name"]: ("Protected", "gold", ""),
        vm(3)["name"]: ("Orphaned", "silver", "ORPHANED"),
        vm(4)["name"]: ("Blocked", "", "NO_VAULT_IN_REGION"),
        vm(5)["name"]: ("Protected", "silver", ""),
        vm(6)["name"]: ("Protected", "silver", ""),
    }
    assert {one[2] for one in told.heard} == {vm(0)["name"], vm(4)["name"]}
    assert operations[PUT] == 9  # six enrollments, two of them twice, and one change of policy
    assert operations.keys() == {
        "Resources",
        "VirtualMachines_Get",
        "Vaults_ListBySubscriptionId",
        "ManagementLocks_ListAtScope",
        "ProtectedItems_CreateOrUpdate",
        "ProtectedItems_Get",
        "BackupJobs_List",
        "BackupProtectedItems_List",
        "BackupOperationStatuses_Get",
        "Backups_Trigger",
        "ProtectionIntent_Validate",
        "Providers_Get",
    }
    assert longest == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_put_whose_connection_is_lost_is_sent_once(after):
    async with town(seed(), SWEEP_SECONDS="1800") as house:
        order = {
            "match": {"operation": PUT},
            "nth": "first",
            "fault": {"reset": True, "after": after},
        }
        house.sim.world.gateway.faults.order(order)
        house.put(vm(0))
        await house.announce(*house.published())

        await house.turn()

        assert sum(one.operation == PUT for one in house.calls()) == 1
        assert (await house.row(ArmId.parse(vm(0)["id"]))).why == "answer-unknown"


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_azure_does_the_end_is_the_same(kind, calm, request, monkeypatch):
    told, operations, _ = calm
    every = request.config.getoption("--all-cells")
    together = [(tuple(operations), when) for when in WHEN]
    alone = [((one,), when) for one in operations for when in WHEN]
    cells = [*together, *alone] if every else [Random(kind).choice(together)]
    if kind == "timeout":
        monkeypatch.setattr(clients, "_ANSWER", 0.2)

    async def check(failing: tuple[str, ...], when: str, *, after: bool) -> None:
        where = f"{failing} {kind} {when} {'after' if after else ''}"
        async with town(seed(), SWEEP_SECONDS="1800") as house:
            house.slow_wire = kind == "slow"
            for operation in failing:
                house.sim.world.gateway.faults.order(
                    {
                        "match": {"operation": operation},
                        "nth": when,
                        "seconds": TROUBLE,
                        "fault": KINDS[kind] | ({"after": True} if after else {}),
                    }
                )
            assert await story(house) == told, where
            puts = [one for one in house.calls() if one.operation == PUT and one.status == 202]
            assert len(puts) <= operations[PUT] + after, where
            started = sum(one.operation == TRIGGER and one.status == 202 for one in house.calls())
            assert started <= operations[TRIGGER], where
            if kind not in {"slow", "timeout"}:
                assert house.longest <= 5, where

    async def all_of_them() -> None:
        for failing, when in cells:
            await check(failing, when, after=False)
        if kind in LOST:
            for when in WHEN if every else [Random(kind).choice(WHEN)]:
                await check((PUT,), when, after=True)

    asyncio.run(all_of_them())
