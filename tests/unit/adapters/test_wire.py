"""What goes out and what is made of the answers: VMs, backup, and the pipeline under them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from subprocess import run

import pytest
from aiohttp import ClientConnectorError, ServerDisconnectedError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)

from shared.adapters.backup import ArmBackup
from shared.adapters.compute import ArmMachines
from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import ProtectionState
from shared.domain.records import ChangeKind
from shared.errors import AzureFault, Disposition
from shared.ports import Accepted, Change
from tests.fakes.azure import START, FakeClock
from tests.fakes.wire import SUB, Answer, Wire, clients_on, settings_for

VM = virtual_machine(SUB, "Rg(1)", "vm")
VAULT = ArmId.parse(
    f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
)
POLICY = VAULT.child("backupPolicies", "p")
ITEM = item_of(VAULT, VM)
OP = "b4ff96d6-1c4c-4b9e-9a1e-2d7f5f9e7c11"
ACCEPTED = Answer(
    202,
    headers={
        "Azure-AsyncOperation": f"https://management.azure.com{ITEM}/operationsStatus/{OP}"
        "?api-version=2025-02-01&t=1&c=2&s=3&h=4",
        "Location": f"https://management.azure.com{ITEM}/operationResults/{OP}",
        "Retry-After": "60",
    },
)
NOT_FOUND = {"error": {"code": "ResourceNotFound", "message": "The Resource was not found."}}
GATEWAY = Answer(504, {"error": {"code": "GatewayTimeout", "message": "no response"}})
ITEM_BODY = {
    "id": str(ITEM),
    "properties": {
        "backupManagementType": "AzureIaasVM",
        "protectionState": "IRPending",
        "sourceResourceId": str(VM),
        "policyId": str(POLICY),
    },
}


def machines(wire: Wire) -> ArmMachines:
    return ArmMachines(clients_on(wire), settings_for())


def backup(wire: Wire) -> ArmBackup:
    return ArmBackup(clients_on(wire), FakeClock())


def change(kind: ChangeKind = ChangeKind.ENROLL, **more) -> Change:
    return Change(kind=kind, vm=VM, vault=VAULT, policy=POLICY, request_id="req-1", **more)


def disconnected() -> ServiceRequestError:
    return ServiceRequestError("gone", error=ServerDisconnectedError())


def unreachable() -> ServiceRequestError:
    key = ConnectionKey("host", 443, True, None, None, None, None)
    return ServiceRequestError("no", error=ClientConnectorError(key, OSError("refused")))


# --- virtual machines ----------------------------------------------------------------------------


async def test_a_vm_is_read_with_its_instance_view_and_the_pinned_version():
    wire = Wire()
    wire.on("GET", "/virtualMachines/", Answer(200, {"id": str(VM), "properties": {"vmId": "u"}}))

    found = await machines(wire).machine(VM)

    (sent,) = wire.sent
    assert found.uid == "u"
    assert sent.path == str(VM)
    assert sent.query == {"$expand": "instanceView", "api-version": "2024-07-01"}
    assert sent.headers["Authorization"] == "Bearer token"
    assert sent.headers["x-ms-client-request-id"]


async def test_only_the_404_that_names_the_resource_means_that_a_vm_is_gone():
    wire = Wire()
    wire.on("GET", "/virtualMachines/", Answer(404, NOT_FOUND))
    assert await machines(wire).machine(VM) is None

    other = {"error": {"code": "ResourceGroupNotFound", "message": "x"}}
    wire.on("GET", "/virtualMachines/", Answer(404, other))
    with pytest.raises(AzureFault) as caught:
        await machines(wire).machine(VM)
    assert (caught.value.operation, caught.value.status) == ("vm.get", 404)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<html>not ARM</html>", id="HTML"),
        pytest.param('{"id": "/subscr', id="cut short"),
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('"text"', id="a text"),
        pytest.param("null", id="null"),
    ],
)
async def test_an_answer_that_is_no_vm_is_a_fault(body):
    wire = Wire()
    wire.on("GET", "/virtualMachines/", Answer(200, body))

    with pytest.raises(AzureFault):
        await machines(wire).machine(VM)


# --- the second try ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure, tries",
    [
        pytest.param(GATEWAY, 2, id="504"),
        pytest.param(ServiceResponseTimeoutError("late"), 2, id="late"),
        pytest.param(IncompleteReadError("cut"), 2, id="cut short"),
        pytest.param(disconnected(), 2, id="disconnected"),
        pytest.param(Answer(429, {"error": {"code": "TooManyRequests"}}), 1, id="429"),
        pytest.param(Answer(403, {"error": {"code": "AuthorizationFailed"}}), 1, id="403"),
    ],
)
async def test_a_read_has_a_second_try_where_that_may_help(failure, tries):
    wire = Wire()
    wire.on("GET", "/virtualMachines/", failure)

    with pytest.raises(AzureFault):
        await machines(wire).machine(VM)

    assert len(wire.sent) == tries


async def test_a_second_try_that_works_is_not_noticed():
    wire = Wire()
    body = {"id": str(VM), "properties": {"vmId": "u"}}
    wire.on("GET", "/virtualMachines/", GATEWAY, Answer(200, body))

    assert await machines(wire).machine(VM) is not None


@pytest.mark.parametrize(
    "failure, tries",
    [
        pytest.param(unreachable(), 2, id="never connected"),
        pytest.param(disconnected(), 1, id="disconnected: perhaps done"),
        pytest.param(ServiceResponseTimeoutError("late"), 1, id="late: perhaps done"),
        pytest.param(GATEWAY, 1, id="504: perhaps done"),
    ],
)
async def test_a_put_is_sent_again_only_if_it_certainly_never_arrived(failure, tries):
    wire = Wire()
    wire.on("PUT", "/protectedItems/", failure)

    with pytest.raises(AzureFault):
        await backup(wire).send(change())

    assert len(wire.sent) == tries


# --- changes -------------------------------------------------------------------------------------

ENABLE = {
    "protectedItemType": "Microsoft.Compute/virtualMachines",
    "sourceResourceId": str(VM),
    "policyId": str(POLICY),
}


@pytest.mark.parametrize(
    "asked, properties",
    [
        pytest.param(change(), ENABLE, id="enroll"),
        pytest.param(change(ChangeKind.CHANGE_POLICY), ENABLE, id="change policy"),
        pytest.param(change(ChangeKind.RESUME), ENABLE, id="resume"),
        pytest.param(
            change(excluded_luns=(0, 2)),
            ENABLE
            | {
                "extendedProperties": {
                    "diskExclusionProperties": {"diskLunList": [0, 2], "isInclusionList": False}
                }
            },
            id="without some disks",
        ),
        pytest.param(
            change(ChangeKind.UNDELETE),
            {"protectedItemType": "Microsoft.Compute/virtualMachines", "isRehydrate": True},
            id="undelete",
        ),
    ],
)
async def test_a_change_is_one_put_with_its_own_request_id(asked, properties):
    wire = Wire()
    wire.on("PUT", "/protectedItems/", ACCEPTED)

    accepted = await backup(wire).send(asked)

    (sent,) = wire.sent
    assert accepted == Accepted(operation=OP)
    assert sent.body == {"properties": properties}
    assert sent.path.lower() == ITEM.key
    assert sent.query == {"api-version": "2025-02-01"}
    assert sent.headers["x-ms-client-request-id"] == "req-1"
    assert "%3B" in sent.url
    assert "Rg%281%29" in sent.url


@pytest.mark.parametrize("kind", list(ChangeKind), ids=lambda kind: kind.value)
async def test_no_change_that_can_be_expressed_stops_or_deletes(kind):
    wire = Wire()
    wire.on("PUT", "/protectedItems/", ACCEPTED)

    await backup(wire).send(change(kind))

    (sent,) = wire.sent
    assert sent.method == "PUT"
    assert "protectionState" not in sent.body["properties"]
    assert sent.body["properties"].get("policyId") != ""


async def test_an_existing_item_is_changed_under_its_own_name():
    wire = Wire()
    wire.on("PUT", "/protectedItems/", ACCEPTED)
    old = item_of(VAULT, virtual_machine(SUB, "RG(1)", "VM"))

    await backup(wire).send(change(ChangeKind.RESUME, item=old))

    assert wire.sent[0].path.endswith("/VM;iaasvmcontainerv2;RG(1);VM")


@pytest.mark.parametrize(
    "answer, operation",
    [
        pytest.param(
            Answer(
                202, headers=ACCEPTED.headers | {"Retry-After": "Fri, 02 Jan 2026 10:00:00 GMT"}
            ),
            OP,
            id="a date to wait for",
        ),
        pytest.param(Answer(202, "not JSON", headers=ACCEPTED.headers), OP, id="a body"),
        pytest.param(
            Answer(202, headers={"location": ACCEPTED.headers["Location"]}), OP, id="Location only"
        ),
        pytest.param(Answer(202), "", id="no header at all"),
        pytest.param(Answer(200, ITEM_BODY), "", id="200, as the OpenAPI document says"),
    ],
)
async def test_an_accepted_change_is_accepted_however_odd_the_answer(answer, operation):
    wire = Wire()
    wire.on("PUT", "/protectedItems/", answer)

    assert await backup(wire).send(change()) == Accepted(operation=operation)


async def test_a_refused_change_says_why_and_which_request_it_was():
    wire = Wire()
    body = {
        "error": {
            "code": "BMSUserErrorInvalidInput",
            "message": "Input provided for the call is invalid",
            "target": None,
        }
    }
    wire.on("PUT", "/protectedItems/", Answer(400, body))

    with pytest.raises(AzureFault) as caught:
        await backup(wire).send(change())

    fault = caught.value
    assert (fault.status, fault.code) == (400, "BMSUserErrorInvalidInput")
    assert (fault.disposition, fault.request_id) == (Disposition.PARK, "req-1")


async def test_a_provider_that_is_not_registered_is_told_and_never_registered_by_us():
    wire = Wire()
    body = {"error": {"code": "MissingSubscriptionRegistration", "message": "not registered"}}
    wire.on("PUT", "/protectedItems/", Answer(409, body))

    with pytest.raises(AzureFault) as caught:
        await backup(wire).send(change())

    assert caught.value.code == "MissingSubscriptionRegistration"
    assert [sent.method for sent in wire.sent] == ["PUT"]


# --- reading ---------------------------------------------------------------------------------------


def job(number: int, started: datetime) -> dict:
    return {
        "name": f"job-{number}",
        "properties": {
            "jobType": "AzureIaaSVMJob",
            "operation": "ConfigureBackup",
            "status": "Completed",
            "startTime": started.isoformat(),
            "activityId": f"request-{number}",
        },
    }


async def test_jobs_are_paged_newest_first_down_to_the_oldest_wanted():
    wire = Wire()
    link = "https://management.azure.com/next?$skipToken=a%2Bb"
    first = [job(1, START), job(2, START - timedelta(minutes=1))]
    second = [job(3, START - timedelta(minutes=2)), job(4, START - timedelta(hours=9))]
    wire.on("GET", "/backupJobs", Answer(200, {"value": first, "nextLink": link}))
    wire.on("GET", "/next", Answer(200, {"value": second, "nextLink": link}))

    since = START - timedelta(hours=1)
    listed = backup(wire).jobs(VAULT, since=since, operation="ConfigureBackup")
    pages = [page async for page in listed]

    assert [[job.id for job in page] for page in pages] == [["job-1", "job-2"], ["job-3"]]
    assert pages[0][0].request_id == "request-1"
    assert len(wire.sent) == 2
    assert wire.sent[0].query["$filter"] == (
        "backupManagementType eq 'AzureIaasVM' and operation eq 'ConfigureBackup'"
    )
    assert wire.sent[1].query["$skipToken"] == "a+b"


async def test_a_walk_of_jobs_that_does_not_finish_says_so():
    wire = Wire()
    body = {"value": [job(1, START)], "nextLink": "https://management.azure.com/next"}
    wire.on("GET", "/backupJobs", Answer(200, body))
    wire.on("GET", "/next", GATEWAY)

    with pytest.raises(AzureFault):
        async for _ in backup(wire).jobs(VAULT, since=START - timedelta(days=1)):
            pass


async def test_an_operation_is_asked_by_itself_and_unknown_ones_are_none():
    wire = Wire()
    status = {"status": "Succeeded", "properties": {"jobId": "j"}}
    wire.on("GET", "/backupOperations/", Answer(200, status), Answer(404, NOT_FOUND))

    first = await backup(wire).operation(VAULT, OP)

    assert (first.status, first.job) == ("Succeeded", "j")
    assert await backup(wire).operation(VAULT, OP) is None


async def test_an_item_is_read_and_only_the_services_own_404_means_that_there_is_none():
    wire = Wire()
    missing = {"error": {"code": "BMSUserErrorDataSourceObjectNotFound", "message": "gone"}}
    wire.on(
        "GET",
        "/protectedItems/",
        Answer(200, ITEM_BODY),
        Answer(404, missing),
        Answer(404, NOT_FOUND),
    )

    found = await backup(wire).item(ITEM)

    assert (found.id, found.state, found.policy) == (ITEM, ProtectionState.PENDING, POLICY)
    assert await backup(wire).item(ITEM) is None
    with pytest.raises(AzureFault):  # the vault is not there, or we do not see it
        await backup(wire).item(ITEM)


async def test_a_backup_is_asked_for_with_its_end_in_utc():
    wire = Wire()
    wire.on("POST", "/backup$", Answer(202))
    until = datetime(2026, 4, 1, tzinfo=UTC)

    await backup(wire).back_up_now(ITEM, request_id="req-2", keep_until=until)

    (sent,) = wire.sent
    assert sent.body == {
        "properties": {
            "objectType": "IaasVMBackupRequest",
            "recoveryPointExpiryTimeInUTC": "2026-04-01T00:00:00.000Z",
        }
    }
    assert sent.headers["x-ms-client-request-id"] == "req-2"


# --- imports ---------------------------------------------------------------------------------------


def test_no_sdk_is_loaded_before_the_first_call():
    modules = [
        "backup",
        "clients",
        "clock",
        "compute",
        "directory",
        "governor",
        "graph",
        "index",
        "rules_source",
    ]
    code = (
        f"import sys, {', '.join(f'shared.adapters.{name}' for name in modules)}\n"
        "late = ('azure.mgmt', 'azure.identity', 'azure.storage', 'azure.data', 'aiohttp')\n"
        "print([name for name in sys.modules if name.startswith(late)])"
    )

    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
