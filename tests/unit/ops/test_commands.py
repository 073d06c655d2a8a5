"""Commands as typed: what they print, what they change, how they end."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from functools import partial
from uuid import UUID

import click
import pytest
import typer
from rich.console import Console

from ops import cli, printing, session
from ops.printing import Exit, Output, cell, show
from shared.domain.deliveries import Delivery, Kind, Outcome
from shared.domain.messages import Cause, WorkItem, encode
from shared.domain.notices import Notice
from shared.domain.records import DecisionKind, Parked
from shared.domain.states import State
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.unit.web.counter import Counter

VM = str(worlds.vm().id)


def commands(group: click.Command | None = None, path: str = "") -> dict[str, click.Command]:
    group = group or typer.main.get_command(cli.app)
    if not hasattr(group, "commands"):
        return {path.strip(): group}
    found: dict[str, click.Command] = {}
    for name, one in group.commands.items():
        found |= commands(one, f"{path} {name}")
    return found


EVERY = commands()


@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_whether_it_changes_anything(name):
    says = EVERY[name].help.split()[0]
    options = {one.name for one in EVERY[name].params}

    assert says in {"[read-only]", "[changing]"}
    assert ("yes" in options) == (says == "[changing]")


def test_every_command_is_in_the_manual():
    from pathlib import Path

    manual = (Path(__file__).parents[3] / "docs" / "ops.md").read_text(encoding="utf-8")

    assert [name for name in EVERY if f"`{name}" not in manual] == []
    assert [str(int(code)) for code in Exit if f"| {int(code)} |" not in manual] == []


# --- looking -------------------------------------------------------------------------------------


def test_plan_prints_counts_and_names_and_changes_nothing(terminal):
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    done = terminal("plan")

    assert done.exit_code == 0, done.output
    assert "Enroll" in done.stdout
    assert "web-1" in done.stdout
    assert terminal.house.queues.sent == []


def test_plan_as_json_is_for_programs(terminal):
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    (row,) = terminal.rows("plan")

    assert (row["decision"], row["vault"]) == ("Enroll", "rsv-we")


def test_explain_prints_the_explanation(terminal):
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())

    assert "To be protected in vault rsv-we" in terminal("explain", VM).stdout
    assert json.loads(terminal("explain", VM, "-o", "json").stdout)["decision"] == "Enroll"


@pytest.mark.parametrize(
    "words, code",
    [
        pytest.param(("explain", "nonsense"), Exit.USAGE, id="no id"),
        pytest.param(("explain", VM + "/extensions/x"), Exit.USAGE, id="no VM"),
        pytest.param(("nonsense",), Exit.USAGE, id="no command"),
        pytest.param(("lint", "/nowhere.yaml"), Exit.USAGE, id="no file"),
        pytest.param(("notices", "resend", "x"), Exit.FOUND, id="no notice"),
        pytest.param(("replay", "show", "x"), Exit.FOUND, id="nothing parked"),
        pytest.param(("decide", "snooze", VM, "--until", "soon"), Exit.USAGE, id="no date"),
        pytest.param(
            ("decide", "exclude", VM, "--reason", "x", "--yes"), Exit.USAGE, id="no reason"
        ),
        pytest.param(
            ("decide", "exclude", VM, "--reason", "x"), Exit.USAGE, id="said before --yes"
        ),
        pytest.param(("onboard", "nonsense"), Exit.USAGE, id="no subscription"),
        pytest.param(("plan", "-s", "nonsense"), Exit.USAGE, id="not served"),
        pytest.param(("coverage", "--subscription", "nonsense"), Exit.USAGE, id="never counted"),
        pytest.param(("coverage", "--standing", "blokked"), Exit.USAGE, id="no standing"),
        pytest.param(("export", "/nowhere/e.jsonl"), Exit.USAGE, id="no folder"),
        pytest.param(("restore", "/nowhere.json"), Exit.USAGE, id="no export"),
        pytest.param(("backfill", "--resume", "--state", "/nowhere"), Exit.USAGE, id="no state"),
        pytest.param(("replay", "parked", "--yes"), Exit.USAGE, id="no key"),
        pytest.param(
            ("replay", "dead-letters", "https://a.blob.core.windows.net/"),
            Exit.USAGE,
            id="no container",
        ),
        pytest.param(("doctor", "--app-id", "nonsense"), Exit.USAGE, id="no app"),
        pytest.param(("doctor", "--dead-letter", "never"), Exit.USAGE, id="no destination"),
    ],
)
def test_what_was_typed_wrong_is_said(terminal, words, code):
    done = terminal(*words)

    assert done.exit_code == code
    assert done.stderr
    assert isinstance(done.exception, SystemExit)
    assert "Errno" not in done.stderr


def test_azure_that_does_not_answer_is_an_exit_code_of_its_own(terminal):
    terminal.house.region()
    terminal.house.machines.fail(worlds.vm().id, fault(), times=9)
    done = terminal("explain", VM)

    assert done.exit_code == Exit.UNREACHABLE
    assert "GatewayTimeout" in done.stderr


def test_settings_that_cannot_be_used_are_named(tmp_path, monkeypatch):
    for name in ("TENANT_ID", "RULES_URI"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "settings.json"
    file.write_text('{"Values": {"MODE": "sometimes"}}')
    from typer.testing import CliRunner

    done = CliRunner().invoke(cli.app, ["plan", "--settings", str(file)])

    assert done.exit_code == Exit.UNREACHABLE
    assert "TENANT_ID must be set" in done.stderr
    assert "MODE is 'sometimes'" in done.stderr


def test_settings_of_the_app_are_taken_as_azure_lists_them(tmp_path, monkeypatch):
    for name in ("TENANT_ID", "RULES_URI", "AzureWebJobsStorage", "SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    given = {
        "TENANT_ID": str(UUID(int=1)),
        "RULES_URI": "rules.yaml",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "SMTP_URL": "@Microsoft.KeyVault(VaultName=kv;SecretName=smtp-url)",
    }
    file = tmp_path / "app-settings.json"
    file.write_text(
        json.dumps(
            [{"name": n, "slotSetting": False, "value": value} for n, value in given.items()]
        )
    )

    assert session.settings_of(file).rules_uri == "rules.yaml"


def test_coverage_tells_the_numbers_of_the_page(terminal):
    counter = Counter()
    counter.house = terminal.house
    asyncio.run(_planted(counter))
    numbers = {row["name"]: row["VMs"] for row in terminal.rows("coverage")}
    listed = terminal.rows("coverage", "--standing", "blocked")

    assert (numbers["protected"], numbers["of"], numbers["blocked"]) == (1, 2, 1)
    assert [row["vm"].rpartition("/")[2] for row in listed] == ["b"]


async def _planted(counter: Counter) -> None:
    await counter.rows(counter.row("a", State.PROTECTED), counter.row("b", State.BLOCKED))
    await counter.counted()


def test_an_estate_is_exported_and_simulated(terminal, tmp_path):
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    estate, old, new = tmp_path / "e.jsonl", tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(worlds.RULES)
    new.write_text(worlds.RULES.replace("default: {}", "default: {tier: bronze}"))
    exported = terminal("export", str(estate))
    found = terminal("simulate", str(new), "--old", str(old), "--estate", str(estate))
    same = terminal.rows("simulate", str(old), "--old", str(old), "--estate", str(estate))

    assert exported.exit_code == 0, exported.output
    assert found.exit_code == 0, found.output
    assert "would get another policy" in found.stdout
    assert same == []


def test_a_change_is_tried_on_the_live_estate_and_against_the_rules_in_force(terminal, tmp_path):
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    new, broken = tmp_path / "new.yaml", tmp_path / "estate.jsonl"
    new.write_text(worlds.RULES.replace("default: {}", "default: {tier: bronze}"))
    broken.write_text("[]")
    found = terminal("simulate", str(new))

    assert found.exit_code == 0, found.output
    assert "1 would get another policy" in found.stdout
    assert terminal("simulate", str(new), "--estate", str(broken)).exit_code == Exit.USAGE
    assert terminal("simulate", str(new), "--estate", str(tmp_path / "no")).exit_code == Exit.USAGE


@pytest.mark.parametrize("text", ["", "null", "3", "{}", '{"value": null}', "[" * 100_000])
def test_what_is_no_list_of_assignments_is_refused(terminal, tmp_path, text):
    file = tmp_path / "assignments.json"
    file.write_text(text)

    assert terminal("import-azure-policy", str(file)).exit_code == Exit.USAGE


def test_a_cause_that_no_vm_has_is_answered_with_those_there_are(terminal):
    counter = Counter()
    counter.house = terminal.house
    asyncio.run(_planted(counter))

    assert "Causes there are: " in terminal("coverage", "--cause", "NOPE").stderr


def test_lint_says_file_line_and_column_and_fails(terminal, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(worlds.RULES)
    bad.write_text(worlds.RULES.replace("tiers:", "teirs:"))
    failed = terminal("lint", str(bad))

    assert terminal("lint", str(good)).exit_code == 0
    assert failed.exit_code == Exit.FOUND
    assert f"{bad}:" in failed.stderr
    assert "tiers" in failed.stderr


def test_lint_against_azure_knows_the_policies_that_exist(terminal, tmp_path):
    terminal.house.region()
    file = tmp_path / "rules.yaml"
    file.write_text(worlds.RULES.replace("bronze: {standard: bronze}", "bronze: {standard: brass}"))
    done = terminal("lint", str(file), "--against-azure")

    assert "brass" in done.stderr


def test_azure_policy_becomes_rules(terminal, tmp_path):
    file = tmp_path / "assignments.json"
    vault = worlds.vault()
    file.write_text(
        json.dumps(
            [
                {
                    "id": f"/subscriptions/{worlds.SUB}/providers/Microsoft.Authorization/policyAssignments/a",
                    "name": "a",
                    "scope": f"/subscriptions/{worlds.SUB}",
                    "displayName": "Back up VMs",
                    "policyDefinitionId": "/providers/Microsoft.Authorization/policyDefinitions/345fa903-145c-4fe1-8bcd-93ec2adccde8",
                    "parameters": {
                        "vaultLocation": {"value": "westeurope"},
                        "backupPolicyId": {"value": f"{vault.id}/backupPolicies/gold"},
                        "inclusionTagName": {"value": "backup"},
                        "inclusionTagValue": {"value": ["yes"]},
                    },
                }
            ]
        )
    )
    done = terminal("import-azure-policy", str(file))
    rules = tmp_path / "rules.yaml"
    rules.write_text(done.stdout)

    assert done.exit_code == 0, done.output
    assert "gold" in done.stdout
    assert terminal("lint", str(rules)).exit_code == 0


# --- changing ------------------------------------------------------------------------------------


def test_a_decision_is_shown_first_and_recorded_with_yes(terminal):
    words = ("decide", "exclude", VM, "--reason", "retired soon", "--by", "ann")
    shown = terminal(*words)
    before = asyncio.run(terminal.house.people.of(worlds.vm().id))
    terminal(*words, "--yes")
    (decision,) = asyncio.run(terminal.house.people.of(worlds.vm().id))
    rows = terminal.rows("decisions")

    assert "add --yes" in shown.stderr
    assert before == ()
    assert (decision.kind, decision.by) == (DecisionKind.EXCLUDE, "ann")
    assert [row["by"] for row in rows] == ["ann"]


def test_a_decision_about_a_vm_that_nobody_has_seen_is_doubted(terminal):
    done = terminal("decide", "exclude", VM, "--reason", "retired soon")

    assert done.exit_code == 0, done.output
    assert "is its id spelled right?" in done.stderr


@pytest.mark.parametrize("outcome, code", [(Outcome.SENT, Exit.FOUND), (Outcome.PARKED, Exit.DONE)])
def test_only_what_is_parked_is_sent_again(terminal, outcome, code):
    at = terminal.house.clock.now()
    delivery = Delivery(id="d", kind=Kind.OPENED, route=(), next_at=at, outcome=outcome)
    notice = Notice(key="x", id="e", opened_at=at, deliveries=(delivery,))
    asyncio.run(terminal.notices.write(notice, ""))

    assert terminal("notices", "resend", "x").exit_code == code


def test_a_snooze_quiets_the_notice(terminal):
    words = ("notices", "park", VM, "--until", "2026-12-24", "--reason", "on holiday")
    terminal(*words)
    assert terminal.notifier.snoozed == []
    done = terminal(*words, "--yes")

    assert done.exit_code == 0, done.output
    assert len(terminal.notifier.snoozed) == 1


def parked(terminal, key: str, raw: str, source: str = "enrollments") -> None:
    one = Parked(key=key, source=source, reason="poison", raw=raw, at=terminal.house.clock.now())
    asyncio.run(terminal.house.parked.park(one))


def test_parked_messages_are_listed_shown_and_sent_again(terminal):
    message = WorkItem(vm=VM, seen_at=terminal.house.clock.now(), cause=Cause.EVENT)
    parked(terminal, "k1", encode(message).decode())
    parked(terminal, "k2", "nonsense", "sweeps")
    listed = terminal.rows("replay", "list")
    shown = terminal("replay", "show", "k2")
    dry = terminal("replay", "parked", "--all")
    assert terminal.house.queues.sent == []
    done = terminal("replay", "parked", "--all", "--yes")

    assert [row["key"] for row in listed] == ["k1", "k2"]
    assert shown.stdout == "nonsense\n"
    assert "2 messages would be sent again" in dry.stderr
    assert done.exit_code == Exit.FOUND
    assert [sent.message.vm for sent in terminal.house.queues.sent] == [VM]
    assert [row["key"] for row in terminal.rows("replay", "list")] == ["k2"]


def test_a_message_that_needs_nothing_is_dismissed_and_kept(terminal):
    parked(terminal, "k1", "nonsense")
    dry = terminal("replay", "dismiss", "k1", "k2")
    before = terminal.rows("replay", "list")
    done = terminal("replay", "dismiss", "k1", "--yes")

    assert dry.exit_code == Exit.FOUND
    assert "nothing is parked under k2" in dry.stderr
    assert len(before) == 1
    assert done.exit_code == Exit.DONE, done.output
    assert terminal.rows("replay", "list") == []
    assert [row["key"] for row in terminal.rows("replay", "list", "--replayed")] == ["k1"]
    assert terminal.house.queues.sent == []


def test_a_parked_event_is_read_anew(terminal):
    event = {
        "id": "1",
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "subject": VM,
        "data": {"operationName": "Microsoft.Compute/virtualMachines/write", "resourceUri": VM},
    }
    parked(terminal, "e1", json.dumps(event), "event")
    done = terminal("replay", "parked", "e1", "--yes")

    assert done.exit_code == 0, done.output
    assert [sent.message.vm for sent in terminal.house.queues.sent] == [VM]


def test_a_backfill_is_dry_without_yes(terminals, tmp_path):
    terminal = terminals(ENROLL_SINCE="2999-01-01T00:00:00Z")
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    state = tmp_path / "s.json"
    done = terminal("backfill", "--state", str(state))

    assert done.exit_code == 0, done.output
    assert "1 VMs in 1 waves" in done.stderr
    assert not state.exists()
    assert terminal.house.queues.sent == []


def test_a_vm_that_could_not_be_found_out_is_part_of_a_backfill(terminals, tmp_path):
    """The service looks for itself; left out, nobody would look at it again."""
    terminal = terminals(ENROLL_SINCE="2999-01-01T00:00:00Z")
    terminal.house.region()
    terminal.house.machines.add(worlds.vm(), worlds.vm(name="slow"))
    terminal.house.machines.fail(worlds.vm(name="slow").id, fault("GatewayTimeout"), times=9)
    done = terminal("backfill", "--state", str(tmp_path / "s.json"))

    assert "2 VMs in 1 waves" in done.stderr


def test_a_backfill_refuses_to_pretend_in_observe_mode(terminals, tmp_path):
    terminal = terminals(MODE="observe")
    terminal.house.region()
    terminal.house.machines.add(worlds.vm())
    done = terminal("backfill", "--yes", "--state", str(tmp_path / "s.json"))

    assert done.exit_code == Exit.USAGE
    assert "MODE is observe" in done.stderr


def test_a_backfill_never_overwrites_a_state_file(terminal, tmp_path):
    state = tmp_path / "s.json"
    state.write_text("{}")
    done = terminal("backfill", "--yes", "--state", str(state))

    assert done.exit_code == Exit.USAGE
    assert state.read_text() == "{}"


def test_onboarding_is_printed(terminal):
    done = terminal("onboard", worlds.SUB)

    assert f"SERVICE_SUBSCRIPTIONS={worlds.SUB}" in done.stdout
    assert "infra/hooks/postdeploy.sh" in done.stdout


# --- printing ------------------------------------------------------------------------------------


def test_foreign_text_cannot_move_the_cursor():
    assert cell("\x1b[2Ja\x07\u202eb\nc") == "[2Jab c"


@pytest.mark.parametrize("output", Output)
def test_all_three_outputs_say_the_same(output, capsys):
    show([{"vm": "=a", "VMs": 3}], ("vm", "VMs"), output)
    text = capsys.readouterr().out
    match output:
        case Output.JSON:
            assert json.loads(text) == [{"vm": "=a", "VMs": 3}]
        case Output.CSV:
            assert list(csv.DictReader(io.StringIO(text))) == [{"vm": "'=a", "VMs": "3"}]
        case Output.TABLE:
            assert "=a" in text
            assert "3" in text


@pytest.mark.parametrize("width", [60, 400])
def test_an_id_can_be_copied_from_any_terminal(monkeypatch, capsys, width):
    monkeypatch.setattr(printing, "Console", partial(Console, force_terminal=True, width=width))
    show([{"vm": VM, "state": "Blocked"}], ("vm", "state"), Output.TABLE)

    assert VM in capsys.readouterr().out


DECLARED = """
declared:
  policies:
    - name: brand-new
      kind: standard
      schedule: {daily: "23:00"}
      keep: {days: 30}
"""


def test_policies_are_shown_first_and_written_with_yes(terminal):
    house = terminal.house
    house.region()
    house.rules.rules = worlds.rules(worlds.RULES + DECLARED)
    (row,) = terminal.rows("policies", "ensure")
    before = list(house.setup.puts)
    done = terminal("policies", "ensure", "--yes")

    assert row["plan"] == "create"
    assert row["resource"].endswith("/brand-new")
    assert before == []
    assert "written:" in done.stderr
    assert [put.name for put in house.setup.puts] == ["brand-new"]
