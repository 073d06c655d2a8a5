"""The routing contract between ARM's front door and the simulated resource providers.

A provider module is a tuple ``ROUTES`` of :class:`Route`; a handler is a plain function of the
:class:`~simulator.world.World` and a :class:`Call`, which returns a :class:`Reply` or raises a
:class:`Refusal`. Nothing here knows HTTP servers or Azure services.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from simulator.world import World

type Json = object
type Handler = Callable[["World", "Call"], "Reply"]
type Truth = Literal["recorded", "specified", "assumed"]


class PrincipalKind(StrEnum):
    """Who calls; ``SYSTEM`` is the simulator itself (seeds, timelines) and may do everything."""

    USER = "User"
    SERVICE = "ServicePrincipal"
    SYSTEM = "System"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    object_id: str
    app_id: str
    kind: PrincipalKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a provider sees it; ``params`` are decoded and in the case they were sent."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Json | None
    raw: bytes
    headers: Mapping[str, str]
    principal: Principal
    tenant: str
    subscription: str
    api_version: str
    now: datetime
    request_id: str
    correlation_id: str
    action: str

    @property
    def resource_id(self) -> str:
        """The path decoded, without a trailing slash: the id of what is asked for."""
        return "/" + "/".join(unquote(word) for word in self.path.strip("/").split("/"))

    @property
    def client_request_id(self) -> str:
        """The caller's own id, or ours: Backup copies it into a job's activityId (report §6.34)."""
        return self.headers.get("x-ms-client-request-id", "") or self.request_id

    def fields(self) -> dict[str, Json]:
        """Return the body as a JSON object, or refuse it as ARM does."""
        if isinstance(self.body, dict):
            return dict(self.body)
        raise Refusal(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: "
            f"'a JSON object is expected, {_kind(self.body)} was sent'.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What happens to an answer on its way: ordered faults, never an ordinary handler's doing."""

    reset: bool = False
    delay: float = 0.0
    truncate: int | None = None


@dataclass(slots=True, kw_only=True)
class Reply:
    """An answer; ``raw`` sends bytes that are not JSON. A 202 or 204 has no body (report §6.7)."""

    status: int
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json; charset=utf-8"
    wire: Wire | None = None


type ErrorForm = Literal["arm", "arm-nulls", "legacy"]


class Refusal(Exception):
    """A 4xx or 5xx answer in one of the three recorded body forms (report §6.31).

    ``arm``: ``{"error": {code, message}}``; ``arm-nulls``: a service's own form with target,
    details and innerError null; ``legacy``: ``{ErrorCode, Message, Values}`` without ``error``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: list[Json] | None = None,
        headers: Mapping[str, str] | None = None,
        form: ErrorForm = "arm",
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = details
        self.headers = dict(headers or {})
        self.form: ErrorForm = form

    def reply(self) -> Reply:
        """Write the refusal as the answer a client gets."""
        match self.form:
            case "arm":
                error: dict[str, Json] = {"code": self.code, "message": self.message}
                if self.target is not None:
                    error["target"] = self.target
                if self.details is not None:
                    error["details"] = self.details
                return Reply(status=self.status, body={"error": error}, headers=self.headers)
            case "arm-nulls":
                body: Json = {
                    "error": {
                        "code": self.code,
                        "message": self.message,
                        "target": self.target,
                        "details": self.details,
                        "innerError": None,
                    }
                }
            case "legacy":
                body = {
                    "ErrorCode": self.code,
                    "Message": {"Language": "en-US", "Value": self.message},
                    "Values": [],
                }
        return Reply(
            status=self.status, body=body, headers=self.headers, content_type="application/json"
        )


#: ARM's own refusals carry this header; deliberate 4xx of a service do not (report §6.31).
BY_GATEWAY: Mapping[str, str] = {"x-ms-failure-cause": "gateway"}
BY_SERVICE: Mapping[str, str] = {"x-ms-failure-cause": "service"}


def not_found(kind: str, name: str, group: str) -> Refusal:
    """ARM's 404 for a resource that is not there, in the recorded words."""
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found.",
        headers=BY_GATEWAY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The api-versions a route answers: everything between two dates, or a closed set."""

    oldest: str = "2015-01-01"
    newest: str = "2027-01-01"
    only: frozenset[str] = frozenset()

    def accepts(self, version: str) -> bool:
        if self.only:
            return version in self.only
        return self.oldest <= version[:10] <= self.newest

    def default(self) -> str:
        return max(self.only) if self.only else self.newest

    def spelled(self) -> str:
        return ", ".join(sorted(self.only)) if self.only else f"{self.oldest} to {self.newest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. ``template`` has ``{name}`` captures; ``{scope}`` at its very start makes it
    an extension route, which answers below any resource id.

    ``truth`` says where its behavior comes from and ``source`` cites it: both end in COVERAGE.md.
    ``action`` is the RBAC action it needs (``""``: none beyond a valid token).
    """

    method: str
    template: str
    operation: str
    action: str
    handler: Handler
    truth: Truth
    source: str
    api_versions: Versions = field(default_factory=Versions)

    @property
    def captures(self) -> tuple[str, ...]:
        return tuple(word[1:-1] for word in self.template.split("/") if word.startswith("{"))


def _kind(value: Json) -> str:
    return "no body" if value is None else f"a JSON {type(value).__name__}"
