"""The Tags API: a resource's tags as a resource of their own below it.

Its writes are published under ``Microsoft.Resources/tags/write`` with the tag resource as the
subject, not as a write of the VM (facts §5.2).
"""

from simulator.arm import BY_GATEWAY, Call, Refusal, Reply, Route
from simulator.vm_bodies import checked_tags
from simulator.world import Body, Cause, Subscription, World

TEMPLATE = "{scope}/providers/Microsoft.Resources/tags/default"


def get_tags(world: World, call: Call) -> Reply:
    return Reply(status=200, body=_shown(call, _tags(world, call)))


def put_tags(world: World, call: Call) -> Reply:
    return _written(world, call, _sent(call))


def patch_tags(world: World, call: Call) -> Reply:
    """Merge, Replace or Delete tags, as ``operation`` says; names compare without case."""
    present = _tags(world, call)
    sent = _sent(call)
    names = {name.lower() for name in sent}
    rest = {name: value for name, value in present.items() if name.lower() not in names}
    match call.fields().get("operation"):
        case "Merge":
            after = {**rest, **sent}
        case "Replace":
            after = sent
        case "Delete":
            gone = {(name.lower(), value) for name, value in sent.items()}
            after = {
                name: value
                for name, value in present.items()
                if (name.lower(), value) not in gone and (name.lower(), "") not in gone
            }
        case other:
            raise Refusal(
                400,
                "InvalidTagsOperation",
                f"The operation '{other}' is invalid: it is Merge, Replace or Delete.",
                headers=BY_GATEWAY,
            )
    return _written(world, call, after)


def delete_tags(world: World, call: Call) -> Reply:
    _tags(world, call)
    _write(world, call, {}, "delete")
    return Reply(status=200)


def _written(world: World, call: Call, tags: dict[str, str]) -> Reply:
    checked_tags(dict(tags))
    _tags(world, call)
    _write(world, call, tags, "write")
    return Reply(status=200, body=_shown(call, tags))


def _write(world: World, call: Call, tags: dict[str, str], kind: str) -> None:
    scope = call.params["scope"]
    target = world.get(scope)
    if target is not None:
        target = world.put(scope, {**target, "tags": tags}, None)
    else:
        one = _subscription(world, scope)
        world.subscriptions[one.subscription_id.lower()] = Subscription(
            subscription_id=one.subscription_id,
            display_name=one.display_name,
            tags=tags,
            state=one.state,
        )
    shown = _shown(call, tags)
    location = target.get("location", "") if target else ""
    published = {**shown, "tags": tags, "location": location}
    world.publish(
        "delete" if kind == "delete" else "write", call.resource_id, Cause.of(call), published
    )


def _tags(world: World, call: Call) -> dict[str, str]:
    scope = call.params["scope"]
    target = world.get(scope)
    if target is None:
        return dict(_subscription(world, scope).tags)
    tags = target.get("tags")
    return {str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {}


def _subscription(world: World, scope: str) -> Subscription:
    words = scope.strip("/").split("/")
    one = world.subscriptions.get(words[1].lower()) if len(words) == 2 else None
    if one is None:
        raise Refusal(
            404,
            "ResourceNotFound",
            f"The Resource '{scope}' was not found.",
            headers=BY_GATEWAY,
        )
    return one


def _sent(call: Call) -> dict[str, str]:
    properties = call.fields().get("properties")
    tags = properties.get("tags") if isinstance(properties, dict) else None
    return checked_tags(tags)


def _shown(call: Call, tags: dict[str, str]) -> Body:
    return {
        "id": call.resource_id,
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": dict(tags)},
    }


ROUTES: tuple[Route, ...] = tuple(
    Route(
        method=method,
        template=TEMPLATE,
        operation=operation,
        action=f"Microsoft.Resources/tags/{word}",
        handler=handler,
        truth="assumed",
        source="documented Tags API; the published subject is inferred (facts §5.2)",
    )
    for method, operation, word, handler in (
        ("GET", "Tags_GetAtScope", "read", get_tags),
        ("PUT", "Tags_CreateOrUpdateAtScope", "write", put_tags),
        ("PATCH", "Tags_UpdateAtScope", "write", patch_tags),
        ("DELETE", "Tags_DeleteAtScope", "delete", delete_tags),
    )
)
