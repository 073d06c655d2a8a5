"""`replay dead-letters`, against blobs in the storage emulator, laid down as Event Grid does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from ops.printing import Exit
from shared.domain.ids import virtual_machine
from tests.unit.domain import worlds
from tests.unit.ops.bench import Terminal, terminal_on

CONTAINER = "undelivered"
SECRET = "ann@contoso.example"  # claims are personal data


def vm(number: int) -> str:
    return str(virtual_machine(worlds.SUB, "rg-app", f"vm-{number}"))


def event(
    number: int, operation: str = "Microsoft.Compute/virtualMachines/write", **more: Any
) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "topic": f"/subscriptions/{worlds.SUB}",
        "subject": vm(number),
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-11-20T08:00:00Z",
        "data": {
            "operationName": operation,
            "resourceUri": vm(number),
            "status": "Succeeded",
            "claims": {"upn": SECRET},
        },
        "dataVersion": "2",
        "metadataVersion": "1",
        "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "deliveryAttempts": 30,
        "lastDeliveryOutcome": "Timeout",
        **more,
    }


LETTERS = {
    "vm-backup/2026/11/20/8/a.json": json.dumps([event(1), event(2)]),
    "vm-backup/2026/11/20/8/b.json": json.dumps(
        [event(3, operation="Microsoft.Compute/virtualMachines/extensions/write")]
    ),
    "vm-backup/2026/11/20/9/c.json": "not a letter",
    "vm-backup/2026/11/20/9/d.json": json.dumps([event(4, data="nothing of ARM")]),
}


@pytest.fixture
def letters(azurite, monkeypatch):
    """A terminal beside a container of dead letters; gives both and the container's URL."""
    container = ContainerClient.from_connection_string(azurite, CONTAINER)
    container.create_container()
    for name, text in LETTERS.items():
        container.upload_blob(name, text)
    yield terminal_on(monkeypatch)(AzureWebJobsStorage=azurite), container.url
    container.delete_container()
    container.close()


def sent(terminal: Terminal) -> list[str]:
    return [message.message.vm for message in terminal.house.queues.take()]


def test_letters_are_listed_with_their_reason_and_nothing_is_sent(letters):
    terminal, url = letters
    rows = terminal.rows("replay", "dead-letters", url)
    asks = {row["event"]: row["asks_for"] for row in rows}
    events = [row for row in rows if row["event"]]

    assert asks["event-1"] == vm(1)
    assert asks["event-3"].startswith("nothing: ")
    assert asks["event-4"].startswith("nothing: ")
    assert [row["blob"][-6:] for row in rows if not row["event"]] == ["c.json"]
    assert {row["why"] for row in events} == {"MaxDeliveryAttemptsExceeded"}
    assert {row["attempts"] for row in events} == {"30"}
    assert SECRET not in terminal("replay", "dead-letters", url).output
    assert sent(terminal) == []


def test_replayed_letters_are_looked_at_once_and_kept(letters):
    terminal, url = letters
    done = terminal("replay", "dead-letters", url, "--yes")
    first = sent(terminal)
    again = terminal("replay", "dead-letters", url, "--yes")
    rows = terminal.rows("replay", "dead-letters", url, "--replayed")

    assert done.exit_code == Exit.DONE, done.output
    assert "2 messages sent" in done.stderr
    assert first == [vm(1), vm(2)]
    assert "1 events. 0 messages sent" in again.stderr  # what is no letter is not done with
    assert sent(terminal) == []
    assert len(rows) == 5
    assert all(bool(row["replayed"]) == bool(row["event"]) for row in rows)


@pytest.mark.parametrize(
    "url, says, code",
    [
        pytest.param("http://elsewhere.example/undelivered", "is no", Exit.USAGE, id="no TLS"),
        pytest.param("", "ResourceNotFound", Exit.UNREACHABLE, id="no such container"),
    ],
)
def test_what_is_no_container_is_said(letters, url, says, code):
    terminal, here = letters
    done = terminal("replay", "dead-letters", url or here + "-not")

    assert done.exit_code == code
    assert says.lower() in done.stderr.lower().replace("container", "resource")
