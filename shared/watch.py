"""Watch: settle many enrollments for a handful of calls (DESIGN §3.6).

Per vault with changes in flight, the newest jobs are listed down to the oldest change: that costs
what is in flight, not what the vault holds. Called by the timer `watch_enrollments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import telemetry
from shared.abreast import abreast
from shared.act import FIRST_LOOK, SETTLES_WITHOUT_JOB, SLACK, look_at
from shared.domain.ids import ArmId, item_of
from shared.domain.records import InFlight, Look
from shared.errors import AzureFault
from shared.gather import vault_is_gone
from shared.ports import Job, Ports
from shared.settle import OPERATION_OF, Ending, ending_of, settle

_CLOCKS = timedelta(minutes=5)  # a job's start may lie before our own time of the PUT
_VANISHED = timedelta(minutes=15)  # an operation unknown to Azure for that long has ended
_STEADY = timedelta(seconds=60)
_SLOWEST = timedelta(minutes=5)
JOBS = "Microsoft.RecoveryServices/vaults/backupJobs/read"


async def watch(ports: Ports) -> int:
    """Look at every vault that is due; give the number of settled changes.

    A vault that cannot be read is left for its next look and does not disturb the others.
    """
    now = ports.clock.now()
    due = [look for look in await ports.ledger.looks() if look.next_at <= now]

    async def one(look: Look) -> int:
        try:
            return await _vault(ports, look)
        except AzureFault as fault:
            telemetry.wide("watch.fault", vault=look.vault, code=fault.code, status=fault.status)
            await _again(ports, look, _pause(fault))
            return 0

    return sum(await abreast(one(look) for look in due))


async def _vault(ports: Ports, look: Look) -> int:
    """Settle what can be settled in one vault. A walk that does not finish changes nothing."""
    vault = ArmId.parse(look.vault)
    entries = await ports.ledger.in_flight(vault)
    if not entries:
        await _over(ports, vault)
        return 0
    now = ports.clock.now()
    if wait := ports.pace.may_read(vault.subscription, JOBS):
        await _again(ports, look, timedelta(seconds=wait))
        return 0
    jobs: dict[str, Job] = {}
    gone = ""
    try:
        jobs = await _jobs(ports, vault, entries)
    except AzureFault as fault:
        if not vault_is_gone(fault):
            raise
        gone = fault.message

    async def one(entry: InFlight) -> bool:
        job = jobs.get(entry.request_id.lower())
        if gone:
            ending = _with_its_vault(entry, gone, now)
        else:
            ending = ending_of(job, now) if job is not None else await _alone(ports, entry, now)
        return ending is not None and await settle(ports, entry, ending)

    done = await abreast(one(entry) for entry in entries)
    left = [entry for entry, settled in zip(entries, done, strict=True) if not settled]
    if left:
        oldest = min(entry.sent_at for entry in left)
        await ports.ledger.put_look(replace(look, next_at=next_look(oldest, now), oldest=oldest))
    else:
        await _over(ports, vault)
    return len(entries) - len(left)


def _with_its_vault(entry: InFlight, message: str, now: datetime) -> Ending | None:
    """End a change whose vault was deleted; a new vault may answer 404 for a while, too."""
    if now - entry.sent_at < _VANISHED:
        return None
    return Ending(job="", at=now, code="VaultVanished", message=message)


async def _over(ports: Ports, vault: ArmId) -> None:
    """Stop looking at a vault, unless a change was sent in this moment."""
    await ports.ledger.drop_look(vault)
    if late := await ports.ledger.in_flight(vault):
        await look_at(ports, vault, min(entry.sent_at for entry in late))


async def _jobs(ports: Ports, vault: ArmId, entries: Sequence[InFlight]) -> dict[str, Job]:
    """Give the jobs of these changes by request id, from one walk per kind of operation.

    A walk goes back to the oldest change, and ends sooner once every job was seen.
    """
    found: dict[str, Job] = {}
    for operation in {OPERATION_OF[entry.kind] for entry in entries}:
        mine = [entry for entry in entries if OPERATION_OF[entry.kind] == operation]
        wanted = {entry.request_id.lower() for entry in mine}
        since = min(entry.sent_at for entry in mine) - _CLOCKS
        async for page in ports.backup.jobs(vault, since=since, operation=operation):
            found |= {job.request_id.lower(): job for job in page if job.request_id}
            if wanted <= found.keys():
                break
    return found


async def _alone(ports: Ports, entry: InFlight, now: datetime) -> Ending | None:
    """Ask for one operation by itself, if it has no job for too long."""
    age = now - entry.sent_at
    if age < SETTLES_WITHOUT_JOB:
        return None
    vm, vault = ArmId.parse(entry.vm), ArmId.parse(entry.vault)
    found = await ports.ledger.read(vm)
    intent = found[0].intent if found is not None else None
    if intent is None or intent.request_id != entry.request_id:
        return Ending(job="", at=now)  # settled by somebody else: settle() only tidies up
    if not intent.operation:
        return None  # never accepted as far as we know: the VM's own next run resolves it
    operation = await ports.backup.operation(vault, intent.operation)
    if operation is not None:
        if operation.status == "Succeeded":
            return Ending(job=operation.job, at=now)
        if operation.status in {"Failed", "Canceled"}:
            return Ending(
                job=operation.job,
                at=now,
                code=operation.code or f"Operation{operation.status}",
                message=operation.message,
            )
        return None
    if age < _VANISHED:
        return None
    item = await ports.backup.item(item_of(vault, vm))
    if item is not None and item.policy is not None:
        return Ending(job="", at=now)
    return Ending(
        job="", at=now, code="OperationVanished", message="Azure no longer knows the operation."
    )


def next_look(oldest: datetime, now: datetime) -> datetime:
    """Give the time of the next look: 40 s and 100 s after the oldest change, then slower.

    Most enables end after 31 s or 91 s (report §1.1). A burst is seen as its first change was; the
    rest of it ends within the minutes after.
    """
    if now < oldest + FIRST_LOOK:
        return oldest + FIRST_LOOK
    if now - oldest < 10 * _STEADY:
        return max(oldest + SLACK, now + _STEADY)
    return now + min(_SLOWEST, (now - oldest) / 5)


async def _again(ports: Ports, look: Look, wait: timedelta) -> None:
    await ports.ledger.put_look(replace(look, next_at=ports.clock.now() + wait))


def _pause(fault: AzureFault) -> timedelta:
    told = timedelta(seconds=fault.retry_after) if fault.retry_after is not None else _STEADY
    return max(told, _STEADY)
