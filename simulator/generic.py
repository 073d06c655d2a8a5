"""Resources nobody asks much of: created at once, kept as sent, listed, deleted.

Networks, disks, topics, key vaults and the like: what the product reads or deploys, without any
behavior of its own. All of it is assumed; what has behavior has a module.
"""

from simulator.arm import BY_GATEWAY, Call, Refusal, Reply, Route, not_found
from simulator.ids import ResourceId
from simulator.paging import paged
from simulator.vm_bodies import checked_tags
from simulator.world import Body, Cause, World

#: Provider → resource types, children as ``parent/child``.
TYPES: dict[str, tuple[str, ...]] = {
    "Microsoft.Compute": (
        "availabilitySets",
        "disks",
        "diskEncryptionSets",
        "restorePointCollections",
        "snapshots",
        "virtualMachineScaleSets",
        "virtualMachines/extensions",
    ),
    "Microsoft.Network": (
        "loadBalancers",
        "natGateways",
        "networkInterfaces",
        "networkSecurityGroups",
        "networkSecurityGroups/securityRules",
        "privateEndpoints",
        "publicIPAddresses",
        "routeTables",
        "virtualNetworks",
        "virtualNetworks/subnets",
    ),
    "Microsoft.EventGrid": (
        "systemTopics",
        "topics",
    ),
    "Microsoft.KeyVault": ("vaults",),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.Web": ("serverfarms", "sites"),
    "Microsoft.ManagedIdentity": ("userAssignedIdentities",),
    "Microsoft.ContainerService": ("managedClusters",),
    "Microsoft.Databricks": ("workspaces",),
    "Microsoft.OperationalInsights": ("workspaces",),
    "Microsoft.Insights": ("actionGroups", "components"),
    "Microsoft.Communication": ("communicationServices", "emailServices"),
    "Microsoft.DataProtection": ("backupVaults", "resourceGuards"),
}
#: The source of every route here: COVERAGE.md lists them by type.
KEPT_AS_SENT = "kept as sent; no behavior of its own"
#: Types that have no location of their own.
PLACELESS = ("extensions", "securityRules", "subnets", "eventSubscriptions")
#: Extension resources: they hang on any scope and live below it.
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "Microsoft.Insights": ("diagnosticSettings",),
}


def get_one(world: World, call: Call) -> Reply:
    return Reply(status=200, body=_existing(world, call))


def list_some(world: World, call: Call) -> Reply:
    """List a type in what the path names: a parent, a group, a subscription or a scope."""
    resource_id = call.resource_id
    kind = ResourceId.parse(resource_id + "/-").type
    found = world.list(type=kind, subscription=call.subscription or None)
    scope = resource_id[: resource_id.lower().rindex("/providers/")]
    parent = resource_id.rsplit("/", 1)[0]
    below = (parent if kind.count("/") > 1 else scope).lower() + "/"
    rows = [body for rid, body in found if rid.key.startswith(below)]
    return paged(world, call, rows, int(world.knobs.number("resources.page_size")))


def put_one(world: World, call: Call) -> Reply:
    sent = call.fields()
    resource_id = ResourceId.parse(call.resource_id)
    before = world.get(resource_id.text)
    last = resource_id.type.rsplit("/", 1)[-1]
    if not sent.get("location") and last not in PLACELESS and not resource_id.scope:
        raise Refusal(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
            headers=BY_GATEWAY,
        )
    checked_tags(sent.get("tags"))
    properties = sent.get("properties")
    body: Body = {
        **sent,
        "id": before["id"] if before else resource_id.text,
        "name": resource_id.name,
        "type": resource_id.type,
        "properties": {
            **(properties if isinstance(properties, dict) else {}),
            "provisioningState": "Succeeded",
        },
    }
    kept = world.put(resource_id.text, body, Cause.of(call))
    return Reply(status=200 if before else 201, body=kept)


def patch_one(world: World, call: Call) -> Reply:
    before = _existing(world, call)
    sent = call.fields()
    checked_tags(sent.get("tags"))
    return Reply(
        status=200, body=world.put(str(before["id"]), merged(before, sent), Cause.of(call))
    )


def delete_one(world: World, call: Call) -> Reply:
    gone = world.delete(call.resource_id, Cause.of(call))
    return Reply(status=200 if gone else 204)


def merged(before: Body, sent: Body) -> Body:
    """Merge a PATCH: objects one level into ``properties``, tags replaced as a whole."""
    after = {**before, **{k: v for k, v in sent.items() if k not in {"properties", "id", "name"}}}
    old, new = before.get("properties"), sent.get("properties")
    if isinstance(new, dict):
        after["properties"] = {**(old if isinstance(old, dict) else {}), **new}
    return after


def _existing(world: World, call: Call) -> Body:
    body = world.get(call.resource_id)
    if body is None:
        rid = ResourceId.parse(call.resource_id)
        raise not_found(rid.type, rid.name, rid.group)
    return body


def _routes_of(provider: str, kind: str) -> list[Route]:
    words = kind.split("/")
    singles = ["name", "child"]
    inner = "/".join(f"{word}/{{{singles[i]}}}" for i, word in enumerate(words))
    group = f"/subscriptions/{{s}}/resourceGroups/{{rg}}/providers/{provider}/"
    lists = [group + inner.rsplit("/", 1)[0]]
    if len(words) == 1:
        lists.append(f"/subscriptions/{{s}}/providers/{provider}/{kind}")
    return _crud(f"{provider}/{kind}", group + inner, lists)


def _crud(kind: str, one: str, lists: list[str]) -> list[Route]:
    title = kind.split("/", 1)[1].title().replace("/", "_")
    shapes = [
        ("GET", one, "Get", "read", get_one),
        ("PUT", one, "CreateOrUpdate", "write", put_one),
        ("PATCH", one, "Update", "write", patch_one),
        ("DELETE", one, "Delete", "delete", delete_one),
        *[
            ("GET", each, "List" if i == 0 else "ListBySubscription", "read", list_some)
            for i, each in enumerate(lists)
        ],
    ]
    return [
        Route(
            method=method,
            template=template,
            operation=f"{title}_{verb}",
            action=f"{kind}/{word}",
            handler=handler,
            truth="assumed",
            source=KEPT_AS_SENT,
        )
        for method, template, verb, word, handler in shapes
    ]


ROUTES: tuple[Route, ...] = tuple(
    route
    for provider, kinds in TYPES.items()
    for kind in kinds
    for route in _routes_of(provider, kind)
) + tuple(
    route
    for provider, kinds in EXTENSIONS.items()
    for kind in kinds
    for route in _crud(
        f"{provider}/{kind}",
        f"{{scope}}/providers/{provider}/{kind}/{{name}}",
        [f"{{scope}}/providers/{provider}/{kind}"],
    )
)
