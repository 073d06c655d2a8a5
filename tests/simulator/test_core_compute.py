"""VMs as they are born, seen, changed and deleted."""

from datetime import datetime, timedelta

import pytest

from simulator.instance_view import PROVISIONED_AFTER, READY_AFTER, drawn
from tests.simulator.core import COMPUTE, SUB, Azure, azure, vm_body, vm_id

TAGS = "/providers/Microsoft.Resources/tags/default"


def seen(a: Azure, name: str) -> dict:
    reply = a.get(vm_id(name), __expand="instanceView")
    assert reply.status == 200, reply.body
    return reply.body["properties"]


def agent(a: Azure, name: str) -> str | None:
    statuses = seen(a, name)["instanceView"].get("vmAgent", {}).get("statuses")
    return statuses[0]["displayStatus"] if statuses else None


def test_a_new_vm_is_creating_then_succeeded_then_its_agent_is_ready() -> None:
    """Recorded: report §5 (15-190 s to provisioned, agent 11.5-80 s after it)."""
    a = azure()
    born = a.ask("PUT", vm_id("new"), vm_body("new"))
    assert born.status == 201
    assert born.body["properties"]["provisioningState"] == "Creating"
    assert "/operations/" in born.headers["azure-asyncoperation"]
    assert a.changes == []
    a.wait(14)
    assert seen(a, "new")["provisioningState"] == "Creating"
    assert agent(a, "new") is None
    a.wait(176)
    assert seen(a, "new")["provisioningState"] == "Succeeded"
    assert [c.operation_name for c in a.changes] == ["Microsoft.Compute/virtualMachines/write"]
    a.wait(80)
    assert agent(a, "new") == "Ready"


def test_an_agent_that_is_not_ready_says_it_in_the_recorded_words() -> None:
    """Recorded: vm-instanceview 2025."""
    a = azure(timeline=[{"at": 0, "put": vm_body("new")}])
    a.wait(5)
    view = seen(a, "new")["instanceView"]
    status = view["vmAgent"]["statuses"][0]
    assert view["vmAgent"]["vmAgentVersion"] == "Unknown"
    assert (status["code"], status["level"]) == ("ProvisioningState/Unavailable", "Warning")
    assert status["message"] == "VM status blob is found but not yet populated."
    assert "computerName" not in view
    a.wait(80)
    view = seen(a, "new")["instanceView"]
    assert view["vmAgent"]["statuses"][0]["code"] == "ProvisioningState/succeeded"
    assert {"computerName", "osName", "osVersion"} <= view.keys()


@pytest.mark.parametrize(
    "points,low,median,high",
    [(READY_AFTER, 11.5, (55, 75), 80), (PROVISIONED_AFTER, 15, (30, 46), 190)],
    ids=["recorded: agent ready", "recorded: provisioned"],
)
def test_durations_are_drawn_from_what_was_recorded(
    points: tuple, low: float, median: tuple, high: float
) -> None:
    values = sorted(drawn(points, f"vm-{n}") for n in range(2000))
    assert low <= values[0]
    assert values[-1] <= high
    assert median[0] < values[1000] < median[1]
    assert drawn(points, "vm-1") == drawn(points, "vm-1")


def test_a_seeded_vm_has_been_there_for_long() -> None:
    a = azure(vm_body("old"))
    shown = seen(a, "old")
    created = datetime.fromisoformat(shown["timeCreated"])
    assert created < a.world.started - timedelta(days=7)
    assert agent(a, "old") == "Ready"


def test_an_instance_view_given_in_a_seed_is_shown_as_given() -> None:
    pinned = {"statuses": [{"code": "PowerState/deallocated"}]}
    body = vm_body("off")
    body["properties"]["instanceView"] = pinned
    a = azure(body)
    assert seen(a, "off")["instanceView"] == pinned
    assert "instanceView" not in a.get(vm_id("off")).body["properties"]


