"""What owners see, in Chromium: cards by the official renderer, mails, light, dark and narrow.

Screenshots are left in ``build/screenshots`` for people. What is checked: nothing of attacker text
runs or loads, every word is there, the renderer has nothing to complain of, and every text stands
out from its background (WCAG 2 AA: 4.5 to 1).
"""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from shared.adapters.smtp import SmtpChannel, relay
from shared.adapters.teams import TeamsChannel
from shared.domain.deliveries import Target
from shared.notices import mail
from shared.notices.view import view
from shared.notices.words import Words
from simulator.inbox import TEAMS_PATH, inboxes_of
from simulator.inbox_page import RENDERER
from simulator.server import Simulator, running
from tests.unit.notices import letters

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 900, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 900, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 800}},
}
SHOWN = ("opened", "reminder", "escalation", "resolved", "digest")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(not RENDERER.exists(), reason="no card renderer: npm ci"),
]

# The renderer's pattern for "lang" remembers where it ended (/g), so it refuses every second card.
EVERY_OTHER = '["Invalid value \\"en\\" for property \\"lang\\"."]'

# Gives every visible text whose contrast with the background behind it is below 4.5.
CONTRAST = """() => {
  const rgba = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return { r: found[0], g: found[1], b: found[2], a: found[3] ?? 1 };
  };
  const light = ({ r, g, b }) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color.a === 1) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches
      ? { r: 18, g: 18, b: 18 } : { r: 255, g: 255, b: 255 };
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.offsetParent) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${walker.currentNode.data.slice(0, 40)}`);
  }
  return poor;
}"""
TOO_WIDE = "() => document.documentElement.scrollWidth > innerWidth + 1"


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        await opened.close()


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with running() as one:
        yield one


async def post(simulator: Simulator, *told) -> None:
    """Send each letter through the real channels: as a card and as a mail."""
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    mails = SmtpChannel(
        relay(inboxes_of(simulator.world).smtp.url), "b@contoso.com", trust=lambda: trust
    )
    async with aiohttp.ClientSession() as session:
        cards = TeamsChannel(
            {"default": simulator.control_url + TEAMS_PATH}, lambda: session, per_second=1e6
        )
        for letter in told:
            await cards.send(letter)
            await mails.send(replace(letter, to=Target("smtp", "kim@contoso.com")))


async def opened(page: Page, url: str) -> list[str]:
    """Open a page; give what must not happen on it: errors, dialogs, foreign requests."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    origin = "/".join(url.split("/")[:3])
    page.on(
        "request",
        lambda asked: (
            wrong.append(f"request {asked.url}")
            if not asked.url.startswith((origin, "about:", "data:"))
            else None
        ),
    )
    await page.goto(url)
    await page.wait_for_selector("body[data-ready=yes]")
    return wrong


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_cards_are_drawn_by_the_official_renderer_readable_in_every_look(
    simulator, browser, language
):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await post(simulator, *(letters.SAMPLES[name](language) for name in SHOWN))
    for look, options in LOOKS.items():
        page = await browser.new_page(**options)
        for number, name in enumerate(SHOWN, 1):
            theme = "&theme=dark" if look == "dark" else ""
            wrong = await opened(
                page, f"{simulator.control_url}/_sim/inbox?only=teams&number={number}{theme}"
            )
            assert wrong == []
            card = page.locator("article")
            assert await card.get_attribute("data-problems") == "[]"
            seen = view(letters.SAMPLES[name](language), Words(language))
            assert seen.headline in await card.inner_text()
            assert await page.evaluate(CONTRAST) == []
            assert not await page.evaluate(TOO_WIDE), (name, look)
            await card.screenshot(path=SCREENSHOTS / f"card-{name}.{language}.{look}.png")
        await page.close()


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_mails_are_readable_in_every_look(browser, language):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for look, options in LOOKS.items():
        page = await browser.new_page(**options)
        for name in SHOWN:
            letter = letters.SAMPLES[name](language)
            words = Words(language)
            await page.set_content(mail.mail(view(letter, words), words).html)
            assert await page.evaluate("() => document.documentElement.lang") == language
            assert await page.locator("h1").count() == 1
            assert await page.evaluate(CONTRAST) == []
            assert not await page.evaluate(TOO_WIDE), (name, look)
            await page.screenshot(
                path=SCREENSHOTS / f"mail-{name}.{language}.{look}.png", full_page=True
            )
        await page.close()


async def test_attacker_text_runs_nothing_and_loads_nothing(simulator, browser):
    await post(simulator, *(letters.hostile(text) for text in letters.HOSTILE.values()))
    page = await browser.new_page()
    wrong = await opened(page, f"{simulator.control_url}/_sim/inbox")
    assert await page.locator("article").count() == 2 * len(letters.HOSTILE)
    shown = await page.locator("main").inner_text()
    assert "<script>alert(1)</script>" in shown  # as words
    assert await page.locator("main script, main img").count() == 0
    for frame in page.frames[1:]:
        assert await frame.locator("script, img, form").count() == 0
    for place in await page.locator("article[data-problems]").all():
        assert await place.get_attribute("data-problems") in {"[]", EVERY_OTHER}
    hrefs = await page.eval_on_selector_all("main a[href]", "all => all.map((one) => one.href)")
    assert all(href.startswith("https://") for href in hrefs)
    assert wrong == []


async def test_the_page_shows_a_repeat_twice(simulator, browser):
    await post(simulator, letters.letter(), letters.letter())
    page = await browser.new_page()
    await opened(page, f"{simulator.control_url}/_sim/inbox?only=teams")
    assert await page.locator("article").count() == 2
