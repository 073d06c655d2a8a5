"""The tenant and its subscriptions, as far as the caller sees them."""

from simulator.arm import BY_GATEWAY, Call, Refusal, Reply, Route
from simulator.paging import paged
from simulator.vm_bodies import plain
from simulator.world import Body, Subscription, World

REGIONS = (
    "westeurope",
    "northeurope",
    "eastus",
    "eastus2",
    "westus2",
    "uksouth",
    "koreacentral",
    "southeastasia",
)


def subscription_body(world: World, one: Subscription) -> Body:
    """Write a subscription as a GET returns it."""
    return {
        "id": f"/subscriptions/{one.subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "tags": dict(one.tags),
        "subscriptionId": one.subscription_id,
        "tenantId": world.tenant_id,
        "displayName": one.display_name,
        "state": one.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def list_tenants(world: World, _call: Call) -> Reply:
    tenant: Body = {
        "id": f"/tenants/{world.tenant_id}",
        "tenantId": world.tenant_id,
        "countryCode": "NL",
        "displayName": "Simulated tenant",
        "domains": ["simulated.example"],
        "tenantCategory": "Home",
    }
    return Reply(status=200, body={"value": [tenant]})


def list_subscriptions(world: World, call: Call) -> Reply:
    """List what the caller may read anything in, as ARM does: no error for the rest."""
    rows = [
        subscription_body(world, one)
        for one in world.subscriptions.values()
        if world.gateway.access.sees(call.principal, f"/subscriptions/{one.subscription_id}")
    ]
    return paged(world, call, rows, int(world.knobs.number("resources.page_size")))


def get_subscription(world: World, call: Call) -> Reply:
    one = world.subscriptions.get(call.params["s"].lower())
    if one is None:
        raise _no_subscription(call.params["s"])
    if not world.gateway.access.sees(call.principal, f"/subscriptions/{one.subscription_id}"):
        world.authorize(call.principal, "Microsoft.Resources/subscriptions/read", call.resource_id)
    return Reply(status=200, body=subscription_body(world, one))


def list_locations(world: World, call: Call) -> Reply:
    names = {plain(str(body.get("location", ""))) for _, body in world.list()} - {"", "global"}
    rows = [
        {
            "id": f"/subscriptions/{call.params['s']}/locations/{name}",
            "name": name,
            "displayName": name,
            "metadata": {"regionType": "Physical"},
        }
        for name in sorted(names | set(REGIONS))
    ]
    return Reply(status=200, body={"value": rows})


def _no_subscription(subscription: str) -> Refusal:
    return Refusal(
        404,
        "SubscriptionNotFound",
        f"The subscription '{subscription}' could not be found.",
        headers=BY_GATEWAY,
    )


_TABLE = (
    ("GET", "/tenants", "Tenants_List", "", list_tenants),
    ("GET", "/subscriptions", "Subscriptions_List", "", list_subscriptions),
    ("GET", "/subscriptions/{s}", "Subscriptions_Get", "", get_subscription),
    (
        "GET",
        "/subscriptions/{s}/locations",
        "Subscriptions_ListLocations",
        "Microsoft.Resources/subscriptions/locations/read",
        list_locations,
    ),
)

ROUTES: tuple[Route, ...] = tuple(
    Route(
        method=method,
        template=template,
        operation=operation,
        action=action,
        handler=handler,
        truth="assumed",
        source="common ARM knowledge; az-peer §1 says which az needs",
    )
    for method, template, operation, action, handler in _TABLE
)
