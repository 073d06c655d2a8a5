"""A real browser and the real page over HTTP, on fakes with a day of history.

Debian's Chromium is driven, not a download: `apt-get install chromium`. Nothing is installed here;
where it is missing the tests fail and say so.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.model import ProtectionState
from shared.domain.records import Transition
from shared.domain.sheets import Day, SeenJob, TrendSheet
from shared.domain.states import State
from shared.web.http import Request
from shared.web.routes import respond
from tests.unit.domain import worlds
from tests.unit.web.counter import PASSWORD, Counter

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--metrics-recording-only",
]
EVIL = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>'


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the page is, and the house behind it."""

    url: str
    counter: Counter
    run: Callable[[Awaitable], object]


async def fill(counter: Counter) -> None:
    """Play a small estate with something of everything."""
    house = counter.house
    now = house.clock.now()
    vault = worlds.vault()
    house.region(vault)
    house.estate.in_scope = [worlds.SUB, worlds.OTHER_SUB]
    codes = ("AGENT_DISABLED", "DISK_ULTRA", "NO_VAULT_IN_REGION", "OS_DISK_EPHEMERAL")
    for number in range(130):
        name = f"web-{number:03d}"
        if number % 13 == 0:
            code = codes[number // 13 % len(codes)]
            remedy = Remedy(text="Do this.", az="az vm show", link="https://learn.microsoft.com/x")
            found = Finding(
                code=code,
                severity=Severity.BLOCKER,
                text="It stands in the way.",
                evidence="seen so",
                remedies=(remedy,),
                source="a document",
                source_date="2026-01-01",
            )
            row = counter.row(
                name,
                State.BLOCKED,
                findings=(found,),
                tags={"owner": "ann@contoso.example", "evil": EVIL},
                history=(Transition(at=now, state=State.BLOCKED, why=code),),
            )
        else:
            row = counter.row(
                name,
                State.PROTECTED,
                vault=str(vault.id),
                policy=f"{vault.id}/backupPolicies/gold",
                last_recovery_point=now,
            )
        await counter.rows(row)
    await counter.rows(
        counter.row("other", State.ENROLLED, worlds.OTHER_SUB),
        counter.row("out", State.EXCLUDED, why="tag nobackup", reason=EVIL, excluded_by=EVIL),
        counter.row("wait", State.WAITING, why="vault-full-today", until=now + timedelta(hours=9)),
    )
    vm = worlds.vm(name="web-000", os_disk=worlds.disk(ephemeral=True), tags={"evil": EVIL})
    stopped = worlds.vm(name="web-013")
    house.machines.add(vm, stopped)
    house.backup.put(worlds.item(vault, stopped, state=ProtectionState.STOPPED))
    house.estate.job_list = [
        SeenJob(
            id=f"{vault.id}/backupJobs/{number}",
            vm=f"web-{number:03d}",
            operation="Backup" if number % 3 else "ConfigureBackup",
            status="Failed" if number % 9 == 0 else "Completed",
            started=now - timedelta(hours=number % 24),
            ended=now,
        )
        for number in range(60)
    ]
    days = tuple(Day(f"2026-11-{day:02d}", day * 4, 130) for day in range(1, 20))
    await house.coverage.put_sheet(TrendSheet(days=days))
    await counter.counted()


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve the page from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="page", daemon=True)
    thread.start()

    def run(work: Awaitable) -> object:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    counter = Counter()
    run(fill(counter))
    runner = web.AppRunner(_app(counter), shutdown_timeout=0.1)
    run(runner.setup())
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    run(listener.start())
    port = runner.addresses[0][1]
    yield Site(url=f"http://127.0.0.1:{port}", counter=counter, run=run)
    run(runner.cleanup())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def _app(counter: Counter) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        asked = Request(
            method=request.method,
            url=str(request.url),
            params=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        answer = await respond(request.path.removeprefix("/api/"), asked, counter.desk)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={**answer.headers, "Content-Type": answer.kind},
        )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    return app


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: the driver holds its thread's event loop until it is closed."""
    if not (Path(CHROMIUM).exists() or shutil.which("chromium")):
        pytest.fail("Chromium is missing: apt-get install chromium (these tests download nothing)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile, without JavaScript of the page's own to begin with: there is none."""
    made = chromium.new_context(locale="en-US", timezone_id="UTC")
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    """Somebody who has signed in. Every error of the console fails the test at its end."""
    opened = context.new_page()
    opened.goto(f"{site.url}/api/coverage")
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Sign in").click()
    expect(opened.get_by_role("button", name="Sign out")).to_be_visible()  # it is the next page
    return opened