@pytest.mark.parametrize(
    "order,late,then",
    [({"readyAfter": 600}, "Not Ready", "Ready"), ({"never": True}, "Not Ready", "Not Ready")],
    ids=["ready after 600 s", "never ready"],
)
def test_a_seed_may_order_when_the_agent_is_ready(order: dict, late: str, then: str) -> None:
    body = vm_body("slow", _sim={"agent": order})
    a = azure(timeline=[{"at": 0, "put": body}])
    a.wait(300)
    assert agent(a, "slow") == late
    assert "_sim" not in a.get(vm_id("slow")).body
    a.wait(400)
    assert agent(a, "slow") == then


def test_a_deallocated_vm_has_no_agent_at_all() -> None:
    """Recorded: report §6.32."""
    a = azure(vm_body("vm1"))
    assert a.ask("POST", vm_id("vm1") + "/deallocate").status == 202
    a.wait(60)
    view = seen(a, "vm1")["instanceView"]
    assert "vmAgent" not in view
    assert view["statuses"][1]["code"] == "PowerState/deallocated"
    assert a.changes[-1].kind == "action"
    assert a.changes[-1].operation_name == "Microsoft.Compute/virtualMachines/deallocate/action"


def test_an_update_answers_200_updating_and_an_operation_that_ends() -> None:
    """Recorded: 2025/test_backup_disk_exclusion."""
    a = azure(vm_body("vm1"))
    sent = a.get(vm_id("vm1")).body | {"tags": {"tier": "gold"}}
    before = sent["properties"]["vmId"]
    reply = a.ask("PUT", vm_id("vm1"), sent)
    assert (reply.status, reply.body["properties"]["provisioningState"]) == (200, "Updating")
    assert reply.body["properties"]["vmId"] == before
    path = reply.headers["azure-asyncoperation"].split("?")[0].removeprefix(a.world.arm_url)
    running = a.get(path).body
    assert running["status"] == "InProgress"
    assert "endTime" not in running
    a.wait(10)
    assert a.get(path).body["status"] == "Succeeded"
    assert a.get(vm_id("vm1")).body["tags"] == {"tier": "gold"}


def test_a_deleted_vm_is_gone_after_a_while_and_deleting_it_again_answers_204() -> None:
    """Recorded: 2025/test_backup_diskaccess_restore."""
    a = azure(vm_body("vm1"))
    reply = a.ask("DELETE", vm_id("vm1"))
    assert (reply.status, reply.body) == (202, None)
    assert "monitor=true" in reply.headers["location"]
    assert seen(a, "vm1")["provisioningState"] == "Deleting"
    a.wait(60)
    assert a.get(vm_id("vm1")).status == 404
    assert [c.kind for c in a.changes] == ["delete"]
    assert a.ask("DELETE", vm_id("vm1")).status == 204


def test_a_vm_made_again_under_its_name_is_another_vm() -> None:
    a = azure(
        timeline=[
            {"at": 0, "put": vm_body("vm1")},
            {"at": 10, "delete": vm_id("vm1")},
            {"at": 20, "put": vm_body("vm1")},
        ]
    )
    a.wait(5)
    first = seen(a, "vm1")["vmId"]
    a.wait(20)
    assert seen(a, "vm1")["vmId"] != first
    assert [c.kind for c in a.changes] == ["write", "delete", "write"]


def test_tags_written_by_the_tags_api_are_published_as_tags_not_as_a_vm() -> None:
    """Assumed: facts §5.2 marks the subject as inferred."""
    a = azure(vm_body("vm1"))
    reply = a.ask(
        "PATCH",
        vm_id("vm1") + TAGS,
        {"operation": "Merge", "properties": {"tags": {"ENV": "test", "tier": "gold"}}},
    )
    assert reply.status == 200
    assert a.get(vm_id("vm1")).body["tags"] == {"ENV": "test", "tier": "gold"}
    change = a.changes[-1]
    assert change.operation_name == "Microsoft.Resources/tags/write"
    assert change.resource_id == vm_id("vm1") + TAGS
    assert change.tags == {"ENV": "test", "tier": "gold"}


def test_a_subscriptions_tags_are_read_and_written_the_same_way() -> None:
    a = azure()
    path = f"/subscriptions/{SUB}{TAGS}"
    assert a.get(path).body["properties"]["tags"] == {"owner": "web@x"}
    a.ask("PUT", path, {"properties": {"tags": {"owner": "new@x"}}})
    assert a.get(f"/subscriptions/{SUB}").body["tags"] == {"owner": "new@x"}


