"""What a person does with the page, in a real browser."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shared.domain.records import DecisionKind
from shared.web import auth
from shared.web.actions import ACTS
from tests.unit.domain import worlds
from tests.unit.web.counter import PASSWORD

pytestmark = pytest.mark.browser
VIEWS = ("", "?standing=blocked", "/vm?id=VM", "/act?what=exclude&id=VM", "/jobs", "/sign-in")
VM = str(worlds.vm(name="web-000").id)
SHOTS = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))


def at(site, view: str) -> str:
    return f"{site.url}/api/coverage{view.replace('VM', VM)}"


def test_the_first_look_answers_what_is_not_protected_and_why(page: Page):
    expect(page.get_by_role("heading", name="Protected with proof")).to_be_visible()
    expect(page.locator(".headline b")).to_have_text("90.2 %")
    causes = page.get_by_role("region", name="Causes").get_by_role("row")
    expect(causes.nth(1)).to_contain_text("AGENT_DISABLED")


def test_from_the_worst_cause_to_the_owner_of_a_vm_takes_two_clicks(page: Page):
    page.get_by_role("link", name="OS_DISK_EPHEMERAL").click()
    page.get_by_role("region", name="VMs").get_by_role("link").first.click()

    expect(page.locator("dl").first).to_contain_text("ann@contoso.example (tag owner)")


def test_filters_live_in_the_address_and_can_be_sent_to_a_colleague(page: Page, site):
    page.get_by_label("Name or group").fill("web-01")
    page.get_by_label("Standing", exact=True).select_option("blocked")
    page.get_by_role("button", name="Show", exact=True).click()

    expect(page).to_have_url(re.compile(r"q=web-01"))
    found = page.get_by_role("region", name="VMs").get_by_role("row")
    expect(found).to_have_count(2)
    address = page.url
    page.goto(site.url + "/api/coverage")
    page.goto(address)
    expect(page.get_by_label("Name or group")).to_have_value("web-01")
    expect(found).to_have_count(2)


def test_a_long_list_has_pages(page: Page, site):
    page.goto(at(site, "?standing=protected"))
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="Next page").click()

    expect(page.get_by_text("page 3 of 3")).to_be_visible()
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)


def test_signing_in_goes_on_to_where_one_wanted_to_be(context: BrowserContext, site):
    page = context.new_page()
    page.goto(at(site, "?cause=DISK_ULTRA"))
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(re.compile(r"cause=DISK_ULTRA"))


def test_signing_out_closes_the_page(page: Page, site):
    page.get_by_role("button", name="Sign out").click()
    page.goto(at(site, ""))

    expect(page.get_by_label("Password")).to_be_visible()


def test_an_expired_session_leads_to_the_sign_in(page: Page, site, context: BrowserContext):
    old = auth.signed_in(
        PASSWORD, site.counter.house.settings, secure=False, now=time.time() - 9 * 3600
    )
    value = old.partition("=")[2].partition(";")[0]
    context.clear_cookies()
    context.add_cookies([{"name": auth.COOKIE, "value": value, "url": site.url + "/api"}])
    page.goto(at(site, ""))

    expect(page.get_by_label("Password")).to_be_visible()


DEEDS = [
    pytest.param("Look at it again", DecisionKind.RETRY, {}, id="retry"),
    pytest.param("Enroll now", DecisionKind.RETRY, {}, id="enroll now"),
    pytest.param("Exclude", DecisionKind.EXCLUDE, {"Why?": "it is retired"}, id="exclude"),
]


@pytest.mark.parametrize("deed, kind, given", DEEDS)
def test_each_deed_is_confirmed_and_recorded(page: Page, site, deed, kind, given):
    page.goto(at(site, "/vm?id=VM"))
    page.get_by_role("group", name="Actions").get_by_role("link", name=deed).click()
    for label, text in given.items():
        page.get_by_label(label).fill(text)
    assert site.run(site.counter.house.people.of(worlds.vm(name="web-000").id)) == ()
    page.get_by_role("main").get_by_role("button", name=deed).click()

    expect(page.get_by_role("status")).to_contain_text("Recorded in your name")
    (made,) = site.run(site.counter.house.people.of(worlds.vm(name="web-000").id))
    assert (made.kind, made.by) == (kind, "local operator")
    expect(page.get_by_role("region", name="Decisions of people")).to_contain_text(kind.value)


@pytest.mark.parametrize("what", sorted(ACTS.keys() - {"retry", "enroll", "exclude", "revoke"}))
def test_what_a_deed_needs_is_asked_for(page: Page, site, what):
    """Snoozes and consents; each is recorded with its reason, and can be taken back."""
    deed = ACTS[what]
    page.goto(at(site, f"/act?what={what}&id=VM"))
    if deed.policy:
        page.get_by_label("Policy").fill("silver")
    if deed.until:
        page.get_by_label("Until").fill("2026-12-24")
    page.get_by_label("Why?").fill("agreed with the owner")
    page.get_by_role("main").get_by_role("button", name=deed.title).click()
    expect(page.get_by_role("status")).to_contain_text("Recorded in your name")
    (made,) = site.run(site.counter.house.people.of(worlds.vm(name="web-000").id))
    assert (made.kind, made.reason) == (deed.kind, "agreed with the owner")
    assert made.policy == ("silver" if deed.policy else "")
    assert bool(site.counter.hush.snoozed) == (what == "snooze")

    page.get_by_role("link", name="take back").click()
    page.get_by_role("main").get_by_role("button", name="Take a decision back").click()
    expect(page.get_by_role("region", name="Decisions of people")).to_contain_text("taken back")


def test_a_stopped_vm_can_be_resumed_with_a_consent(page: Page, site):
    page.goto(at(site, "/vm?id=VM").replace("web-000", "web-013"))
    page.get_by_role("link", name="Allow resuming").click()
    page.get_by_label("Why?").fill("stopped by mistake")
    page.get_by_role("main").get_by_role("button", name="Allow resuming").click()

    expect(page.get_by_role("region", name="Decisions of people")).to_contain_text("consent-resume")


def test_cancelling_does_nothing(page: Page, site):
    page.goto(at(site, "/act?what=enroll&id=VM"))
    page.get_by_role("link", name="Cancel").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("web-000")
    assert site.counter.house.queues.sent == []


def test_a_forged_token_is_refused(page: Page, site):
    page.goto(at(site, "/act?what=enroll&id=VM"))
    page.evaluate("document.querySelectorAll('[name=csrf]').forEach(one => one.value = 'forged')")
    page.get_by_role("main").get_by_role("button", name="Enroll now").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    assert site.counter.house.queues.sent == []


def test_another_site_can_post_nothing(page: Page, site, context: BrowserContext):
    """A page elsewhere sends our form with the person's cookies at hand."""
    evil = context.new_page()
    evil.route(
        "http://evil.example/**",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action='{at(site, '/act')}'>"
            f"<input name=id value='{VM}'><input name=what value=enroll></form>"
            "<script>document.forms[0].submit()</script>",
        ),
    )
    evil.goto("http://evil.example/")
    evil.wait_for_url(re.compile("/api/coverage"))

    assert site.counter.house.queues.sent == []


