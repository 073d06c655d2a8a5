"""A few hours in the life of a house: every kind of change, refusal and waiting happens once.

Told by the clock, so that the same story can be told with and without trouble on the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from shared.domain.ids import ArmId, item_of
from shared.domain.model import ProtectionState
from shared.domain.records import DecisionKind, PersonDecision
from shared.errors import AzureFault, Disposition
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
FAR = worlds.vault("rsv-kr", location="koreacentral")
HOUR = 3600.0
STEP = 30.0
ENDS = 5.2 * HOUR
AGED = 900.0  # seconds after which the index is loaded anew

plain = worlds.vm("plain", uid="u-plain")
agent = worlds.vm("agent", uid="u-agent")
fat = worlds.vm("fat", uid="u-fat", data_disks=worlds.data_disks(33))
far = worlds.vm("far", uid="u-far", location="koreacentral")
rising = worlds.vm("rising", uid="u-rising", tags={"backup-tier": "bronze"})
falling = worlds.vm("falling", uid="u-falling")
leaving = worlds.vm("leaving", uid="u-leaving")
buried = worlds.vm("buried", uid="u-buried")
silent = worlds.vm("silent", uid="u-silent")
refused = worlds.vm("refused", uid="u-refused")
theirs = worlds.vm("theirs", uid="u-theirs")
VMS = (plain, agent, fat, far, rising, falling, leaving, buried, silent, refused, theirs)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one VM ended, as far as anybody can see it."""

    state: str
    vault: str
    policy: str
    findings: tuple[str, ...]
    notified: bool
    azure: tuple[str, ...]  # its items: vault, state, policy


async def begin() -> House:
    """Give the house as it stands before anything happened."""
    house = House()
    house.region(VAULT)
    other = worlds.vault("rsv-team-x", tags={})
    house.region(other)
    house.backup.put(worlds.item(other, theirs))
    house.backup.put(
        worlds.item(VAULT, buried, state=ProtectionState.SOFT_DELETED, policy=None),
    )
    await house.people.append(
        PersonDecision(
            vm=str(buried.id),
            kind=DecisionKind.CONSENT_UNDELETE,
            by="operator",
            at=house.clock.now(),
            reason="asked for",
        )
    )
    house.backup.fail_job(agent.id, "UserErrorGuestAgentStatusUnavailable", "not ready")
    house.backup.refuse(
        refused.id,
        fault("UserErrorBCMUnsupportedDiskCount", status=400, disposition=Disposition.PARK),
        times=9,
    )
    return house


async def told(house: House) -> House:
    """Play the whole story."""
    deeds: dict[float, Callable[[], Awaitable[None]]] = {
        0.0: lambda: _created(house),
        0.5 * HOUR: lambda: _changed(house, replace(rising, tags={"backup-tier": "gold"})),
        1.0 * HOUR: lambda: _vault_appears(house),
        2.0 * HOUR: lambda: _backed_up(house),
        3.0 * HOUR: lambda: _changed(house, replace(falling, tags={"backup-tier": "bronze"})),
        3.5 * HOUR: lambda: _gone(house),
    }
    passed = 0.0
    while passed <= ENDS:
        if passed % AGED == 0:
            house.index.forget()
        if passed in deeds:
            await deeds[passed]()
        await house.turn()
        house.clock.advance(STEP)
        passed += STEP
    return house


async def ending(house: House, vm: ArmId) -> Ending:
    """Say how a VM ended."""
    row = await house.row(vm)
    assert row.claim is None, f"{vm.name}: a claim is left"
    assert row.intent is None, f"{vm.name}: an intent is left"
    items = [one for one in house.backup.items() if one.source == vm]
    return Ending(
        state=row.state,
        vault=row.vault.lower(),
        policy=row.policy.lower(),
        findings=tuple(sorted(one.code for one in row.findings)),
        notified=row.notified,
        azure=tuple(
            f"{item.vault.name} {item.state} {item.policy.name if item.policy else '-'}"
            for item in sorted(items, key=lambda one: one.id.key)
        ),
    )


async def endings(house: House) -> dict[str, Ending]:
    return {vm.id.name: await ending(house, vm.id) for vm in VMS}


async def _created(house: House) -> None:
    for vm in VMS:
        house.machines.add(vm)
        if vm is not silent:
            await _announced(house, vm.id)


async def _announced(house: House, vm: ArmId) -> None:
    """Deliver an event as Event Grid does: again, until it is taken."""
    while True:
        try:
            await house.event(vm)
        except AzureFault:
            continue
        return


async def _changed(house: House, vm) -> None:
    house.machines.add(vm)
    await _announced(house, vm.id)


async def _vault_appears(house: House) -> None:
    house.region(FAR)


async def _backed_up(house: House) -> None:
    for vm in (plain, agent, far, rising, falling, leaving, buried, silent):
        vault = FAR if vm is far else VAULT
        house.backup.finish_backup(item_of(vault.id, vm.id))


async def _gone(house: House) -> None:
    house.machines.remove(leaving.id)
    await _announced(house, leaving.id)
