"""What people see: causes, lists, one VM, what they may do about it, and what they take away."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from shared.domain.deliveries import Target
from shared.domain.model import ProtectionState
from shared.domain.notices import Notice
from shared.domain.records import DecisionKind, Transition
from shared.domain.sheets import SeenJob
from shared.domain.states import State
from shared.errors import BadRules, Conflict
from shared.rules_in_force import look_at_rules
from shared.web.exports import safe
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.unit.web.counter import Counter, blocker

VM = worlds.vm()
HERE = "/api/coverage/vm?id=" + quote(str(VM.id), safe="")


async def page(**environment: str) -> Counter:
    found = Counter(**environment)
    found.house.region()
    await found.sign_in()
    return found


def form_of(text: str) -> dict[str, str]:
    """Give the hidden fields of the page's last form, as a browser would send them."""
    fields = text.rpartition("<form")[2]
    return {
        piece.partition('name="')[2].partition('"')[0]: piece.partition('value="')[2].partition(
            '"'
        )[0]
        for piece in fields.split("<input")[1:]
        if 'type="hidden"' in piece
    }


# --- overview ------------------------------------------------------------------------------------


async def test_the_first_number_is_what_is_proven():
    found = await page()
    await found.rows(
        found.row("a", State.PROTECTED),
        found.row("b", State.ENROLLED),
        found.row("c", State.EXCLUDED, why="decision"),
    )
    await found.counted()
    text = await found.text("/api/coverage")

    assert "<b>33.3 %</b>" in text
    assert "1 of 3 VMs have a recovery point" in text


async def test_without_a_sweep_nothing_is_proven_and_the_page_says_why():
    found = await page()
    await found.rows(found.row("a", State.PROTECTED))
    await found.counted(swept=False)
    text = await found.text("/api/coverage")

    assert "<b>0.0 %</b>" in text
    assert "never swept" in text


async def test_an_empty_estate_says_so():
    found = await page()

    assert "No VM has been counted yet" in await found.text("/api/coverage")


async def test_causes_come_worst_first_with_what_helps_and_lead_to_their_vms():
    found = await page()
    await found.rows(
        *(
            found.row(f"a{n}", State.BLOCKED, findings=(blocker("AGENT_DISABLED"),))
            for n in range(3)
        ),
        found.row("d", State.BLOCKED, findings=(blocker("DISK_ULTRA"),)),
    )
    await found.counted()
    text = await found.text("/api/coverage")
    listed = await found.text("/api/coverage?cause=DISK_ULTRA")

    assert text.index("AGENT_DISABLED") < text.index("DISK_ULTRA")
    assert "?cause=AGENT_DISABLED" in text
    assert listed.count("/api/coverage/vm?id=") == 1
    assert "1 VMs with cause DISK_ULTRA" in listed


async def test_every_part_of_the_page_has_an_age():
    found = await page()
    vault = worlds.vault()
    found.house.estate.in_scope = [worlds.SUB]
    found.house.estate.job_list = [
        SeenJob(
            id=f"{vault.id}/backupJobs/1",
            vm="web-1",
            operation="Backup",
            status="Failed",
            started=found.house.clock.now(),
        )
    ]
    await found.counted()
    text = await found.text("/api/coverage")
    jobs = await found.text("/api/coverage/jobs?status=Failed&operation=Backup&vm=WEB")

    assert text.count("Read 2026-11-20 09:00 UTC") == 3  # jobs, vaults, queues
    assert "0 succeeded, 1 failed" in text
    assert "1 jobs pass" in jobs
    assert "0 jobs pass" in await found.text("/api/coverage/jobs?status=Completed")


async def test_a_timer_that_did_not_run_is_missed():
    found = await page()
    now = found.house.clock.now()
    await found.house.ledger.note("ran-watch", now.isoformat())
    await found.house.ledger.note("ran-sweep", (now - timedelta(minutes=11)).isoformat())
    text = await found.text("/api/coverage")

    assert "not run lately: sweep, notices" in text


async def test_which_rules_run_is_what_the_timer_noted_and_the_page_itself_needs_none():
    found = await page()
    assert "<dt>Rules</dt><dd>Not read yet.</dd>" in await found.text("/api/coverage")
    await look_at_rules(found.house.ports)

    async def failing():
        raise BadRules(())

    found.house.rules.current = failing

    version = found.house.rules.rules.version
    assert f"<dt>Rules</dt><dd>version {version} runs</dd>" in await found.text("/api/coverage")


