"""Every failure of a call becomes one `AzureFault` with a disposition, here and nowhere else.

The tables are data: codes with where they were seen, exception types, prefixes, statuses. What no
table knows has a deliberate end (`Disposition.RAISE`) and is counted, so that an unforeseen answer
is seen and never mistaken for a "no".

A fault with RETRY that reaches a caller has had its second try (reads) or must not be repeated
blindly (writes): by then it means the same as DEFER.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

from azure.core import exceptions as azure

from shared import telemetry
from shared.adapters.answers import Refusal, refusal
from shared.domain.faultbook import is_known
from shared.errors import AzureFault, Disposition

REQUEST_ID = "x-ms-client-request-id"

_RETRY, _DEFER = Disposition.RETRY, Disposition.DEFER
_PARK, _RAISE = Disposition.PARK, Disposition.RAISE

# Code, what it asks of us, where it was seen or written.
CODES: tuple[tuple[str, Disposition, str], ...] = (
    ("ResourceRequestsThrottled", _DEFER, "facts §2.1, recorded 2021-23"),
    ("SubscriptionRequestsThrottled", _DEFER, "facts §2.1"),
    ("TooManyRequests", _DEFER, "facts §2.1"),
    ("RateLimiting", _DEFER, "Resource Graph, guidance for throttled requests"),
    ("GatewayTimeout", _RETRY, "facts §2.1, recorded 52 times"),
    ("RestApiInternalError", _RETRY, "facts §2.1, recorded 16 times"),
    ("InternalServerError", _RETRY, "facts §2.1, recorded 7 times"),
    ("CloudInternalError", _RETRY, "facts §2.1, recorded 4 times"),
    ("CloudStorageUnexpectedError", _RETRY, "facts §2.1, recorded once"),
    ("CloudCommunicationError", _RETRY, "facts §2.1"),
    ("CloudTimeoutError", _RETRY, "facts §2.1"),
    ("InvalidGatewayHost", _RETRY, "facts §2.1, recorded once"),
    ("ServerTimeout", _RETRY, "report §2.2, recorded twice"),
    ("InternalResourceIdentityError", _RETRY, "report §2.2, recorded once"),
    ("ResourceNotFound", _DEFER, "facts §2.1: gone, or not replicated yet"),
    ("ResourceGroupNotFound", _DEFER, "facts §2.1: not our evidence that a VM is gone"),
    ("SubscriptionNotFound", _PARK, "facts §2.1"),
    ("InvalidSubscriptionId", _PARK, "facts §2.1"),
    ("MissingSubscriptionRegistration", _PARK, "facts §2.1, recorded"),
    ("AuthorizationFailed", _PARK, "facts §2.1, recorded"),
    ("LinkedAuthorizationFailed", _PARK, "facts §2.1, recorded"),
    ("LinkedAccessCheckFailed", _PARK, "ARM: the linked scope is out of reach"),
    ("ScopeLocked", _PARK, "facts §2.1"),
    ("RequestDisallowedByPolicy", _PARK, "facts §2.1"),
    ("ExpiredAuthenticationToken", _DEFER, "ARM: the next token is fresh"),
    ("InvalidAuthenticationToken", _DEFER, "ARM: the next token is fresh"),
    ("BMSUserErrorObjectLocked", _DEFER, "facts §2.2"),
    ("BMSUserErrorConflictingProtectionOperation", _DEFER, "facts §2.2"),
    ("DiscoveryInProgress", _DEFER, "facts §2.2"),
    ("UserErrorBackupOperationInProgress", _DEFER, "facts §2.3"),
    ("BMSUserErrorDataSourceObjectNotFound", _DEFER, "facts §2.2: read again, decide again"),
    ("BMSUserErrorInvalidConfigureProtectionRequest", _PARK, "facts §2.2"),
    ("BMSUserErrorInvalidInput", _PARK, "facts §2.2"),
    ("VirtualMachineAlreadyProtected", _PARK, "facts §1.4"),
    ("UserErrorVmNotInDesirableState", _PARK, "facts §2.2; the domain decides when to look again"),
    ("UserErrorGuestAgentStatusUnavailable", _PARK, "facts §2.2; as above"),
)

# What facts §2.5 says of codes that nobody has seen; the first prefix that fits.
PREFIXES: tuple[tuple[str, Disposition], ...] = (
    ("BMSUserError", _PARK),
    ("UserError", _PARK),
    ("Cloud", _RETRY),
)
SUFFIXES: tuple[tuple[str, Disposition], ...] = (
    ("InProgress", _DEFER),
    ("Throttled", _DEFER),
    ("InternalError", _RETRY),
)

STATUSES: Mapping[int, Disposition] = {
    304: _RAISE,  # nobody but the rules source asks for changes only, and it knows the answer
    401: _DEFER,  # a token that expired or a role of the identity that is not there yet
    403: _PARK,
    408: _DEFER,
    409: _DEFER,  # somebody else is at it
    412: _DEFER,
    429: _DEFER,
}

# No answer, or one that says nothing: by exception type, the most derived first.
TYPES: Mapping[type[Exception], Disposition] = {
    azure.ServiceRequestTimeoutError: _RETRY,
    azure.ServiceRequestError: _RETRY,
    azure.ServiceResponseTimeoutError: _RETRY,
    azure.ServiceResponseError: _RETRY,
    azure.IncompleteReadError: _RETRY,
    azure.ClientAuthenticationError: _DEFER,  # no token: the identity endpoint is not there yet
    azure.DecodeError: _RETRY,  # an answer cut short
    azure.ResourceExistsError: _DEFER,
    azure.ResourceModifiedError: _DEFER,
    azure.ResourceNotFoundError: _RAISE,
    azure.ResourceNotModifiedError: _RAISE,
    azure.TooManyRedirectsError: _RAISE,
    azure.ODataV4Error: _RAISE,
    azure.HttpResponseError: _RAISE,
    azure.StreamConsumedError: _RAISE,  # ours: an answer read twice
    azure.StreamClosedError: _RAISE,
    azure.ResponseNotReadError: _RAISE,
    azure.SerializationError: _RAISE,
    azure.DeserializationError: _RAISE,
    azure.AzureError: _RAISE,
    TimeoutError: _RETRY,
    ConnectionError: _RETRY,
    JSONDecodeError: _RETRY,  # a body cut short
    UnicodeDecodeError: _RETRY,
    ValueError: _RAISE,  # a body that is not what its status promised
}

_BY_CODE = {code.lower(): disposition for code, disposition, _ in CODES}


def disposition_of(status: int, code: str) -> Disposition:
    """Give what an answered failure asks of the caller."""
    if status == 429:
        return _DEFER  # whatever its code says, and never a second try
    if known := _BY_CODE.get(code.lower()):
        return known
    if code and not is_known(code):
        telemetry.count(telemetry.UNKNOWN_CODES, code=code[:80], arrived="answer")
    for ending, disposition in SUFFIXES:
        if code.endswith(ending):
            return disposition
    for beginning, disposition in PREFIXES:
        if code.startswith(beginning):
            return disposition
    if status >= 500:
        return _RETRY
    return STATUSES.get(status, _RAISE)


def fault_of(error: BaseException, operation: str) -> AzureFault:
    """Turn any exception of a call into our one family.

    Args:
        error: what the SDK, the transport or the parser raised.
        operation: our name of the call, e.g. ``vm.get``.

    """
    if isinstance(error, AzureFault):
        return error
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None):
        answer = read(response)
        return AzureFault(
            operation,
            status=answer.status,
            code=answer.code,
            message=answer.message,
            disposition=_answered(error, answer),
            request_id=request_id_of(response),
            retry_after=answer.retry_after,
        )
    return AzureFault(
        operation,
        status=0,
        code=type(error).__name__,
        message=str(error)[:500],
        disposition=_unanswered(error),
    )


@contextmanager
def asking(operation: str) -> Iterator[None]:
    """Translate whatever a call raises; for the body of one adapter method."""
    try:
        yield
    except (azure.AzureError, TimeoutError, ConnectionError, ValueError) as error:
        raise fault_of(error, operation) from error


def read(response: Any) -> Refusal:
    """Read an SDK's response object, whose body may be missing or unread."""
    try:
        text = response.text()
    except (azure.AzureError, ValueError, AttributeError):
        text = ""
    return refusal(int(response.status_code), dict(response.headers or {}), text or "")


def request_id_of(response: Any) -> str:
    """Give the request id that was sent, as far as the response remembers its request."""
    request = getattr(response, "request", None)
    headers = getattr(request, "headers", None) or {}
    return str(headers.get(REQUEST_ID, ""))


def _answered(error: BaseException, answer: Refusal) -> Disposition:
    """Judge an answer; one that was a success could not be read, so its type decides."""
    if answer.status < 300:
        return _unanswered(error)
    return disposition_of(answer.status, answer.code)


def _unanswered(error: BaseException) -> Disposition:
    for kind in type(error).__mro__:
        if (disposition := TYPES.get(kind)) is not None:
            return disposition
    return _RAISE
