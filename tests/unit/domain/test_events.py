"""Intake of events: every operation, both schemas, both sources, and the ugly ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import Ignored, Look, parse, without_personal_data
from shared.errors import BadMessage

SUB = "11111111-2222-3333-4444-555555555555"
VM = f"/subscriptions/{SUB}/resourceGroups/rg-app/providers/Microsoft.Compute/virtualMachines/vm1"


def arm(operation="Microsoft.Compute/virtualMachines/write", kind="Write", uri=VM, **more):
    event = {
        "id": "e1",
        "topic": f"/subscriptions/{SUB}",
        "subject": uri,
        "eventType": f"Microsoft.Resources.Resource{kind}Success",
        "eventTime": "2026-03-02T09:00:00.1234567Z",
        "data": {
            "operationName": operation,
            "resourceUri": uri,
            "status": "Succeeded",
            "claims": {"upn": "someone@example.org"},
        },
        "dataVersion": "2",
        "metadataVersion": "1",
    }
    event.update(more)
    return event


def cloud(event):
    """The same event as CloudEvents 1.0."""
    return {
        "specversion": "1.0",
        "id": event["id"],
        "type": event["eventType"],
        "source": event["topic"],
        "subject": event["subject"],
        "time": event["eventTime"],
        "data": event["data"],
    }


def notification(kind="CreatedOrUpdated", uri=VM):
    return {
        "id": "n1",
        "topic": f"/subscriptions/{SUB}",
        "subject": uri,
        "eventType": f"Microsoft.ResourceNotifications.Resources.{kind}",
        "eventTime": "2026-03-02T09:00:00Z",
        "data": {
            "resourceInfo": {"id": uri, "type": "Microsoft.Compute/virtualMachines"},
            "operationalInfo": {"resourceEventTime": "2026-03-02T09:00:00Z"},
        },
    }


LOOKED_AT = [
    pytest.param(arm(), False, id="vm write"),
    pytest.param(cloud(arm()), False, id="vm write as CloudEvents"),
    pytest.param(arm(operation="microsoft.compute/VIRTUALMACHINES/write"), False, id="odd case"),
    pytest.param(
        arm(operation="Microsoft.Compute/virtualMachines/delete", kind="Delete"), True, id="delete"
    ),
    pytest.param(
        arm(
            operation="Microsoft.Resources/tags/write",
            uri=f"{VM}/providers/Microsoft.Resources/tags/default",
        ),
        False,
        id="tags of a vm",
    ),
    pytest.param(notification(), False, id="resource notification"),
    pytest.param(notification("Deleted"), True, id="resource notification of a deletion"),
    pytest.param(
        arm(uri=VM.replace("resourceGroups", "resourcegroups").replace("/rg-app", " /rg-app")),
        False,
        id="stray blank and other case",
    ),
    pytest.param([arm()], False, id="an array of one"),
    pytest.param(arm(unknown={"deep": [1]}, eventTime="2026-03-02 09:00"), False, id="odd time"),
    pytest.param(
        {key.upper() if key == "eventType" else key: value for key, value in arm().items()},
        False,
        id="a member name in capitals",
    ),
]


@pytest.mark.parametrize("event, deleted", LOOKED_AT)
def test_an_event_about_a_vm_says_where_to_look(event, deleted):
    found = parse(json.dumps(event))

    assert isinstance(found, Look)
    assert found.vm.key == VM.lower()
    assert found.deleted is deleted


IGNORED = [
    pytest.param(
        arm(
            operation="Microsoft.Compute/virtualMachines/extensions/write", uri=f"{VM}/extensions/x"
        ),
        "other-operation",
        id="an extension, also the backup's own",
    ),
    pytest.param(
        arm(kind="Action", operation="Microsoft.Compute/virtualMachines/start/action"),
        "not-a-write",
        id="start",
    ),
    pytest.param(arm(operation="Microsoft.Compute/disks/write"), "other-operation", id="a disk"),
    pytest.param(
        arm(
            operation="Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/write"
        ),
        "other-operation",
        id="our own PUT",
    ),
    pytest.param(
        {**arm(), "eventType": "Microsoft.Resources.ResourceWriteFailure"},
        "did-not-succeed",
        id="a failed write",
    ),
    pytest.param(
        {**arm(), "eventType": "Microsoft.Storage.BlobCreated"},
        "other-event-type",
        id="another topic",
    ),
    pytest.param(
        arm(
            operation="Microsoft.Resources/tags/write",
            uri=f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Resources/tags/default",
        ),
        "tags-of-something-else",
        id="tags of a group",
    ),
    pytest.param(
        notification(uri=VM.replace("virtualMachines", "disks")),
        "other-resource-type",
        id="a disk's notification",
    ),
]


@pytest.mark.parametrize("event, reason", IGNORED)
def test_an_event_about_something_else_is_ignored_with_the_reason(event, reason):
    found = parse(json.dumps(event))

    assert isinstance(found, Ignored)
    assert found.reason == reason


PARKED = [
    pytest.param("{", "not-json", id="half an object"),
    pytest.param("", "not-json", id="nothing"),
    pytest.param("[" * 2000, "not-json", id="a bomb of brackets"),
    pytest.param("[]", "not-an-event", id="no event"),
    pytest.param(json.dumps([arm(), arm()]), "not-an-event", id="two events in one"),
    pytest.param("7", "not-an-event", id="a number"),
    pytest.param('{"id":"\ud800"}', "not-json", id="half a character"),
    pytest.param(json.dumps({"id": "x"}), "not-an-event", id="no type"),
    pytest.param(json.dumps({**arm(), "data": None}), "no-data", id="no data"),
    pytest.param(json.dumps({**arm(), "data": "text"}), "no-data", id="data of a wrong type"),
    pytest.param(json.dumps(arm(uri="")), "no-resource", id="no id"),
    pytest.param(json.dumps(arm(uri=7)), "no-resource", id="an id that is a number"),
    *[
        pytest.param(
            json.dumps(arm(uri=VM[:-3] + name)), "bad-id", id=f"hostile name {name[:12]!r}"
        )
        for name in (
            "..",
            "%2f",
            "a%2Fb",
            "a'b",
            'a"b',
            "a?b",
            "a#b",
            "a\nb",
            "<script>",
            "x" * 300,
        )
    ],
    pytest.param(json.dumps(arm(uri=VM + "/../../x/y")), "bad-id", id="dots in the path"),
    pytest.param(
        json.dumps(arm(uri=VM.replace(SUB, "not-a-guid"))), "bad-id", id="no subscription"
    ),
    pytest.param(json.dumps(arm(filler="x" * 1_200_000)), "too-large", id="over a megabyte"),
]


@pytest.mark.parametrize("text, reason", PARKED)
def test_an_event_that_cannot_be_understood_names_its_reason(text, reason):
    with pytest.raises(BadMessage) as caught:
        parse(text)

    assert caught.value.reason == reason


def test_an_event_of_one_megabyte_is_read():
    assert isinstance(parse(json.dumps(arm(filler="x" * 1_000_000))), Look)


@given(
    st.text(max_size=400)
    | st.recursive(
        st.none() | st.text(max_size=20) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["data", "eventType", "type", "id", "subject", "x"]),
                inner,
                max_size=4,
            )
        ),
    ).map(json.dumps)
)
def test_no_text_makes_intake_fail_in_any_other_way(text):
    try:
        assert isinstance(parse(text), Look | Ignored)
    except BadMessage as refused:
        assert refused.reason


def test_personal_data_does_not_reach_the_parked_table():
    text = json.dumps(
        {**arm(), "data": {"claims": {"upn": "a@b"}, "httpRequest": {"ip": "1.2.3.4"}, "x": 1}}
    )

    kept = without_personal_data(text)

    assert "a@b" not in kept
    assert "1.2.3.4" not in kept
    assert '"x":1' in kept