async def test_a_long_list_is_walked_page_by_page_without_loss():
    found = await page()
    await found.rows(
        *(found.row(f"vm-{n:03d}", State.BLOCKED) for n in range(120)),
        *(found.row(f"vm-{n:03d}", State.BLOCKED, worlds.OTHER_SUB) for n in range(10)),
        found.row("fine", State.PROTECTED),
    )
    await found.counted()
    seen = []
    for number in (1, 2, 3):
        text = await found.text(f"/api/coverage?standing=blocked&page={number}")
        seen += [piece.partition('"')[0] for piece in text.split('href="/api/coverage/vm?id=')[1:]]

    assert len(seen) == len(set(seen)) == 130
    assert "page 3 of 3" in text
    assert "page 3 of 3" in await found.text("/api/coverage?standing=blocked&page=99")


async def test_search_by_tag_and_name_counts_what_it_finds():
    found = await page()
    await found.rows(
        found.row("web-1", State.BLOCKED, tags={"team": "shop"}),
        found.row("web-2", State.PROTECTED, tags={"Team": "Shop"}),
        found.row("db-1", State.PROTECTED, tags={"team": "data"}),
    )
    await found.counted()
    text = await found.text("/api/coverage?tag=team%3Dshop&q=web")

    assert "<b>50.0 %</b>" in text
    assert "2 VMs with" in text


async def test_a_tag_without_a_value_is_counted_by_its_values():
    found = await page()
    await found.rows(
        found.row("web-1", State.BLOCKED, tags={"team": "shop"}),
        found.row("web-2", State.PROTECTED, tags={"Team": " Shop "}),
        found.row("db-1", State.PROTECTED, tags={"team": "eu/data"}),
        found.row("old", State.ORPHANED, tags={"team": "gone"}),
        found.row("none", State.BLOCKED),
    )
    await found.counted()
    text = await found.text("/api/coverage?tag=team")
    rows = re.findall(r'">([^<]*)</a></th><td class="n">(\d+)</td><td class="n">(\d+)', text)

    assert [row for row in rows if row[0] in {"shop", "eu/data", "gone"}] == [
        ("shop", "1", "2"),
        ("eu/data", "0", "1"),
    ]
    assert "Tag values" not in await found.text("/api/coverage?tag=team%3Dshop")


async def test_a_list_says_until_when_a_vm_is_excluded():
    found = await page()
    until = datetime(2026, 12, 24, tzinfo=UTC)
    await found.rows(found.row("a", State.EXCLUDED, why="decision", until=until))
    await found.counted()

    assert "until 2026-12-24 00:00 UTC" in await found.text("/api/coverage?standing=excluded")


async def test_what_helps_is_said_of_reasons_too():
    found = await page()
    await found.rows(found.row("a", State.OBSERVED, why="observing"))
    await found.counted()

    assert "MODE=enforce enrolls it" in await found.text("/api/coverage")


async def test_a_subscription_counted_anew_while_it_is_read_is_read_again():
    found = await page()
    await found.rows(found.row("a", State.BLOCKED))
    await found.counted()
    original, once = found.house.coverage.entries, []

    async def entries(summary, having):
        if not once:
            once.append(summary)
            await found.house.ledger.insert(found.row("b", State.BLOCKED))
            await found.counted()
        async for block in original(summary, having):
            yield block

    found.house.coverage.entries = entries
    text = await found.text("/api/coverage?standing=blocked")

    assert text.count("/api/coverage/vm?id=") == 2


@pytest.mark.parametrize(
    "times, status", [pytest.param(2, 200, id="in the middle"), pytest.param(9, 503, id="always")]
)
async def test_a_subscription_counted_anew_in_the_middle_is_given_whole_or_not(times, status):
    found = await page()
    await found.rows(found.row("a", State.BLOCKED))
    await found.counted()
    original, left = found.house.coverage.entries, [times]

    async def entries(summary, having):
        async for block in original(summary, having):
            yield block
        left[0] -= 1
        if left[0] >= 0:
            raise Conflict("counted anew")

    found.house.coverage.entries = entries
    answer = await found.ask("/api/coverage/export.csv")

    assert answer.status == status
    assert status != 200 or answer.body.count(b'"a"') == 1


# --- one VM --------------------------------------------------------------------------------------


async def test_a_blocked_vm_shows_verdict_checklist_evidence_and_owner():
    found = await page()
    vm = worlds.vm(os_disk=worlds.disk(ephemeral=True), tags={"owner": "ann@contoso.example"})
    found.house.machines.add(vm)
    await found.rows(
        found.row(
            vm.name,
            State.BLOCKED,
            tags={"owner": "ann@contoso.example"},
            history=(
                Transition(
                    at=found.house.clock.now(), state=State.BLOCKED, why="OS_DISK_EPHEMERAL"
                ),
            ),
        )
    )
    text = await found.text(HERE)
    steps = ["limits", "vault in the region", "redundancy", "policy", "agent", "network", "enable"]
    places = [text.index(f"<strong>{step}</strong>") for step in steps]

    assert "Not protected" in text
    assert "ann@contoso.example (tag owner)" in text
    assert places == sorted(places)
    assert "What stands in the way" in text
    assert "Seen:" in text


