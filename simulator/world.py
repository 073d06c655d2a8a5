"""The state of one simulated Azure: its resources, their history, its clock and its orders.

Deterministic: the same seed, orders and requests at the same simulated times give the same
answers. Providers keep state of their own beside it and reach everything shared through here.
"""

import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, cast

from simulator.arm import Call, Json, Principal, PrincipalKind
from simulator.calls import CallLog
from simulator.clock import SimClock
from simulator.ids import ResourceId
from simulator.knobs import Knobs
from simulator.schedule import Schedule

if TYPE_CHECKING:
    from simulator.backup.state import BackupState
    from simulator.gateway import Gateway
    from simulator.graph import GraphState
    from simulator.machines import Compute
    from simulator.parts import Part
    from simulator.tokens import Directory

type Body = dict[str, Json]
type ChangeKind = Literal["write", "delete", "action"]

DEFAULT_TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
#: Resources of a seed have been there this long when the simulation starts.
SETTLED = timedelta(days=30)

SYSTEM = Principal(
    object_id="00000000-0000-0000-0000-000000000000", app_id="", kind=PrincipalKind.SYSTEM
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who changed something, by which operation; copied into the published change."""

    principal: Principal
    correlation_id: str
    operation_name: str
    method: str = ""
    url: str = ""
    client_request_id: str = ""

    @classmethod
    def of(cls, call: Call, operation_name: str | None = None) -> "Cause":
        return cls(
            principal=call.principal,
            correlation_id=call.correlation_id,
            operation_name=operation_name or call.action,
            method=call.method,
            url=call.path,
            client_request_id=call.client_request_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A write, delete or action that succeeded: what Event Grid's two sources are made from."""

    kind: ChangeKind
    resource_id: str
    operation_name: str
    subscription: str
    tenant: str
    body: Mapping[str, Json] | None
    tags: Mapping[str, str]
    location: str
    principal: Principal
    correlation_id: str
    at: datetime
    method: str
    url: str
    client_request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    subscription_id: str
    display_name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = "Enabled"


@dataclass(slots=True)
class Kept:
    """One resource id with its versions, oldest first; a body of None is a deletion."""

    id: ResourceId
    versions: deque[tuple[datetime, Body | None]] = field(default_factory=lambda: deque(maxlen=16))

    @property
    def body(self) -> Body | None:
        return self.versions[-1][1]

    def as_of(self, when: datetime) -> Body | None:
        """Return what a reader that lags to ``when`` still sees."""
        for at, body in reversed(self.versions):
            if at <= when:
                return body
        return None


class World:
    """One simulated tenant.

    Bodies are ARM bodies as a GET returns them; treat what :meth:`get` returns as read-only and
    write a new body with :meth:`put`. ``_sim`` members of seeds are kept apart in ``orders``.
    """

    backup: "BackupState"
    compute: "Compute"
    directory: "Directory"
    gateway: "Gateway"
    graph: "GraphState"

    def __init__(
        self,
        *,
        clock: SimClock | None = None,
        tenant_id: str = DEFAULT_TENANT,
        seed: int = 1,
    ) -> None:
        self.clock = clock or SimClock(START)
        self.tenant_id = tenant_id
        self.rng_seed = seed
        self.arm_url = "https://localhost"
        self.knobs = Knobs()
        self.initial_knobs: dict[str, Json] = {}
        self.parts: tuple[Part, ...] = ()
        self.clear()

    def clear(self) -> None:
        """Forget everything but the clock and the orders of knobs; parts attach again after it."""
        self.started = self.clock.now()
        self.rng = random.Random(self.rng_seed)
        self.subscriptions: dict[str, Subscription] = {}
        self.resources: dict[str, Kept] = {}
        self.orders: dict[str, Body] = {}
        self.changes: list[Callable[[Change], None]] = []
        self.schedule = Schedule()
        self.schedule.on_sooner = self.clock.wake
        self.calls = CallLog()
        self.timeline: list[Body] = []
        self._by_type: dict[str, dict[str, Kept]] = {}
        self._revisions: Counter[str] = Counter()

    def now(self) -> datetime:
        """Tell the simulated time; inside a due callback, the time the callback was due."""
        return self.schedule.acting_at or self.clock.now()

    def later(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    def new_guid(self) -> str:
        """Return a GUID from the seeded generator, so that runs repeat."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def stable_guid(self, *words: str) -> str:
        """Return the same GUID for the same words, whatever was asked before."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join((str(self.rng_seed), *words)).lower()))

    def url(self, path_and_query: str) -> str:
        """Return an absolute URL of this ARM, as nextLink and operation headers need it."""
        return self.arm_url + path_and_query

    def get(self, resource_id: str) -> Body | None:
        kept = self.resources.get(resource_id.lower())
        return kept.body if kept else None

    def put(
        self, resource_id: str, body: Body, cause: Cause | None, *, at: datetime | None = None
    ) -> Body:
        """Write a body; a ``cause`` publishes the change, None (seeds, inner steps) does not.

        The id keeps the spelling of its first write.
        """
        body = dict(body)
        if isinstance(orders := body.pop("_sim", None), dict):
            self.orders[resource_id.lower()] = cast("Body", orders)
        self._keep(resource_id, body, at or self.now())
        if cause is not None:
            self.publish("write", resource_id, cause, body)
        return body

    def delete(self, resource_id: str, cause: Cause | None) -> Body | None:
        """Remove a resource; return what was there, or None."""
        before = self.get(resource_id)
        if before is None:
            return None
        self._keep(resource_id, None, self.now())
        if cause is not None:
            self.publish("delete", resource_id, cause, before)
        return before

    def publish(
        self,
        kind: ChangeKind,
        resource_id: str,
        cause: Cause,
        body: Mapping[str, Json] | None = None,
    ) -> None:
        """Tell the listeners of a change that succeeded."""
        shown = body if body is not None else self.get(resource_id)
        tags = shown.get("tags") if shown else None
        parts = resource_id.split("/")
        change = Change(
            kind=kind,
            resource_id=resource_id,
            operation_name=cause.operation_name,
            subscription=parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else "",
            tenant=self.tenant_id,
            body=shown,
            tags=cast("Mapping[str, str]", tags) if isinstance(tags, dict) else {},
            location=str(shown.get("location", "")) if shown else "",
            principal=cause.principal,
            correlation_id=cause.correlation_id,
            at=self.now(),
            method=cause.method,
            url=self.url(cause.url),
            client_request_id=cause.client_request_id,
        )
        for listener in self.changes:
            listener(change)

    def list(
        self,
        *,
        type: str | None = None,  # noqa: A002 - ARM's own word
        subscription: str | None = None,
        group: str | None = None,
        below: str | None = None,
        as_of: datetime | None = None,
    ) -> Iterator[tuple[ResourceId, Body]]:
        """Walk the resources there are (or were, ``as_of``), in the order they were first written.

        Filters compare without case; ``below`` is an id prefix at a segment boundary.
        """
        prefix = below.lower().rstrip("/") + "/" if below else None
        walked = self._by_type.get(type.lower(), {}) if type else self.resources
        for key, kept in tuple(walked.items()):  # a copy: handlers write while they walk
            if subscription is not None and kept.id.subscription.lower() != subscription.lower():
                continue
            if group is not None and kept.id.group.lower() != group.lower():
                continue
            if prefix is not None and not key.startswith(prefix):
                continue
            body = kept.body if as_of is None else kept.as_of(as_of)
            if body is not None:
                yield kept.id, body

    def revision_of(self, type: str) -> int:  # noqa: A002 - ARM's own word
        """Count the writes and deletes of a type: a reader's cheap "has anything changed?"."""
        return self._revisions[type.lower()]

    def orders_for(self, resource_id: str) -> Body:
        """Return the ``_sim`` orders a seed gave for a resource, or an empty dict."""
        return self.orders.get(resource_id.lower(), {})

    def allows(self, principal: Principal, action: str, scope: str) -> bool:
        """Tell whether a principal may do an action at a scope, by its role assignments."""
        return self.gateway.access.allows(principal, action, scope)

    def authorize(self, principal: Principal, action: str, scope: str) -> None:
        """Refuse with ARM's 403 AuthorizationFailed unless the principal may."""
        self.gateway.access.authorize(principal, action, scope)

    def _keep(self, resource_id: str, body: Body | None, at: datetime) -> None:
        key = resource_id.lower()
        kept = self.resources.get(key)
        if kept is None:
            kept = self.resources[key] = Kept(ResourceId.parse(resource_id))
            self._by_type.setdefault(kept.id.type.lower(), {})[key] = kept
        kept.versions.append((at, body))
        self._revisions[kept.id.type.lower()] += 1
