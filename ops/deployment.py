"""The half of `doctor` that is looked at with the operator's login: delivery and rights.

Event subscriptions: there, provisioned, filters exact, delivered to this app, dead-lettered as
meant. Rights: every action of the enabled blocks of `infra/role.json` granted to the service's
identity, and nothing that deletes or grants.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
EVENT_API, ROLE_API, PROVIDER_API = "2025-02-15", "2022-04-01", "2021-04-01"
ROLE_FILE = Path(__file__).parents[1] / "infra" / "role.json"
PROVIDERS = ("Microsoft.RecoveryServices", "Microsoft.Compute", "Microsoft.EventGrid")
_TOO_MUCH = ("*", "*/write", "*/delete", "microsoft.authorization/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What stage 1 put out (infra/main.bicep's outputs)."""

    app: str
    principal: str = ""
    dead_letter: str = ""
    grants: tuple[str, ...] = ()


async def examined(session: Session, deployment: Deployment) -> list[Check]:
    """Look at every subscription in scope."""
    found: list[Check] = []
    for subscription in await session.ports.estate.subscriptions():
        onboard = f"python -m ops onboard {subscription} --yes"
        for what, looked in (
            ("events", _events(session, subscription, deployment, onboard)),
            ("rights", _rights(session, subscription, deployment, onboard)),
            ("providers", _providers(session, subscription)),
        ):
            try:
                found += [one async for one in looked]
            except AzureFault as fault:
                says = f"{fault.operation} failed: {fault.code or fault.status}"
                found.append(_check(f"{what} of {subscription}", Health.FAILURE, says, "az login"))
    return found


# --- events --------------------------------------------------------------------------------------


async def _events(
    session: Session, subscription: str, deployment: Deployment, onboard: str
) -> AsyncIterator[Check]:
    what = f"events of {subscription}"
    ours: list[tuple[str, Mapping[str, Any]]] = []
    topics = await _topics(session, subscription)
    scope = f"/subscriptions/{subscription}/providers/Microsoft.EventGrid"
    for path in (scope, *(str(topic["id"]) for topic in topics)):
        listed = f"{path}/eventSubscriptions"
        for one in await _all(session, listed, EVENT_API, "event-subscriptions.list"):
            properties = _mapping(one.get("properties"))
            if _delivers(properties, deployment, session.settings.page_url):
                ours.append((str(one.get("name", "")), properties))
    if not ours:
        says = (
            "no event subscription delivers to this app"
            if topics
            else "nothing listens to this subscription's ARM events"
        )
        yield _check(what, Health.FAILURE, f"{says}; only the sweep finds VMs", onboard)
        return
    problems = [
        (name, says) for name, properties in ours for says in _wrong(properties, deployment)
    ]
    for name, says in problems:
        yield _check(f"{what}: {name}", Health.FAILURE, says, onboard)
    if len(ours) > 1:
        names = ", ".join(name for name, _ in ours)
        yield _check(
            what, Health.WARNING, f"several deliver to this app: {names}", "remove all but one"
        )
    if not problems:
        yield _check(what, Health.OK, f"delivered by {ours[0][0]}")


def _wrong(properties: Mapping[str, Any], deployment: Deployment) -> Iterable[str]:
    """Say everything that is wrong with one event subscription."""
    state = str(properties.get("provisioningState", ""))
    if state.lower() != "succeeded":
        yield f"its provisioning state is {state or 'unknown'}"
    target = _target(properties).rpartition("/")[2]
    if target and target.lower() != FUNCTION:
        yield f"it delivers to {target} instead of {FUNCTION}"
    filters = _mapping(properties.get("filter"))
    types = {str(one).lower() for one in filters.get("includedEventTypes") or ()}
    if types and not types >= EVENT_TYPES:
        yield f"event types are missing: {', '.join(sorted(EVENT_TYPES - types))}"
    for end in ("subjectBeginsWith", "subjectEndsWith"):
        if filters.get(end):
            yield f"{end} lets only {filters[end]!r} through"
    yield from _filtered(filters)
    dead = properties.get("deadLetterDestination") or properties.get(
        "deadLetterWithResourceIdentity"
    )
    if deployment.dead_letter not in {"", "none"} and not dead:
        yield f"there is no dead-letter destination, although {deployment.dead_letter} is meant"
    retry = _mapping(properties.get("retryPolicy"))
    if int(retry.get("maxDeliveryAttempts") or 30) < 10:
        yield f"it gives up after {retry['maxDeliveryAttempts']} attempts"
    if int(retry.get("eventTimeToLiveInMinutes") or 1440) < 60:
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


