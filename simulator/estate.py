"""Everything at once, for tests and the demo: Azure, the storage emulator, the Functions host.

``async with up_running(seed=...) as estate`` starts it with the clock standing still, subscribes
the app to the events of every subscription, and only then lets the clock run: nothing of a
seed's timeline is missed. Only app settings differ from production.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp

from simulator import role
from simulator.access import ASSIGNMENT
from simulator.arm import Json, Reply
from simulator.azurite import Azurite
from simulator.clock import SimClock
from simulator.eventgrid.grid import Grid, grid_of
from simulator.gateway import Incoming
from simulator.host import plane
from simulator.host.connections import connection
from simulator.host.fleet import HOST_URL, Fleet, FleetOptions
from simulator.host.ledger import Invocation
from simulator.host.storage import Storage
from simulator.inbox import TEAMS_PATH, inboxes_of
from simulator.inbox_cloud import TOPIC_PATH
from simulator.seeds import plant
from simulator.server import Simulator, running
from simulator.world import START, SYSTEM, World

ROOT = Path(__file__).resolve().parents[1]
FUNCTION = "on_vm_event"
EVENT_SUBSCRIPTION = "vm-writes"
EVENT_VERSION = "2022-06-15"
EVENT_TYPES = (
    "Microsoft.Resources.ResourceWriteSuccess",
    "Microsoft.Resources.ResourceDeleteSuccess",
)
OPERATIONS = (
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Resources/tags/write",
)
FASTEST = 60.0
LOOK = 0.05
HANDSHAKE_PATIENCE = 20.0


class NotInTime(TimeoutError):
    """A condition did not come true; the message says which, and what the estate looks like."""


@dataclass(slots=True, kw_only=True)
class Estate:
    """A running whole, from inside the process that runs it."""

    sim: Simulator
    azurite: Azurite
    fleet: Fleet
    storage: Storage
    settings: Mapping[str, str]
    http: aiohttp.ClientSession = field(repr=False)

    @property
    def world(self) -> World:
        return self.sim.world

    @property
    def clock(self) -> SimClock:
        return self.sim.clock

    @property
    def control(self) -> str:
        return self.sim.control_url

    @property
    def url(self) -> str:
        """The app's own address."""
        return self.fleet.url

    @property
    def grid(self) -> Grid:
        return grid_of(self.world)

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Jump the clock; everything that came due meanwhile happens now."""
        self.clock.advance(seconds)
        self.world.schedule.run(self.clock.now())

    def kill(self, slot: int = 0) -> None:
        """SIGKILL an instance of the app; its parent starts another."""
        self.fleet.kill(slot)

    def inbox(self, channel: str) -> list[dict[str, Json]]:
        """Return what ``teams`` or ``mail`` has accepted, in order, nothing de-duplicated."""
        return list(inboxes_of(self.world).named(channel).messages)

    def calls(self, *, since: int = 0) -> list[dict[str, Json]]:
        """Return ARM's log of requests."""
        return [call.shown() for call in self.world.calls.since(since)]

    def invocations(self, function: str = "") -> list[Invocation]:
        return [one for one in self.fleet.invocations.listed if function in {"", one.function}]

    def failed(self) -> list[Invocation]:
        """Return the invocations that failed or were lost with their instance."""
        return [one for one in self.fleet.invocations.listed if one.state in {"failed", "lost"}]

    def arm(self, method: str, path: str, body: Json = None, *, api_version: str = "") -> Reply:
        """Ask ARM as the simulator itself, so that changes are published like anybody's."""
        gateway = self.world.gateway
        version = api_version or gateway.default_version(method, path)
        return gateway.answer(
            Incoming(
                method=method,
                path=path,
                principal=SYSTEM,
                query={"api-version": version},
                raw=b"" if body is None else json.dumps(body).encode(),
            )
        )

    def put(self, body: Mapping[str, Json]) -> Reply:
        return self.arm("PUT", str(body["id"]), dict(body))

    def delete(self, resource_id: str) -> Reply:
        return self.arm("DELETE", resource_id)

    def get(self, resource_id: str) -> Mapping[str, Json] | None:
        self.world.schedule.run(self.clock.now())
        return self.world.get(resource_id)

    async def queued(self, queue: str) -> int:
        """Count the messages of a queue, hidden ones included; 0 if it is not there."""
        return await self.storage.count(queue)

    async def quiet(self, *queues: str) -> bool:
        """Tell whether nothing is on its way: no delivery, no invocation, no message."""
        if self.grid.pending or self.grid.sending or self.fleet.invocations.running:
            return False
        for queue in queues:
            if await self.queued(queue):
                return False
        return True

    async def wait_until(
        self,
        condition: Callable[[], object],
        timeout: float = 30.0,  # noqa: ASYNC109 - a bound on polling, not on an await
        what: str = "",
    ) -> None:
        """Poll a condition, at most so many *real* seconds."""
        ends = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > ends:
                raise NotInTime(f"not in {timeout} s: {what or condition} {self.summary()}")
            await asyncio.sleep(LOOK)

    def summary(self) -> str:
        """Say in a line what happened so far: for failing tests."""
        failed = [f"{one.function}: {one.error or one.state}" for one in self.failed()]
        return (
            f"[{self.now():%H:%M:%S}, {len(self.world.calls.since(0))} calls, "
            f"{len(self.fleet.invocations.listed)} invocations, failed: {failed[:5]}, "
            f"{self.grid.pending} deliveries pending]"
        )

    def ready(self) -> dict[str, Json]:
        """Describe where everything is, as ``up`` writes it."""
        keys = self.fleet.options.keys
        return {
            **self.sim.ready(),
            "inbox": {
                "teams": f"{self.control}/_sim/inbox/teams",
                "mail": f"{self.control}/_sim/inbox/mail",
                "webhook": self.control + TEAMS_PATH,
            },
            "smtp": inboxes_of(self.world).smtp.url,
            "host": {
                "url": self.url,
                "keys": {"master": keys.master, "host": keys.host, "system": dict(keys.system)},
            },
            "storage": self.azurite.connection_string,
        }


