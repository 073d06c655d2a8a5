"""A town of constant size in which nothing stays: VMs, vaults, policies and rules are replaced.

Whatever the service keeps by VM, vault, policy or version of the rules, it must also let go. The
ledger is not compared with the truth here (that is `Life`'s own), and nothing dies.
"""

from __future__ import annotations

from collections.abc import Callable

from bench import estates
from shared.domain.ids import ArmId
from shared.domain.rules import parse
from simulator.backup.seeding import load
from simulator.backup.vaults import remove
from tests.usecases.life import A_PERSON_MUST_ACT, COVERED, LOOK, Life

RULES = estates.RULES.read_text(encoding="utf-8")
SPENT = 2 * 3600.0  # seconds; budgets are remembered for an hour, all else for less


class Turnover(Life):
    """A life in which as much goes as comes."""

    vaults = 100  # so far: names of one length
    versions = 0

    async def calm(self) -> None:
        """Let trouble end, and what is kept of it; then look at every VM once more."""
        self.sim.world.gateway.faults.clear()
        self.out_until = self.clock.now()
        await self.live(SPENT, quietly=True)
        for body in self.alive.values():
            self.put(body)
        await self.announce(*self.published())
        await self.live(LOOK, quietly=True)

    async def unsettled(self) -> dict[str, str]:
        """Give the VMs of which neither is true: they are covered, or a person must act."""
        rows = {vm: await self.row(ArmId.parse(vm)) for vm in self.alive}
        good = COVERED | A_PERSON_MUST_ACT
        return {vm: f"{row.state} {row.why}" for vm, row in rows.items() if row.state not in good}

    def compare(self) -> None:
        self.sim.world.schedule.run(self.clock.now())

    def deeds(self) -> dict[Callable[[], None], int]:
        return {
            self._replace: 2,
            self._move: 1,
            self._recreate: 1,
            self._retag: 3,
            self._stop: 1,
            self._resume: 1,
            self._replace_vault: 1,
            self._new_rules: 1,
            self._azure_fails: 2,
            self._storage_fails: 1,
        }

    def _replace(self) -> None:
        """A VM goes, with all that was kept of it, and another comes."""
        if (body := self._some()) is not None:
            self._leave(body["id"])
            self.create()

    def _move(self) -> None:
        """A VM goes to another group under its name."""
        if (body := self._some()) is not None:
            self._leave(body["id"])
            old = body["id"].split("/")[4]
            [new, *_] = [name for name in map(estates.group_name, range(5)) if name != old]
            moved = body | {"id": body["id"].replace(old, new)}
            self.alive[moved["id"]] = moved
            self.put(moved)

    def _leave(self, vm: str) -> None:
        del self.alive[vm]
        self.delete(vm)
        backup = self.sim.world.backup
        for vault in backup.vaults.values():
            for item in list(vault.items.values()):
                if item.vm_id.lower() == vm.lower():
                    backup.drop_item(vault, item)

    def _replace_vault(self) -> None:
        """The oldest vault goes with its items and policies, whatever they protect."""
        backup = self.sim.world.backup
        mine = [one for one in backup.vaults.values() if estates.MAIN in one.vault_id]
        remove(backup, min(mine, key=lambda one: one.created_at), None)
        body = estates.vault(f"rsv-{self.vaults}")
        self.vaults += 1
        for part in (body, *estates.policies(body)):
            load(self.sim.world, part)
        backup.tell(backup.vaults[body["id"].lower()])

    def _new_rules(self) -> None:
        self.versions += 1
        self.rules.rules = parse(f"{RULES}# version {self.versions}\n", str(estates.RULES))
