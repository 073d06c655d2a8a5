"""The replay of real Azure's answers against the simulator, and that the replay itself can fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from simulator.assembly import build
from simulator.generic import KEPT_AS_SENT
from tests.conformance import accepted as accepting
from tests.conformance import replay as replaying
from tests.conformance.compare import Difference, Names, compare
from tests.conformance.recordings import read

pytestmark = pytest.mark.conformance

#: Every operation an enrollment needs, by its row in facts §1.1, and what routes answer it.
ENROLLMENT = (
    "VirtualMachines_Get",
    "Vaults_Get",
    "Vaults_ListBySubscriptionId",
    "BackupPolicies_List",
    "ProtectionPolicies_Get",
    "ProtectionPolicies_CreateOrUpdate",
    "ProtectionPolicies_Delete",
    "ProtectionContainers_Refresh",
    "ProtectionContainerRefreshOperationResults_Get",
    "BackupProtectableItems_List",
    "BackupStatus_Get",
    "ProtectedItems_CreateOrUpdate",
    "ProtectedItems_Delete",
    "ProtectedItems_Get",
    "BackupOperationStatuses_Get",
    "BackupProtectedItems_List",
    "BackupProtectionContainers_List",
    "BackupJobs_List",
    "JobDetails_Get",
    "Backups_Trigger",
    "RecoveryPoints_List",
    "BackupResourceVaultConfigs_Get",
    "BackupResourceVaultConfigs_Update",
)
#: Rows of facts §1.1 that no recording shows: in the simulator's surface, specified only.
NEVER_RECORDED = (
    "ProtectionIntent_Validate",
    "FeatureSupport_Validate",
    "ProtectedItemOperationStatuses_Get",
    "ProtectedItemOperationResults_Get",
    "BackupOperationResults_Get",
    "ProtectionPolicyOperationStatuses_Get",
    "ProtectionPolicyOperationResults_Get",
)


@pytest.fixture(scope="module")
def outcome(ground_truth: Path, figures: dict[str, str]) -> replaying.Outcome:
    paths = sorted((ground_truth / "recordings").rglob("*.jsonl"))
    entries = accepting.load()
    found = replaying.replay(paths, entries)
    figures["replay, exchanges"] = found.last_line()
    figures["replay, apart"] = (
        f"{sum(found.outside.values())} outside the surface, {len(found.broken)} broken lines, "
        f"{len(entries)} entries of accepted differences, {len(found.inputs)} inputs taken"
    )
    return found


def test_the_simulator_answers_as_azure_did(outcome):
    assert not outcome.broken, [str(line) for line in outcome.broken]
    assert not outcome.found, "\n".join(str(found) for found in outcome.found[:20])
    assert outcome.differing == 0
    assert replaying.complaints(outcome, accepting.load()) == []
    assert outcome.matched >= 0.98 * outcome.in_surface


def test_coverage_says_what_was_compared_and_nothing_else(outcome):
    """simulator/recorded.json is written by `replay --write-count FOLDER`."""
    assert json.loads(replaying.RECORDED.read_text("utf-8")) == replaying.shown(outcome)
    said = {
        route.operation
        for route in build(speed=0).gateway.routes
        if route.truth == "recorded" and route.source != KEPT_AS_SENT
    }
    assert said == outcome.compared.keys()


def test_every_operation_of_an_enrollment_was_compared(outcome):
    assert [one for one in ENROLLMENT if not outcome.compared[one]] == []
    answered = {route.operation for route in build(speed=0).gateway.routes}
    assert set(NEVER_RECORDED) <= answered


def test_what_is_left_out_is_named_and_not_ours(outcome):
    own = {
        f"{route.method} {'/'.join(route.template.split('/providers/')[-1].split('/')[:2])}"
        for route in build(speed=0).gateway.routes
        if route.source != KEPT_AS_SENT and "/protectedItems" in route.template
    }
    left_out = {
        kind: count
        for kind, count in outcome.outside.items()
        if kind in own and not kind.endswith("of a restore")
    }
    # Cross-region restore alone: reads of a secondary region, and a token for it.
    assert left_out == {
        "GET Microsoft.RecoveryServices/vaults": 5,
        "POST Microsoft.RecoveryServices/vaults": 1,
    }


# --- the replay can fail -------------------------------------------------------------------------


ITEMS = "2025/test_backup_protection.jsonl"


def changed(ground_truth: Path, tmp_path: Path, change) -> replaying.Outcome:
    """Replay a recording in which one exchange was changed by a function."""
    source = ground_truth / "recordings" / ITEMS
    target = tmp_path / "2025" / source.name
    target.parent.mkdir()
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    change(rows)
    target.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return replaying.replay([target], accepting.load())


def one(rows: list, ending: str, method: str = "GET") -> dict:
    return next(r for r in rows if r["method"] == method and ending in r["path"].split("?")[0])


def set_body(ending: str, method: str = "GET", **changes):
    def change(rows: list) -> None:
        row = one(rows, ending, method)
        body = row["response_body"]
        (body["value"][0] if "value" in body else body)["properties"].update(changes)

    return change


def set_row(ending: str, method: str = "GET", **changes):
    def change(rows: list) -> None:
        one(rows, ending, method).update(changes)

    return change


def drop_header(rows: list) -> None:
    del one(rows, "/protectedItems/", "PUT")["response_headers"]["azure-asyncoperation"]


def other_operation(rows: list) -> None:
    row = one(rows, "/protectedItems/", "PUT")
    url = row["response_headers"]["azure-asyncoperation"]
    row["response_headers"]["azure-asyncoperation"] = url.replace(
        "/operationsStatus/", "/operations/"
    )


@pytest.mark.parametrize(
    "change, where",
    [
        pytest.param(
            set_body("/backupProtectedItems", protectionState="Protected"),
            "protectionState",
            id="another state",
        ),
        pytest.param(set_body("/backupJobs/", surprise=1), "surprise", id="a member more"),
        pytest.param(
            set_body("/backupPolicies/", timeZone="GMT"), "timeZone", id="a policy's zone"
        ),
        pytest.param(
            set_body("/backupProtectedItems", lastBackupTime="2001-01-01T00:00:00"),
            "lastBackupTime",
            id="a time without its Z",
        ),
        pytest.param(set_row("/protectedItems/", "PUT", status=200), "status", id="another status"),
        pytest.param(drop_header, "header azure-asyncoperation", id="a missing header"),
        pytest.param(other_operation, "header azure-asyncoperation", id="another polling path"),
    ],
)
def test_a_single_change_of_a_recording_is_found(ground_truth, tmp_path, change, where):
    outcome = changed(ground_truth, tmp_path, change)
    assert outcome.differing >= 1
    assert any(where in found.difference.path for found in outcome.found), outcome.found


def test_a_broken_line_an_unknown_version_and_a_truncated_body_are_named(ground_truth, tmp_path):
    def break_three(rows: list) -> None:
        rows[3]["path"] = rows[3]["path"].replace("api-version=2024-04-01", "api-version=latest")
        rows[4]["response_body"] = '{"id": "cut of'
        del rows[5]["status"]

    outcome = changed(ground_truth, tmp_path, break_three)
    assert [broken.why for broken in outcome.broken] == [
        "unknown api-version 'latest'",
        "truncated body of 14 characters",
        "no status",
    ]
    assert "compared" in "".join(replaying.complaints(outcome, ()))  # and that is fewer than before
    (tmp_path / "line.jsonl").write_text("{not json\n", "utf-8")
    exchanges, broken = read(tmp_path / "line.jsonl")
    assert (exchanges, len(broken)) == ([], 1)
    assert "no JSON" in str(broken[0])


def test_a_run_that_compared_nothing_fails(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n", "utf-8")
    outcome = replaying.replay([tmp_path / "empty.jsonl"], ())
    assert replaying.complaints(outcome, ()) == [
        "nothing was compared",
        f"{tmp_path.name}/empty.jsonl: 0 compared, 0 skipped",
    ]


# --- comparing -----------------------------------------------------------------------------------

GUID = "0f0f0f0f-1111-4222-8333-abcdefabcdef"
OTHER = "1a1a1a1a-1111-4222-8333-abcdefabcdef"


def differences(old, new, names: Names | None = None) -> list[Difference]:
    return compare((200, {}, old), (200, {}, new), names or Names())


@pytest.mark.parametrize(
    "old, new, same",
    [
        pytest.param({"a": 1}, {"a": 1}, True, id="equal"),
        pytest.param({"a": 1}, {"a": True}, False, id="a number is no truth value"),
        pytest.param({"a": None}, {}, False, id="null is not absent"),
        pytest.param({"a": ""}, {"a": None}, False, id="an empty text is not null"),
        pytest.param({"a": GUID}, {"a": OTHER}, True, id="an id drawn"),
        pytest.param({"a": GUID}, {"a": "none"}, False, id="an id and a word"),
        pytest.param(
            {"t": "2024-04-28T06:35:00.513442Z"},
            {"t": "2024-04-28T06:35:02Z"},
            True,
            id="a time seconds later",
        ),
        pytest.param(
            {"t": "2024-04-28T06:35:00Z"}, {"t": "2024-04-28T06:36:00Z"}, False, id="a minute later"
        ),
        pytest.param(
            {"t": "2024-04-28T06:35:00Z"}, {"t": "2024-04-28T06:35:00+00:00"}, False, id="a zone"
        ),
        pytest.param(
            {"t": "0001-01-01T00:00:00"}, {"t": "2024-04-28T06:35:00"}, False, id="never and now"
        ),
        pytest.param({"d": "PT31.07S"}, {"d": "PT31.5S"}, True, id="a duration"),
        pytest.param({"d": "PT31.07S"}, {"d": "31"}, False, id="another kind of duration"),
        pytest.param({"id": "/Subscriptions/x"}, {"id": "/subscriptions/x"}, False, id="case"),
        pytest.param(["a", "b"], ["b", "a"], False, id="order"),
        pytest.param({"m": "Text."}, {"m": "Text"}, False, id="a full stop"),
    ],
)
def test_values_are_compared_exactly_but_for_what_is_drawn(old, new, same):
    assert (differences(old, new) == []) is same


def test_an_id_stands_for_one_other_everywhere():
    names = Names()
    assert differences({"id": GUID}, {"id": OTHER}, names) == []
    assert differences({"id": f"/jobs/{GUID}"}, {"id": f"/jobs/{OTHER}"}, names) == []
    assert differences({"id": f"/jobs/{GUID}"}, {"id": f"/jobs/{GUID[:-1]}0"}, names) != []


def test_lists_of_resources_keep_their_order():
    old = {"value": [{"id": "/a", "name": "a"}, {"id": "/b", "name": "b"}]}
    new = {"value": [old["value"][1], old["value"][0]]}
    assert [found.path for found in differences(old, new)] == ["$.value[] order"]


@pytest.mark.parametrize("path", ["$.value[] order", "$.id", "$.error.message", "status"])
def test_order_ids_and_error_texts_are_never_accepted(tmp_path, path):
    file = tmp_path / "accepted.json"
    file.write_text(json.dumps([{"operation": "X", "path": path, "reason": "because"}]), "utf-8")
    with pytest.raises(ValueError, match="not acceptable"):
        accepting.load(file)


def test_there_are_few_accepted_differences_and_one_that_no_longer_occurs_fails(outcome):
    entries = accepting.load()
    assert len(entries) <= accepting.MOST
    stale = accepting.Accepted(operation="Vaults_Get", path="$.nowhere", reason="no more")
    assert replaying.complaints(outcome, (*entries, stale)) == [f"no longer occurs: {stale}"]


def test_the_command_says_how_many_and_fails_when_it_has_to(
    ground_truth, tmp_path, monkeypatch, capsys
):
    target = tmp_path / "2025" / "test_backup_protection.jsonl"
    target.parent.mkdir()
    shutil.copyfile(ground_truth / "recordings" / ITEMS, target)
    monkeypatch.setattr("sys.argv", ["replay", str(target)])
    assert replaying.main() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("in surface 50, matched ")
    assert last.endswith("differing 0")

    text = target.read_text("utf-8").replace('"IRPending"', '"Protected"', 1)
    target.write_text(text, "utf-8")
    assert replaying.main() == 1


def test_the_page_tells_the_figures(outcome):
    text = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text("utf-8")
    share = 100 * outcome.matched / outcome.in_surface
    assert (
        f"{outcome.in_surface:,} exchanges in surface, {outcome.matched:,} matched ({share:.1f} %), "
        f"{outcome.accepted} accepted in {len(accepting.load())} entries, "
        f"{outcome.differing} differing"
    ) in text
