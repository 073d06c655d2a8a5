"""Ensure: make vaults and policies what the rules declare (rows S2, S6, F26). For operators only.

`plan` reads and compares, `apply` carries a plan out step by step. Azure takes about 50 policy
edits a day per vault: ours are counted in the ledger's notes, a run stops at the limit, and the
next run goes on where this one ended, since a plan only holds what still differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.domain.ids import ArmId
from shared.domain.limits import LIMITS
from shared.domain.model import region_of
from shared.domain.policycode import Create, Keep, Plan, Refuse, Update
from shared.domain.policycode import plan as compare
from shared.domain.rules import Rules
from shared.domain.vaultcode import (
    MakeVault,
    VaultDiffers,
    as_vault,
    differences,
    lacking,
    policies_by_vault,
    vault_id,
)
from shared.errors import AzureFault
from shared.ports import Ports

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyIn:
    """One declared policy in one vault, and what it takes."""

    vault: ArmId
    plan: Plan

    @property
    def policy(self) -> ArmId:
        return policy_in(self.vault, self.plan.name)

    @property
    def writes(self) -> bool:
        return isinstance(self.plan, Create | Update)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Everything between what is there and what is declared, in the order of doing."""

    vaults: tuple[MakeVault, ...] = ()
    differing: tuple[VaultDiffers, ...] = ()
    uncovered: tuple[str, ...] = ()  # regions with VMs and no vault, where making one is not on
    policies: tuple[PolicyIn, ...] = ()

    @property
    def refused(self) -> tuple[PolicyIn, ...]:
        return tuple(one for one in self.policies if isinstance(one.plan, Refuse))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A vault or policy was written."""

    resource: ArmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Azure refused; what hangs on it was not tried."""

    resource: ArmId
    fault: AzureFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Tomorrow:
    """The vault has had its edits of the last 24 hours; run again after ``at``."""

    vault: ArmId
    left: int
    at: datetime


type Outcome = Done | Failed | Tomorrow


# --- plan ----------------------------------------------------------------------------------------


async def plan(
    ports: Ports, *, may_shorten: Collection[str] = (), only: Collection[str] = ()
) -> Needed:
    """Compare what the rules declare with what is there. Changes nothing.

    Args:
        ports: rules, directory, estate and setup.
        may_shorten: policies whose retention the caller knowingly cuts.
        only: names of vaults to look at; none: all.

    Raises:
        AzureFault: something could not be read.
        BadRules: there are no good rules.

    """
    rules = await ports.rules.current()
    ports.directory.forget()
    known = await ports.directory.vaults()
    declared = _declared(rules)
    lacks, uncovered = lacking(rules, (*known, *map(as_vault, declared)), await _living(ports))
    wanted = [one for one in (*declared, *lacks) if not only or one.vault.name in only]
    making, differing = await _compared(ports, wanted)
    policies: list[PolicyIn] = []
    for vault, names in policies_by_vault(rules, (*known, *map(as_vault, making))):
        if only and vault.name not in only:
            continue
        new = any(one.vault == vault.id for one in making)
        for name in names:
            policy = next(one for one in rules.content.declared.policies if one.name == name)
            there = None if new else await ports.setup.policy(policy_in(vault.id, name))
            policies.append(
                PolicyIn(vault=vault.id, plan=compare(policy, there, may_shorten=may_shorten))
            )
    return Needed(vaults=making, differing=differing, uncovered=uncovered, policies=tuple(policies))


def _declared(rules: Rules) -> tuple[MakeVault, ...]:
    return tuple(
        MakeVault(
            vault=vault_id(one.subscription, one.group, one.name),
            region=region_of(one.region),
            hardening=one.hardening,
            because="declared",
        )
        for one in rules.content.declared.vaults
    )


async def _compared(
    ports: Ports, wanted: Iterable[MakeVault]
) -> tuple[tuple[MakeVault, ...], tuple[VaultDiffers, ...]]:
    """Tell vaults that are to be made from those that are there; a list of vaults may be old."""
    making: list[MakeVault] = []
    differing: list[VaultDiffers] = []
    for one in wanted:
        there = await ports.setup.vault(one.vault)
        if there is None:
            making.append(one)
        elif found := tuple(differences(there, one.region, one.hardening)):
            differing.append(VaultDiffers(vault=one.vault, differences=found))
    return tuple(making), tuple(differing)


async def _living(ports: Ports) -> Counter[tuple[str, str]]:
    """Count the VMs of every subscription and region."""
    found: Counter[tuple[str, str]] = Counter()
    for subscription in await ports.estate.subscriptions():
        cursor = ""
        while True:
            page = await ports.estate.vms(subscription, cursor)
            found.update((subscription.lower(), region_of(vm.location)) for vm in page.rows)
            cursor = page.cursor
            if not cursor:
                break
    return found


def policy_in(vault: ArmId, name: str) -> ArmId:
    """Give the id of a policy."""
    return vault.child("backupPolicies", name)


# --- apply ---------------------------------------------------------------------------------------


async def apply(ports: Ports, needed: Needed) -> AsyncIterator[Outcome]:
    """Carry a plan out, vaults first; give what became of each step as it ends.

    What is refused is left out; a vault that could not be made, or that refuses a policy, gets no
    further one in this run.
    """
    stopped: set[ArmId] = set()
    for one in needed.vaults:
        try:
            await ports.setup.put_vault(one.vault, one.region, one.hardening)
        except AzureFault as fault:
            stopped.add(one.vault)
            yield Failed(resource=one.vault, fault=fault)
            continue
        yield Done(resource=one.vault)
    steps = [one for one in needed.policies if one.writes]
    for at, step in enumerate(steps):
        if step.vault in stopped:
            continue
        if (free_at := await _counted(ports, step.vault)) is not None:
            stopped.add(step.vault)
            left = sum(one.vault == step.vault for one in steps[at:])
            yield Tomorrow(vault=step.vault, left=left, at=free_at)
            continue
        try:
            await ports.setup.put_policy(step.policy, _body(step.plan))
        except AzureFault as fault:
            stopped.add(step.vault)
            yield Failed(resource=step.policy, fault=fault)
            continue
        yield Done(resource=step.policy)
    ports.directory.forget()


def _body(step: Plan) -> Mapping[str, Any]:
    match step:
        case Create(body=body) | Update(body=body):
            return body
        case Keep() | Refuse():
            raise AssertionError("only what differs and is allowed is written")


async def _counted(ports: Ports, vault: ArmId) -> datetime | None:
    """Count one policy edit; or give the time when the next one is free. Too many is the safe side."""
    now, note = ports.clock.now(), f"policy-edits {vault.key}"
    noted = await ports.ledger.noted(note)
    edits = msgspec.json.decode(noted, type=list[datetime]) if noted else []
    recent = [at for at in edits if now - at < A_DAY]
    most = LIMITS.number("policy_edits_per_day")
    if len(recent) >= most:
        return recent[-most] + A_DAY
    await ports.ledger.note(note, msgspec.json.encode([*recent, now]).decode())
    return None
