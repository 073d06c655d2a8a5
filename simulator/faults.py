"""Faults to order: which requests fail, how, how often, for how long; and noise, off by default.

An order is JSON, from the control plane or a timeline::

    {"match": {"method": "GET", "path": "regex", "template": "...", "action": "...", "vm": "vm1"},
     "nth": "first" | "second" | "every-third" | "all", "count": 3, "seconds": 324,
     "fault": {"status": 429, "code": "...", "message": "...", "headers": {...}, "body": ...,
               "form": "arm", "after": false, "reset": true, "timeout": 60, "truncate": 20,
               "slow": 2}}

``after`` lets the provider do its work and only then loses the answer. In texts and headers
``{remaining}`` is the rest of ``seconds``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import unquote

from simulator.arm import (
    BY_GATEWAY,
    BY_SERVICE,
    Call,
    ErrorForm,
    Json,
    PrincipalKind,
    Refusal,
    Reply,
    Route,
    Wire,
)
from simulator.world import World

NTH = {"first": (1, 0), "second": (2, 0), "every-third": (3, 3), "all": (1, 1)}
MATCHES = frozenset({"method", "path", "template", "operation", "action", "vm", "caller"})
FAULTS = frozenset(
    {
        "status",
        "code",
        "message",
        "headers",
        "body",
        "form",
        "after",
        "reset",
        "timeout",
        "truncate",
        "slow",
        "older",
    }
)
#: Shares of answers that fail with a 5xx in the recordings (facts §1.13).
NOISE = 0.0007


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure as it was recorded; an order that names its code gets the rest from here."""

    status: int
    message: str
    seen: int
    form: ErrorForm = "arm"
    headers: Mapping[str, str] = field(default_factory=lambda: BY_SERVICE)
    #: whether it was counted before it failed
    counted: bool = False


_INTERNAL = (
    "Microsoft Azure Backup encountered an internal error. Wait for a few minutes and then try the "
    "operation again. If the issue persists, please contact Microsoft support."
)
RECORDED: Mapping[str, Failure] = {
    "GatewayTimeout": Failure(
        status=504,
        message="The gateway did not receive a response from 'Microsoft.RecoveryServices' within "
        "the specified time period.",
        seen=52,
    ),
    "RestApiInternalError": Failure(
        status=500,
        message="The REST API call encountered an internal error. Wait for a few minutes and then "
        "try the operation again. If the issue persists, please contact Microsoft support.",
        seen=16,
        counted=True,
    ),
    "RestApiInternalError@2018": Failure(
        status=500,
        message="The REST API call encountered an internal error.\r\nWait for a few minutes and "
        "then try the operation again. If the issue persists, please contact Microsoft support.",
        seen=0,
        form="arm-nulls",
    ),
    "InternalServerError": Failure(
        status=500,
        message="Encountered internal server error. Diagnostic information: timestamp "
        "'{timestamp}', subscription id '{subscription}', tracking id '{correlation}', request "
        "correlation id '{correlation}'.",
        seen=5,
        headers=BY_GATEWAY,
    ),
    "CloudInternalError": Failure(status=500, message=_INTERNAL, seen=5, counted=True),
    "InvalidGatewayHost": Failure(
        status=502,
        message="Host name resolution failed for 'Microsoft.RecoveryServices'; cannot fulfill the "
        "request.",
        seen=1,
    ),
    "ResourceRequestsThrottled": Failure(
        status=429,
        message="Number of requests for action '{action}' exceeded the limit of '150' for time "
        "interval '01:00:00'. Please try again after '324' seconds.",
        seen=10,
        headers={**BY_GATEWAY, "Retry-After": "324"},
    ),
}
_UNKNOWN = Failure(status=500, message="", seen=0)


