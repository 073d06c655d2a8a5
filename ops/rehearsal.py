"""A rehearsal of the whole estate: what would be decided for every VM, and nothing written.

The same `gather` and `decide` as in the service. What differs is that a plan decides thousands of
VMs before any is enrolled, so the places it has given away are added to the room of each vault
before the next VM is decided: plan and real run spread alike.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from shared.closer_look import closer_look
from shared.domain.decide import decide
from shared.domain.decisions import ChangePolicy, Enroll, Resume, Undelete, Verdict
from shared.domain.findings import Severity
from shared.domain.guard import describe, held_back
from shared.domain.ids import ArmId
from shared.domain.messages import Cause
from shared.domain.model import Room, Snapshot
from shared.domain.records import PersonDecision, Row
from shared.domain.rules import Rules
from shared.errors import AzureFault, BadWish
from shared.gather import gather
from shared.ports import Ports, SeenVm

ABREAST = 8  # VMs read at once, as many as the governor lets wait in line; it paces what leaves
BATCH = 256

type Wanted = Callable[[SeenVm], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would be done about one VM. ``held`` says why it would not be done now."""

    vm: str
    decision: str
    would: str = ""
    held: str = ""
    vault: str = ""
    policy: str = ""
    rule: str = ""
    findings: tuple[str, ...] = ()
    why: str = ""
    place: str = ""  # id of the vault, for those who compare

    @property
    def changes(self) -> bool:
        return bool(self.would)

    def row(self) -> dict[str, Any]:
        names = ("vm", "decision", "would", "held", "vault", "policy", "rule", "findings", "why")
        return {name: getattr(self, name) for name in names}


class Given:
    """Places that the rehearsal has given away."""

    def __init__(self) -> None:
        self.vaults: Counter[str] = Counter()
        self.policies: dict[str, Counter[str]] = {}

    def take(self, vault: str, policy: str) -> None:
        self.vaults[vault] += 1
        self.policies.setdefault(vault, Counter())[policy] += 1

    def room(self, known: Mapping[str, Room]) -> dict[str, Room]:
        """Give the room that is left after them."""
        found: dict[str, Room] = {}
        for vault, room in known.items():
            per_policy = Counter(dict(room.per_policy)) + self.policies.get(vault, Counter())
            found[vault] = Room(
                items=room.items + self.vaults[vault],
                today=room.today + self.vaults[vault],
                per_policy=dict(per_policy),
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One VM with everything it was decided from; ``verdict`` None: it could not be found out."""

    planned: Planned
    snapshot: Snapshot | None


async def rehearse(
    ports: Ports,
    *,
    subscriptions: Sequence[str] = (),
    wanted: Wanted = lambda _: True,
    cause: Cause = Cause.SWEEP,
    rules: Rules | None = None,
) -> AsyncIterator[Rehearsed]:
    """Decide every VM in scope, in an order that a VM's place in the list has no part in."""
    rules = rules or await ports.rules.current()
    people = await decisions(ports)
    given = Given()
    for subscription in await _served(ports, subscriptions):
        rows = {
            ArmId.parse(row.vm).key: row
            async for page in ports.ledger.subscription_rows(subscription)
            for row in page
        }
        vms = [vm async for vm in walked(ports, subscription) if wanted(vm)]
        vms.sort(key=lambda vm: sha256(vm.id.key.encode("utf-8", "surrogatepass")).digest())
        for start in range(0, len(vms), BATCH):
            some = vms[start : start + BATCH]
            gathered = await _gathered(ports, some, rows, rules, people)
            for vm, found in zip(some, gathered, strict=True):
                if isinstance(found, AzureFault):
                    why = f"{found.operation} {found.code or found.status}"
                    planned = Planned(vm=str(vm.id), decision="NotFoundOut", why=why)
                    yield Rehearsed(planned=planned, snapshot=None)
                    continue
                world = replace(found, room=given.room(found.room))
                verdict = decide(
                    world,
                    rules,
                    people.get(vm.id.key, ()),
                    ports.clock.now(),
                    day_cap=ports.settings.place_cap,
                )
                row = rows.get(vm.id.key)
                let_in = cause is Cause.BACKFILL or (row is not None and row.let_in)
                planned = _planned(ports, world, verdict, let_in=let_in)
                if isinstance(verdict.decision, Enroll):
                    placed = verdict.decision
                    given.take(placed.vault.id.key, placed.policy.id.key)
                yield Rehearsed(planned=planned, snapshot=found)


async def _served(ports: Ports, wanted: Sequence[str]) -> Sequence[str]:
    """Give the subscriptions to walk; a misspelt one would look like an empty one."""
    served = await ports.estate.subscriptions()
    chosen = [one.lower() for one in wanted]
    if unknown := sorted(set(chosen) - {one.lower() for one in served}):
        raise BadWish(f"not among the subscriptions served: {', '.join(unknown)}")
    return chosen or served


async def walked(ports: Ports, subscription: str) -> AsyncIterator[SeenVm]:
    """Walk the VMs of a subscription."""
    cursor = ""
    while True:
        page = await ports.estate.vms(subscription, cursor)
        for vm in page.rows:
            yield vm
        if not page.cursor:
            return
        cursor = page.cursor


async def decisions(ports: Ports) -> dict[str, tuple[PersonDecision, ...]]:
    """Read all decisions of people, by VM."""
    found: dict[str, list[PersonDecision]] = {}
    async for page in ports.people.all():
        for one in page:
            found.setdefault(ArmId.parse(one.vm).key, []).append(one)
    return {key: tuple(made) for key, made in found.items()}


async def _gathered(
    ports: Ports,
    vms: Sequence[SeenVm],
    rows: Mapping[str, Row],
    rules: Rules,
    people: Mapping[str, tuple[PersonDecision, ...]],
) -> list[Snapshot | AzureFault]:
    gate = asyncio.Semaphore(ABREAST)

    async def one(vm: SeenVm) -> Snapshot | AzureFault:
        async with gate, _turn(ports, vm.id.subscription):
            try:
                row, decided = rows.get(vm.id.key), people.get(vm.id.key, ())
                found = await gather(ports, vm.id, row, ports.clock.now())
                return await closer_look(ports, found, row, rules, decided, may_write=False)
            except AzureFault as fault:
                return fault

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(vm)) for vm in vms]
    return [task.result() for task in tasks]


