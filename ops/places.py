"""Where the VMs of a backfill went, against where they were planned.

Between plan and run others take places, too: new VMs, other teams, other tools. Whoever finds the
planned vault full goes to the next; the run names them, so that its numbers can be compared with
the plan's.
"""

from __future__ import annotations

from collections import Counter

from ops.backfill import Fate, Run
from shared.domain.ids import ArmId
from shared.domain.limits import LIMITS
from shared.errors import AzureFault
from shared.ports import Ports


async def taken_meanwhile(ports: Ports, run: Run) -> list[str]:
    """Name each vault that took fewer VMs than planned: how many, where they are, how full it is."""
    went: dict[str, Counter[str]] = {}
    for item in run.items:
        if item.elsewhere:
            went.setdefault(item.planned, Counter())[item.vault] += 1
    lines = []
    for planned, others in sorted(went.items()):
        vault = ArmId.parse(planned)
        into = ", ".join(f"{ArmId.parse(one).name} {count}" for one, count in others.most_common())
        lines.append(
            f"{others.total()} VMs were planned for {vault.name} and are in another vault ({into}): "
            f"{await _fill(ports, vault)}"
        )
    return lines


def said(run: Run) -> list[dict[str, str]]:
    """Give a line for each VM that is not where it was planned."""
    return [
        {
            "vm": item.vm,
            "fate": Fate.ENROLLED.value,
            "said": f"in {ArmId.parse(item.vault).name}, planned for {ArmId.parse(item.planned).name}",
        }
        for item in run.items
        if item.elsewhere
    ]


async def _fill(ports: Ports, vault: ArmId) -> str:
    most, cap = LIMITS.number("vault_vms"), ports.settings.place_cap
    ports.index.forget(vault)  # what was known while it was planned is old
    try:
        items = (await ports.index.room(vault)).items
        today = await ports.ledger.places(vault, ports.clock.now().date().isoformat())
    except AzureFault as fault:
        return f"how full it is cannot be read now ({fault.code or fault.status})"
    if items >= most or today >= cap:
        return (
            f"its places were taken meanwhile ({items} of {most} VMs, {today} of {cap} new today)"
        )
    return f"it has room ({items} of {most} VMs, {today} of {cap} new today); ask `explain`"
