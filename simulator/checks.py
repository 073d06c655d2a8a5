"""What ARM itself refuses before a provider is asked: versions, subscriptions, groups.

The texts of the version refusals are from general knowledge; ``ResourceGroupNotFound`` and
``SubscriptionNotFound`` are ARM standard (facts §2.1).
"""

import re

from simulator.arm import BY_GATEWAY, Call, Json, PrincipalKind, Refusal, Route
from simulator.world import SETTLED, World

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z0-9.-]+)?")


def check_version(route: Route, call: Call) -> None:
    version = call.api_version
    if not version:
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
            headers=BY_GATEWAY,
        )
    if not VERSION.fullmatch(version):
        raise Refusal(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are "
            f"'{route.api_versions.spelled()}'.",
            headers=BY_GATEWAY,
        )
    if not route.api_versions.accepts(version):
        kind = kind_of(route).partition("/")[2]
        raise Refusal(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for API version '{version}' for type "
            f"'{kind}'. The supported api-versions are '{route.api_versions.spelled()}'.",
            headers=BY_GATEWAY,
        )


def check_subscription(world: World, call: Call) -> None:
    known = world.subscriptions
    if call.subscription and known and call.subscription.lower() not in known:
        raise Refusal(
            404,
            "SubscriptionNotFound",
            f"The subscription '{call.subscription}' could not be found.",
            headers=BY_GATEWAY,
        )


def check_group(world: World, call: Call) -> None:
    """Refuse what is in a group that is not there; a timeline's groups are made for it."""
    words = call.resource_id.split("/")
    if len(words) < 6 or words[3].lower() != "resourcegroups":
        return
    group = "/".join(words[:5])
    if world.get(group) is not None:
        return
    if call.principal.kind is PrincipalKind.SYSTEM:
        ensure_group(world, group, call.body)
        return
    raise Refusal(
        404,
        "ResourceGroupNotFound",
        f"Resource group '{words[4]}' could not be found.",
        headers=BY_GATEWAY,
    )


def ensure_group(world: World, group_id: str, member: Json | None = None) -> None:
    """Create the group a seed or timeline takes for granted."""
    if world.get(group_id) is None:
        location = member.get("location", "") if isinstance(member, dict) else ""
        world.put(
            group_id,
            {
                "id": group_id,
                "name": group_id.rsplit("/", 1)[-1],
                "type": "Microsoft.Resources/resourceGroups",
                "location": location or "westeurope",
                "properties": {"provisioningState": "Succeeded"},
            },
            None,
            at=world.started - SETTLED,
        )


def kind_of(route: Route) -> str:
    """Return the resource type a route is about, in the template's spelling."""
    words = route.template.strip("/").split("/")
    if "providers" not in words:
        return "Microsoft.Resources/" + "/".join(words[0::2])
    tail = words[len(words) - words[::-1].index("providers") :]
    return "/".join([tail[0], *tail[1::2]])
