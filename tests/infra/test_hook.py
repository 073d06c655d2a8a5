"""Stage 2's hook, run for real against an `az` that answers from a script and remembers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.bicep import INFRA, read

HOOK = INFRA / "hooks/postdeploy.sh"
IDENTITY = "/subscriptions/s0/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
ENVIRONMENT = {
    "SERVICE_APP_ID": "/subscriptions/s0/resourceGroups/rg/providers/Microsoft.Web/sites/func",
    "SERVICE_PRINCIPAL_ID": "00000000-0000-4000-8000-000000000001",
    "SERVICE_IDENTITY_ID": IDENTITY,
    "SERVICE_STORAGE_NAME": "st1",
    "SERVICE_RESOURCE_GROUP": "rg",
    "SERVICE_VAULT_NAME": "kv-1",
    "SERVICE_SUBSCRIPTIONS": "s1",
    "SERVICE_GRANTS": "firstBackup,locks",
    "SERVICE_DEAD_LETTER": "identity",
    "SERVICE_DEAD_LETTER_ID": "/dl",
    "AZURE_LOCATION": "westeurope",
    "HOOK_PAUSE": "0",
}

AZ = (
    f"#!{sys.executable} -ISE\n"
    """import json, os, sys
words = sys.argv[1:]
with open(os.environ["AZ_LOG"], "a") as log:
    log.write(json.dumps(words) + "\\n")
told = json.load(open(os.environ["AZ_ANSWERS"]))
line = " ".join(words)
for needle, (code, text) in told.items():
    if all(part in line for part in needle.split(" & ")):
        sys.stdout.write(text)
        sys.exit(code)
"""
)


class Stage:
    """The hook's surroundings: a folder, and what `az` answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "az.log"
        self.answers: dict[str, tuple[int, str]] = {"blob exists": (0, "true\n")}
        az = folder / "az"
        az.write_text(AZ)
        az.chmod(0o755)

    def run(self, **more: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        self.log.write_text("")
        environment = {
            **ENVIRONMENT,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "AZ_LOG": str(self.log),
            "AZ_ANSWERS": str(self.folder / "answers.json"),
            **more,
        }
        return subprocess.run(
            ["sh", HOOK],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, *words: str) -> list[list[str]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if all(word in line for word in words)]

    def deployments(self) -> list[dict[str, str]]:
        return [
            dict(word.split("=", 1) for word in call[call.index("--parameters") + 1 :])
            | {"in": call[call.index("--subscription") + 1]}
            for call in self.calls("deployment", "create")
        ]


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path)


def test_a_subscription_gets_role_and_events_with_parameters_that_exist(stage):
    run = stage.run()

    assert run.returncode == 0, run.stderr
    (given,) = stage.deployments()
    params = read(INFRA / "subscription.bicep").params
    assert set(given) - {"in"} <= set(params)
    required = {name for name, param in params.items() if param.required}
    assert required - set(given) == {"location"}
    (call,) = stage.calls("deployment", "create")
    assert call[call.index("--location") + 1] == "westeurope"
    assert (given["in"], given["deadLetter"], given["deadLetterAccountId"]) == (
        "s1",
        "identity",
        "/dl",
    )
    assert json.loads(given["grants"]) == ["firstBackup", "locks"]


def test_every_subscription_in_scope_is_onboarded(stage):
    stage.run(SERVICE_SUBSCRIPTIONS="s1,s2,s3", SERVICE_GRANTS="")

    assert [one["in"] for one in stage.deployments()] == ["s1", "s2", "s3"]
    assert stage.deployments()[0]["grants"] == "[]"


def test_a_topic_that_was_there_is_used_not_replaced(stage):
    stage.answers["system-topic list"] = (0, f"theirs\trg-hub\t{IDENTITY.upper()}\n")

    run = stage.run()

    (given,) = stage.deployments()
    assert (given["topicName"], given["topicGroupName"]) == ("theirs", "rg-hub")
    assert given["deadLetter"] == "identity"
    assert "uses the system topic theirs" in run.stdout


def test_a_topic_without_our_identity_gets_no_dead_letter_and_says_so(stage):
    stage.answers["system-topic list"] = (0, "theirs\trg-hub\t\n")

    run = stage.run()

    (given,) = stage.deployments()
    assert (given["deadLetter"], given["deadLetterAccountId"]) == ("none", "")
    assert "the sweep is the net" in run.stdout


