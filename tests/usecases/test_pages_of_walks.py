"""Walks of several subscriptions share an instance: it holds one page of one of them at a time."""

from __future__ import annotations

import asyncio

from shared import bootstrap
from shared.domain.messages import SweepPage, encode
from tests.usecases.house import House


async def test_an_instance_reads_one_page_at_a_time(monkeypatch):
    house, held, most = House(), 0, 0
    shown = house.estate.vms

    async def given(what):
        return what

    async def vms(subscription: str, after: str):
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0)
        held -= 1
        return await shown(subscription, after)

    monkeypatch.setattr(bootstrap, "ports", lambda: given(house.ports))
    monkeypatch.setattr(house.estate, "vms", vms)
    now = house.clock.now()
    pages = [
        SweepPage(subscription=f"{number}", sweep=f"sweep-{number}", started_at=now)
        for number in range(5)
    ]
    await asyncio.gather(*(bootstrap.sweep_page(encode(page)) for page in pages))
    assert most == 1
    assert len(await house.ledger.sweeps()) == len(pages)
