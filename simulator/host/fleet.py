"""The parent of the instances: starts them, restarts the dead, routes HTTP, keeps the books.

What happens when an instance ends depends on how (docs/simulator-host.md): killed means the whole
host is gone, and its messages reappear when their ten minutes are over; a worker that was taken
down by a timeout, or took itself down, leaves a host that fails what ran at once.
"""

import asyncio
import contextlib
import secrets
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import aiohttp

from simulator.host import channel
from simulator.host.child import Child
from simulator.host.clock import FollowedClock
from simulator.host.connections import connection
from simulator.host.custody import Custody
from simulator.host.front import Front
from simulator.host.ledger import Invocations, Locks
from simulator.host.probe import KillPoint
from simulator.host.storage import Storage

START_PATIENCE = 60.0
STOP_PATIENCE = 5.0
#: Real seconds an instance may stay silent past an invocation's deadline: its loop is blocked.
STUCK_PATIENCE = 5.0
LOOK = 1.0
QUICK_DEATH = 5.0
LONGEST_RESTART_DELAY = 10.0
LOGS_REMEMBERED = 20_000
#: Settings that order a kill point or a probe, for `up --set` (see simulator.host.probe).
KILL_AT, PROBE = "HOST_KILL_AT", "HOST_PROBE"
#: In the value of a setting: this app's own address, known once it listens.
HOST_URL = "%HOST_URL%"