def test_our_own_topic_is_kept_up_to_date_on_a_second_run(stage):
    stage.answers["system-topic list"] = (0, "vm-backup-arm\trg-vm-backup-events\t\n")

    stage.run()

    (given,) = stage.deployments()
    assert "topicName" not in given
    assert given["deadLetter"] == "identity"


def test_if_event_grid_refuses_the_identity_it_goes_on_without_dead_letter(stage):
    stage.answers["deployment & deadLetter=identity"] = (1, "")

    run = stage.run()

    assert run.returncode == 0
    assert [one["deadLetter"] for one in stage.deployments()] == ["identity"] * 3 + ["none"]
    assert "DEAD_LETTER=sharedKey" in run.stdout


def test_if_topics_cannot_be_listed_none_is_made(stage):
    stage.answers["system-topic list"] = (1, "")

    run = stage.run()

    assert run.returncode == 1
    assert stage.deployments() == []


def test_a_shared_key_is_used_only_when_asked_for(stage):
    stage.answers["system-topic list"] = (0, "theirs\trg-hub\t\n")

    stage.run(SERVICE_DEAD_LETTER="sharedKey")

    assert [one["deadLetter"] for one in stage.deployments()] == ["sharedKey"]


def test_one_refused_subscription_does_not_stop_the_others_and_is_not_hidden(stage):
    stage.answers["deployment & --subscription s1"] = (1, "")

    run = stage.run(SERVICE_SUBSCRIPTIONS="s1,s2")

    assert run.returncode == 1
    assert "NOT onboarded" in run.stdout
    assert stage.deployments()[-1]["in"] == "s2"


def test_resource_notifications_are_a_second_topic_when_switched_on(stage):
    stage.answers["system-topic list & ResourceNotifications"] = (0, "alerts\trg-x\t\n")

    stage.run(SERVICE_RESOURCE_NOTIFICATIONS="true", SERVICE_DEAD_LETTER="none")

    (given,) = stage.deployments()
    assert (given["resourceNotifications"], given["notificationsTopicName"]) == ("true", "alerts")
    assert "topicName" not in given


def test_without_subscriptions_it_points_to_the_management_group(stage):
    run = stage.run(SERVICE_SUBSCRIPTIONS="")

    assert stage.deployments() == []
    assert "management-group.bicep" in run.stdout


def test_rules_are_uploaded_once_and_never_over_those_that_are_there(stage):
    (stage.folder / "rules.yaml").write_text("version: 1\n")

    assert "left as it is" in stage.run().stdout
    assert stage.calls("upload") == []
    stage.answers["blob exists"] = (0, "false\n")
    assert "rules.yaml uploaded" in stage.run().stdout
    (upload,) = stage.calls("upload")
    assert {"--auth-mode", "login", "rules"} <= set(upload)
    assert not any("key" in word for word in upload)


def test_no_rules_and_no_reach_are_said_and_stop_nothing(stage):
    stage.answers["blob exists"] = (0, "false\n")
    assert "rules: none yet" in stage.run().stdout

    stage.answers["blob exists"] = (1, "")
    run = stage.run()
    assert run.returncode == 0
    assert "az storage blob upload" in run.stdout


def test_an_upload_that_fails_is_not_called_uploaded(stage):
    (stage.folder / "rules.yaml").write_text("version: 1\n")
    stage.answers = {"blob exists": (0, "false\n"), "blob upload": (1, "")}

    said = stage.run().stdout

    assert "rules: not uploaded" in said
    assert "rules.yaml uploaded" not in said


def test_what_only_a_person_may_do_is_printed_with_names_filled_in(stage):
    said = stage.run().stdout

    assert "What only a person may grant or do" in said
    assert "--vault-name kv-1 --name teams-webhook-url" in said
    assert "python -m ops plan" in said


@pytest.mark.parametrize("missing", ["SERVICE_APP_ID", "SERVICE_PRINCIPAL_ID", "AZURE_LOCATION"])
def test_without_an_output_it_stops_before_it_calls_azure(stage, missing):
    run = stage.run(**{missing: ""})

    assert run.returncode != 0
    assert missing in run.stderr
    assert stage.calls() == []


def test_it_is_plain_sh():
    assert HOOK.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", HOOK], check=True)
