"""Seeds: what a simulated Azure holds when it starts, and the timeline that is played after.

The format is docs/simulator.md's. Resources are ARM bodies as a GET returns them and are simply
there; timeline entries go through ARM itself, so that every change is published.
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import cast
from urllib.parse import quote

from simulator.arm import Json
from simulator.checks import ensure_group
from simulator.gateway import NOT_SIMULATED, Incoming
from simulator.ids import ResourceId
from simulator.tokens import Person
from simulator.world import SETTLED, SYSTEM, Body, Cause, Subscription, World

MEMBERS = frozenset(
    {"tenantId", "subscriptions", "resources", "timeline", "identity", "people", "knobs"}
)
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class SeedError(ValueError):
    """A seed that cannot be planted; the message names the place."""


def plant(world: World, seed: Mapping[str, Json]) -> None:
    """Put a seed into a world and schedule its timeline; raise SeedError naming what is wrong."""
    for name in seed:
        if name not in MEMBERS and not name.startswith("_"):
            raise SeedError(f"a seed has no member {name!r}: it has {', '.join(sorted(MEMBERS))}")
    if tenant := seed.get("tenantId"):
        world.tenant_id = str(tenant).lower()
    for at, subscription in _rows(seed, "subscriptions"):
        _subscription(world, subscription, at)
    resources = _rows(seed, "resources")
    for at, body in resources:
        _resource(world, body, at)
    _identity(world, seed, [body for _, body in resources])
    if isinstance(knobs := seed.get("knobs"), dict):
        world.knobs.turn(knobs)
    for at, entry in _rows(seed, "timeline"):
        _schedule(world, entry, at)


def _rows(seed: Mapping[str, Json], name: str) -> list[tuple[str, Body]]:
    rows = seed.get(name, [])
    if not isinstance(rows, list):
        raise SeedError(f"{name} is a list")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise SeedError(f"{name}[{index}] is an object")
    return [(f"{name}[{index}]", cast("Body", row)) for index, row in enumerate(rows)]


def _subscription(world: World, fields: Body, at: str) -> None:
    subscription_id = str(fields.get("subscriptionId", ""))
    if not GUID.fullmatch(subscription_id):
        raise SeedError(f"{at}.subscriptionId is a GUID, not {subscription_id!r}")
    tags = fields.get("tags")
    world.subscriptions[subscription_id.lower()] = Subscription(
        subscription_id=subscription_id,
        display_name=str(fields.get("displayName") or subscription_id),
        tags={str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {},
        state=str(fields.get("state") or "Enabled"),
    )


def _resource(world: World, body: Body, at: str) -> None:
    resource_id = _id_of(body, at)
    if resource_id.subscription:
        ensure_subscription(world, resource_id.subscription)
    if (
        resource_id.group
        and resource_id.type.lower() != "microsoft.resources/subscriptions/resourcegroups"
    ):
        group = f"/subscriptions/{resource_id.subscription}/resourceGroups/{resource_id.group}"
        ensure_group(world, group, body)
    body = {"name": resource_id.name, "type": resource_id.type, **body}
    for part in world.parts:
        if part.load(world, body):
            return
    world.put(resource_id.text, body, None, at=world.started - SETTLED)


def ensure_subscription(world: World, subscription_id: str) -> None:
    key = subscription_id.lower()
    if key not in world.subscriptions:
        world.subscriptions[key] = Subscription(
            subscription_id=subscription_id, display_name=subscription_id
        )


def _identity(world: World, seed: Mapping[str, Json], resources: list[Body]) -> None:
    """Decide who the managed identity is: the seed's word, or the only service principal with roles."""
    told = seed.get("identity")
    fields = told if isinstance(told, dict) else {}
    object_id = str(fields.get("principalId") or "") or _only_service_principal(resources)
    if object_id or fields.get("clientId"):
        known = world.directory.managed_identity
        world.directory.managed_identity = Person(
            app_id=str(fields.get("clientId") or known.app_id).lower(),
            object_id=(object_id or known.object_id).lower(),
            name=known.name,
        )
    for at, person in _rows(seed, "people"):
        try:
            world.directory.add(Person.parse(person))
        except (KeyError, ValueError) as wrong:
            raise SeedError(f"{at}: {wrong}") from wrong


def _only_service_principal(resources: list[Body]) -> str:
    found = set()
    for body in resources:
        properties = body.get("properties")
        if "/roleassignments/" in str(body.get("id", "")).lower() and isinstance(properties, dict):
            kind = str(properties.get("principalType") or "ServicePrincipal")
            if kind == "ServicePrincipal":
                found.add(str(properties.get("principalId", "")).lower())
    return found.pop() if len(found) == 1 else ""


def _schedule(world: World, entry: Body, at: str) -> None:
    seconds = entry.get("at")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or seconds < 0:
        raise SeedError(f"{at}.at is a number of simulated seconds since the start")
    done = [name for name in ("put", "delete", "fault", "knobs", "request") if name in entry]
    if len(done) != 1:
        raise SeedError(f"{at} has exactly one of put, delete, fault, knobs, request")
    if done[0] == "put":
        body = entry["put"]
        _id_of(cast("Body", body) if isinstance(body, dict) else {}, f"{at}.put")
    world.schedule.at(world.started + timedelta(seconds=float(seconds)), lambda: play(world, entry))


def play(world: World, entry: Body) -> None:
    """Play one timeline entry now; what ARM answered is kept in ``world.timeline``."""
    played: Body = {"at": world.now().isoformat(), "status": 200}
    match entry:
        case {"put": dict(body)}:
            played |= {"put": body["id"]} | _put(world, cast("Body", body))
        case {"delete": str(resource_id)}:
            played |= {"delete": resource_id} | _request(world, "DELETE", resource_id, None)
        case {"fault": dict(order)}:
            played["fault"] = world.gateway.faults.order(cast("Body", order)).name
        case {"knobs": dict(knobs)}:
            world.knobs.turn(knobs)
            played["knobs"] = knobs
        case {"request": {"method": str(method), "path": str(path), **rest}}:
            played["request"] = f"{method} {path}"
            played |= _request(world, method, path, rest.get("body"))
        case _:
            played |= {"status": 400, "error": f"not a timeline entry: {entry}"}
    world.timeline.append(played)


def _put(world: World, body: Body) -> Body:
    resource_id = ResourceId.parse(str(body["id"]))
    if resource_id.subscription:
        ensure_subscription(world, resource_id.subscription)
    answer = _request(world, "PUT", resource_id.text, body)
    if answer.get("code") != NOT_SIMULATED:
        return answer
    cause = Cause(
        principal=SYSTEM,
        correlation_id=world.new_guid(),
        operation_name=f"{resource_id.type}/write",
        method="PUT",
        url=resource_id.text,
    )
    world.put(resource_id.text, body, cause)
    return {"status": 200}


def _request(world: World, method: str, path: str, body: Json | None) -> Body:
    path = quote(path, safe="/;()$,~")
    version = world.gateway.default_version(method, path)
    reply = world.gateway.answer(
        Incoming(
            method=method,
            path=path,
            principal=SYSTEM,
            query={"api-version": version or "2024-01-01"},
            raw=b"" if body is None else json.dumps(body).encode(),
        )
    )
    answer: Body = {"status": reply.status}
    match reply.body:
        case {"error": {"code": str(code), "message": str(message)}}:
            answer |= {"code": code, "message": message}
    return answer


def _id_of(body: Body, at: str) -> ResourceId:
    try:
        return ResourceId.parse(str(body.get("id", "")))
    except ValueError as wrong:
        raise SeedError(f"{at}.id: {wrong}") from wrong
