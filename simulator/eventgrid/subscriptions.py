"""Event subscriptions as ARM resources: on a scope of their own, or below a system topic.

A WebHook destination must answer a handshake before it gets events; an AzureFunction or
StorageQueue destination need not. The address of a webhook is a secret: a GET shows its base only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

from simulator.arm import Call, Json, Refusal, Reply, Route
from simulator.eventgrid import filters
from simulator.eventgrid.events import Schema, TopicType
from simulator.generic import delete_one, get_one, list_some
from simulator.ids import ResourceId
from simulator.world import Body, Cause, World

KIND = "microsoft.eventgrid/eventsubscriptions"
TOPIC_KIND = "microsoft.eventgrid/systemtopics/eventsubscriptions"
SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")
DESTINATIONS = ("WebHook", "AzureFunction", "StorageQueue")
#: The whole addresses of webhooks, by world and id: a secret that no body keeps.
_addresses: WeakKeyDictionary[World, dict[str, str]] = WeakKeyDictionary()
MOST_ATTEMPTS = 30
LONGEST_LIFE = 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One event subscription, read from its body."""

    id: str
    name: str
    topic: str
    topic_type: TopicType
    schema: Schema
    filter: filters.Filter
    destination: str
    address: Mapping[str, Json]
    batch: int
    attempts: int
    life_minutes: int
    dead_letter: str
    state: str

    def covers(self, resource_id: str) -> bool:
        """Tell whether a resource lies in the scope of the topic."""
        return f"{resource_id}/".lower().startswith(f"{self.topic}/".lower())


def read(world: World, resource_id: ResourceId, body: Body) -> Subscription:
    """Read a body, or refuse what Event Grid refuses."""
    properties = _object(body.get("properties"))
    topic, topic_type = _topic(world, resource_id)
    schema = str(properties.get("eventDeliverySchema") or SCHEMAS[0])
    if schema not in SCHEMAS:
        raise _invalid(f"The event delivery schema {schema!r} is not supported.")
    destination = _destination(properties)
    kind = str(destination.get("endpointType", ""))
    if kind not in DESTINATIONS:
        raise _invalid(f"The destination type {kind!r} is not simulated.")
    address = {**_object(destination.get("properties"))}
    if kept := _addresses.get(world, {}).get(resource_id.key):
        address.setdefault("endpointUrl", kept)
    retry = _object(properties.get("retryPolicy"))
    return Subscription(
        id=resource_id.text,
        name=resource_id.name,
        topic=topic,
        topic_type=topic_type,
        schema=cast("Schema", schema),
        filter=filters.parse(properties.get("filter")),
        destination=kind,
        address=address,
        batch=_number(address, "maxEventsPerBatch", 1, 5000),
        attempts=_number(retry, "maxDeliveryAttempts", MOST_ATTEMPTS, MOST_ATTEMPTS),
        life_minutes=_number(retry, "eventTimeToLiveInMinutes", LONGEST_LIFE, LONGEST_LIFE),
        dead_letter=_dead_letter(properties),
        state=str(properties.get("provisioningState", "")),
    )


def listed(world: World) -> list[tuple[ResourceId, Body]]:
    """Walk every event subscription there is."""
    return [found for kind in (KIND, TOPIC_KIND) for found in world.list(type=kind)]


def put_subscription(world: World, call: Call) -> Reply:
    """Create or change a subscription; the handshake follows (see :mod:`.handshake`)."""
    sent = call.fields()
    resource_id = ResourceId.parse(call.resource_id)
    subscription = read(world, resource_id, sent)
    before = world.get(resource_id.text)
    if subscription.destination == "WebHook" and not subscription.address.get("endpointUrl"):
        raise _invalid("A WebHook destination needs an endpointUrl.")
    properties = _object(sent.get("properties"))
    needs_handshake = subscription.destination == "WebHook"
    body: Body = {
        "id": resource_id.text,
        "name": resource_id.name,
        "type": resource_id.type,
        "properties": {
            **properties,
            "topic": subscription.topic,
            "eventDeliverySchema": subscription.schema,
            "retryPolicy": {
                "maxDeliveryAttempts": subscription.attempts,
                "eventTimeToLiveInMinutes": subscription.life_minutes,
            },
            "provisioningState": "Creating" if needs_handshake else "Succeeded",
        },
    }
    if needs_handshake:
        secret = str(subscription.address["endpointUrl"])
        _addresses.setdefault(world, {})[resource_id.key] = secret
    kept = world.put(resource_id.text, shown(body), Cause.of(call))
    return Reply(status=200 if before else 201, body=kept)