async def told_operators(found) -> None:
    """In observe mode a notice goes to the operators, whoever owns the VM."""
    routes = ((Target("smtp", "operators@contoso.example"),),)
    notice = Notice(
        key=VM.id.key,
        id="1",
        opened_at=found.house.clock.now(),
        routes=routes,
        owner="observe mode: operators only",
    )
    await found.notices.write(notice, "")


@pytest.mark.parametrize(
    "tags, group_tags, owner",
    [
        pytest.param({"owner": "ann@x.example"}, {}, "ann@x.example (tag owner)", id="its own"),
        pytest.param(
            {}, {"Owner": "team@x.example"}, "team@x.example (resource group tag owner)", id="group"
        ),
        pytest.param({}, {}, "smtp:operators@contoso.example (observe mode", id="nobody"),
    ],
)
async def test_in_observe_mode_the_owner_is_told_although_the_operators_hear(
    tags, group_tags, owner
):
    found = await page(MODE="observe")
    found.house.machines.add(worlds.vm(tags=tags))
    found.house.estate.groups[VM.id.subscription.lower(), VM.id.group.lower()] = (group_tags, "")
    await found.rows(found.row(VM.id.name, State.BLOCKED, tags=tags))
    await told_operators(found)
    text = await found.text(HERE)

    assert f"<dt>Owner</dt><dd>{owner}" in text
    assert "operators@contoso.example" in text


async def test_azure_that_does_not_answer_leaves_what_we_knew():
    found = await page()
    found.house.machines.fail(VM.id, fault("GatewayTimeout"), times=2)
    await found.rows(found.row(VM.id.name, State.PROTECTED))
    text = await found.text(HERE)

    assert "Azure did not answer now" in text
    assert "Protected since" in text


async def test_a_vm_nobody_knows_is_not_found():
    found = await page()

    assert (await found.ask(HERE)).status == 404


async def test_hostile_tags_and_reasons_are_text():
    found = await page()
    evil = '<img src=x onerror="alert(1)">'
    found.house.machines.add(worlds.vm(tags={"<b>": evil}))
    await found.rows(
        found.row(VM.id.name, State.EXCLUDED, tags={"<b>": evil}, excluded_by=evil, reason=evil)
    )
    await found.counted()
    texts = [await found.text(HERE), await found.text("/api/coverage?standing=excluded")]

    for text in texts:
        assert "<img" not in text
        assert "<b>:" not in text
    assert "&lt;img" in texts[0]


# --- deeds ---------------------------------------------------------------------------------------


async def act(found: Counter, what: str, **given: str):
    text = await found.text(f"/api/coverage/act?what={what}&id={quote(str(VM.id), safe='')}")
    return await found.ask("/api/coverage/act", form={**form_of(text), **given})


@pytest.mark.parametrize(
    "what, kind, given",
    [
        pytest.param("retry", DecisionKind.RETRY, {}, id="retry"),
        pytest.param("enroll", DecisionKind.RETRY, {}, id="enroll now"),
        pytest.param("exclude", DecisionKind.EXCLUDE, {"reason": "retired soon"}, id="exclude"),
        pytest.param(
            "snooze",
            DecisionKind.SNOOZE,
            {"reason": "on holiday", "until": "2026-12-01"},
            id="snooze",
        ),
        pytest.param(
            "consent-weaker",
            DecisionKind.CONSENT_WEAKER,
            {"reason": "agreed", "policy": "bronze"},
            id="weaker",
        ),
        pytest.param(
            "consent-enhanced",
            DecisionKind.CONSENT_ENHANCED,
            {"reason": "agreed", "policy": "gold-enhanced"},
            id="enhanced",
        ),
        pytest.param(
            "consent-resume", DecisionKind.CONSENT_RESUME, {"reason": "agreed"}, id="resume"
        ),
        pytest.param(
            "consent-undelete", DecisionKind.CONSENT_UNDELETE, {"reason": "agreed"}, id="undelete"
        ),
    ],
)
async def test_each_deed_is_confirmed_recorded_and_done_once(what, kind, given):
    found = await page()
    answer = await act(found, what, **given)
    (decision,) = await found.house.people.of(VM.id)

    assert answer.status == 303
    assert answer.headers["Location"].startswith("/api/coverage/vm?id=")
    assert (decision.kind, decision.by) == (kind, "local operator")
    assert bool(found.hush.snoozed) == (what == "snooze")
    assert len(found.house.queues.sent) == (0 if what == "snooze" else 1)


