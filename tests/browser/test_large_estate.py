"""Ten thousand VMs, twelve vaults: from the worst causes to the owner of one VM, in a real browser.

The whole service runs (real worker, storage, simulated Azure) and decides every VM that something
stands in the way of. The pictures in docs/images/ are made here:
`SCREENSHOTS=docs/images pytest tests/browser/test_large_estate.py --all-cells`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from bench import estates
from shared.web.view import percent
from simulator.estate import Estate, up_running
from tests.browser.large import Large, large

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.large, pytest.mark.timeout(900)]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PASSWORD = "a large estate"
A_MINUTE = 60.0
SHOTS = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))
CAUSES = {  # fault -> what the page calls it
    "ephemeral": ("EPHEMERAL_OS_DISK",),
    "no-vault": ("NO_VAULT_IN_REGION",),
    "trusted-launch": ("observing",),  # nothing in its way, in observe mode
    "unknown-tier": ("TAG_VALUE_UNKNOWN",),
    "many-disks": ("DATA_DISK_COUNT",),
    "unmanaged": ("UNMANAGED_DISK",),
    "huge-disk": ("DISK_SIZE",),
    "much-in-all": ("DISK_SIZE_TOTAL",),
    "edge": ("EXTENDED_ZONE", "POLICY_KIND"),
    "old": ("OS_32_BIT",),
    "confidential": ("CONFIDENTIAL_VM",),
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Where the page is, and what it has to show."""

    url: str
    made: Large

    @property
    def worst(self) -> list[tuple[str, int]]:
        """The ten worst causes, as the seed has them."""
        found = Counter(code for fault in self.made.faults.values() for code in CAUSES[fault])
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:10]

    def owner(self, vm: str) -> str:
        (body,) = (one for one in self.made.vms if one["name"] == vm)
        return str(body["tags"]["owner"])


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Run the service in a thread of its own until it has decided every VM."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="estate", daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(600)

    made = large()
    stack = AsyncExitStack()
    estate = run(_up(stack, made))
    try:
        run(_decided(estate, made))
        yield Seen(url=estate.url, made=made)
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _up(stack: AsyncExitStack, made: Large) -> Estate:
    return await stack.enter_async_context(
        up_running(
            seed=made.seed,
            rules=estates.RULES,
            speed=0.0,
            start=START,
            settings={"MODE": "observe", "LOCAL_SIGN_IN": PASSWORD, "INSTANCES": "1"},
        )
    )


async def _decided(estate: Estate, made: Large) -> None:
    await made.plant(estate.azurite.connection_string, START)
    estate.clock.set_speed(4.0)
    given = base64.b64encode(f"x:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {given}", "Accept": "application/json"}
    url = f"{estate.url}/api/coverage/export.json"
    ends = time.monotonic() + 500
    while time.monotonic() < ends:
        async with estate.http.get(url, headers=headers) as answer:
            body = await answer.json()
        counted = sum(body["standings"].values()) - body["standings"].get("waiting", 0)
        if counted == len(made.vms) and not body["doubts"]:
            estate.clock.set_speed(1.0)
            return
        await asyncio.sleep(len(made.vms) / 1000)  # it is a long answer
    raise TimeoutError(f"not every VM was decided: {body['standings']} {estate.summary()}")


def signed_in(context: BrowserContext, seen: Seen) -> Page:
    page = context.new_page()
    page.goto(f"{seen.url}/api/coverage")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", scale="css")


def test_the_ten_worst_causes_and_an_owner_are_two_clicks_and_less_than_a_minute_away(
    context: BrowserContext, seen: Seen
):
    began = time.monotonic()
    page = signed_in(context, seen)
    page.set_viewport_size({"width": 1000, "height": 600})
    sound = len(seen.made.vms) - len(seen.made.faults)
    expect(page.locator(".headline b")).to_have_text(percent(sound, len(seen.made.vms)))
    shot(page, "page-1-overview")
    causes = page.get_by_role("region", name="Causes").get_by_role("row")
    expect(causes).to_have_count(len(seen.worst) + 1)
    for place, (code, count) in enumerate(seen.worst, 1):
        expect(causes.nth(place)).to_contain_text(code)
        expect(causes.nth(place).get_by_role("cell").first).to_have_text(f"{count:,}")
    page.locator("#causes").evaluate("one => one.scrollIntoView()")
    shot(page, "page-2-causes")

    causes.nth(1).get_by_role("link").click()
    vms = page.get_by_role("region", name="VMs").last
    expect(page.get_by_text(f"{seen.worst[0][1]:,} VMs with cause")).to_be_visible()
    vms.evaluate("one => one.scrollIntoView()")
    shot(page, "page-3-vms")

    vm = str(vms.get_by_role("link").first.text_content())
    vms.get_by_role("link").first.click()
    expect(page.locator("dl").first).to_contain_text(f"{seen.owner(vm)} (tag owner)")
    took = time.monotonic() - began
    shot(page, "page-4-owner")

    assert took < A_MINUTE


LOOKS = [
    pytest.param("dark", {"color_scheme": "dark"}, (1000, 600), id="dark"),
    pytest.param("phone", {"color_scheme": "light"}, (390, 700), id="phone"),
    pytest.param("print", {"media": "print", "color_scheme": "light"}, (900, 600), id="print"),
]


@pytest.mark.parametrize("name, media, size", LOOKS)
def test_pictures_of_the_overview(context: BrowserContext, seen: Seen, name, media, size):
    page = signed_in(context, seen)
    page.emulate_media(**media)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{seen.url}/api/coverage")
    expect(page.locator(".headline b")).to_be_visible()
    shot(page, f"page-{name}")

    assert (SHOTS / f"page-{name}.png").stat().st_size > 10_000
