"""The first backup: started by us where a rule asks for it and the schedule is far (row S8), and
missed, with the reason, where no recovery point came of it in time.

Enabling makes no recovery point; as a rule the schedule soon does. Called for a VM that is enrolled
and has none. Never started where any backup ran, and at most once: the row remembers the request
before it is sent, and a crash in between leaves the VM to its schedule.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import telemetry
from shared.act import request_id
from shared.claims import Held
from shared.domain.decisions import AlreadyProtected, Verdict
from shared.domain.faultbook import finding_for
from shared.domain.findings import Finding, Severity
from shared.domain.guard import held_back
from shared.domain.lifecycle_findings import never_backed_up
from shared.domain.model import Policy, ProtectedItem, ProtectionState, Snapshot, Trouble
from shared.domain.records import Row
from shared.domain.schedule import starts_later
from shared.errors import AzureFault, Disposition
from shared.ports import Ports

KEPT = timedelta(days=30)  # as the portal proposes, where the policy keeps no daily points
_LATER = frozenset({Disposition.RETRY, Disposition.DEFER})
_FIRST = 0  # the attempt: changes count from 1
_FAILED = "Failed"


async def started(
    ports: Ports, held: Held, row: Row, snapshot: Snapshot, verdict: Verdict, trace: str
) -> Row:
    """Start it if the rule wants that now; give the row, which then names the request.

    Raises:
        AzureFault: Azure has no time for it; it is asked again by a later run.

    """
    decision, now = verdict.decision, ports.clock.now()
    if not isinstance(decision, AlreadyProtected) or decision.elsewhere:
        return row
    policy = _policy(snapshot, decision.item)
    if not _is_wanted(ports, row, snapshot, verdict, policy, now):
        return row
    item = await ports.backup.item(decision.item.id)  # the index may be older than a backup
    if item is None or _has_run(item):
        return row
    request = request_id(trace, _FIRST)
    await held.save(replace(row, backup_job=request))
    try:
        await ports.backup.back_up_now(item.id, request_id=request, keep_until=now + _kept(policy))
    except AzureFault as fault:
        if fault.disposition in _LATER:
            await held.save(replace(row, backup_job=""))
            raise
        if fault.disposition is Disposition.RAISE:
            raise
        # Refused: a backup runs already, or the VM cannot be backed up; the schedule will tell.
        telemetry.wide("first_backup.refused", vm=row.vm, code=fault.code, trace=trace)
    else:
        telemetry.wide("first_backup.started", vm=row.vm, request=request, trace=trace)
        telemetry.count("enrollment.first_backups")
    return held.row


def _is_wanted(
    ports: Ports,
    row: Row,
    snapshot: Snapshot,
    verdict: Verdict,
    policy: Policy | None,
    now: datetime,
) -> bool:
    vm, after = snapshot.vm, verdict.first_backup_after
    if vm is None or after is None or row.backup_job or not starts_later(policy, now, after):
        return False
    assert isinstance(verdict.decision, AlreadyProtected)
    if _has_run(verdict.decision.item):
        return False
    return not held_back(
        observing=ports.settings.observing,
        since=ports.settings.enroll_since,
        let_in=row.let_in,
        created=vm.created,
    )


def _has_run(item: ProtectedItem) -> bool:
    """Tell whether the item ever had a backup, or is not one that waits for its first."""
    pending = item.state is ProtectionState.PENDING
    return not pending or item.has_recovery_point or item.last_backup is not None


def _policy(snapshot: Snapshot, item: ProtectedItem) -> Policy | None:
    known = snapshot.policies.get(item.vault.key, ())
    return next((policy for policy in known if policy.id == item.policy), None)


def _kept(policy: Policy | None) -> timedelta:
    """Keep the point as long as the policy keeps a daily one."""
    days = policy.retention.daily_days if policy is not None and policy.retention else None
    return timedelta(days=days) if days else KEPT


async def missing(
    ports: Ports, item: ProtectedItem, enrolled: datetime, deadline: datetime
) -> Finding:
    """Say why a recovery point is overdue: the failed backup's own error, or that none came.

    Azure shows the error in the item's health, which has been read; its job is looked for only
    where the item says that its backup failed and not why.

    Raises:
        AzureFault: the job could not be looked for.

    """
    by = f"no recovery point by {deadline:%Y-%m-%d %H:%M} UTC"
    if item.last_backup_status == _FAILED:
        trouble = item.trouble or await _error_of_job(ports, item, enrolled)
        if trouble is not None:
            return finding_for(
                trouble.code,
                f"{trouble.message} ({by})" if trouble.message else by,
                recommendations=trouble.recommendations,
                finding_code="FIRST_BACKUP_FAILED",
                severity=Severity.BLOCKER,
            )
    return never_backed_up(item, by)


async def _error_of_job(ports: Ports, item: ProtectedItem, since: datetime) -> Trouble | None:
    """Find the latest failed backup of this item, and what its job says."""
    name = item.id.name.lower().partition(";")[2]
    async for page in ports.backup.jobs(item.vault, since=since, operation="Backup"):
        for job in page:
            if job.status == _FAILED and job.errors and job.container.lower().endswith(name):
                code, message, recommendations = job.errors[0]
                return Trouble(code=code, message=message, recommendations=recommendations)
    return None
