"""Every failure has a disposition, whatever form it comes in."""

from __future__ import annotations

import inspect
import json

import pytest
from azure.core import exceptions as azure

from shared import telemetry
from shared.adapters.answers import refusal
from shared.adapters.faults import CODES, TYPES, asking, disposition_of, fault_of
from shared.errors import AzureFault, Disposition

ARM = {"error": {"code": "AuthorizationFailed", "message": "The client 'x' has no right."}}
FIVE_FIELDS = {
    "error": {
        "code": "BMSUserErrorInvalidInput",
        "message": "Input provided for the call is invalid",
        "target": None,
        "details": None,
        "innerError": None,
    }
}
NO_ERROR_OBJECT = {
    "ErrorCode": "CloudInternalError",
    "Message": {"Language": "en-US", "Value": "Microsoft Azure Backup met an internal error."},
    "Values": [{"Key": "Endpoint", "Value": "net.tcp://x"}],
}
THROTTLED = (
    "Number of requests for action 'Microsoft.RecoveryServices/vaults/backupJobs/read' exceeded "
    "the limit of '150' for time interval '01:00:00'. Please try again after '324' seconds."
)


class Answer:
    """An SDK's response, as far as faults look at it."""

    def __init__(self, status, body="", headers=None, request_headers=None):
        self.status_code = status
        self.headers = headers or {}
        self.reason = "x"
        self.content_type = "application/json"
        self._text = body if isinstance(body, str) else json.dumps(body)
        self.request = type("Request", (), {"headers": request_headers or {}})()

    def text(self, encoding=None):
        return self._text


@pytest.mark.parametrize(
    "body, code, message",
    [
        pytest.param(ARM, "AuthorizationFailed", "The client 'x' has no right.", id="ARM"),
        pytest.param(
            FIVE_FIELDS,
            "BMSUserErrorInvalidInput",
            "Input provided for the call is invalid",
            id="backup service",
        ),
        pytest.param(
            NO_ERROR_OBJECT,
            "CloudInternalError",
            "Microsoft Azure Backup met an internal error.",
            id="no error object",
        ),
        pytest.param(
            {"odata.error": {"code": "TableNotFound", "message": {"lang": "en", "value": "No."}}},
            "TableNotFound",
            "No.",
            id="OData",
        ),
        pytest.param(
            {"error": "invalid_client", "error_description": "AADSTS7000215"},
            "invalid_client",
            "AADSTS7000215",
            id="Entra",
        ),
        pytest.param("<html>502</html>", "", "<html>502</html>", id="HTML"),
        pytest.param("", "", "", id="empty"),
        pytest.param("[1]", "", "[1]", id="a list"),
        pytest.param("null", "", "null", id="null"),
        pytest.param({"error": {"code": 42, "message": None}}, "42", "", id="odd types"),
        pytest.param({"error": {"code": ["x"], "message": {}}}, "", "", id="odder types"),
        pytest.param("\x00{", "", "{", id="control characters"),
    ],
)
def test_error_bodies_of_every_form_are_read(body, code, message):
    text = body if isinstance(body, str) else json.dumps(body)

    answer = refusal(500, {}, text)

    assert (answer.code, answer.message) == (code, message)


@pytest.mark.parametrize(
    "headers, message, seconds",
    [
        pytest.param({"Retry-After": "60"}, "", 60.0, id="seconds"),
        pytest.param({"retry-after": "0.5"}, "", 0.5, id="a fraction"),
        pytest.param(
            {
                "Retry-After": "Fri, 02 Jan 2026 10:02:00 GMT",
                "Date": "Fri, 02 Jan 2026 10:00:00 GMT",
            },
            "",
            120.0,
            id="a date, counted from the answer's own",
        ),
        pytest.param(
            {"Retry-After": "Fri, 02 Jan 2026 10:02:00 GMT"}, "", None, id="a date without a date"
        ),
        pytest.param({"x-ms-retry-after-ms": "1500"}, "", 1.5, id="milliseconds"),
        pytest.param({}, THROTTLED, 324.0, id="the text"),
        pytest.param({"Retry-After": "10"}, THROTTLED, 10.0, id="the header before the text"),
        pytest.param({"Retry-After": "soon"}, THROTTLED, 324.0, id="a header nobody can read"),
        pytest.param({"Retry-After": "-5"}, "", None, id="negative"),
        pytest.param({}, "try later", None, id="nothing"),
    ],
)
def test_the_wait_is_read_from_headers_or_text(headers, message, seconds):
    body = json.dumps({"error": {"code": "ResourceRequestsThrottled", "message": message}})

    assert refusal(429, headers, body).retry_after == seconds