def test_ids_match_in_any_case_and_keep_their_first_spelling() -> None:
    """Recorded: report §6.3."""
    a = azure(vm_body("vm1"))
    shouted = vm_id("VM1").replace("resourceGroups", "RESOURCEGROUPS").replace("rg-Web", "RG-WEB")
    assert a.get(shouted).body["id"] == vm_id("vm1")


def test_a_long_list_comes_in_pages() -> None:
    """Recorded: report §6.18 (nextLink says %24skiptoken)."""
    a = azure(*(vm_body(f"vm{n}") for n in range(5)), knobs={"compute.page_size": 2})
    first = a.get(COMPUTE).body
    assert len(first["value"]) == 2
    assert "%24skiptoken=" in first["nextLink"]
    names = [row["name"] for row in first["value"]]
    link = first["nextLink"]
    while link:
        token = link.split("%24skiptoken=")[1].replace("%3D", "=")
        page = a.get(COMPUTE, **{"$skiptoken": token}).body
        names += [row["name"] for row in page["value"]]
        link = page.get("nextLink")
    assert names == [f"vm{n}" for n in range(5)]


def test_a_disk_and_a_network_card_are_kept_as_sent() -> None:
    a = azure()
    nic = (
        f"/subscriptions/{SUB}/resourceGroups/rg-Web/providers/Microsoft.Network/networkInterfaces"
    )
    body = {"location": "westeurope", "properties": {"enableIPForwarding": True}}
    assert a.ask("PUT", f"{nic}/n1", body).status == 201
    assert a.get(f"{nic}/n1").body["properties"]["enableIPForwarding"] is True
    assert [row["name"] for row in a.get(nic).body["value"]] == ["n1"]
    everywhere = f"/subscriptions/{SUB}/providers/Microsoft.Network/networkInterfaces"
    assert len(a.get(everywhere).body["value"]) == 1
    assert a.changes[-1].operation_name == "Microsoft.Network/networkInterfaces/write"


def test_a_deleted_group_takes_everything_with_it() -> None:
    a = azure(vm_body("vm1"), vm_body("vm2"))
    group = f"/subscriptions/{SUB}/resourceGroups/rg-Web"
    assert a.ask("DELETE", group).status == 202
    a.wait(60)
    gone = [c.resource_id for c in a.changes if c.kind == "delete"]
    assert gone == [vm_id("vm1"), vm_id("vm2"), group]
    assert a.get(vm_id("vm1")).body["error"]["code"] == "ResourceGroupNotFound"


def test_an_extension_shows_in_its_vm_and_in_the_agents_report() -> None:
    """Recorded: vm-instanceview 2025 (GuestAttestation)."""
    a = azure(vm_body("vm1"))
    extension = {
        "location": "westeurope",
        "properties": {
            "publisher": "Microsoft.Azure.Security",
            "type": "AzureDiskEncryptionForLinux",
            "typeHandlerVersion": "1.1",
        },
    }
    path = vm_id("vm1") + "/extensions/ade"
    assert a.ask("PUT", path, extension).status == 201
    assert a.changes[-1].operation_name == "Microsoft.Compute/virtualMachines/extensions/write"
    body = a.get(vm_id("vm1"), __expand="instanceView").body
    assert body["resources"][0]["properties"]["type"] == "AzureDiskEncryptionForLinux"
    view = body["properties"]["instanceView"]
    kind = "Microsoft.Azure.Security.AzureDiskEncryptionForLinux"
    assert view["extensions"][0]["type"] == kind
    assert view["vmAgent"]["extensionHandlers"][0]["type"] == kind
    a.ask("DELETE", path)
    assert "resources" not in a.get(vm_id("vm1")).body


@pytest.mark.parametrize("version,there", [("2020-06-01", False), ("2024-07-01", True)])
def test_old_api_versions_do_not_tell_when_a_vm_was_created(version: str, there: bool) -> None:
    """Recorded: vm-instanceview 2021 and 2025."""
    body = azure(vm_body("vm1")).get(vm_id("vm1"), version=version).body
    assert ("timeCreated" in body["properties"]) is there