@asynccontextmanager
async def _turn(ports: Ports, subscription: str) -> AsyncIterator[None]:
    """Wait for the governor's word, like every reconcile, and say when the look is over."""
    while True:
        seconds = await ports.pace.slot(subscription, urgent=False)
        if not seconds:
            break
        await asyncio.sleep(ports.clock.real_seconds(seconds))
    try:
        yield
    finally:
        ports.pace.done(subscription)


def _planned(ports: Ports, world: Snapshot, verdict: Verdict, *, let_in: bool) -> Planned:
    decision = verdict.decision
    vault = policy = would = held = place = ""
    match decision:
        case Enroll():
            vault, policy = decision.vault.name, decision.policy.name
            place = str(decision.vault.id)
        case ChangePolicy() | Resume():
            vault, policy = decision.item.vault.name, decision.policy.name
        case Undelete():
            vault = decision.item.vault.name
    if isinstance(decision, Enroll | ChangePolicy | Resume | Undelete):
        would = describe(decision)
        held = held_back(
            observing=ports.settings.observing,
            since=ports.settings.enroll_since,
            let_in=let_in,
            created=world.vm.created if world.vm is not None else None,
        )
    return Planned(
        vm=str(world.id),
        decision=verdict.kind,
        would=would,
        held=held,
        vault=vault,
        place=place,
        policy=policy,
        rule=verdict.rule,
        findings=tuple(
            one.code for one in verdict.findings if one.severity is not Severity.ADVISORY
        ),
        why="; ".join(verdict.why) or _reason(decision, ports.clock.now()),
    )


def _reason(decision: object, now: datetime) -> str:
    """Say in words what a decision without a rule goes by."""
    said = getattr(decision, "reason", "") or getattr(decision, "why", "")
    until = getattr(decision, "until", None)
    if isinstance(until, datetime) and until > now:
        return f"{said} until {until:%Y-%m-%d %H:%M} UTC"
    return str(said)
