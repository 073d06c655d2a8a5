"""The whole service over its real Azure adapters: a simulated Azure over TLS, storage in memory.

Time is the simulator's and stands still while anything runs; whatever waits on it (a slow answer, a
second try) moves it. VM events are Event Grid's own texts, read by the product's intake.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from bench import estates
from shared.adapters.assembly import Foundation
from shared.adapters.backup import ArmBackup
from shared.adapters.compute import ArmMachines
from shared.adapters.directory import ArmDirectory
from shared.adapters.graph import GraphEstate
from shared.adapters.index import GraphIndex
from shared.adapters.network import ArmNetworks
from shared.domain.rules import parse
from shared.intake import work_item
from shared.ports import Accepted, Change
from simulator import role
from simulator.eventgrid.events import Published
from simulator.eventgrid.grid import grid_of
from simulator.gateway import Incoming
from simulator.server import Simulator, running
from simulator.world import START, SYSTEM
from tests.usecases.mortal import Death, Mortal

SCHEMA = "EventGridSchema"
NAP = 0.03  # real seconds after which an invocation on a slow wire must be waiting for the clock
OPERATIONS = (
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Resources/tags/write",
)


class TownClock:
    """The simulator's clock, in its own process."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.paused = 0.0  # simulated seconds that the product has chosen to wait

    def now(self) -> datetime:
        return self._sim.world.clock.now()

    def real_seconds(self, delay: float) -> float:
        """Let a wait of the product's be over at once, and so much later."""
        self.paused += delay
        self.advance(delay)
        return 0.0

    async def synchronize(self) -> None:
        """Nothing to read."""

    def advance(self, seconds: float) -> datetime:
        world = self._sim.world
        world.clock.advance(seconds)
        world.schedule.run(world.clock.now())
        return world.clock.now()


class _Patient(TownClock):
    """The outbox's: it only sets limits to what channels may take, and those are not waits."""

    def real_seconds(self, delay: float) -> float:
        return delay


class Town(Mortal):
    """A mortal house with the real adapters."""

    def __init__(self, sim: Simulator, death: Death | None = None, **environment: str) -> None:
        super().__init__(
            death,
            clock=TownClock(sim),
            **{
                "TENANT_ID": sim.world.tenant_id,
                "AZURE_CLOUD": "custom",
                "AZURE_CLOUD_ARM_ENDPOINT": sim.arm_url,
                "AZURE_CLOUD_ARM_AUDIENCE": sim.arm_url,
                "AZURE_CLOUD_AUTHORITY": sim.arm_url,
                "AZURE_CLOUD_CA_FILE": str(sim.ca_file),
                "CLOCK": f"{sim.control_url}/_sim/clock",
                "SUBSCRIPTIONS": ",".join(
                    one.subscription_id for one in sim.world.subscriptions.values()
                ),
                **environment,
            },
        )
        self.sim = sim
        self.finding = death is not None
        self.post.clock = _Patient(sim)
        self.post.restart()
        self.notices = self.post.notifier
        self.slow_wire = False  # answers are ordered that take their time
        self.longest_pause = 0.0  # simulated seconds that an invocation chose to wait
        self.rules.rules = parse(estates.RULES.read_text(encoding="utf-8"), str(estates.RULES))
        self._lives: list[Foundation] = []
        self._begin()

    def restart(self) -> None:
        """Begin a new process: caches, budgets learned and connections are gone."""
        self.post.restart()
        self.notices = self.post.notifier
        self._begin()

    def _begin(self) -> None:
        settings, clock = self.settings, self.clock
        life = Foundation(settings, clock)
        self._lives.append(life)
        clients = life.clients
        self.estate = GraphEstate(clients, settings, clock)
        self.directory = ArmDirectory(clients, settings, clock, self.estate)
        self.machines = ArmMachines(clients, settings)
        self.backup = ArmBackup(clients, clock)
        self.networks = ArmNetworks(clients, settings, clock)
        self.index = GraphIndex(clients, settings, clock, self.estate, self.directory)
        self.pace = life.governor
        self.backup.send = self._sent(self.backup.send)
        for name in ("estate", "directory", "machines", "backup", "networks", "index", "pace"):
            self._wrap(name, getattr(self, name))

    def sending(self, change: Change) -> None:
        """See a change in the moment before it is sent."""

    def _sent(self, send: Callable[[Change], Awaitable[Accepted]]):
        async def sent(change: Change) -> Accepted:
            self.sending(change)
            return await send(change)

        return sent

    async def invoke(self, function: str, work: Awaitable[object]) -> object:
        """Run one invocation; time moves only if it waits for it."""
        paused = self.clock.paused
        running = asyncio.create_task(super().invoke(function, work))
        while self.slow_wire and not (await asyncio.wait({running}, timeout=NAP))[0]:
            self.clock.advance(10.0)
        try:
            return await running
        finally:
            self.longest_pause = max(self.longest_pause, self.clock.paused - paused)

    @property
    def life(self) -> Foundation:
        """What the process of now was made of."""
        return self._lives[-1]

    async def close(self) -> None:
        await self.bury()
        for life in self._lives:
            await life.clients.aclose()

    # --- what happens in Azure --------------------------------------------------------------------

    def arm(self, method: str, path: str, body: object = None, version: str = "") -> Any:
        """Ask ARM as somebody who may do everything."""
        gateway = self.sim.world.gateway
        return gateway.answer(
            Incoming(
                method=method,
                path=path,
                principal=SYSTEM,
                query={"api-version": version or gateway.default_version(method, path)},
                raw=b"" if body is None else json.dumps(body).encode(),
            )
        )

    def put(self, body: Mapping[str, Any]) -> None:
        reply = self.arm("PUT", body["id"], {k: v for k, v in body.items() if k != "_sim"})
        assert reply.status in {200, 201, 202}, reply

    def delete(self, resource_id: str) -> None:
        assert self.arm("DELETE", resource_id).status in {200, 202, 204}

    def published(self) -> list[Published]:
        """Take out the events that a subscription as ours would be sent."""
        waiting = grid_of(self.sim.world).published
        taken = [
            one
            for one in waiting
            if not one.notification and one.data["operationName"] in OPERATIONS
        ]
        waiting.clear()
        return taken

    async def announce(self, *events: Published) -> None:
        """Deliver events as the trigger takes them."""
        for one in events:
            text = json.dumps(one.written(f"/subscriptions/{estates.MAIN}", SCHEMA))
            if (work := work_item(text, self.clock.now(), "")) is not None:
                await self.queues.send(work)

    def calls(self) -> list[Any]:
        """Give the requests of the service itself."""
        mine = self.sim.world.directory.managed_identity.object_id
        return [one for one in self.sim.world.calls.since(0) if one.caller == mine]


@asynccontextmanager
async def town(
    seed: Mapping[str, Any],
    death: Death | None = None,
    *,
    start: datetime = START,
    profile: str = "doc",
    kind: type[Town] = Town,
    **environment: str,
) -> AsyncIterator[Town]:
    """Open a town; the service has its own role and no more."""
    async with running(seed=seed, speed=0.0, start=start, profile=profile) as sim:
        for name in ("endpoint", "header"):
            os.environ[f"IDENTITY_{name.upper()}"] = sim.identity[name]
        role.grant(sim.world, sim.identity["principalId"], role.actions(role.FEATURES))
        found = kind(sim, death, **environment)
        try:
            yield found
        finally:
            await found.close()
            for name in ("ENDPOINT", "HEADER"):
                del os.environ[f"IDENTITY_{name}"]
