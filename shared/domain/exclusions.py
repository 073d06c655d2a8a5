"""Governed reasons not to enroll: of the rules, of a person, or of a tag where rules allow it.

Each has an owner, a reason and an end. One that has ended lets the VM be enrolled and says so
(row F28); a tag excludes for at most its `max_days` (DESIGN §3.18).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.domain.catalogue import finding
from shared.domain.findings import Finding
from shared.domain.model import Snapshot
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.remedies import tags as tag_remedies
from shared.domain.rules import Rules
from shared.domain.rules.selectors import EffectiveTags, Traits
from shared.domain.spelling import plain

REMINDED = timedelta(days=7)  # before the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A governed reason not to enroll.

    ``since`` is set for a tag's exclusion: the caller keeps it (``Past.tag_excluded_since``), so
    that ``max_days`` counts from the first time and not from every look.
    """

    by: str  # "rule NAME", "decision", "tag NAME"
    owner: str
    reason: str
    until: datetime | None
    since: datetime | None = None
    self_excluded: bool = False
    began: datetime | None = None  # None: not known

    @property
    def reminder(self) -> datetime | None:
        """When to say that it ends; None: it has no end, or was as short as that from the start."""
        if self.until is None or (self.began is not None and self.until - self.began <= REMINDED):
            return None
        return self.until - REMINDED


def in_force(decisions: Iterable[PersonDecision], kind: DecisionKind) -> PersonDecision | None:
    """Give the latest decision of a kind that nobody took back, expired or not."""
    made = list(decisions)
    revoked = {one.revokes for one in made if one.kind is DecisionKind.REVOKE and one.revokes}
    valid = [one for one in made if one.kind is kind and one.key not in revoked]
    return max(valid, key=lambda one: one.at, default=None)


def excluded(
    rules: Rules,
    snapshot: Snapshot,
    traits: Traits,
    tags: EffectiveTags,
    decisions: tuple[PersonDecision, ...],
    now: datetime,
) -> tuple[Exclusion | None, tuple[Finding, ...]]:
    """Give the exclusion in force, or findings about those that ended."""
    expired: list[Finding] = []
    if decision := in_force(decisions, DecisionKind.EXCLUDE):
        if decision.until is None or now < decision.until:
            return (
                Exclusion(
                    by="decision",
                    owner=decision.by,
                    reason=decision.reason,
                    until=decision.until,
                    began=decision.at,
                ),
                (),
            )
        expired.append(_expired("the decision", decision.by, decision.reason, decision.until))
    for ready in rules.exclusions:
        if not ready.when.test(traits):
            continue
        one = ready.exclusion
        until = _end_of(one.expires)
        if now < until:
            return (
                Exclusion(by=f"rule {one.name}", owner=one.owner, reason=one.reason, until=until),
                (),
            )
        expired.append(_expired(f"exclusion {one.name}", one.owner, one.reason, until))
    own = _tag_exclusion(rules, snapshot, traits, tags, now)
    if isinstance(own, Exclusion):
        return own, ()
    return None, (*expired, *own)


def _tag_exclusion(
    rules: Rules, snapshot: Snapshot, traits: Traits, tags: EffectiveTags, now: datetime
) -> Exclusion | tuple[Finding, ...]:
    found: tuple[Finding, ...] = ()
    for ready in rules.tag_exclusions:
        tag = tags.get(ready.key)
        if tag is None or not ready.excludes(plain(tag.value)) or not ready.when.test(traits):
            continue
        since = snapshot.past.tag_excluded_since or now
        until = since + timedelta(days=ready.exclusion.max_days)
        reason = f"tag {tag.name}={tag.value}"[:200] + tag.whence
        owner = tags["owner"].value[:200] if "owner" in tags else "the VM's owner"
        if now < until:
            return Exclusion(
                by=f"tag {tag.name}",
                owner=owner,
                reason=reason,
                until=until,
                since=since,
                self_excluded=True,
                began=since,
            )
        found = (*found, _expired(f"the exclusion by tag {tag.name}", owner, reason, until))
    return found


def ending(one: Exclusion) -> Finding:
    """Say some days before that an exclusion ends."""
    day = one.until.date().isoformat() if one.until else ""
    return finding(
        "EXCLUSION_ENDING",
        text="This VM's exclusion ends soon; it is enrolled by itself then.",
        evidence=f"{one.by} of {one.owner} ends {day}: {one.reason}"[:400],
        remedies=(tag_remedies.renew_exclusion(),),
    )


def _expired(what: str, owner: str, reason: str, until: datetime | None) -> Finding:
    day = until.date().isoformat() if until else ""
    return finding(
        "EXCLUSION_EXPIRED",
        text=f"{what[0].upper()}{what[1:]} has ended, so this VM is enrolled again.",
        evidence=f"{what} of {owner} ended {day}: {reason}"[:400],
        remedies=(tag_remedies.renew_exclusion(),),
    )


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