def get_full_url(world: World, call: Call) -> Reply:
    """Return the whole address: the one call that does."""
    resource_id = call.resource_id.rsplit("/", 1)[0].lower()
    url = _addresses.get(world, {}).get(resource_id)
    if url is None or world.get(resource_id) is None:
        raise Refusal(404, "ResourceNotFound", f"The resource {resource_id} was not found.")
    return Reply(status=200, body={"endpointUrl": url})


def shown(body: Body) -> Body:
    """Hide the query of a webhook's address, which is its credential."""
    properties = dict(_object(body.get("properties")))
    for holder in ("destination", "deliveryWithResourceIdentity"):
        outer = dict(_object(properties.get(holder)))
        if not outer:
            continue
        inner = _object(outer.get("destination")) if holder != "destination" else outer
        address = dict(_object(inner.get("properties")))
        if url := address.pop("endpointUrl", None):
            address["endpointBaseUrl"] = str(url).split("?", 1)[0]
        hidden = {**inner, "properties": address}
        properties[holder] = hidden if holder == "destination" else {**outer, "destination": hidden}
    return {**body, "properties": properties}


def _topic(world: World, resource_id: ResourceId) -> tuple[str, TopicType]:
    if resource_id.type.lower() == TOPIC_KIND:
        parent = resource_id.text.rsplit("/", 2)[0]
        body = world.get(parent)
        if body is None:
            raise Refusal(404, "ResourceNotFound", f"The system topic {parent} was not found.")
        properties = _object(body.get("properties"))
        kind = str(properties.get("topicType", ""))
        known = {one.lower(): one for one in TopicType}
        if kind.lower() not in known:
            raise _invalid(f"The topic type {kind!r} is not simulated.")
        return str(properties.get("source", "")).rstrip("/"), known[kind.lower()]
    scope = resource_id.text[: resource_id.text.lower().rindex("/providers/microsoft.eventgrid/")]
    is_group = len(scope.strip("/").split("/")) == 4
    return scope, TopicType.GROUPS if is_group else TopicType.SUBSCRIPTIONS


def _destination(properties: Mapping[str, Json]) -> Mapping[str, Json]:
    by_identity = _object(properties.get("deliveryWithResourceIdentity"))
    return _object(by_identity.get("destination") or properties.get("destination"))


def _dead_letter(properties: Mapping[str, Json]) -> str:
    by_identity = _object(properties.get("deadLetterWithResourceIdentity"))
    place = _object(
        by_identity.get("deadLetterDestination") or properties.get("deadLetterDestination")
    )
    return str(_object(place.get("properties")).get("blobContainerName", ""))


def _number(fields: Mapping[str, Json], name: str, default: int, most: int | None = None) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or not 1 <= value <= (most or default):
        raise _invalid(f"{name} is a number from 1 to {most or default}, not {value!r}.")
    return value


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _invalid(message: str) -> Refusal:
    return Refusal(400, "InvalidRequest", message)


def _routes(template: str, kind: str) -> tuple[Route, ...]:
    shapes = (
        ("GET", f"{template}/{{name}}", "Get", "read", get_one),
        ("PUT", f"{template}/{{name}}", "CreateOrUpdate", "write", put_subscription),
        ("DELETE", f"{template}/{{name}}", "Delete", "delete", delete_one),
        ("GET", template, "List", "read", list_some),
        (
            "POST",
            f"{template}/{{name}}/getFullUrl",
            "GetFullUrl",
            "getFullUrl/action",
            get_full_url,
        ),
    )
    return tuple(
        Route(
            method=method,
            template=path,
            operation=f"{kind}_{verb}",
            action=f"Microsoft.EventGrid/{kind}/{word}",
            handler=handler,
            truth="assumed",
            source="facts §5.3-5.7; the management API's own description is not at hand",
        )
        for method, path, verb, word, handler in shapes
    )


ROUTES = (
    *_routes("{scope}/providers/Microsoft.EventGrid/eventSubscriptions", "eventSubscriptions"),
    *_routes(
        "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.EventGrid/"
        "systemTopics/{topic}/eventSubscriptions",
        "systemTopics/eventSubscriptions",
    ),
)
