"""What Resource Graph's tables hold: the world as it was a lag ago, in Graph's own shapes.

Providers whose objects are not plain resources (backup) hand over :class:`GraphRow`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol

from simulator.arm import Json
from simulator.ids import ResourceId
from simulator.world import Body, Subscription, World

type Row = Mapping[str, Json]

RESOURCES = "resources"
CONTAINERS = "resourcecontainers"
BACKUP = "recoveryservicesresources"
TABLES = frozenset({RESOURCES, CONTAINERS, BACKUP})

SUBSCRIPTION_TYPE = "microsoft.resources/subscriptions"
VM_TYPE = "microsoft.compute/virtualmachines"
GROUP_TYPE = "microsoft.resources/subscriptions/resourcegroups"
#: Not tracked by Resource Graph's ``resources`` table.
UNTRACKED = frozenset(
    {
        GROUP_TYPE,
        "microsoft.authorization/roleassignments",
        "microsoft.authorization/roledefinitions",
        "microsoft.authorization/locks",
        "microsoft.eventgrid/eventsubscriptions",
        "microsoft.insights/diagnosticsettings",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRow:
    """A row a provider offers, as Graph shows it once its lag has passed.

    ``row`` has at least id, name, type (lower case), subscriptionId, resourceGroup (lower case)
    and properties; None says the object is gone. ``before`` is what Graph showed until
    ``changed_at``: shown while the lag runs, None for an object Graph has not seen yet.
    ``action`` is what one must be allowed to read it, at the id ``scope``.
    """

    row: Row | None
    changed_at: datetime
    before: Row | None = None
    action: str = ""
    scope: str = ""

    def at(self, moment: datetime) -> Row | None:
        return self.row if self.changed_at <= moment else self.before


class Offers(Protocol):
    """``rows(world, subscriptions)`` of a part: its rows in these, named in lower case."""

    def __call__(self, world: World, subscriptions: frozenset[str], /) -> Iterable[GraphRow]: ...


def resource_rows(
    world: World, kind: str | None, subscriptions: frozenset[str]
) -> Iterator[tuple[ResourceId, Row]]:
    """Walk the ``resources`` table: everything tracked, as it was a VM lag ago."""
    lag = world.knobs.number("graph.lag_seconds")
    for rid, body in world.list(type=kind, as_of=world.now() - timedelta(seconds=lag)):
        if rid.subscription.lower() not in subscriptions or rid.type.lower() in UNTRACKED:
            continue
        yield rid, _kept_row(world, rid, body)


def container_rows(world: World, subscriptions: frozenset[str]) -> Iterator[tuple[str, Row]]:
    """Walk the ``resourcecontainers`` table: subscriptions and resource groups."""
    for key, one in world.subscriptions.items():
        if key in subscriptions:
            yield f"/subscriptions/{key}", _subscription_row(world, one)
    for rid, body in world.list(type=GROUP_TYPE):
        if rid.subscription.lower() in subscriptions:
            yield rid.text, {**_resource_row(world, rid, body), "type": GROUP_TYPE}


def _kept_row(world: World, rid: ResourceId, body: Body) -> Row:
    """Return a resource's row, written once for as long as the body and the power stay."""
    machine = world.compute.machines.get(rid.key)
    power = machine.power if machine else "running"
    kept = world.graph.rows.get(rid.key)
    if kept is not None and kept[0] is body and kept[1] == power:
        return kept[2]
    row = _resource_row(world, rid, body)
    if row["type"] == VM_TYPE:
        row = {**row, "properties": _with_power(body.get("properties"), power)}
    world.graph.rows[rid.key] = (body, power, row)
    return row


def _resource_row(world: World, rid: ResourceId, body: Body) -> Row:
    """Write a resource as Graph does: type, location and group in lower case, tags never null."""
    return {
        "id": body.get("id", rid.text),
        "name": body.get("name", rid.name),
        "type": rid.type.lower(),
        "tenantId": world.tenant_id,
        "kind": body.get("kind", ""),
        "location": str(body.get("location", "")).replace(" ", "").lower(),
        "resourceGroup": rid.group.lower(),
        "subscriptionId": rid.subscription,
        "managedBy": body.get("managedBy", ""),
        "sku": body.get("sku"),
        "plan": body.get("plan"),
        "properties": body.get("properties") or {},
        "tags": body.get("tags") or {},
        "identity": body.get("identity"),
        "zones": body.get("zones"),
        "extendedLocation": body.get("extendedLocation"),
    }


def _with_power(properties: Json, power: str) -> Json:
    """Add ``properties.extended``: the part of the instance view that Graph keeps."""
    if not isinstance(properties, dict):
        return {}
    shown = {**properties, "extended": _extended(power)}
    shown.pop("instanceView", None)
    return shown


@cache
def _extended(power: str) -> Json:
    """One object per power state, shared by all rows: a sweep walks 100,000 of them."""
    state = {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"}
    return {"instanceView": {"powerState": state}}


def _subscription_row(world: World, one: Subscription) -> Row:
    return {
        "id": f"/subscriptions/{one.subscription_id}",
        "name": one.display_name,
        "type": SUBSCRIPTION_TYPE,
        "tenantId": world.tenant_id,
        "location": "",
        "resourceGroup": "",
        "subscriptionId": one.subscription_id,
        "managedBy": "",
        "properties": {
            "state": one.state,
            "managementGroupAncestorsChain": [
                {"name": world.tenant_id, "displayName": "Tenant Root Group"}
            ],
        },
        "tags": dict(one.tags),
    }
