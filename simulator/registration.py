"""Resource providers of a subscription: registered unless a knob says otherwise (facts §2.1)."""

from datetime import timedelta
from typing import cast

from simulator.arm import BY_GATEWAY, Call, Refusal, Reply, Route
from simulator.world import Body, World

KNOB = "providers.unregistered"
#: Where vaults can be made: display names, as the provider lists them (assumed, a selection).
REGIONS = "providers.vault_regions"
_VAULT_REGIONS = (
    "East US",
    "East US 2",
    "Central US",
    "South Central US",
    "West US 2",
    "West US 3",
    "Canada Central",
    "Brazil South",
    "North Europe",
    "West Europe",
    "UK South",
    "France Central",
    "Germany West Central",
    "Norway East",
    "Sweden Central",
    "Switzerland North",
    "UAE North",
    "South Africa North",
    "Central India",
    "Southeast Asia",
    "East Asia",
    "Japan East",
    "Korea Central",
    "Australia East",
)
ONE = "/subscriptions/{s}/providers/{namespace}"


UNDER_WAY = "providers.registering"
#: A registration took between 61 and 72 s (recorded once); meanwhile it says so.
_TAKES = timedelta(seconds=66)


def attach(world: World) -> None:
    world.knobs.declare(
        KNOB, [], 'providers that refuse writes until registered: "namespace" or "sub/namespace"'
    )
    world.knobs.declare(UNDER_WAY, [], 'providers somebody is registering: "sub/namespace"')
    world.knobs.declare(REGIONS, list(_VAULT_REGIONS), "regions where vaults can be made")


def check_registered(world: World, call: Call, provider: str) -> None:
    """Refuse a PUT to a provider the subscription is not registered for, as recorded."""
    if call.method != "PUT" or not call.subscription:
        return
    if not _unregistered(world, call.subscription, provider):
        return
    text = (
        f"The subscription is not registered to use namespace '{provider}'. See "
        "https://aka.ms/rps-not-found for how to register subscriptions."
    )
    detail = {"code": "MissingSubscriptionRegistration", "target": provider, "message": text}
    raise Refusal(
        409, "MissingSubscriptionRegistration", text, details=[detail], headers=BY_GATEWAY
    )


def list_providers(world: World, call: Call) -> Reply:
    rows = [
        _shown(world, call.params["s"], _named(world, namespace))
        for namespace in sorted(world.gateway.namespaces)
    ]
    return Reply(status=200, body={"value": rows})


def get_provider(world: World, call: Call) -> Reply:
    namespace = call.params["namespace"]
    if namespace.lower() not in world.gateway.namespaces:
        raise Refusal(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{namespace}' is invalid.",
            headers=BY_GATEWAY,
        )
    body = _shown(world, call.params["s"], _named(world, namespace))
    if call.api_version < "2019":
        del body["registrationPolicy"]  # not in 2016's answers (recorded)
    return Reply(status=200, body=body)


def register(world: World, call: Call) -> Reply:
    namespace, subscription = call.params["namespace"].lower(), call.params["s"].lower()
    one = f"{subscription}/{namespace}"

    def done() -> None:
        left = [entry for entry in _entries(world, KNOB) if entry not in {namespace, one}]
        going = [entry for entry in _entries(world, UNDER_WAY) if entry != one]
        world.knobs.turn({KNOB: left, UNDER_WAY: going})

    if _unregistered(world, subscription, namespace):
        world.knobs.turn({UNDER_WAY: [*_entries(world, UNDER_WAY), one]})
        world.schedule.at(world.now() + _TAKES, done)
    return get_provider(world, call)


def _entries(world: World, knob: str) -> list[str]:
    return [str(entry).lower() for entry in cast("list[object]", world.knobs.value(knob))]


def _unregistered(world: World, subscription: str, provider: str) -> bool:
    entries = _entries(world, KNOB)
    return bool(entries) and (
        provider.lower() in entries or f"{subscription}/{provider}".lower() in entries
    )


def _named(world: World, namespace: str) -> str:
    for route in world.gateway.routes:
        words = route.template.split("/")
        if "providers" in words[:-1] and words[words.index("providers") + 1].lower() == (
            namespace.lower()
        ):
            return words[words.index("providers") + 1]
    return namespace


def _shown(world: World, subscription: str, namespace: str) -> Body:
    state = "NotRegistered" if _unregistered(world, subscription, namespace) else "Registered"
    if f"{subscription}/{namespace}".lower() in _entries(world, UNDER_WAY):
        state = "Registering"
    return {
        "id": f"/subscriptions/{subscription}/providers/{namespace}",
        "namespace": namespace,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": state,
        "resourceTypes": _types(world, namespace),
    }


def _types(world: World, namespace: str) -> list[Body]:
    """List what the product asks of a provider: where Azure Backup exists."""
    if namespace.lower() != "microsoft.recoveryservices":
        return []
    regions = [str(region) for region in cast("list[object]", world.knobs.value(REGIONS))]
    return [{"resourceType": "vaults", "locations": regions}]


ROUTES: tuple[Route, ...] = tuple(
    Route(
        method=method,
        template=template,
        operation=operation,
        action=action,
        handler=handler,
        truth="assumed" if operation == "Providers_List" else "recorded",
        source="2021-01-05_test_backup_softdelete (409, then register)",
    )
    for method, template, operation, action, handler in (
        (
            "GET",
            "/subscriptions/{s}/providers",
            "Providers_List",
            "Microsoft.Resources/subscriptions/providers/read",
            list_providers,
        ),
        (
            "GET",
            ONE,
            "Providers_Get",
            "Microsoft.Resources/subscriptions/providers/read",
            get_provider,
        ),
        (
            "POST",
            ONE + "/register",
            "Providers_Register",
            "Microsoft.Resources/subscriptions/providers/register/action",
            register,
        ),
    )
)
