"""Leaves what owners would have received in a folder: as files, and as pictures of the inbox."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

type Letter = Mapping[str, Any]


def write(folder: Path, cards: Sequence[Letter], mails: Sequence[Letter]) -> None:
    """Write every card and mail; older ones of an earlier run are removed."""
    for old in (*folder.glob("card-*"), *folder.glob("mail-*")):
        old.unlink()
    for number, kept in enumerate(mails, 1):
        mail = kept["message"]
        stem = folder / f"mail-{number:02d}"
        stem.with_suffix(".txt").write_text(str(mail.get("text") or ""), encoding="utf-8")
        stem.with_suffix(".html").write_text(str(mail.get("html") or ""), encoding="utf-8")
    for number, card in enumerate(cards, 1):
        stem = folder / f"card-{number:02d}"
        body = card["message"]
        stem.with_suffix(".json").write_text(
            json.dumps(body, indent=2, ensure_ascii=False), encoding="utf-8"
        )
        stem.with_suffix(".html").write_text(_page(body), encoding="utf-8")


async def photograph(folder: Path, inbox: str, cards: int, mails: int) -> str:
    """Take a picture of every card and mail as the inbox page draws them; say why if it cannot."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        return "Chromium is missing (apt-get install chromium)"
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 900, "height": 700})
        for box, kind, count in (("teams", "card", cards), ("mail", "mail", mails)):
            for number in range(1, count + 1):
                await page.goto(f"{inbox}?only={box}&number={number}")
                await page.wait_for_selector("body[data-ready=yes]")
                shot = folder / f"{kind}-{number:02d}.png"
                await page.locator("article").screenshot(path=shot)
        await browser.close()
    return ""


def log(file: Path, lines: Iterable[Any]) -> None:
    """Append what the app's instances logged."""
    with file.open("a", encoding="utf-8") as out:
        out.writelines(
            f"{one.at.isoformat()} {one.level} {one.logger} {one.text}\n" for one in lines
        )


def _page(message: Any) -> str:
    lines = "".join(f"<p>{html.escape(text)}</p>" for text in _texts(message))
    return f"<!doctype html><meta charset=utf-8><title>Card</title><body>{lines}</body>"


def _texts(value: Any) -> list[str]:
    """Give the texts of a card in reading order."""
    found: list[str] = []
    if isinstance(value, list):
        for one in value:
            found += _texts(one)
    elif isinstance(value, dict):
        if value.get("type") == "Fact" or {"title", "value"} <= value.keys():
            found.append(f"{value.get('title')}: {value.get('value')}")
        elif isinstance(value.get("text"), str):
            found.append(value["text"])
        elif isinstance(value.get("title"), str):
            found.append(f"[{value['title']}] {value.get('url', '')}")
        for name in (
            "attachments",
            "content",
            "body",
            "items",
            "columns",
            "inlines",
            "facts",
            "actions",
        ):
            found += _texts(value.get(name))
    return found
