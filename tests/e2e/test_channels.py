"""All four channels from a real worker: Teams, Communication Services, SMTP, an Event Grid topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from bench import estates
from simulator.estate import Estate, up_running
from simulator.inbox import OrderedFault, inboxes_of
from simulator.inbox_cloud import cloud_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
ELSEWHERE = "northeurope"
PATIENCE = 60.0
KIM, LEE = "kim@contoso.example", "lee@contoso.example"


def blocked(number: int, owner: str) -> dict[str, Any]:
    """Give a VM in a region where the rules have no vault."""
    vm = estates.machine(number)
    return {**vm, "location": ELSEWHERE, "tags": {**vm.get("tags", {}), "owner": owner}}


def vault_there() -> list[dict[str, Any]]:
    vault = {**estates.vault("rsv-north"), "location": ELSEWHERE}
    return [vault, *estates.policies(vault)]


class Boxes:
    """What arrived at each far end."""

    def __init__(self, estate: Estate) -> None:
        self.cloud = cloud_of(estate.world)
        self.local = inboxes_of(estate.world)

    def mails(self, to: str) -> list[dict[str, Any]]:
        """Mails through Communication Services."""
        return [
            kept["message"]
            for kept in self.cloud.mails.inbox.messages
            if kept["message"]["recipients"]["to"][0]["address"] == to
        ]

    def relayed(self, to: str) -> list[dict[str, Any]]:
        """Mails through SMTP."""
        kept = [one["message"] for one in self.local.mail.messages]
        return [one for one in kept if to in str(one["headers"]["to"])]

    def cards(self) -> int:
        return len(self.local.teams.messages)

    def outcomes(self, number: int) -> list[str]:
        """What a topic's subscriber hears of a VM, each event once."""
        vm = estates.machine(number)["id"].lower()
        heard = {
            one["message"]["id"]: one["message"]["type"].rpartition(".")[2]
            for one in self.cloud.topic.messages
            if one["message"]["subject"].lower() == vm
        }
        return list(heard.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate() -> AsyncIterator[Estate]:
    async with up_running(
        seed=estates.seed(vaults=1, groups=4),
        rules=estates.RULES,
        speed=60.0,
        settings={"SWEEP_SECONDS": "180", "INDEX_SECONDS": "180"},
        start=datetime.fromisoformat("2026-03-02T09:00:00Z"),
        cloud_channels=True,
    ) as running:
        yield running


async def test_each_channel_tells_of_a_blocked_vm_and_of_its_end(estate):
    boxes = Boxes(estate)
    estate.put(blocked(0, f"{KIM}; teams:default"))
    await estate.wait_until(lambda: boxes.mails(KIM) and boxes.cards(), PATIENCE, "mail and card")
    (mail,) = boxes.mails(KIM)
    assert estates.machine(0)["name"] in mail["content"]["subject"]
    assert mail["headers"]["X-Notice-Id"]
    assert boxes.outcomes(0) == ["Blocked"]

    boxes.cloud.mails.inbox.faults.append(
        OrderedFault(
            status=403, count=50, body='{"error": {"code": "Denied", "message": "secret expired"}}'
        )
    )
    estate.put(blocked(1, LEE))
    await estate.wait_until(lambda: boxes.relayed(LEE), PATIENCE, "the mail through SMTP")
    assert boxes.mails(LEE) == []
    await estate.wait_until(
        lambda: boxes.relayed("operators@example.com"), PATIENCE, "the operators hear of it"
    )
    assert "CHANNEL_ACS" in str(boxes.relayed("operators@example.com"))
    boxes.cloud.mails.inbox.faults.clear()

    for body in vault_there():
        reply = estate.put(body)
        assert reply.status in {200, 201, 202}, reply
    estate.advance(1200)  # the list of vaults is looked at anew
    await estate.wait_until(
        lambda: {"Enrolled", "Resolved"} <= {*boxes.outcomes(0)} & {*boxes.outcomes(1)},
        PATIENCE,
        "both are enrolled and resolved",
    )
    await estate.wait_until(lambda: len(boxes.mails(KIM)) == 2, PATIENCE, "the end is told")
    assert [m["headers"]["X-Notice-Id"] for m in boxes.mails(KIM)] == [
        mail["headers"]["X-Notice-Id"]
    ] * 2
    assert boxes.outcomes(0)[0] == "Blocked"
    keys = [kept["operation"] for kept in boxes.cloud.mails.inbox.messages]
    assert len(keys) == len(set(keys))
