"""One instance of the app: what a Functions host process is, in one Python process.

It loads the app, listens on its triggers, and ends when its parent does. Who calls:
``python -m simulator.host``, started by :mod:`simulator.host.fleet`.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from simulator.host import channel, hostfile, worker
from simulator.host.clock import FollowedClock
from simulator.host.connections import (
    DEFAULT_CONNECTION,
    UnusableSetting,
    connection,
    expand,
    is_disabled,
)
from simulator.host.ncrontab import Schedule, UnusableSchedule
from simulator.host.outputs import QueueOutputs
from simulator.host.probe import KillPoint, Probe, UnusableKillPoint
from simulator.host.queues import QueueListener
from simulator.host.relay import Relay
from simulator.host.routes import UnusableRoute
from simulator.host.storage import Storage
from simulator.host.timers import LOCK, Timer, host_id, keep_timers
from simulator.host.web import Endpoint, Face
from simulator.host.webhook import Webhook
from simulator.host.worker import Function, UnloadableApp, Worker

HOSTED_TRIGGERS = frozenset({"queueTrigger", "timerTrigger", "httpTrigger", "eventGridTrigger"})
HOSTED_OUTPUTS = frozenset({"queue", "http"})
#: Real seconds that failed invocations of a doomed worker get to be answered and released.
LAST_WORDS = 5.0
#: Exit codes: told to stop; the app cannot be loaded; a timeout took the worker down.
STOPPED, UNLOADABLE, DOOMED = 0, 3, 4

UNUSABLE = (
    UnloadableApp,
    UnusableKillPoint,
    UnusableRoute,
    UnusableSchedule,
    UnusableSetting,
    hostfile.UnusableHostFile,
)


@dataclass(slots=True, kw_only=True)
class Instance:
    """The parts of one running instance."""

    setup: channel.Setup
    settings: Mapping[str, str]
    voice: channel.Voice
    session: aiohttp.ClientSession
    clock: FollowedClock = field(default_factory=FollowedClock)
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    probe: Probe | None = None
    grace: float = 0.0
    listeners: list[QueueListener] = field(default_factory=list)
    timers: dict[str, Timer] = field(default_factory=dict)
    accounts: dict[str, Storage] = field(default_factory=dict)

    def storage(self, name: str) -> Storage:
        if name not in self.accounts:
            self.accounts[name] = Storage(connection(name, self.settings), self.session)
        return self.accounts[name]

    def wake(self, queue: str) -> None:
        for listener in self.listeners:
            if listener.queue == queue:
                listener.wake()

    async def run(self) -> int:
        """Load the app, listen until told to stop, and return the exit code."""
        if self.setup.clock_url:
            await self.clock.follow(self.setup.clock_url, self.session)
        try:
            host, loaded, listed, face = await self._load()
        except UNUSABLE as reason:
            self.voice.say(channel.Failed(reason=str(reason)))
            return UNLOADABLE
        runner = web.AppRunner(face.application(), access_log=None, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = int(runner.addresses[0][1])
        self.voice.say(
            channel.Ready(
                port=port,
                functions=listed,
                unknown_settings=list(host.unknown),
                inert_settings=list(host.inert),
            )
        )
        return await self._listen(runner, loaded)

    async def _load(
        self,
    ) -> tuple[hostfile.HostFile, Worker, list[channel.Listed], Face]:
        app = Path(self.setup.app)
        host = hostfile.read(app)
        self._start_probe(app)
        relay = Relay(self.voice, self.clock)
        relay.attach()
        functions, relays = await worker.load(app)
        if not relays:
            relay.detach()
        for function in functions:
            _refuse_what_is_not_hosted(function)
        loaded = Worker(
            functions,
            clock=self.clock,
            timeout=host.function_timeout,
            voice=self.voice,
            probe=self.probe,
            relays_logs=relays,
        )
        outputs = QueueOutputs(
            settings=self.settings,
            storage=self.storage,
            base64=host.queues.base64,
            wake=self.wake,
        )
        enabled = [one for one in functions if not is_disabled(one.name, self.settings)]
        for function in enabled:
            self._add_listener(function, host, loaded, outputs)
        face = Face(
            endpoints=[Endpoint.of(one) for one in enabled if one.trigger.type == "httpTrigger"],
            options=host.http,
            keys=self.setup.keys,
            worker=loaded,
            bind=outputs,
            webhook=Webhook(
                functions={
                    one.name.lower(): one
                    for one in enabled
                    if one.trigger.type == "eventGridTrigger"
                },
                worker=loaded,
                bind=outputs,
            ),
            timers=self.timers,
        )
        listed = [
            channel.Listed(
                name=one.name,
                trigger=one.trigger.type,
                disabled=one not in enabled,
                route=one.trigger.text("route") or one.trigger.text("queueName"),
            )
            for one in functions
        ]
        return host, loaded, listed, face

    def _start_probe(self, app: Path) -> None:
        kill_at = KillPoint.parse(self.setup.kill_at)
        if kill_at is None and not self.setup.probe:
            return
        self.probe = Probe(app, kill_at, self._dying)
        self.probe.start()

    def _dying(self, point: KillPoint, place: str) -> None:
        self.voice.say(
            channel.KilledItself(
                function=point.function, after_awaits=point.after_awaits, place=place
            )
        )

    def _add_listener(
        self, function: Function, host: hostfile.HostFile, loaded: Worker, outputs: QueueOutputs
    ) -> None:
        trigger = function.trigger
        match trigger.type:
            case "queueTrigger":
                self.listeners.append(
                    QueueListener(
                        function=function,
                        queue=expand(trigger.text("queueName"), self.settings),
                        connection=trigger.text("connection"),
                        storage=self.storage(trigger.text("connection")),
                        options=host.queues,
                        clock=self.clock,
                        worker=loaded,
                        bind=outputs,
                        voice=self.voice,
                    )
                )
            case "timerTrigger":
                self.timers[function.name] = Timer(
                    function=function,
                    schedule=Schedule.parse(expand(trigger.text("schedule"), self.settings)),
                    clock=self.clock,
                    worker=loaded,
                    bind=outputs,
                    storage=self.storage(DEFAULT_CONNECTION),
                    host_id=host_id(self.setup.app),
                )

    async def _listen(self, runner: web.AppRunner, loaded: Worker) -> int:
        tasks = [asyncio.create_task(listener.listen()) for listener in self.listeners]
        tasks.append(asyncio.create_task(keep_timers(list(self.timers.values()), self.granted)))
        if self.setup.clock_url:
            tasks.append(
                asyncio.create_task(self.clock.keep_following(self.setup.clock_url, self.session))
            )
        if self.timers:
            self.voice.say(channel.WantsLock(lock=LOCK))
        ends = [
            asyncio.create_task(self.stopping.wait()),
            asyncio.create_task(loaded.doomed.wait()),
        ]
        await asyncio.wait([*ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # a listener never ends by itself: show why it did
        if loaded.doomed.is_set():
            await self._settle_in_flight(LAST_WORDS)
            return DOOMED
        for task in tasks:
            task.cancel()
        await self._settle_in_flight(self.grace)
        await runner.cleanup()
        return STOPPED

    async def _settle_in_flight(self, grace: float) -> None:
        """Let what runs be answered, released or deleted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                for listener in self.listeners:
                    await listener.drain()

    def heard(self, message: channel.FromParent) -> None:
        match message:
            case channel.Granted():
                self.granted.set()
            case channel.Aim():
                if self.probe:
                    self.probe.kill_at = KillPoint.parse(message.kill_at)
            case channel.Stop():
                self.grace = message.grace
                self.stopping.set()
            case channel.Setup():
                raise ValueError("an instance is set up once")