def _delivers(properties: Mapping[str, Any], deployment: Deployment, page: str) -> bool:
    """Tell whether this is the app: by its function's id, or by the address of its webhook."""
    if _target(properties).lower().startswith(deployment.app.lower() + "/"):
        return True
    webhook = urlsplit(str(_destination(properties).get("endpointBaseUrl") or ""))
    ours = urlsplit(page)
    return bool(webhook.hostname) and (webhook.hostname, webhook.port) == (
        ours.hostname,
        ours.port,
    )


def _target(properties: Mapping[str, Any]) -> str:
    """Give the resource id that events are delivered to."""
    return str(_destination(properties).get("resourceId") or "")


def _destination(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = _mapping(properties.get("deliveryWithResourceIdentity")).get("destination")
    return _mapping(_mapping(properties.get("destination") or wrapped).get("properties"))


async def _topics(session: Session, subscription: str) -> list[Mapping[str, Any]]:
    path = f"/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics"
    found = await _all(session, path, EVENT_API, "system-topics.list")
    return [
        one
        for one in found
        if str(_mapping(one.get("properties")).get("topicType", "")).lower() == TOPIC_TYPE
    ]


# --- rights --------------------------------------------------------------------------------------


async def _rights(
    session: Session, subscription: str, deployment: Deployment, onboard: str
) -> AsyncIterator[Check]:
    what = f"rights in {subscription}"
    if not deployment.principal:
        return
    scope = f"/subscriptions/{subscription}"
    granted: list[str] = []
    for one in await _all(
        session,
        f"{scope}/providers/Microsoft.Authorization/roleAssignments",
        ROLE_API,
        "role-assignments.list",
    ):
        properties = _mapping(one.get("properties"))
        if str(properties.get("principalId", "")).lower() == deployment.principal.lower():
            granted += await _actions(session, str(properties.get("roleDefinitionId", "")))
    missing = [action for action in needed(deployment.grants) if not _allowed(action, granted)]
    if missing:
        yield _check(what, Health.FAILURE, f"missing: {', '.join(missing)}", onboard)
    excessive = sorted({action for action in granted if _excessive(action)})
    if excessive:
        says = f"more than the service needs: {', '.join(excessive)}"
        yield _check(
            what, Health.WARNING, says, "remove that role assignment: az role assignment list"
        )
    if not missing and not excessive:
        yield _check(what, Health.OK, "what is needed, and nothing that deletes")


def needed(grants: Sequence[str]) -> tuple[str, ...]:
    """Give the actions of the enabled blocks."""
    blocks = json.loads(ROLE_FILE.read_text(encoding="utf-8"))
    names = ["enroll", *(name for name in grants if name in blocks)]
    return tuple(action for name in names for action in blocks[name]["actions"])


async def _actions(session: Session, role: str) -> list[str]:
    body = await session.foundation.clients.get(
        role, api_version=ROLE_API, operation="role-definition.get"
    )
    permissions = _mapping(_mapping(body).get("properties")).get("permissions") or ()
    return [str(action) for one in permissions for action in one.get("actions") or ()]


def _allowed(action: str, granted: Iterable[str]) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in granted)


def _excessive(action: str) -> bool:
    lowered = action.lower()
    return lowered in _TOO_MUCH or lowered.endswith(("/delete", "/write/*"))


# --- providers -----------------------------------------------------------------------------------


async def _providers(session: Session, subscription: str) -> AsyncIterator[Check]:
    for name in PROVIDERS:
        body = await session.foundation.clients.get(
            f"/subscriptions/{subscription}/providers/{name}",
            api_version=PROVIDER_API,
            operation="provider.get",
        )
        state = str(_mapping(body).get("registrationState", ""))
        registered = state.lower() == "registered"
        yield _check(
            f"provider {name} in {subscription}",
            Health.OK if registered else Health.FAILURE,
            state or "unknown",
            "" if registered else f"az provider register -n {name} --subscription {subscription}",
        )


# --- floor ---------------------------------------------------------------------------------------


async def _all(
    session: Session, path: str, api_version: str, operation: str
) -> list[Mapping[str, Any]]:
    pages = session.foundation.clients.listed(path, api_version=api_version, operation=operation)
    return [row async for page in pages for row in page]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check(what: str, result: Health, says: str, fix: str = "") -> Check:
    return Check(what=what, result=result, says=says, fix=fix)
