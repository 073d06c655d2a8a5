"""The events a change becomes: ARM's own (source A) and Resource Notifications (source B).

Shapes are facts §5.1 and §5.3. An ARM event carries no tags, no location and no body of the
resource, and its ``claims`` hold personal data; ``httpRequest`` is there for actions and deletes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from simulator.arm import Json, PrincipalKind
from simulator.world import Change, World

type Event = dict[str, Json]

VERBS: Mapping[str, str] = {"write": "Write", "delete": "Delete", "action": "Action"}
METHODS: Mapping[str, str] = {"delete": "DELETE", "action": "POST"}
OBJECT_ID_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
NAME_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
UPN_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"


class TopicType(StrEnum):
    """The system topics whose events this simulator makes."""

    SUBSCRIPTIONS = "Microsoft.Resources.Subscriptions"
    GROUPS = "Microsoft.Resources.ResourceGroups"
    NOTIFICATIONS = "Microsoft.ResourceNotifications.Resources"


type Schema = Literal["EventGridSchema", "CloudEventSchemaV1_0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One event of a source before any subscription looks at it."""

    id: str
    type: str
    subject: str
    at: datetime
    data: Event
    notification: bool

    def written(self, topic: str, schema: Schema) -> Event:
        """Write the event as one schema sends it."""
        if schema == "CloudEventSchemaV1_0":
            return {
                "source": topic,
                "subject": self.subject,
                "type": self.type,
                "time": stamp(self.at),
                "id": self.id,
                "data": copy.deepcopy(self.data),
                "specversion": "1.0",
            }
        return {
            "topic": topic,
            "subject": self.subject,
            "id": self.id,
            "eventType": self.type,
            "eventTime": stamp(self.at),
            "data": copy.deepcopy(self.data),
            "dataVersion": "1" if self.notification else "2",
            "metadataVersion": "1",
        }


def of_change(world: World, change: Change, event_id: str) -> list[Published]:
    """Make the events of a change: one of ARM, and for writes and deletes one notification."""
    events = [_arm_event(world, change, event_id)]
    if change.kind != "action":
        events.append(_notification(world, change, event_id))
    return events


def stamp(at: datetime) -> str:
    """Write a time as Event Grid does: seven digits and a Z."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}7Z"


def _arm_event(world: World, change: Change, event_id: str) -> Published:
    subject = _spelled(change.resource_id, event_id)
    principal = change.principal
    subscription = f"/subscriptions/{change.subscription}"
    is_person = principal.kind is PrincipalKind.USER
    claims: Event = {
        "aud": "https://management.core.windows.net/",
        "iss": f"https://sts.windows.net/{change.tenant}/",
        "appid": principal.app_id,
        OBJECT_ID_CLAIM: principal.object_id,
        "ver": "1.0",
    }
    if is_person:
        claims |= {NAME_CLAIM: "Simulated Person", UPN_CLAIM: "person@example.com"}
        claims["ipaddr"] = "203.0.113.7"
    data: Event = {
        "authorization": {
            "scope": subject,
            "action": change.operation_name,
            "evidence": {
                "role": "Contributor",
                "roleAssignmentScope": subscription,
                "roleAssignmentId": world.stable_guid("assignment", principal.object_id),
                "roleDefinitionId": "b24988ac6180425983c67d17abe45d6a",
                "principalId": principal.object_id.replace("-", ""),
                "principalType": "User" if is_person else "ServicePrincipal",
            },
        },
        "claims": claims,
        "correlationId": change.correlation_id,
        "resourceProvider": _provider(change.operation_name),
        "resourceUri": subject,
        "operationName": change.operation_name,
        "status": "Succeeded",
        "subscriptionId": change.subscription,
        "tenantId": change.tenant,
    }
    if method := METHODS.get(change.kind):
        data["httpRequest"] = {
            "clientRequestId": change.client_request_id or change.correlation_id,
            "clientIpAddress": "203.0.113.7",
            "method": method,
            "url": f"https://management.azure.com{urlsplit(change.url).path}",
        }
    return Published(
        id=event_id,
        type=f"Microsoft.Resources.Resource{VERBS[change.kind]}Success",
        subject=subject,
        at=change.at,
        data=data,
        notification=False,
    )


def _notification(world: World, change: Change, event_id: str) -> Published:
    body = change.body or {}
    name = change.resource_id.rsplit("/", 1)[-1]
    resource: Event = {"id": change.resource_id, "name": name, "type": body.get("type", "")}
    if change.kind == "write":
        resource |= {
            "tags": dict(change.tags),
            "location": change.location,
            "properties": body.get("properties") or {},
        }
    deleted = change.kind == "delete"
    return Published(
        id=world.stable_guid("notification", event_id),
        type=f"{TopicType.NOTIFICATIONS}.{'Deleted' if deleted else 'CreatedOrUpdated'}",
        subject=change.resource_id,
        at=change.at,
        data={
            "resourceInfo": resource,
            "operationalInfo": {"resourceEventTime": stamp(change.at)},
            "apiVersion": "2024-07-01",
        },
        notification=True,
    )


def _spelled(resource_id: str, event_id: str) -> str:
    """Spell ``resourceGroups`` either way, as the vendor's own examples do (facts §5.1)."""
    if int(event_id[0], 16) % 2:
        return resource_id.replace("/resourceGroups/", "/resourcegroups/")
    return resource_id


def _provider(operation: str) -> str:
    return operation.split("/", 1)[0]