async def serve(descriptor: int) -> int:
    """Be an instance: the parent speaks on standard input, and its end is ours."""
    ears = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ears), sys.stdin)
    opening = await ears.readline()
    if not opening:
        return STOPPED  # the parent died before it said anything
    first = channel.heard_from_parent(opening)
    if not isinstance(first, channel.Setup):
        raise TypeError("the parent's first word must be the set-up")
    async with aiohttp.ClientSession() as session:
        instance = Instance(
            setup=first,
            settings=dict(os.environ),
            voice=channel.Voice(descriptor),
            session=session,
        )
        listening = asyncio.create_task(_listen_to_parent(ears, instance))
        try:
            return await instance.run()
        finally:
            listening.cancel()


async def _listen_to_parent(ears: asyncio.StreamReader, instance: Instance) -> None:
    while text := await ears.readline():
        instance.heard(channel.heard_from_parent(text))
    logging.getLogger(__name__).info("host.parent_gone")
    instance.stopping.set()


def _refuse_what_is_not_hosted(function: Function) -> None:
    if function.trigger.type not in HOSTED_TRIGGERS:
        raise UnloadableApp(f"{function.name}: {function.trigger.type} is not hosted here")
    for binding in function.outputs:
        if binding.type not in HOSTED_OUTPUTS:
            raise UnloadableApp(f"{function.name}: {binding.type} outputs are not hosted here")
