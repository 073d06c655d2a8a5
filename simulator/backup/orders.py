"""What a test can order of the backup service, and how an order of a seed reads.

Knobs are for the whole world; ``_sim: {"enable": {...}}`` in a VM's body, or the knob
``backup.enable.orders`` by VM id, for one VM.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from simulator.backup.eras import Era
from simulator.backup.formats import Fields, fields_of, text_of

if TYPE_CHECKING:
    from simulator.world import World

#: Order for every VM that has none of its own.
EVERY_VM = "*"


class Arrival(StrEnum):
    """How a failed enable reaches its caller (facts §2): all three must be survived."""

    JOB = "job"
    OPERATION = "operation"
    SYNCHRONOUS = "4xx"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableOrder:
    """The enable of one VM fails this way, ``times`` times; then it works."""

    fails: Arrival
    code: str
    message: str
    times: int
    status: int
    seconds: float | None

    @classmethod
    def read(cls, order: Fields) -> "EnableOrder | None":
        if not (fails := text_of(order.get("fails"))):
            return None
        times, status, seconds = order.get("times"), order.get("status"), order.get("seconds")
        return cls(
            fails=Arrival(fails),
            code=text_of(order.get("code")) or "UserErrorGuestAgentStatusUnavailable",
            message=text_of(order.get("message")),
            times=times if isinstance(times, int) else 1_000_000,
            status=status if isinstance(status, int) else 400,
            seconds=float(seconds) if isinstance(seconds, (int, float)) else None,
        )


def order_for(world: "World", vm_id: str) -> EnableOrder | None:
    """Find what was ordered for a VM: the knob by id, the VM's own seed, the knob for every VM."""
    by_vm = fields_of(world.knobs.value("backup.enable.orders"))
    own = next((v for k, v in by_vm.items() if k.lower() == vm_id.lower()), None)
    for order in (own, world.orders_for(vm_id).get("enable"), by_vm.get(EVERY_VM)):
        if order is not None:
            return EnableOrder.read(fields_of(order))
    return None


def declare_knobs(world: "World") -> None:
    """Declare what can be ordered, with what happens if nothing is."""
    for name, default, meaning in KNOBS:
        world.knobs.declare(name, default, meaning)


KNOBS: tuple[tuple[str, bool | float | str | dict[str, object], str], ...] = (
    (
        "backup.era",
        "2025",
        "The year whose shapes are answered: " + " ".join(era.knob for era in Era),
    ),
    (
        "backup.enable.orders",
        {},
        'By VM id, or "*": {"fails": "job|operation|4xx", "code", "message", "times", "status"}.',
    ),
    (
        "backup.run.orders",
        {},
        'By VM id, or "*": {"code", "message", "times"}: its first backups fail; "_sim": {"backup"}.',
    ),
    (
        "backup.item.visible_while_enabling",
        False,
        "Whether an item can be read before its first enable has ended; no recording says.",
    ),
    (
        "backup.durations",
        {},
        (
            "Simulated seconds by kind instead of the recorded ones: enable, policy_change, disable, "
            "undelete, soft_delete, hard_delete, refresh, backup, snapshot, backup_trigger, vault."
        ),
    ),
    (
        "backup.region_mismatch",
        "4xx",
        "How a VM of another region is refused: 4xx (TF#2143) or job (SELFHELP21).",
    ),
    (
        "backup.deleted_while_enabling",
        "fails",
        "A VM deleted while it is enabled: the job fails, or leaves an orphan (no recording).",
    ),
    ("backup.quota.vault", 1000.0, "VMs a vault takes."),
    ("backup.quota.day", 250.0, "New registrations a vault takes in a UTC day."),
    (
        "backup.quota.policy",
        0.0,
        "VMs a policy takes; 0 does not check (the server's limit is unknown).",
    ),
    (
        "backup.quota.day_code",
        "UserErrorProtectionQuotaExceeded",
        "Its code: the real one is unknown.",
    ),
    (
        "backup.guard.code",
        "UserErrorResourceGuardOperationRequestIdMissing",
        "The code of a change that a Resource Guard holds back: the real one is unknown.",
    ),
    ("backup.guard.status", 400.0, "Its status: 400 or 403, nobody has said which."),
    (
        "backup.status.stopped",
        "NotProtected",
        "What backupStatus says of a stopped or soft-deleted item; no recording says.",
    ),
    (
        "backup.trusted_launch.standard",
        "by-version",
        "Trusted Launch under a Standard policy: allowed, refused, or by api-version (2025-01-01).",
    ),
    (
        "backup.vault.first_404",
        "sometimes",
        "First look at a new vault's operation: never, sometimes, always 404.",
    ),
    (
        "backup.vault.delete_ends",
        "mixed",
        "A vault's delete is seen to end as: succeeded, 404, or mixed.",
    ),
    ("backup.start_delay", 900.0, "A scheduled backup starts within so many seconds of its time."),
    ("backup.soft_delete", "Enabled", "Soft delete of a new vault: Enabled or AlwaysON."),
    ("backup.page", 200.0, "Most entries on a page of a backup list."),
    (
        "backup.extension_event",
        True,
        "The first backup publishes a write of the VM's snapshot extension.",
    ),
)
