"""A town in which VMs come, change and go, people act by hand, Azure and storage fail, processes die.

Every ten minutes the ledger is compared with the simulator's truth. A row may be wrong for `LAG`,
while Resource Graph does not show a change, a sweep is to come, or trouble lasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bench import estates
from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.states import State
from shared.errors import AzureFault, Disposition
from shared.ports import Change
from simulator.backup.records import Item, Protection
from tests.usecases.over_http import KINDS
from tests.usecases.town import Town

LOOK = 600.0  # seconds between two comparisons
LAG = timedelta(minutes=90)
STEP = 60.0
MOST = 30  # VMs at a time
API = "2025-02-01"
ACTIVE = {Protection.IR_PENDING, Protection.PROTECTED, Protection.ERROR}
COVERED = {State.ENROLLED, State.PROTECTED}
A_PERSON_MUST_ACT = {State.BLOCKED, State.STOPPED, State.SOFT_DELETED}
FAULTY = tuple(name for name in KINDS if name not in {"slow", "timeout"})
ASKED = (
    "Resources",
    "VirtualMachines_Get",
    "Vaults_ListBySubscriptionId",
    "ProtectedItems_CreateOrUpdate",
    "BackupJobs_List",
)
DAYS_KEPT = {"gold": 90, "silver": 30}


class Life(Town):
    """A town in which things happen."""

    chance: Random
    number = 0

    def begin(self, seed: int) -> None:
        self.chance = Random(seed)
        self.alive: dict[str, dict[str, Any]] = {}
        self.late: list[tuple[datetime, object]] = []
        self.wrong_since: dict[str, tuple[datetime, str]] = {}
        self.wrong_minutes = 0.0
        self.looks = 0
        self.did: Counter[str] = Counter()
        self.guilty: list[str] = []
        self.out_until = self.clock.now()
        self.on_await = self._storage

    def sending(self, change: Change) -> None:
        """No change may weaken an item: nobody has consented to anything here."""
        for item in self.items(str(change.vm)):
            old = DAYS_KEPT.get(item.policy.rpartition("/")[2].rpartition("-")[0], 0)
            new = DAYS_KEPT.get(change.policy.name.rpartition("-")[0], 0)
            if item.state in ACTIVE and new < old:
                self.guilty.append(f"{change.vm.name}: {item.policy} -> {change.policy.name}")

    async def live(self, seconds: float, *, quietly: bool = False) -> None:
        passed = 0.0
        while passed < seconds:
            if not quietly:
                await self._happen()
            await self._deliver_late()
            await self.play(LOOK, step=STEP)
            passed += LOOK
            self.compare()

    # --- what happens -----------------------------------------------------------------------------

    async def _happen(self) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            deeds = self.deeds()
            [deed] = self.chance.choices(list(deeds), weights=list(deeds.values()))
            self.did[deed.__name__] += 1
            deed()
        for event in self.published():
            match self.chance.random():
                case lot if lot < 0.15:
                    self.did["event lost"] += 1
                case lot if lot < 0.25:
                    late = timedelta(minutes=self.chance.randint(1, 40))
                    self.late.append((self.clock.now() + late, event))
                case lot if lot < 0.35:
                    await self.announce(event, event)
                case _:
                    await self.announce(event)

    def deeds(self) -> dict[Callable[[], None], int]:
        """Give what may happen, with its weight."""
        return {
            self.create: 5 if len(self.alive) < MOST else 0,
            self._delete: 1,
            self._recreate: 1,
            self._retag: 3,
            self._stop: 1,
            self._resume: 1,
            self._azure_fails: 2,
            self._storage_fails: 1,
            self._kill: 2,
            self._deploy: 1,
        }

    async def _deliver_late(self) -> None:
        due = [event for at, event in self.late if at <= self.clock.now()]
        self.late = [one for one in self.late if one[0] > self.clock.now()]
        await self.announce(*due)

    def create(self) -> None:
        body = estates.machine(self.number, groups=5)
        self.number += 1
        tier = self.chance.choice(("gold", "silver"))
        body["tags"] = {"backup-tier": tier, "owner": "kim@contoso.com"}
        if self.chance.random() < 0.1:
            body["location"] = "koreacentral"
        if self.chance.random() < 0.15:
            how = {"code": "UserErrorGuestAgentStatusUnavailable", "times": 1}
            how["fails"] = self.chance.choice(("job", "operation", "4xx"))
            self.sim.world.knobs.turn({"backup.enable.orders": {body["id"]: how}})
        self.alive[body["id"]] = body
        self.put(body)

    def _some(self) -> dict[str, Any] | None:
        return self.chance.choice(list(self.alive.values())) if self.alive else None

    def _delete(self) -> None:
        if (body := self._some()) is not None:
            del self.alive[body["id"]]
            self.delete(body["id"])

    def _recreate(self) -> None:
        if (body := self._some()) is not None:
            self.delete(body["id"])
            uid = f"30000000-0000-4000-8001-{self.chance.randrange(10**12):012d}"
            body["properties"] = body["properties"] | {"vmId": uid}
            self.put(body)

    def _retag(self) -> None:
        if (body := self._some()) is not None:
            tier = self.chance.choice(("gold", "silver"))
            body["tags"] = body["tags"] | {"backup-tier": tier}
            self.put(body)

    def _stop(self) -> None:
        self._by_hand({"protectionState": "ProtectionStopped", "policyId": ""})

    def _resume(self) -> None:
        for body in self.alive.values():
            for item in self.items(body["id"]):
                if item.state is Protection.STOPPED:
                    self._change(body["id"], {"policyId": "gold-0"})
                    return

    def _by_hand(self, properties: dict[str, str]) -> None:
        protected = [one for one in self.alive if self.active(one)]
        if protected:
            self._change(self.chance.choice(sorted(protected)), properties)

    def _change(self, vm: str, properties: dict[str, str]) -> None:
        group, name = vm.split("/")[4], vm.rpartition("/")[2]
        for vault in self.sim.world.backup.vaults.values():
            if any(item.vm_id.lower() == vm.lower() for item in vault.items.values()):
                policy = properties.get("policyId")
                names = f"iaasvmcontainerv2;{group};{name}"
                path = (
                    f"{vault.body['id']}/backupFabrics/Azure/protectionContainers/IaasVMContainer;"
                    f"{names}/protectedItems/VM;{names}"
                )
                body = {
                    "protectedItemType": "Microsoft.Compute/virtualMachines",
                    "sourceResourceId": vm,
                    **properties,
                }
                if policy:
                    body["policyId"] = f"{vault.body['id']}/backupPolicies/{policy}"
                self.arm("PUT", path, {"properties": body}, API)

    def _azure_fails(self) -> None:
        self.sim.world.gateway.faults.order(
            {
                "match": {"operation": self.chance.choice(ASKED)},
                "nth": self.chance.choice(("all", "every-third", "second")),
                "seconds": self.chance.randint(1, 20) * 60,
                "fault": KINDS[self.chance.choice(FAULTY)],
            }
        )

    def _storage_fails(self) -> None:
        self.out_until = self.clock.now() + timedelta(minutes=self.chance.randint(1, 15))

    def _storage(self, call: str) -> None:
        port = call.partition(".")[0]
        if self.clock.now() < self.out_until and port in {"ledger", "queues", "store", "people"}:
            raise AzureFault(
                call,
                status=503,
                code="ServerBusy",
                message="storage is away",
                disposition=Disposition.RETRY,
            )

    def _kill(self) -> None:
        self.dies_in = self.chance.randint(1, 60)

    def _deploy(self) -> None:
        self.restart()

    # --- what is true -----------------------------------------------------------------------------

    def items(self, vm: str) -> list[Item]:
        return [
            item
            for vault in self.sim.world.backup.vaults.values()
            for item in vault.items.values()
            if item.vm_id.lower() == vm.lower() and item.visible and not item.soft_deleted
        ]

    def active(self, vm: str) -> list[Item]:
        return [item for item in self.items(vm) if item.state in ACTIVE]

    def compare(self) -> None:
        """Hold every row against what is; remember since when it has been wrong."""
        now = self.clock.now()
        self.sim.world.schedule.run(now)
        rows = {ArmId.parse(row.vm).key: row for row in self.ledger.all_rows()}
        known = {ArmId.parse(vm).key: vm for vm in self.alive}
        wrong = {
            key: why for key in {*rows, *known} if (why := self._lie(rows.get(key), known.get(key)))
        }
        self.wrong_minutes += len(wrong) * LOOK / 60
        self.looks += 1
        since = {key: self.wrong_since.get(key, (now, why))[0] for key, why in wrong.items()}
        self.wrong_since = {key: (since[key], why) for key, why in wrong.items()}
        for key, (began, why) in self.wrong_since.items():
            assert now - began <= LAG, f"{key} wrong since {began}: {why} {rows.get(key)}"

    def _lie(self, row: Row | None, vm: str | None) -> str:
        """Say what is wrong about a row, or ""."""
        if vm is None:
            gone = row is not None and row.state in {State.GONE, State.ORPHANED}
            return "" if gone else "the VM is gone"
        if row is None:
            return "nobody knows the VM"
        if row.state in {State.GONE, State.ORPHANED, State.UNKNOWN}:
            return "the VM is there"
        active = self.active(vm)
        if row.state in COVERED:
            if not active:
                return "it is not protected"
            if row.state is State.PROTECTED and not any(item.points for item in active):
                return "it has no recovery point"
            return ""
        if active and not row.findings:
            return f"it is protected, and the row says {row.state}"
        if row.state in A_PERSON_MUST_ACT and not row.findings:
            return "nobody is told why"
        return "" if row.state in A_PERSON_MUST_ACT else f"{row.state}: {row.why}"
