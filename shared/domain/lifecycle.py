"""A VM that has a protected item already: leave it, change it, or ask a person (rows F15, F34-F38).

Nothing here reduces protection. Anything that would reduce, move, or cannot be taken back needs a
consent: of the rules where they can give it for all, of a person for one VM where they cannot.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import lifecycle_findings as said
from shared.domain.catalogue import finding
from shared.domain.decisions import (
    AlreadyProtected,
    Block,
    ChangePolicy,
    Decision,
    Resume,
    Undelete,
    Wait,
)
from shared.domain.findings import Finding
from shared.domain.model import Policy, PolicyKind, ProtectedItem, ProtectionState, Snapshot
from shared.domain.placement import Place, Placed, candidates, own_item
from shared.domain.records import DecisionKind, PersonDecision
from shared.domain.remedies import lifecycle as remedy
from shared.domain.selection import Match, in_force
from shared.domain.states import State
from shared.domain.strength import weaker

CONFIGURES = timedelta(minutes=5)  # somebody else's enable takes up to that (facts §1.6)
FLAPS = 2
FLAP_WINDOW = timedelta(days=7)
_STOPPED = frozenset({ProtectionState.STOPPED, ProtectionState.PAUSED, ProtectionState.SUSPENDED})

type Found = tuple[Decision, tuple[Finding, ...]]


def existing(
    snapshot: Snapshot,
    match: Match,
    placed: Placed,
    people: tuple[PersonDecision, ...],
    now: datetime,
) -> Found | None:
    """Say what to do with the item this VM has; None if it has none in any vault in scope."""
    mine = [
        item
        for item in snapshot.items
        if item.source in {None, snapshot.id} and item.state is not ProtectionState.FAILED
    ]  # an item whose configuring failed protects nothing and hinders nothing: it is tried anew
    if not mine:
        return None
    chosen = tuple(one.vault for one in candidates(match, snapshot))
    here = own_item(replace(snapshot, items=tuple(mine)), chosen)
    item = here if here is not None else min(mine, key=_liveliest)
    if other := _another_vm(snapshot, item, people, now):
        return Block(), (said.recreated(item, other),)
    if item.state is ProtectionState.CONFIGURING:
        return Wait(until=now + CONFIGURES, why=f"being configured in {item.vault.name}"), ()
    if item.state is ProtectionState.SOFT_DELETED:
        return _soft_deleted(match, item, people, now, elsewhere=here is None)
    if item.state in _STOPPED:
        return _stopped(snapshot, match, item, placed, people, now, elsewhere=here is None)
    if here is None:
        return AlreadyProtected(item=item, elsewhere=True), (
            said.elsewhere(item),
            *said.in_error(item),
        )
    if not isinstance(placed, Place) or item.policy == placed.policy.id:
        return AlreadyProtected(item=item, elsewhere=False), said.in_error(item)
    decision, found = _other_policy(snapshot, match, item, placed, people, now)
    return decision, (*found, *said.in_error(item))


def _other_policy(
    snapshot: Snapshot,
    match: Match,
    item: ProtectedItem,
    placed: Place,
    people: tuple[PersonDecision, ...],
    now: datetime,
) -> Found:
    """The rules want another policy: change to it only if nothing gets weaker."""
    target = placed.policy
    undone = [at for at in snapshot.past.undone_by_others if now - at < FLAP_WINDOW]
    if len(undone) >= FLAPS:
        return AlreadyProtected(item=item, elsewhere=False), (said.contended(item, target, undone),)
    known = snapshot.policies.get(item.vault.key, ())
    old = next((policy for policy in known if policy.id == item.policy), None)
    shrinks = (
        weaker(old, target)
        if old is not None
        else (f"policy {item.policy_name or 'unknown'} cannot be read, so it counts as stronger",)
    )
    consent = _consent(people, DecisionKind.CONSENT_WEAKER, target, now)
    if shrinks and consent is None:
        return AlreadyProtected(item=item, elsewhere=False), (
            said.made_weaker(snapshot, item, old, target, shrinks),
        )
    one_way = (
        old is not None and old.kind is PolicyKind.STANDARD and target.kind is PolicyKind.ENHANCED
    )
    if one_way and not match.options.standard_to_enhanced:
        door = _consent(people, DecisionKind.CONSENT_ENHANCED, target, now)
        if door is None:
            return AlreadyProtected(item=item, elsewhere=False), (
                said.one_way(snapshot, item, target),
            )
        consent = consent or door
    return (
        ChangePolicy(
            item=item,
            policy=target,
            consent=consent.by if consent is not None else "rules",
            excluded_luns=placed.excluded_luns,
        ),
        (),
    )


def _soft_deleted(
    match: Match,
    item: ProtectedItem,
    people: tuple[PersonDecision, ...],
    now: datetime,
    *,
    elsewhere: bool,
) -> Found:
    consent = _consent(people, DecisionKind.CONSENT_UNDELETE, None, now)
    if consent is not None and not elsewhere:
        return Undelete(item=item, consent=consent.by), ()
    if match.options.undelete and not elsewhere:
        return Undelete(item=item, consent="rules"), ()
    left = ""
    if item.deferred_delete is not None:
        left = f", gone for good in {max((item.deferred_delete - now).days, 0)} days"
    return Block(state=State.SOFT_DELETED), (
        finding(
            "SOFT_DELETED",
            text="Somebody deleted this VM's backups; they are kept for a while and block a new "
            "enrollment until they are undeleted or gone.",
            evidence=f"soft-deleted in vault {item.vault.name}{left}",
            remedies=remedy.soft_deleted(item),
        ),
    )


def _stopped(
    snapshot: Snapshot,
    match: Match,
    item: ProtectedItem,
    placed: Placed,
    people: tuple[PersonDecision, ...],
    now: datetime,
    *,
    elsewhere: bool,
) -> Found:
    allowed = next(
        (
            one
            for kind in (DecisionKind.CONSENT_RESUME, DecisionKind.CONSENT_UNDELETE)
            if (one := _consent(people, kind, None, now)) is not None
        ),
        None,
    )
    if isinstance(placed, Place) and not elsewhere:
        if allowed is not None:
            return Resume(
                item=item,
                policy=placed.policy,
                consent=allowed.by,
                excluded_luns=placed.excluded_luns,
            ), ()
        if match.options.resume_stopped or (match.options.undelete and item.policy is None):
            less = _less_than_before(snapshot, item, placed.policy, people, now)
            if less is not None:
                return Block(state=State.STOPPED), (said.left_stopped(item), less)
            return Resume(
                item=item,
                policy=placed.policy,
                consent="rules",
                excluded_luns=placed.excluded_luns,
            ), ()
    return Block(state=State.STOPPED), (said.left_stopped(item),)


def _less_than_before(
    snapshot: Snapshot,
    item: ProtectedItem,
    target: Policy,
    people: tuple[PersonDecision, ...],
    now: datetime,
) -> Finding | None:
    """Say what rules may not consent to: resuming under less than the VM had before it was stopped.

    Its recovery points are kept while it is stopped, and a shorter retention would cut them.
    """
    known = snapshot.policies.get(item.vault.key, ())
    old = next((policy for policy in known if policy.id == snapshot.past.policy), None)
    shrinks = weaker(old, target) if old is not None else ()
    if not shrinks or _consent(people, DecisionKind.CONSENT_WEAKER, target, now) is not None:
        return None
    return said.made_weaker(snapshot, item, old, target, shrinks)


def _liveliest(item: ProtectedItem) -> tuple[bool, bool, str]:
    return (
        item.state is ProtectionState.SOFT_DELETED,
        item.state in _STOPPED,
        item.id.key,
    )


def _consent(
    people: tuple[PersonDecision, ...], kind: DecisionKind, policy: Policy | None, now: datetime
) -> PersonDecision | None:
    """Give the consent in force; a consent to a policy counts for that policy only."""
    given = in_force(people, kind)
    if given is None or (given.until is not None and given.until <= now):
        return None
    if policy is not None and given.policy.lower() not in {
        str(policy.id).lower(),
        policy.name.lower(),
    }:
        return None
    return given


def _another_vm(
    snapshot: Snapshot, item: ProtectedItem, people: tuple[PersonDecision, ...], now: datetime
) -> str:
    """Say how the item shows to be of an earlier VM of this name; "" if it does not (facts §10).

    Items carry no vmId. Ours are told by the ledger's; others by a VM that is younger than the
    item's last recovery point. Somebody may have consented, for this VM and not the one before.
    """
    vm, past = snapshot.vm, snapshot.past
    if vm is None or past.uid == vm.uid:
        return ""
    if past.uid:
        why = f"belongs to vmId {past.uid}, the VM is {vm.uid}"
    elif vm.created and item.last_recovery_point and item.last_recovery_point < vm.created:
        why = (
            f"has its last recovery point of {item.last_recovery_point:%Y-%m-%d %H:%M} UTC, the VM"
            f" was created on {vm.created:%Y-%m-%d %H:%M} UTC"
        )
    else:
        return ""
    agreed = _consent(people, DecisionKind.CONSENT_RESUME, None, now)
    if agreed is not None and (vm.created is None or agreed.at >= vm.created):
        return ""
    return why


def moved_here(
    snapshot: Snapshot, people: tuple[PersonDecision, ...], now: datetime
) -> Finding | None:
    """Say that the VM's recovery points lie under another id; None once a person has consented.

    Azure leaves the item where it is when a VM moves to another group or subscription. To enroll
    the VM again would be a second item that is paid for, and the first would be forgotten.
    """
    left = snapshot.past.moved
    if left is None or _consent(people, DecisionKind.CONSENT_RESUME, None, now) is not None:
        return None
    return finding(
        "MOVED",
        text="The VM was moved to another resource group or subscription. Its recovery points stay"
        " with the item of its former id, which makes no new ones.",
        evidence=f"was {left.source}, is {snapshot.id}; item in vault {left.vault.name}",
        remedies=remedy.moved(left),
    )