@pytest.mark.parametrize(
    "status, code, disposition",
    [
        pytest.param(429, "ResourceRequestsThrottled", Disposition.DEFER, id="throttled"),
        pytest.param(429, "CloudInternalError", Disposition.DEFER, id="429 is never retried"),
        pytest.param(504, "GatewayTimeout", Disposition.RETRY, id="gateway"),
        pytest.param(504, "gatewaytimeout", Disposition.RETRY, id="codes in any case"),
        pytest.param(500, "NeverSeen", Disposition.RETRY, id="an unknown 5xx"),
        pytest.param(403, "AuthorizationFailed", Disposition.PARK, id="no right"),
        pytest.param(403, "NeverSeen", Disposition.PARK, id="an unknown 403"),
        pytest.param(401, "", Disposition.DEFER, id="401"),
        pytest.param(409, "NeverSeen", Disposition.DEFER, id="an unknown 409"),
        pytest.param(400, "BMSUserErrorNeverSeen", Disposition.PARK, id="a user error by prefix"),
        pytest.param(400, "UserErrorXInProgress", Disposition.DEFER, id="in progress by suffix"),
        pytest.param(400, "CloudNeverSeen", Disposition.RETRY, id="cloud by prefix"),
        pytest.param(400, "NeverSeen", Disposition.RAISE, id="unknown"),
        pytest.param(400, "", Disposition.RAISE, id="silent"),
        pytest.param(404, "ResourceNotFound", Disposition.DEFER, id="404"),
    ],
)
def test_a_code_has_a_disposition(status, code, disposition):
    assert disposition_of(status, code) is disposition


def test_an_unknown_code_is_counted(monkeypatch):
    counted = []
    monkeypatch.setattr(telemetry, "count", lambda name, **labels: counted.append((name, labels)))

    disposition_of(400, "CodeOfTheFuture")
    disposition_of(400, "BMSUserErrorOfTheFuture")
    disposition_of(400, "BMSUserErrorObjectLocked")
    disposition_of(400, "UserErrorUnsupportedDiskSize")  # of the book alone
    disposition_of(404, "")

    assert [(name, labels["code"]) for name, labels in counted] == [
        ("enrollment.unknown_codes", "CodeOfTheFuture"),
        ("enrollment.unknown_codes", "BMSUserErrorOfTheFuture"),
    ]


def test_no_code_is_in_the_table_twice():
    codes = [code.lower() for code, _, _ in CODES]
    assert len(codes) == len(set(codes))


def test_every_exception_of_azure_core_is_mapped_by_its_own_name():
    known = {
        kind
        for _, kind in inspect.getmembers(azure, inspect.isclass)
        if issubclass(kind, Exception)
    }

    assert len(known) > 15
    assert known - set(TYPES) == set()


@pytest.mark.parametrize(
    "error, disposition",
    [
        pytest.param(azure.ServiceRequestError("refused"), Disposition.RETRY, id="not sent"),
        pytest.param(azure.ServiceResponseTimeoutError("late"), Disposition.RETRY, id="late"),
        pytest.param(azure.ClientAuthenticationError("no token"), Disposition.DEFER, id="token"),
        pytest.param(TimeoutError(), Disposition.RETRY, id="timeout"),
        pytest.param(ConnectionResetError(), Disposition.RETRY, id="reset"),
        pytest.param(json.JSONDecodeError("x", "y", 0), Disposition.RETRY, id="cut short"),
        pytest.param(ValueError("x"), Disposition.RAISE, id="not as promised"),
        pytest.param(azure.DeserializationError("x"), Disposition.RAISE, id="deserialization"),
    ],
)
def test_a_call_without_an_answer_is_judged_by_its_exception(error, disposition):
    fault = fault_of(error, "vm.get")

    assert (fault.status, fault.disposition, fault.operation) == (0, disposition, "vm.get")


def test_a_fault_tells_what_was_asked_and_answered():
    answer = Answer(
        429,
        {"error": {"code": "ResourceRequestsThrottled", "message": THROTTLED}},
        request_headers={"x-ms-client-request-id": "abc"},
    )

    with pytest.raises(AzureFault) as caught, asking("jobs"):
        raise azure.HttpResponseError(response=answer)

    fault = caught.value
    assert (fault.operation, fault.status, fault.code) == ("jobs", 429, "ResourceRequestsThrottled")
    assert (fault.retry_after, fault.request_id) == (324.0, "abc")
    assert isinstance(fault.__cause__, azure.HttpResponseError)


def test_a_success_that_cannot_be_read_is_not_judged_by_its_status():
    fault = fault_of(azure.DecodeError("JSON is invalid", response=Answer(200, "{")), "vm.get")

    assert fault.disposition is Disposition.RETRY


def test_a_fault_passes_through_unchanged():
    with pytest.raises(AzureFault) as caught, asking("outer"):
        raise fault_of(TimeoutError(), "inner")

    assert caught.value.operation == "inner"


def test_our_own_mistakes_are_not_disguised_as_azures():
    with pytest.raises(KeyError), asking("vm.get"):
        raise KeyError("x")
