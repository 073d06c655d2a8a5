"""How long things take, drawn from what was recorded (report §1.1, §1.2, §5); a knob overrides.

Enabling is bimodal: a VM whose agent has not reported yet costs 60 s more, so its age decides.
"""

from datetime import timedelta
from enum import StrEnum
from random import Random

from simulator.backup.formats import fields_of
from simulator.backup.state import BackupState


class Kind(StrEnum):
    ENABLE = "enable"
    POLICY_CHANGE = "policy_change"
    DISABLE = "disable"
    UNDELETE = "undelete"
    SOFT_DELETE = "soft_delete"
    HARD_DELETE = "hard_delete"
    REFRESH = "refresh"
    BACKUP = "backup"
    SNAPSHOT = "snapshot"
    BACKUP_TRIGGER = "backup_trigger"
    POINT = "point"
    CANCEL = "cancel"
    RESTORE_DISKS = "restore_disks"
    RESTORE_VAULT = "restore_vault"
    RESTORE_REPLACE = "restore_replace"
    RESTORE_VM = "restore_vm"
    VAULT = "vault"
    VAULT_KNOWN = "vault_known"


#: (VM younger than so many seconds, share of enables that waited for the agent): 616 enables.
SLOW_SHARE = ((20, 1.00), (30, 0.86), (40, 0.81), (50, 0.65), (60, 0.36), (70, 0.08), (80, 0.02))
#: The job of an enable that did not wait: a tick of 10 s plus a little (percentiles of n = 316).
FAST_TICKS = ((30, 0.83), (40, 0.13), (50, 0.02), (60, 0.015), (90, 0.005))
#: ... and of one that waited.
SLOW_TICKS = ((90, 0.90), (100, 0.06), (110, 0.03), (120, 0.01))
#: First backups end when the service looks: every 600 s (277 jobs of 2022 to 2024).
BACKUP_TICKS = ((2472, 0.45), (3072, 0.22), (3673, 0.14), (4274, 0.09), (4872, 0.06), (5479, 0.04))
_RANGES = {
    Kind.POLICY_CHANGE: (1.1, 4.4),
    Kind.DISABLE: (1.4, 4.2),
    Kind.UNDELETE: (10.6, 11.8),
    Kind.SOFT_DELETE: (10.8, 13.0),
    Kind.HARD_DELETE: (101.0, 115.0),
    Kind.REFRESH: (10.5, 14.0),
    # The rest of a backup is its transfer.
    Kind.SNAPSHOT: (456.0, 469.0),
    Kind.BACKUP_TRIGGER: (0.2, 2.5),
    # From the start of a backup to the time its point bears.
    Kind.POINT: (3.5, 8.0),
    Kind.CANCEL: (2.0, 2.0),
    Kind.RESTORE_DISKS: (65.0, 90.0),
    Kind.RESTORE_VAULT: (1390.0, 3300.0),
    Kind.RESTORE_REPLACE: (1240.0, 1390.0),
    Kind.RESTORE_VM: (130.0, 147.0),
}


def length(state: BackupState, kind: Kind, *occasion: str, age: float = 1e9) -> timedelta:
    """Draw a duration for an occasion; ``age`` is the VM's, in seconds."""
    ordered = fields_of(state.world.knobs.value("backup.durations")).get(kind.value)
    if isinstance(ordered, (int, float)) and not isinstance(ordered, bool):
        return timedelta(seconds=float(ordered))
    random = state.draw("duration", kind.value, *occasion)
    return timedelta(microseconds=round(_seconds(random, kind, age) * 1e6))


def _seconds(random: Random, kind: Kind, age: float) -> float:
    match kind:
        case Kind.ENABLE:
            slow = next((share for below, share in SLOW_SHARE if age < below), 0.0)
            ticks = SLOW_TICKS if random.random() < slow else FAST_TICKS
            return _pick(random, ticks) + random.uniform(0.5, 1.8)
        case Kind.BACKUP:
            return _pick(random, BACKUP_TICKS) + random.uniform(0.0, 3.0)
        case Kind.VAULT:
            return random.uniform(0.8, 1.8) if random.random() < 0.45 else random.uniform(20, 58)
        case Kind.VAULT_KNOWN:
            # In 3 of 13 looks within three seconds the backup service did not know the vault yet.
            return random.uniform(2, 20) if random.random() < 0.25 else 0.0
        case _:
            return random.uniform(*_RANGES[kind])


def _pick(random: Random, shares: tuple[tuple[int, float], ...]) -> float:
    at = random.random()
    for value, share in shares:
        if (at := at - share) < 0:
            return float(value)
    return float(shares[-1][0])
