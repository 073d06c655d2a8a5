"""What is said about a VM's item where the service leaves it as it is: one finding per function.

`lifecycle` decides; the words, the evidence and the remedies are here.
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.catalogue import finding
from shared.domain.findings import Finding
from shared.domain.model import Policy, ProtectedItem, ProtectionState, Snapshot
from shared.domain.remedies import lifecycle as remedy


def left_stopped(item: ProtectedItem) -> Finding:
    return finding(
        "PROTECTION_STOPPED",
        text="Somebody stopped this VM's protection; its recovery points are kept and no new "
        "ones are made.",
        evidence=f"{item.state} in vault {item.vault.name}",
        remedies=remedy.stopped(item),
    )


def recreated(item: ProtectedItem, why: str) -> Finding:
    return finding(
        "VM_RECREATED",
        text="A VM of this name was protected, deleted and created again; the item holds the old "
        "VM's recovery points.",
        evidence=f"item in vault {item.vault.name} {why}",
        remedies=remedy.recreated(item),
    )


def in_error(item: ProtectedItem) -> tuple[Finding, ...]:
    """Point out an item that Azure itself finds in trouble, or in a state that nobody knows."""
    if item.state not in {ProtectionState.ERROR, ProtectionState.INVALID}:
        return ()
    status = f", last backup {item.last_backup_status}" if item.last_backup_status else ""
    return (
        finding(
            "PROTECTION_ERROR",
            text="Azure Backup reports trouble with this VM's item; its next backups may fail.",
            evidence=f"{item.state} in vault {item.vault.name}{status}",
            remedies=remedy.in_error(item),
        ),
    )


def never_backed_up(item: ProtectedItem, by: str) -> Finding:
    """Say that no recovery point came in time; ``by`` names the deadline, in words."""
    ended = f"; last backup: {item.last_backup_status}" if item.last_backup_status else ""
    return finding(
        "FIRST_BACKUP_OVERDUE",
        text="The VM is registered for backup but has no recovery point yet, although its policy "
        "should have made one.",
        evidence=by + ended,
        remedies=remedy.never_backed_up(),
    )


def elsewhere(item: ProtectedItem) -> Finding:
    return finding(
        "PROTECTED_ELSEWHERE",
        text="The VM is protected in a vault that the rules do not choose; it is left alone.",
        evidence=f"vault {item.vault.name} in group {item.vault.group}, subscription "
        f"{item.vault.subscription}, policy {item.policy_name or 'unknown'}, {item.state}",
    )


def contended(item: ProtectedItem, target: Policy, undone: list[datetime]) -> Finding:
    times = ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in undone[-3:])
    return finding(
        "MANAGED_ELSEWHERE",
        text="Somebody keeps changing this VM's policy back; the service keeps its hands off.",
        evidence=f"wanted {target.name} in vault {item.vault.name}; changed back at {times} UTC",
    )


def made_weaker(
    snapshot: Snapshot,
    item: ProtectedItem,
    old: Policy | None,
    target: Policy,
    shrinks: tuple[str, ...],
) -> Finding:
    return finding(
        "POLICY_WEAKER",
        text=f"The rules now choose policy {target.name}, which is weaker than the present one. "
        "Changing to it would cut existing recovery points, so nothing is changed.",
        evidence=f"{old.name if old is not None else item.policy_name} to {target.name}: "
        + "; ".join(shrinks),
        remedies=remedy.weaker(snapshot.id, target),
    )


def one_way(snapshot: Snapshot, item: ProtectedItem, target: Policy) -> Finding:
    return finding(
        "POLICY_ONE_WAY",
        text=f"The rules choose the Enhanced policy {target.name}; there is no way back to a "
        "Standard one, so somebody must agree.",
        evidence=f"{item.policy_name or 'a Standard policy'} to {target.name}",
        remedies=remedy.one_way(snapshot.id, target),
    )
