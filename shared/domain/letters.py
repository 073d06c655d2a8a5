"""What a channel is asked to send: plain values, no markup, not yet in any language.

Everything in a letter that comes from Azure or from tags is attacker text; the channels escape it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

import msgspec

from shared.domain.deliveries import Delivery, Kind, Target
from shared.domain.findings import Finding
from shared.domain.ids import ArmId
from shared.domain.notices import OPERATORS, Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One VM (or one trouble of the service) as it is told."""

    notice: str  # id of the notice, the same on every message about this episode
    kind: Kind
    vm: ArmId | None  # None: about the service itself
    title: str  # name of the VM, or code of the trouble
    findings: tuple[Finding, ...]
    since: datetime
    region: str = ""
    rule: str = ""
    owner: str = ""  # where the recipients come from
    next_step: str = ""
    ended: datetime | None = None
    how: str = ""
    portal: str = ""  # links; "" if there is none
    page: str = ""
    flaps: int = 0


ANNOUNCEMENT = "outcome:"  # begins the key of an outcome's row


class Happened(StrEnum):
    """The outcomes machines may subscribe to."""

    ENROLLED = "enrolled"
    BLOCKED = "blocked"
    WAITING = "waiting-too-long"
    PROTECTED = "protected"
    ORPHANED = "orphaned"
    RESOLVED = "resolved"


class Announcement(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="outcome"):
    """One outcome on its way to the topic: an outbox row that goes once it is told."""

    key: str
    what: Happened
    vm: str
    at: datetime
    delivery: Delivery
    details: dict[str, str] = {}
    due_at: datetime | None = None
    trace: str = ""
    v: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to one recipient. ``key`` is the same for every repeat of the same attempt."""

    id: str
    key: str
    kind: Kind
    to: Target
    at: datetime
    stories: tuple[Story, ...] = ()
    language: str = "en"
    attempt: int = 1  # of this key
    announcement: Announcement | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where notices point to. A link carries no rights; a GET changes nothing (F46)."""

    portal: str = ""
    tenant: str = ""
    page: str = ""

    def to_portal(self, vm: ArmId) -> str:
        return f"{self.portal}/#@{self.tenant}/resource{vm.path()}" if self.portal else ""

    def to_page(self, vm: ArmId) -> str:
        if not self.page:
            return ""
        return f"{self.page.rstrip('/')}/api/coverage/vm?id={quote(str(vm), safe='')}"


def story(notice: Notice, kind: Kind, links: Links) -> Story:
    """Tell a notice as it stands now."""
    vm = notice.vm_id
    return Story(
        notice=notice.id,
        kind=kind,
        vm=vm,
        title=vm.name if vm else notice.key.removeprefix(OPERATORS),
        findings=notice.findings,
        since=notice.opened_at,
        region=notice.region,
        rule=notice.rule,
        owner=notice.owner,
        next_step=notice.next_step,
        ended=notice.resolved_at,
        how=notice.how,
        portal=links.to_portal(vm) if vm else "",
        page=links.to_page(vm) if vm else "",
        flaps=notice.flaps,
    )


def letter(
    delivery: Delivery, stories: tuple[Story, ...], *, language: str, now: datetime, trace: str = ""
) -> Letter:
    """Address stories to the delivery's present target. One story is never a digest."""
    return Letter(
        id=delivery.id,
        key=delivery.key,
        kind=stories[0].kind if len(stories) == 1 else delivery.kind,
        to=delivery.target,
        at=now,
        stories=stories,
        language=language,
        attempt=1 + delivery.uncertain + delivery.throttled,
        trace=trace,
    )
