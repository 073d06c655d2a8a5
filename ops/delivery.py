"""Event subscriptions, as the doctor looks at them: there, provisioned, filters exact, delivered
to this app, dead-lettered as meant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ops.arm import line, mapping, rows
from ops.knocking import knocked
from ops.session import Session
from shared.errors import AzureFault
from shared.web.doctor import Check, Health

EVENT_TYPES = frozenset(
    {
        "microsoft.resources.resourcewritesuccess",
        "microsoft.resources.resourcedeletesuccess",
    }
)
OPERATIONS = frozenset(
    {
        "microsoft.compute/virtualmachines/write",
        "microsoft.compute/virtualmachines/delete",
        "microsoft.resources/tags/write",
    }
)
TOPIC_TYPE = "microsoft.resources.subscriptions"
FUNCTION = "on_vm_event"
EVENT_API = "2025-02-15"
FEWEST_ATTEMPTS, SHORTEST_LIFE = 10, 60  # of Event Grid's 30 attempts and 1,440 minutes


async def events(
    session: Session, subscription: str, *, app: str, dead_letter: str, onboard: str
) -> AsyncIterator[Check]:
    """Look at what delivers one subscription's events to the app."""
    what = f"events of {subscription}"
    topics = await _topics(session, subscription)
    scope = f"/subscriptions/{subscription}/providers/Microsoft.EventGrid"
    ours: list[Mapping[str, Any]] = []
    for path in (scope, *(str(topic["id"]) for topic in topics)):
        listed = await rows(
            session,
            f"{path}/eventSubscriptions",
            api_version=EVENT_API,
            operation="event-subscriptions.list",
        )
        page = session.settings.page_url
        ours += [one for one in listed if _delivers(mapping(one.get("properties")), app, page)]
    if not ours:
        says = (
            "no event subscription delivers to this app"
            if topics
            else "nothing listens to this subscription's ARM events"
        )
        yield line(what, Health.FAILURE, f"{says}; only the sweep finds VMs", onboard)
        return
    well = True
    for one in ours:
        properties, called = mapping(one.get("properties")), f"{what}: {one.get('name', '')}"
        for says in _wrong(properties, dead_letter):
            well = False
            yield line(called, Health.FAILURE, says, onboard)
        if _webhook(properties):
            async for refused in _refusing(session, str(one.get("id", "")), called, onboard):
                well = False
                yield refused
    if len(ours) > 1:
        names = ", ".join(str(one.get("name", "")) for one in ours)
        yield line(
            what, Health.WARNING, f"several deliver to this app: {names}", "remove all but one"
        )
    if well:
        yield line(what, Health.OK, f"delivered by {ours[0].get('name', '')}")


async def _refusing(
    session: Session, event_subscription: str, called: str, onboard: str
) -> AsyncIterator[Check]:
    """Say what a webhook answers instead of letting Event Grid in, if it does not."""
    try:
        if says := await knocked(session, event_subscription, api_version=EVENT_API):
            yield line(called, Health.FAILURE, f"the webhook does not answer: {says}", onboard)
    except AzureFault as fault:
        says = f"whether the webhook answers cannot be seen: {fault.code or fault.status}"
        yield line(called, Health.WARNING, says, "get EventGrid EventSubscription Contributor")


def _wrong(properties: Mapping[str, Any], dead_letter: str) -> Iterable[str]:
    """Say everything that is wrong with one event subscription."""
    state = str(properties.get("provisioningState", ""))
    if state.lower() != "succeeded":
        yield f"its provisioning state is {state or 'unknown'}"
    target = _target(properties).rpartition("/")[2]
    if target and target.lower() != FUNCTION:
        yield f"it delivers to {target} instead of {FUNCTION}"
    filters = mapping(properties.get("filter"))
    types = {str(one).lower() for one in filters.get("includedEventTypes") or ()}
    if types and not types >= EVENT_TYPES:
        yield f"event types are missing: {', '.join(sorted(EVENT_TYPES - types))}"
    for end in ("subjectBeginsWith", "subjectEndsWith"):
        if filters.get(end):
            yield f"{end} lets only {filters[end]!r} through"
    yield from _filtered(filters)
    yield from _buried(properties, dead_letter)
    retry = mapping(properties.get("retryPolicy"))
    if int(retry.get("maxDeliveryAttempts") or 30) < FEWEST_ATTEMPTS:
        yield f"it gives up after {retry['maxDeliveryAttempts']} attempts"
    if int(retry.get("eventTimeToLiveInMinutes") or 1440) < SHORTEST_LIFE:
        yield f"it gives up after {retry['eventTimeToLiveInMinutes']} minutes"
    if properties.get("expirationTimeUtc"):
        yield f"it expires at {properties['expirationTimeUtc']}"


def _filtered(filters: Mapping[str, Any]) -> Iterable[str]:
    """Look at the advanced filters: exact operation names, nothing that keeps a VM's write out."""
    named = False
    for one in filters.get("advancedFilters") or ():
        kind, key = str(one.get("operatorType", "")), str(one.get("key", "")).lower()
        values = {str(value).lower() for value in one.get("values") or ()}
        if key == "data.operationname":
            named = True
            if kind == "StringIn" and not values >= OPERATIONS:
                yield f"operations are left out: {', '.join(sorted(OPERATIONS - values))}"
            elif kind != "StringIn":
                yield f"operations are filtered by {kind}: the extension storm comes in (facts §5.6)"
        elif key == "subject":
            if not any(
                value in "/providers/microsoft.compute/virtualmachines/" for value in values
            ):
                yield f"subjects are filtered by {', '.join(sorted(values))}"
        else:
            yield f"a filter on {key or 'something'} keeps events out"
    if not named:
        yield "operations are not filtered: every write of the subscription comes in"


def _buried(properties: Mapping[str, Any], meant: str) -> Iterable[str]:
    """Compare where undeliverable events go with what was meant (`DEAD_LETTER`)."""
    found = (
        "identity"
        if properties.get("deadLetterWithResourceIdentity")
        else "sharedKey"
        if properties.get("deadLetterDestination")
        else "none"
    )
    if meant in {"", "none", found}:
        return
    if found == "none":
        yield f"there is no dead-letter destination, although {meant} is meant"
    else:
        yield f"dead letters are written by {found}, although {meant} is meant"


def _delivers(properties: Mapping[str, Any], app: str, page: str) -> bool:
    """Tell whether this is the app: by its function's id, or by the address of its webhook."""
    if _target(properties).lower().startswith(app.lower() + "/"):
        return True
    webhook, ours = urlsplit(_webhook(properties)), urlsplit(page)
    return bool(webhook.hostname) and (webhook.hostname, webhook.port) == (
        ours.hostname,
        ours.port,
    )


def _webhook(properties: Mapping[str, Any]) -> str:
    """Give the address of a webhook, without its key."""
    return str(_destination(properties).get("endpointBaseUrl") or "")


def _target(properties: Mapping[str, Any]) -> str:
    """Give the resource id that events are delivered to."""
    return str(_destination(properties).get("resourceId") or "")


def _destination(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = mapping(properties.get("deliveryWithResourceIdentity")).get("destination")
    return mapping(mapping(properties.get("destination") or wrapped).get("properties"))


async def _topics(session: Session, subscription: str) -> list[Mapping[str, Any]]:
    path = f"/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics"
    found = await rows(session, path, api_version=EVENT_API, operation="system-topics.list")
    return [
        one
        for one in found
        if str(mapping(one.get("properties")).get("topicType", "")).lower() == TOPIC_TYPE
    ]
