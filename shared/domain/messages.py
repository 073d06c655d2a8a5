"""What travels through the queues. Every message carries its version, cause and W3C trace.

The Functions host lets members of a JSON body override a message's own metadata
(local host conformance, row "reserved names"), so no member is named `id`, `dequeueCount`,
`popReceipt`, `insertionTime`, `expirationTime` or `nextVisibleTime`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.ids import ArmId
from shared.errors import BadArmId, BadMessage

VERSION = 1


class Cause(StrEnum):
    """Why we look at a VM."""

    EVENT = "event"
    SWEEP = "sweep"
    RETRY = "retry"  # a middle wait ended
    RELEASE = "release"  # a long wait ended
    AGAIN = "again"  # something was seen while the VM was being reconciled
    OPERATOR = "operator"
    BACKFILL = "backfill"


class WorkItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="vm"):
    """Look at this VM. ``seen_at`` is when the wish arose: the fold rule compares it (protocol)."""

    vm: str
    seen_at: datetime
    cause: Cause
    trace: str = ""
    v: int = VERSION
    by: str = ""  # the operator, for OPERATOR and BACKFILL

    @property
    def vm_id(self) -> ArmId:
        return ArmId.parse(self.vm)


class SweepPage(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sweep"):
    """Walk on through one subscription. A page of an older sweep is harmless and dropped."""

    subscription: str
    sweep: str
    started_at: datetime
    cursor: str = ""
    tries: int = 0  # of this page, at faults that pass
    trace: str = ""
    v: int = VERSION


class NoticeItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="notice"):
    """Deliver what is due of this notice."""

    notice: str
    trace: str = ""
    v: int = VERSION


class Newer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="newer"):
    """A message of a newer version, as an older instance put it back during a deployment."""

    raw: str
    queue: str
    since: datetime
    v: int = VERSION


class _Versioned(msgspec.Struct, frozen=True):
    """All that every version of every message has."""

    v: int


Message = WorkItem | SweepPage | NoticeItem
_DECODER: msgspec.json.Decoder[Message | Newer] = msgspec.json.Decoder(Message | Newer)


def encode(message: Message | Newer) -> bytes:
    """Give the JSON that goes into a queue."""
    return msgspec.json.encode(message)


def decode(body: bytes | str) -> Message:
    """Parse a queue message; one that was put back is taken out of its cover.

    Raises:
        BadMessage: ``version`` (newer than we know), ``shape`` or ``vm`` (not an id).

    """
    try:
        message = _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        if (version := _version(body)) > VERSION:
            raise BadMessage("version", str(version)) from error
        raise BadMessage("shape", str(error)) from error
    if not 1 <= message.v <= VERSION:  # older ones are read: what they lack has a default
        raise BadMessage("version", str(message.v))
    if isinstance(message, Newer):
        return decode(message.raw)
    if isinstance(message, WorkItem):
        try:
            ArmId.parse(message.vm)
        except BadArmId as error:
            raise BadMessage("vm", str(error)) from error
    return message


def put_back(body: bytes | str, queue: str, now: datetime) -> Newer:
    """Cover a message of a newer version, so that an instance that knows it finds it."""
    try:
        known = _DECODER.decode(body)
    except msgspec.MsgspecError:
        known = None
    if isinstance(known, Newer):
        return known
    raw = body.decode(errors="replace") if isinstance(body, bytes) else body
    return Newer(raw=raw, queue=queue, since=now)


def _version(body: bytes | str) -> int:
    try:
        return msgspec.json.decode(body, type=_Versioned).v
    except msgspec.MsgspecError:
        return 0
