"""What an Event Grid event asks of us: look at this VM, nothing (and why), or it is unusable.

Two sources (ARM lifecycle events, Resource Notifications) in two schemas (Event Grid, CloudEvents
1.0). The content is not trusted and mostly not used: an event only says where to look (DESIGN
§3.1), so this module reads a handful of members and tolerates anything in the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from shared.domain.ids import VIRTUAL_MACHINES, ArmId
from shared.errors import BadArmId, BadMessage

MAX_BYTES = 1_100_000  # Event Grid's own limit is 1 MB; a little room for its envelope

_ARM = re.compile(r"microsoft\.resources\.resource(write|delete|action)(success|failure|cancel)")
_NOTIFICATION = re.compile(
    r"microsoft\.resourcenotifications\.resources\.(createdorupdated|deleted)"
)
_LOOKED_AT = frozenset(
    {
        "microsoft.compute/virtualmachines/write",
        "microsoft.compute/virtualmachines/delete",
        "microsoft.resources/tags/write",
    }
)
_TAGS_TAIL = re.compile(r"/providers/microsoft\.resources/tags/default/?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Look at this VM. ``event`` is the event's id, for the trace."""

    vm: ArmId
    event: str
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Nothing to do; ``reason`` is a stable word, ``operation`` what happened."""

    reason: str
    operation: str = ""


def parse(text: str | bytes) -> Look | Ignored:
    """Read one event as the trigger delivers it (one JSON object, either schema).

    Raises:
        BadMessage: ``too-large``, ``not-json``, ``not-an-event``, ``no-data``, ``no-resource``
            or ``bad-id``: the event cannot be understood and must be parked.

    """
    if len(text) > MAX_BYTES:
        raise BadMessage("too-large", f"{len(text)} characters")
    event = _object(text)
    kind = _word(event, "eventType") or _word(event, "type")
    if not kind:
        raise BadMessage("not-an-event", "no eventType and no type")
    name = kind.lower()
    identity = _word(event, "id")
    if matched := _ARM.fullmatch(name):
        return _arm(event, identity, verb=matched[1], ended=matched[2])
    if matched := _NOTIFICATION.fullmatch(name):
        return _notification(event, identity, deleted=matched[1] == "deleted")
    return Ignored(reason="other-event-type", operation=kind[:200])


def _arm(event: Mapping[str, Any], identity: str, *, verb: str, ended: str) -> Look | Ignored:
    payload = _data(event)
    operation = _word(payload, "operationName")
    if not operation:
        authorization = payload.get("authorization")
        if isinstance(authorization, Mapping):
            operation = _word(authorization, "action")
    if verb == "action":
        return Ignored(reason="not-a-write", operation=operation)
    if ended != "success":
        return Ignored(reason="did-not-succeed", operation=operation)
    if operation.lower() not in _LOOKED_AT:
        return Ignored(reason="other-operation", operation=operation)
    target = _word(payload, "resourceUri") or _word(event, "subject")
    return _look(target, identity, deleted=verb == "delete")


def _notification(event: Mapping[str, Any], identity: str, *, deleted: bool) -> Look | Ignored:
    resource = _data(event).get("resourceInfo")
    target = _word(resource, "id") if isinstance(resource, Mapping) else ""
    return _look(target or _word(event, "subject"), identity, deleted=deleted)


def _look(target: str, identity: str, *, deleted: bool) -> Look | Ignored:
    if not target:
        raise BadMessage("no-resource", "neither resourceUri nor subject")
    tags_of = _TAGS_TAIL.sub("", target)
    try:
        vm = ArmId.parse(tags_of)
    except BadArmId as error:
        if tags_of != target:  # tags of a subscription or group raise no VM event: the sweep sees
            return Ignored(reason="tags-of-something-else")
        raise BadMessage("bad-id", str(error)) from error
    if vm.type != VIRTUAL_MACHINES:
        return Ignored(reason="other-resource-type", operation=vm.type)
    return Look(vm=vm, event=identity[:200], deleted=deleted and tags_of == target)


def _object(text: str | bytes) -> Mapping[str, Any]:
    try:
        event = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadMessage("not-json", str(error)) from error
    if isinstance(event, list) and len(event) == 1:
        event = event[0]
    if not isinstance(event, dict):
        _refuse("not-an-event", f"a JSON {type(event).__name__}")
    return event


def _data(event: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = event.get("data")
    if not isinstance(payload, dict):
        _refuse("no-data", f"data is {type(payload).__name__}")
    return payload


def _refuse(reason: str, detail: str) -> NoReturn:
    raise BadMessage(reason, detail)


def _word(members: Mapping[str, Any], name: str) -> str:
    """Give a member whatever the case of its name, stripped; "" if it is no text."""
    value = members.get(name)
    if value is None:
        wanted = name.lower()
        value = next((v for k, v in members.items() if k.lower() == wanted), None)
    return value.strip() if isinstance(value, str) else ""


def without_personal_data(text: str) -> str:
    """Give an event's text without `claims` and `httpRequest`, for the parked table (DESIGN §3.17).

    A text that is no JSON is given back as it is: nothing in it can be found, or safely removed.
    """
    try:
        event = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text
    return msgspec.json.encode(_scrub(event, 0)).decode()


def _scrub(value: Any, depth: int) -> Any:
    if depth > 50:
        return None
    if isinstance(value, dict):
        return {
            name: _scrub(member, depth + 1)
            for name, member in value.items()
            if name.lower() not in {"claims", "httprequest"}
        }
    if isinstance(value, list):
        return [_scrub(member, depth + 1) for member in value]
    return value