class UnstartableApp(RuntimeError):
    """No instance came up; the message is what the first one said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """How many instances of which app, under which settings and clock."""

    app: Path
    settings: Mapping[str, str]
    workers: int = 1
    port: int = 0
    clock_url: str = ""
    control_url: str = ""
    probe: bool = False
    kill_at: str = ""
    log: Path | None = None
    grace: float = 5.0
    keys: channel.Keys = field(
        default_factory=lambda: channel.Keys(
            master=secrets.token_urlsafe(24),
            host=secrets.token_urlsafe(24),
            system={"eventgrid_extension": secrets.token_urlsafe(24)},
        )
    )


class Fleet:
    """One to N instances of one app behind one address. Use as ``async with``."""

    def __init__(self, options: FleetOptions) -> None:
        self.options = options
        self.clock = FollowedClock()
        self.children: dict[int, Child] = {}
        self.invocations = Invocations()
        self.locks = Locks(self.clock)
        self.logs: deque[channel.Logged] = deque(maxlen=LOGS_REMEMBERED)
        self.deaths: list[str] = []
        self.killed_at: list[str] = []  # the awaits at which instances were told to die
        self.kill_at = options.kill_at or options.settings.get(KILL_AT, "")
        self.front = Front(self.ready)
        self._generation = 0
        self._closing = False
        self._spawning = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return self.front.url

    def webhook(self, function: str) -> str:
        """Return the address Event Grid posts to, key included."""
        key = self.options.keys.system["eventgrid_extension"]
        return f"{self.url}/runtime/webhooks/eventgrid?functionName={function}&code={key}"

    async def __aenter__(self) -> Self:
        self._exit = contextlib.AsyncExitStack()
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._exit.aclose()

    def aim(self, kill_at: str) -> None:
        """Let the next instance that reaches this point kill itself; "" calls it off."""
        KillPoint.parse(kill_at)
        self.kill_at = kill_at
        for child in self.children.values():
            child.tell(channel.Aim(kill_at=kill_at))

    def kill(self, slot: int) -> None:
        """SIGKILL an instance: what Azure calls a crash of the host. It is restarted."""
        self.children[slot].kill()

    def reported(self) -> list[str]:
        """Say what of ``host.json`` is unknown, and what has no effect here."""
        child = next((one for one in self.children.values() if one.listed), None)
        if child is None or child.listed is None:
            return []
        unknown = [f"{key} is unknown" for key in child.listed.unknown_settings]
        return unknown + [f"{key} has no effect here" for key in child.listed.inert_settings]

    def described(self) -> dict[str, object]:
        """Describe the instances, for the control plane."""
        return {
            "url": self.url,
            "instances": [
                {
                    "slot": child.slot,
                    "name": child.name,
                    "pid": child.program.pid,
                    "ready": child.port != 0 and child.program.returncode is None,
                }
                for child in self.children.values()
            ],
            "functions": [
                one
                for child in list(self.children.values())[:1]
                if child.listed
                for one in child.listed.functions
            ],
            "locks": self.locks.holders,
            "deaths": self.deaths,
            "hostFile": self.reported(),
        }

    async def wait_ready(self) -> None:
        """Wait until every instance listens, or raise with what the app said."""
        async with asyncio.timeout(START_PATIENCE):
            for child in list(self.children.values()):
                await child.ready.wait()
                if child.failure:
                    raise UnstartableApp(child.failure)

    async def _start(self) -> None:
        session = await self._exit.enter_async_context(aiohttp.ClientSession())
        if self.options.clock_url:
            await self.clock.follow(self.options.clock_url, session)
        accounts: dict[str, Storage] = {}

        def storage(name: str) -> Storage:
            if name not in accounts:
                accounts[name] = Storage(connection(name, self.options.settings), session)
            return accounts[name]

        self.custody = Custody(clock=self.clock, storage=storage)
        log = self.options.log
        self._log: IO[bytes] | None = self._exit.enter_context(log.open("ab")) if log else None
        self._exit.push_async_callback(self._stop)
        await self.front.start(self.options.port)
        for slot in range(self.options.workers):
            await self._spawn(slot)
        await self.wait_ready()
        self._keep(self._grant_locks())
        self._keep(self._watch_the_stuck())
        if self.options.clock_url:
            self._keep(self.clock.keep_following(self.options.clock_url, session))

    async def _spawn(self, slot: int) -> None:
        async with self._spawning:  # an end waits for a start, so that none is left behind
            if not self._closing:
                await self._start_child(slot)

    async def _start_child(self, slot: int) -> None:
        options = self.options
        name = f"{slot}.{self._generation}"
        self._generation += 1
        setup = channel.Setup(
            app=str(options.app.resolve()),
            instance=name,
            control=options.control_url,
            clock_url=options.clock_url,
            keys=options.keys,
            probe=options.probe or options.settings.get(PROBE, "") == "1",
            kill_at=self.kill_at,
        )
        host = self.url.removeprefix("http://")
        settings = {
            "WEBSITE_HOSTNAME": host,
            **{name: value.replace(HOST_URL, self.url) for name, value in options.settings.items()},
        }
        child = await Child.start(slot, setup, settings, self._log)
        self.children[slot] = child
        self._keep(self._live(child))

    async def _live(self, child: Child) -> None:
        born = asyncio.get_running_loop().time()
        code = await child.hear(self._heard)
        self._buried(child, code)
        if self._closing or child.failure:
            return
        quick = asyncio.get_running_loop().time() - born < QUICK_DEATH
        early = sum(1 for _ in self.deaths) if quick and not child.listed else 0
        await asyncio.sleep(min(LONGEST_RESTART_DELAY, 0.1 * 2 ** min(early, 8)) if early else 0)
        await self._spawn(child.slot)

    def _buried(self, child: Child, code: int) -> None:
        """Settle what an ended instance leaves behind."""
        crashed = child.crashed and code == -signal.SIGKILL
        self.invocations.lost(child.name, self.clock.now())
        self.custody.died(child.name, at_once=not crashed)
        self.locks.died(child.name, lease_runs_out=crashed)
        if not child.ready.is_set():
            child.failure = child.failure or f"the instance ended with {code} before it was ready"
            child.ready.set()
        if not self._closing:
            self.deaths.append(f"{child.name}: {code}")

    def _heard(self, child: Child, said: channel.FromInstance) -> None:
        match said:
            case channel.Ready():
                child.port = said.port
                child.listed = said
                child.ready.set()
            case channel.Failed():
                child.failure = said.reason
                child.ready.set()
            case channel.WantsLock():
                self.locks.wanted(said.lock, child.name)
            case channel.Began():
                self.invocations.began(child.name, said)
                if said.deadline_real:
                    child.deadlines[said.invocation] = said.deadline_real
            case channel.Ended():
                self.invocations.ended(said)
                child.deadlines.pop(said.invocation, None)
            case channel.Held():
                self.custody.took(child.name, said)
            case channel.LetGo():
                self.custody.gave(child.name, said)
            case channel.Logged():
                self.logs.append(said)
            case channel.KilledItself():
                self.killed_at.append(said.place)
                self.aim("")  # once is enough

    def ready(self) -> list[Child]:
        """Return the instances that listen now."""
        return [
            child
            for child in self.children.values()
            if child.port and child.program.returncode is None
        ]

    async def _grant_locks(self) -> None:
        while True:
            self.locks.changed.clear()
            for lock, name in self.locks.grantable():
                for child in self.children.values():
                    if child.name == name:
                        child.tell(channel.Granted(lock=lock))
            due = self.locks.next_free()
            if due is None:
                await self.locks.changed.wait()
            else:
                await self._first(self.locks.changed.wait(), self.clock.sleep_until(due))

    async def _watch_the_stuck(self) -> None:
        """End an instance whose event loop is blocked past a timeout: nothing else can."""
        while True:
            await asyncio.sleep(LOOK)
            for child in self.ready():
                if child.is_stuck(STUCK_PATIENCE):
                    child.crashed = False
                    child.kill()

    async def _stop(self) -> None:
        self._closing = True
        async with self._spawning:
            await self.front.stop()
        living = [child for child in self.children.values() if child.program.returncode is None]
        for child in living:
            child.tell(channel.Stop(grace=self.options.grace))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.options.grace + STOP_PATIENCE):
                await asyncio.gather(*(child.program.wait() for child in living))
        for child in living:
            child.kill()
            await child.program.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.custody.close()

    def _keep(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault

    @staticmethod
    async def _first(*work: "asyncio._CoroutineLike[object]") -> None:
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