def test_a_forged_principal_opens_nothing(chromium: Browser, site):
    context = chromium.new_context(
        extra_http_headers={
            "X-MS-CLIENT-PRINCIPAL": "eyJjbGFpbXMiOltdfQ==",
            "X-MS-CLIENT-PRINCIPAL-NAME": "admin@contoso.example",
        }
    )
    page = context.new_page()
    page.goto(at(site, ""))
    expect(page.get_by_label("Password")).to_be_visible()
    context.close()


def test_hostile_names_do_nothing(page: Page, site):
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    for view in ("", "?standing=blocked", "?standing=self-excluded", "/vm?id=VM"):
        page.goto(at(site, view))
        assert page.title() != "owned"
        assert page.locator("img").count() == 0
    page.goto(at(site, "/vm?id=VM").replace("web-000", "out"))

    assert alerts == []


def test_the_exports_are_what_the_page_shows(page: Page, site):
    page.goto(at(site, "?standing=blocked"))
    with page.expect_download() as taken:
        page.get_by_role("link", name="CSV").click()
    lines = list(csv.DictReader(io.StringIO(taken.value.path().read_text("utf-8-sig"))))
    with page.expect_download() as taken:
        page.get_by_role("link", name="JSON").click()
    body = json.loads(taken.value.path().read_text())

    assert re.fullmatch(r"coverage-\d{8}T\d{4}Z\.json", taken.value.suggested_filename)
    assert len(lines) == len(body["vms"]) == 10
    expect(page.get_by_text("10 VMs with standing blocked")).to_be_visible()


def test_jobs_are_filtered_by_status_operation_and_time(page: Page, site):
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_label("Status", exact=True).select_option("Failed")
    page.get_by_label("Operation", exact=True).select_option("ConfigureBackup")
    page.get_by_label("From (UTC)").fill("2026-11-19T12:00")
    page.get_by_role("button", name="Show").click()
    table = page.get_by_role("region", name="Jobs", exact=True)

    expect(table).to_contain_text("Failed")
    expect(table).not_to_contain_text("Completed")


def test_everything_can_be_reached_with_the_keyboard(page: Page):
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.getAttribute('id') || document.activeElement.textContent.slice(0, 40)"
        )
        seen.add(name)

    assert {"q", "standing", "Show", "CSV", "AGENT_DISABLED"} <= seen


def test_the_page_is_whole_without_javascript(chromium: Browser, site):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(at(site, ""))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="blocked").first.click()
    expect(page.get_by_text("10 VMs with standing blocked")).to_be_visible()
    context.close()


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_refused(page: Page, site):
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    for view in VIEWS:
        page.goto(at(site, view))

    assert {url.startswith((site.url, "data:")) for url in asked} == {True}
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page: Page, site, view, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(at(site, view))
    found = Axe().run(page)
    serious = [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]

    assert serious == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_needs_no_sideways_scrolling(page: Page, site, view):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(at(site, view))

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


LOOKS = [
    pytest.param("light", {"color_scheme": "light"}, (1280, 900), id="light"),
    pytest.param("dark", {"color_scheme": "dark"}, (1280, 900), id="dark"),
    pytest.param("phone", {"color_scheme": "light"}, (390, 844), id="phone"),
    pytest.param("print", {"media": "print", "color_scheme": "light"}, (900, 1200), id="print"),
]


@pytest.mark.parametrize("name, media, size", LOOKS)
def test_screenshots(page: Page, site, name, media, size):
    """Pictures for the README; a print view shows neither forms nor buttons."""
    page.emulate_media(**media)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for view, called in (("", "overview"), ("?standing=blocked", "list"), ("/vm?id=VM", "vm")):
        page.goto(at(site, view))
        shot = SHOTS / f"{called}-{name}.png"
        shot.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 10_000
    if name == "print":
        page.goto(at(site, ""))
        expect(page.get_by_role("search")).not_to_be_visible()
        page.goto(at(site, "/vm?id=VM"))
        expect(page.get_by_role("group", name="Actions")).not_to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).not_to_be_visible()
