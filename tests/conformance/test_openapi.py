"""Microsoft's OpenAPI documents: real Azure, the simulator and the product's requests against them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simulator.assembly import build
from simulator.generic import KEPT_AS_SENT
from tests.conformance import traffic as watching
from tests.conformance.openapi import Catalogue, Deviation
from tests.conformance.recordings import read
from tests.simulator.backup_lab import SUBSCRIPTION, daily_policy, item_path, lab, policy_id

pytestmark = pytest.mark.conformance

GROUP = "/subscriptions/s/resourceGroups/g"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v"
ITEM = (
    f"{VAULT}/backupFabrics/Azure/protectionContainers/IaasVMContainer;iaasvmcontainerv2;g;m"
    "/protectedItems/VM;iaasvmcontainerv2;g;m"
)


@pytest.fixture(scope="module")
def catalogue(ground_truth: Path) -> Catalogue:
    return Catalogue.load(ground_truth / "openapi")


def test_what_real_azure_does_otherwise_is_listed_with_a_recording(ground_truth):
    assert watching.recorded(ground_truth) == watching.listed(watching.DEVIATIONS)


def test_the_recordings_are_read_by_these_documents(ground_truth, catalogue, figures):
    """The check would say nothing of operations it does not know."""
    known = sum(
        catalogue.find(one.method, one.path) is not None
        for path in (ground_truth / "recordings").rglob("*.jsonl")
        for one in read(path)[0]
    )
    assert known >= 2678
    figures["OpenAPI, recordings"] = (
        f"{known} recorded answers checked, {len(watching.listed(watching.DEVIATIONS))} deviations "
        f"of real Azure listed, {len(watching.listed(watching.NEWER))} of newer versions"
    )


def test_every_operation_of_the_simulator_that_has_a_document_is_checked(catalogue):
    """What has none is named: an operation added without a document has to be added here."""
    routes = [
        route
        for route in build(speed=0).gateway.routes
        if route.source != KEPT_AS_SENT
        and ("Microsoft.RecoveryServices" in route.template or "Compute" in route.template)
    ]
    without = {
        route.operation
        for route in routes
        if catalogue.find(route.method, route.template.replace("{", "").replace("}", "")) is None
    }
    assert without == {
        "Operations_Get",  # Compute's polling URL
        "JobOperationStatuses_Get",  # only its URL was recorded
        "ProtectionContainerRefreshOperationStatuses_Get",  # only its URL was recorded
    }
    assert len(routes) - len(without) >= 60


@pytest.mark.parametrize(
    "method, path, status, body, what",
    [
        pytest.param("GET", ITEM, 200, {"id": 1}, "a int, not a string", id="type"),
        pytest.param("GET", ITEM, 200, {"surprise": 1}, "unknown member", id="unknown member"),
        pytest.param(
            "GET",
            ITEM,
            200,
            {
                "properties": {
                    "protectedItemType": "Microsoft.Compute/virtualMachines",
                    "protectionState": "Guarded",
                }
            },
            "the word 'Guarded'",
            id="enumeration",
        ),
        pytest.param("GET", ITEM, 200, {"properties": None}, "null", id="null"),
        pytest.param(
            "GET", ITEM, 200, {"properties": {}}, "required, but missing", id="missing member"
        ),
        pytest.param("GET", ITEM, 204, None, "204", id="status"),
        pytest.param("PUT", ITEM, 202, {}, "a body", id="a body where there is none"),
    ],
)
def test_a_departure_is_found(catalogue, method, path, status, body, what):
    assert what in [found.what for found in catalogue.answer(method, path, status, body)]


def test_a_request_that_sends_what_only_the_service_may_write_is_found(catalogue):
    body = {
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "sourceResourceId": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/m",
            "workloadType": "VM",
        }
    }
    assert catalogue.request("PUT", ITEM, body) == [
        Deviation(
            "ProtectedItems_CreateOrUpdate", "$.properties.workloadType", "read-only, but sent"
        )
    ]


def test_what_the_documents_lack_is_sourced_and_still_occurs(ground_truth):
    """An entry of newer.json that nothing provokes any more has to go."""
    newer = watching.listed(watching.NEWER)
    assert [place for place, source in newer.items() if "assumed" in source or not source] == []

    traffic = watching.Traffic.held_against(ground_truth)
    stop = watching.listen(traffic)
    try:
        azure = lab(knobs={"backup.durations": {"policy_change": 60}})
        azure.enable()
        azure.get(item_path())
        azure.ask("PUT", policy_id(), {"properties": daily_policy(days=7)})
        changing = azure.ask("PUT", policy_id(), {"properties": daily_policy(days=9)})
        azure.ask("GET", urlsplit(changing.headers["Location"]).path)
        azure.ask(
            "POST",
            "/providers/Microsoft.ResourceGraph/resources",
            {"subscriptions": [SUBSCRIPTION], "query": "Resources | project id"},
            version="2021-03-01",
        )
    finally:
        stop()

    assert newer.keys() - traffic.used == set()
    assert traffic.wrong == {}