@contextlib.asynccontextmanager
async def up_running(
    *,
    seed: Mapping[str, Json] | None = None,
    rules: Path | None = None,
    workers: int = 1,
    speed: float = 1.0,
    settings: Mapping[str, str] | None = None,
    profile: str = "doc",
    start: datetime = START,
    port: int = 0,
    app: Path = ROOT,
    probe: bool = False,
    kill_at: str = "",
    log: Path | None = None,
    grants: Sequence[str] = role.FEATURES,
    cloud_channels: bool = False,
    storage_folder: Path | None = None,
) -> AsyncIterator[Estate]:
    """Run everything until the block ends.

    ``settings`` override the app's; ``kill_at`` and ``probe`` are the host's (see
    :mod:`simulator.host.probe`); ``log`` takes what instances write to stdout and stderr.
    The app's identity has these blocks of the service's role and no more, unless the seed assigns
    roles itself. ``cloud_channels`` adds mail through Communication Services, before SMTP, and a
    topic for outcomes. With a ``storage_folder`` the storage emulator can be stopped and started.
    """
    if speed > FASTEST:
        raise ValueError(f"at most {FASTEST:g}x: storage hides messages in real, whole seconds")
    given = dict(seed or {})
    timeline = given.pop("timeline", [])  # its first changes wait for the event subscription
    async with contextlib.AsyncExitStack() as stack:
        sim = await stack.enter_async_context(
            running(seed=given, profile=profile, speed=0.0, start=start, port=port)
        )
        if not any(True for _ in sim.world.list(type=ASSIGNMENT)):
            role.grant(sim.world, sim.identity["principalId"], role.actions(grants))
        azurite = await stack.enter_async_context(Azurite(folder=storage_folder))
        told = {**app_settings(sim, azurite, rules, workers), **(settings or {})}
        if cloud_channels:
            told |= {"ACS_ENDPOINT": sim.arm_url, "TOPIC_ENDPOINT": sim.arm_url + TOPIC_PATH}
        fleet = await stack.enter_async_context(
            Fleet(
                FleetOptions(
                    app=app,
                    settings=told,
                    workers=workers,
                    clock_url=f"{sim.control_url}/_sim/clock",
                    control_url=sim.control_url,
                    probe=probe,
                    kill_at=kill_at,
                    log=log,
                )
            )
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        storage = Storage(connection("", told), http)
        estate = Estate(
            sim=sim, azurite=azurite, fleet=fleet, storage=storage, settings=told, http=http
        )
        plane.connect(sim.world, fleet)
        estate.grid.function_url = fleet.webhook
        estate.grid.storage = storage
        await subscribe(estate)
        plant(sim.world, {"timeline": timeline})
        sim.clock.set_speed(speed)
        yield estate


async def subscribe(estate: Estate, function: str = "") -> None:
    """Subscribe the app to VM writes of every subscription, through ARM, and wait for the handshake."""
    made = []
    for subscription in list(estate.world.subscriptions.values()):
        scope = f"/subscriptions/{subscription.subscription_id}"
        path = f"{scope}/providers/Microsoft.EventGrid/eventSubscriptions/{EVENT_SUBSCRIPTION}"
        body: dict[str, Json] = {
            "properties": {
                "destination": {
                    "endpointType": "WebHook",
                    "properties": {"endpointUrl": estate.fleet.webhook(function or FUNCTION)},
                },
                "filter": {
                    "includedEventTypes": list(EVENT_TYPES),
                    "advancedFilters": [
                        {
                            "operatorType": "StringIn",
                            "key": "data.operationName",
                            "values": list(OPERATIONS),
                        }
                    ],
                },
                "eventDeliverySchema": "EventGridSchema",
            }
        }
        reply = estate.arm("PUT", path, body, api_version=EVENT_VERSION)
        if reply.status not in {200, 201}:
            raise RuntimeError(f"event subscription {path}: {reply.status} {reply.body}")
        made.append(path)
    await estate.wait_until(
        lambda: all(_state(estate.world.get(path)) == "Succeeded" for path in made),
        timeout=HANDSHAKE_PATIENCE,
        what="the app answers Event Grid's handshake",
    )


def app_settings(
    sim: Simulator, azurite: Azurite, rules: Path | None, workers: int
) -> dict[str, str]:
    """Write the app's settings: production's names, this laptop's addresses."""
    subscriptions = sorted(one.subscription_id for one in sim.world.subscriptions.values())
    given = {
        "AzureWebJobsStorage": azurite.connection_string,
        "TENANT_ID": sim.world.tenant_id,
        "SUBSCRIPTIONS": ",".join(subscriptions),
        "MODE": "enforce",
        "ENROLL_SINCE": "2000-01-01T00:00:00Z",
        "AZURE_CLOUD": "custom",
        "AZURE_CLOUD_ARM_ENDPOINT": sim.arm_url,
        "AZURE_CLOUD_ARM_AUDIENCE": sim.arm_url,
        "AZURE_CLOUD_AUTHORITY": sim.arm_url,
        "AZURE_CLOUD_CA_FILE": str(sim.ca_file),
        "IDENTITY_ENDPOINT": sim.identity["endpoint"],
        "IDENTITY_HEADER": sim.identity["header"],
        "CLOCK": f"{sim.control_url}/_sim/clock",
        "TEAMS_WEBHOOK_URL": sim.control_url + TEAMS_PATH,
        "SMTP_URL": inboxes_of(sim.world).smtp.url,
        "MAIL_FROM": "backup-enrollment@example.com",
        "OPERATORS": "operators@example.com",
        "INSTANCES": str(workers),
        "PAGE_URL": HOST_URL,
    }
    if rules is not None:
        given["RULES_URI"] = str(rules.resolve())
    return given


def _state(body: Mapping[str, Json] | None) -> str:
    properties = body.get("properties") if body else None
    return str(properties.get("provisioningState")) if isinstance(properties, dict) else ""