@dataclass(slots=True, kw_only=True)
class Order:
    """One ordered fault with its own counters."""

    name: str
    match: Mapping[str, str]
    nth: str
    count: int | None
    until: datetime | None
    fault: Mapping[str, Json]
    seen: int = 0
    hits: int = 0

    def wants(self, call: Call, route: Route) -> bool:
        """Count a matching request; tell whether this one is to fail."""
        if self.until is not None and call.now >= self.until:
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if not all(_matches(key, value, call, route) for key, value in self.match.items()):
            return False
        self.seen += 1
        first, step = NTH[self.nth]
        due = self.seen == first or (step and self.seen >= first and self.seen % step == 0)
        self.hits += bool(due)
        return bool(due)

    def instead(self, call: Call) -> Reply | None:
        """Return the answer that replaces the provider's; None lets the provider work first."""
        if self.fault.get("after"):
            return None
        if "status" in self.fault:
            reply = self.answer(call)
            reply.wire = self.wire()
            return reply
        if self.fault.get("reset") or "timeout" in self.fault:
            return Reply(status=503, wire=self.wire())
        return None

    def after(self, reply: Reply, call: Call) -> Reply:
        """Return what becomes of the provider's answer once its work is done."""
        if "status" in self.fault:
            reply = self.answer(call)
        reply.wire = self.wire()
        return reply

    def answer(self, call: Call) -> Reply:
        """Write the ordered error as the answer a client gets."""
        status = int(str(self.fault["status"]))
        headers = self.fault.get("headers")
        shown = {
            str(name): self._filled(str(value), call)
            for name, value in (headers if isinstance(headers, dict) else {}).items()
        }
        if "body" in self.fault:
            body = self.fault["body"]
            if isinstance(body, str):
                raw = body.encode()
                return Reply(status=status, raw=raw, headers=shown, content_type="text/html")
            return Reply(status=status, body=body, headers=shown)
        known = self.known
        return Refusal(
            status,
            str(self.fault.get("code", "InternalServerError")),
            self._filled(str(self.fault.get("message") or known.message or "Ordered fault."), call),
            headers=shown if headers is not None else {**known.headers, **shown},
            form=cast("ErrorForm", self.fault.get("form") or known.form),
        ).reply()

    def wire(self) -> Wire | None:
        fault = self.fault
        wire = Wire(
            reset=bool(fault.get("reset")) or "timeout" in fault,
            delay=_seconds(fault.get("slow")) + _seconds(fault.get("timeout")),
            truncate=int(str(fault["truncate"])) if "truncate" in fault else None,
        )
        return None if wire == Wire() else wire

    def shown(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "match": dict(self.match),
            "nth": self.nth,
            "count": self.count,
            "until": self.until.isoformat() if self.until else None,
            "fault": dict(self.fault),
            "seen": self.seen,
            "hits": self.hits,
        }

    @property
    def known(self) -> Failure:
        """What was recorded of the code this order names."""
        code = str(self.fault.get("code", ""))
        older = RECORDED.get(f"{code}@2018") if self.fault.get("older") else None
        return older or RECORDED.get(code, _UNKNOWN)

    def _filled(self, text: str, call: Call) -> str:
        left = (self.until - call.now).total_seconds() if self.until else 0.0
        for name, value in (
            ("remaining", str(max(1, round(left)))),
            ("action", call.action),
            ("timestamp", f"{call.now:%Y%m%dT%H%M%SZ}"),
            ("subscription", call.subscription),
            ("correlation", call.correlation_id),
        ):
            text = text.replace(f"{{{name}}}", value)
        return text


@dataclass(slots=True)
class Faults:
    """The orders of one world, oldest first; the first that wants a request gets it."""

    world: World
    orders: list[Order] = field(default_factory=list)
    ordered: int = 0

    def __post_init__(self) -> None:
        self.world.knobs.declare(
            "noise.share",
            0.0,
            f"share of requests answered by a random recorded 5xx or 429; real life is {NOISE}",
        )

    def order(self, wanted: Mapping[str, Json]) -> Order:
        """Take an order; raise ValueError naming what is wrong with it."""
        match, fault = wanted.get("match") or {}, wanted.get("fault")
        if unknown := wanted.keys() - {"match", "nth", "count", "seconds", "fault", "name"}:
            raise ValueError(f"a fault order knows no {sorted(unknown)}")
        if not isinstance(match, dict) or (match.keys() - MATCHES):
            raise ValueError(f"match is an object of {sorted(MATCHES)}")
        if not isinstance(fault, dict) or not fault or (fault.keys() - FAULTS):
            raise ValueError(f"fault is an object of {sorted(FAULTS)}")
        if not fault.keys() & {"status", "reset", "timeout", "truncate", "slow"}:
            raise ValueError(
                "a fault without status, reset, timeout, truncate or slow does nothing"
            )
        nth = str(wanted.get("nth", "all"))
        if nth not in NTH:
            raise ValueError(f"nth is one of {sorted(NTH)}")
        if "path" in match:
            re.compile(str(match["path"]))
        self.ordered += 1
        count, seconds = wanted.get("count"), wanted.get("seconds")
        order = Order(
            name=str(wanted.get("name") or f"fault-{self.ordered}"),
            match={str(key): str(value) for key, value in match.items()},
            nth=nth,
            count=int(str(count)) if count is not None else None,
            until=self.world.now() + timedelta(seconds=_seconds(seconds)) if seconds else None,
            fault=fault,
        )
        self.orders.append(order)
        return order

    def clear(self) -> None:
        self.orders.clear()

    def take(self, call: Call, route: Route) -> Order | None:
        """Return the order this request falls to, if any; the simulator's own calls never do."""
        if call.principal.kind is PrincipalKind.SYSTEM:
            return None
        for order in self.orders:
            if order.wants(call, route):
                return order
        share = self.world.knobs.number("noise.share")
        if share and self.world.rng.random() < share:
            return _noise(self.world)
        return None


def _noise(world: World) -> Order:
    """Draw a recorded failure, as often as each was seen (report §2.2)."""
    code = world.rng.choices(list(RECORDED), weights=[one.seen for one in RECORDED.values()])[0]
    return Order(
        name="noise",
        match={},
        nth="all",
        count=None,
        until=None,
        fault={"status": RECORDED[code].status, "code": code},
    )


def _matches(key: str, value: str, call: Call, route: Route) -> bool:
    match key:
        case "method":
            return call.method == value.upper()
        case "path":
            return re.search(value, unquote(call.path), re.IGNORECASE) is not None
        case "template":
            return route.template.lower() == value.lower()
        case "operation":
            return route.operation.lower() == value.lower()
        case "action":
            return route.action.lower() == value.lower()
        case "caller":
            return value.lower() in {call.principal.object_id, call.principal.app_id}
        case _:
            words = re.split("[/;]", unquote(call.path).lower())
            named = json.dumps(value.rsplit("/", 1)[-1].lower())[1:-1]
            return named in words or f'/{named}"' in call.raw.decode("utf-8", "replace").lower()


def _seconds(value: Json | None) -> float:
    return float(str(value)) if value is not None else 0.0
