"""A closer look: what only some VMs need to have read, between `gather` and the last word.

Each part costs calls and is asked for only where it can matter: the network where a rule or an
error wants it, Azure's list of regions where no vault was found, Azure's own validation where a
rule allows the write and nothing else stands in the way. Locks come from one list per
subscription. All of that but the validation is optional: what cannot be read stays unknown. Whether
a VM was enrolled under another id is asked of the ledger before it is enrolled.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.decide import decide
from shared.domain.decisions import Enroll
from shared.domain.faultbook import FaultClass, class_of
from shared.domain.ids import ArmId
from shared.domain.model import (
    Lock,
    NetworkPath,
    ProtectedItem,
    ProtectionState,
    Reachability,
    Snapshot,
    Validation,
    Vm,
)
from shared.domain.network import network_path, of_vm
from shared.domain.placement import candidates
from shared.domain.readiness import network_wanted
from shared.domain.records import DecisionKind, PersonDecision, Row
from shared.domain.rules import Rules
from shared.domain.selection import Match, in_force, select
from shared.errors import AzureFault, BadArmId
from shared.ledger_rows import enrolled_under
from shared.ports import Ports

FRESH = timedelta(minutes=10)  # a VM so young was nowhere else
GOOD_FOR = timedelta(hours=6)  # how long Azure's answer is not asked for anew
PASSING_GOOD_FOR = timedelta(minutes=10)  # where its code says that the cause may pass by itself
_PASSING = frozenset({FaultClass.TRANSIENT, FaultClass.WAIT, FaultClass.CONFLICT})


async def closer_look(
    ports: Ports,
    snapshot: Snapshot,
    row: Row | None,
    rules: Rules,
    people: tuple[PersonDecision, ...],
    *,
    may_write: bool = True,
) -> Snapshot:
    """Give the snapshot with what this VM needs besides.

    Args:
        ports: where to read.
        snapshot: what `gather` gave.
        row: the ledger's, which knows what Azure said before.
        rules: in force.
        people: decisions about this VM.
        may_write: whether a call that draws on the ARM writes may be spent (a page's reader
            may not: the answer of the latest reconcile is used).

    Raises:
        AzureFault: Azure's own validation, which the rule wants, could not be had; or whether the
            VM was moved.

    """
    vm, match = snapshot.vm, select(rules, snapshot, people, snapshot.at)
    if vm is None or not isinstance(match, Match):
        return snapshot
    if (moved := await _moved(ports, snapshot, vm)) is not None:
        snapshot = replace(snapshot, past=replace(snapshot.past, moved=moved))
    snapshot = replace(snapshot, locks=await _locks(ports, snapshot.id))
    if network_wanted(snapshot, match):
        snapshot = replace(snapshot, network=await _network(ports, vm))
    if not candidates(match, snapshot):
        snapshot = replace(snapshot, backup_regions=await _regions(ports, snapshot.id))
    if match.options.pre_validate:
        snapshot = replace(snapshot, validation=_known(row, vm))
        if may_write:
            snapshot = await _validated(ports, snapshot, rules, people)
    return snapshot


async def _moved(ports: Ports, snapshot: Snapshot, vm: Vm) -> ProtectedItem | None:
    """Give the item that this VM left behind when it moved from another group or subscription."""
    young = vm.created is not None and snapshot.at - vm.created < FRESH
    if young or snapshot.past.uid or snapshot.items:
        return None
    known = await ports.ledger.noted(enrolled_under(vm.uid))
    if not known or (former := ArmId.parse(known)) == snapshot.id:
        return None
    left = next(
        (
            item
            for item in await ports.index.named(former)
            if item.source == former and item.state is not ProtectionState.SOFT_DELETED
        ),
        None,
    )
    if left is not None and await ports.machines.machine(former) is not None:
        return None  # it is there: not this VM
    return left


async def _locks(ports: Ports, vm: ArmId) -> tuple[Lock, ...] | None:
    try:
        return await ports.estate.locks(vm)
    except AzureFault:
        return None  # an optional right


async def _network(ports: Ports, vm: Vm) -> NetworkPath:
    try:
        found = await ports.networks.interfaces(vm)
    except AzureFault as fault:
        return _unknown(f"the network could not be read: {fault.code or fault.status}")
    path = of_vm(network_path(one, vm.location) for one in found)
    if path is None:
        return _unknown("no network interface with an address was found")
    return replace(path, lost=tuple(words for one in found for words in one.lost))


def _unknown(why: str) -> NetworkPath:
    return NetworkPath(answer=Reachability.UNKNOWN, decided_by=why)


async def _regions(ports: Ports, vm: ArmId) -> frozenset[str] | None:
    try:
        return await ports.directory.regions(vm.subscription)
    except AzureFault:
        return None


async def _validated(
    ports: Ports, snapshot: Snapshot, rules: Rules, people: tuple[PersonDecision, ...]
) -> Snapshot:
    """Ask Azure itself, once everything else says yes and unless it was asked a while ago."""
    vm, known = snapshot.vm, snapshot.validation
    without = replace(snapshot, validation=None)
    verdict = decide(without, rules, people, snapshot.at, day_cap=ports.settings.place_cap)
    if vm is None or not isinstance(verdict.decision, Enroll):
        return snapshot
    vault = verdict.decision.vault.id
    if known is not None and known.vault == vault and _still_good(known, people, snapshot.at):
        return snapshot
    asked = await ports.backup.pre_validate(snapshot.id, vm.location, vault)
    return replace(snapshot, validation=asked)


def _still_good(known: Validation, people: tuple[PersonDecision, ...], now: datetime) -> bool:
    retry = in_force(people, DecisionKind.RETRY)
    if retry is not None and retry.at > known.at:
        return False
    passes = bool(known.code) and class_of(known.code) in _PASSING
    return now - known.at < (PASSING_GOOD_FOR if passes else GOOD_FOR)


def _known(row: Row | None, vm: Vm) -> Validation | None:
    """Give what Azure said of this very VM the last time."""
    if row is None or row.validation is None or row.uid != vm.uid:
        return None
    said = row.validation
    try:
        vault = ArmId.parse(said.vault)
    except BadArmId:
        return None
    return Validation(
        vault=vault,
        at=said.at,
        code=said.code,
        message=said.message,
        recommendation=said.recommendation,
    )