async def test_what_is_missing_is_asked_for_again_and_nothing_typed_is_lost():
    found = await page()
    answer = await act(found, "consent-weaker", reason="we agreed on it")

    assert answer.status == 400
    assert b"Name the policy" in answer.body
    assert b"we agreed on it" in answer.body
    assert await found.house.people.of(VM.id) == ()


async def test_a_date_that_is_none_is_refused():
    found = await page()
    answer = await act(found, "exclude", reason="retired soon", until="tomorrow")

    assert answer.status == 400
    assert b"as a date" in answer.body


async def test_a_decision_can_be_taken_back_from_the_page():
    found = await page()
    found.house.machines.add(worlds.vm())
    await act(found, "exclude", reason="retired soon")
    text = await found.text(HERE)
    link = text.partition('href="/api/coverage/act?what=revoke')[2].partition('"')[0]
    form = form_of(await found.text("/api/coverage/act?what=revoke" + link.replace("&amp;", "&")))
    answer = await found.ask("/api/coverage/act", form=form)
    after = await found.text(HERE)

    assert answer.status == 303
    assert "taken back" in after
    assert "what=revoke" not in after


async def test_a_deed_nobody_knows_is_not_found():
    found = await page()

    assert (await found.ask(f"/api/coverage/act?what=delete&id={VM.id}")).status == 404


async def test_the_offers_follow_from_what_was_found():
    found = await page()
    found.house.machines.add(worlds.vm())
    plain = await found.text(HERE)
    stopped = worlds.item(worlds.vault(), worlds.vm(), state=ProtectionState.STOPPED)
    found.house.backup.put(stopped)
    found.house.restart()
    offered = await found.text(HERE)

    assert "what=consent-resume" not in plain
    assert "what=consent-resume" in offered


# --- exports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell, written",
    [
        pytest.param("=1+1", "'=1+1", id="formula"),
        pytest.param("+1", "'+1", id="plus"),
        pytest.param("-2", "'-2", id="minus"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="at"),
        pytest.param("\t=1", "' =1", id="a tab first"),
        pytest.param("  =1", "'  =1", id="blanks first"),
        pytest.param("＝1", "'＝1", id="full width"),
        pytest.param("a\nb\u202e", "a b", id="lines and directions"),
        pytest.param("web-1", "web-1", id="a name"),
    ],
)
def test_no_cell_is_a_formula(cell, written):
    assert safe(cell) == written


async def test_the_csv_is_dated_filtered_and_harmless():
    found = await page()
    await found.rows(
        found.row("=cmd", State.BLOCKED, findings=(blocker(),), why="=HYPERLINK(1)"),
        found.row("fine", State.PROTECTED),
    )
    await found.counted()
    answer = await found.ask("/api/coverage/export.csv?standing=blocked")
    lines = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))

    assert 'filename="coverage-20261120T0900Z.csv"' in answer.headers["Content-Disposition"]
    assert [line["name"] for line in lines] == ["'=cmd"]
    assert lines[0]["why"] == "'=HYPERLINK(1)"
    assert lines[0]["counted_at"].startswith("2026-11-20T09:00")


async def test_the_json_adds_up_and_says_what_it_does_not_know():
    found = await page()
    await found.rows(found.row("a", State.PROTECTED), found.row("b", State.BLOCKED))
    await found.counted(swept=False)
    answer = await found.ask("/api/coverage/export.json")
    body = json.loads(answer.body)

    assert body["protected"] == 0
    assert body["of"] == 2
    assert body["doubts"] == {worlds.SUB: "never swept"}
    assert body["standings"] == {"blocked": 1, "unknown": 1}
    assert {vm["name"]: vm["why"] for vm in body["vms"]}["a"] == "nobody has looked lately"


async def test_a_page_stays_small_whatever_the_estate():
    found = await page()
    rows = [
        found.row(
            f"vm-{n:04d}",
            State.BLOCKED,
            findings=(blocker(f"CODE_{n % 300}"),),
            region=f"region{n % 60}",
            rule=f"rule {n % 200}",
        )
        for n in range(1500)
    ]
    await found.rows(*rows)
    await found.counted()

    assert len((await found.text("/api/coverage?standing=blocked")).encode()) < 150_000
    assert len((await found.text("/api/coverage")).encode()) < 150_000
