"""Poison: what failed five times is parked, told to the operators once, and then acknowledged.

Nothing unusable is left to the platform, whose poison queues nobody reads (DESIGN §3.17).
"""

from __future__ import annotations

from msgspec.structs import replace

from shared import outcomes
from shared.domain.decisions import On
from shared.domain.messages import NoticeItem, SweepPage, WorkItem, decode
from shared.errors import AzureFault, BadMessage, BadRules, Conflict
from shared.intake import park
from shared.ledger_rows import move
from shared.ports import Ports


async def park_poisoned(ports: Ports, queue: str, body: bytes) -> None:
    """Park one poison message; a VM's row becomes `Stuck` and names the parked key."""
    now = ports.clock.now()
    text = body.decode(errors="replace")
    try:
        item: WorkItem | SweepPage | NoticeItem | None = decode(body)
    except BadMessage:
        item = None
    trace = item.trace if item is not None else ""
    error = BadMessage("poison", "failed five times; see the failed invocations of this trace")
    key = await park(ports.parked, queue, text, error, now, trace)
    await ports.notices.tell_operators(
        "MESSAGE_PARKED",
        "A message failed five times and was parked. Find out why, then replay it: "
        "python -m ops replay list",
        f"queue {queue}, parked {key}{await _broken_rules(ports)}",
        now,
    )
    if isinstance(item, WorkItem):
        await _stuck(ports, item, key)


async def _broken_rules(ports: Ports) -> str:
    """Name the likeliest reason: without rules nothing can be decided."""
    try:
        await ports.rules.current()
    except (BadRules, AzureFault) as wrong:
        return f"; the rules cannot be used: {wrong}"
    return ""


async def _stuck(ports: Ports, work: WorkItem, key: str) -> None:
    """Say on the VM's row that nobody looks at it any more; a sweep or event looks again."""
    for _ in range(5):
        found = await ports.ledger.read(work.vm_id)
        if found is None:
            return
        row, etag = found
        stuck = move(row, On.NOT_FOUND_OUT, ports.clock.now(), f"parked {key}")
        await outcomes.announce(ports, row, stuck, ports.clock.now())
        try:
            await ports.ledger.replace(replace(stuck, claim=None), etag)
        except Conflict:
            continue
        return
