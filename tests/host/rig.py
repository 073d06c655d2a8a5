"""A Functions host with the sample app, an emulator and a simulated clock, and words to ask it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from simulator.azurite import Azurite
from simulator.host.connections import connection
from simulator.host.fleet import Fleet, FleetOptions
from simulator.host.ledger import Invocation
from simulator.host.storage import Storage, StorageFault
from simulator.server import Simulator, running

SAMPLE = Path(__file__).parent / "sample_app"
PREFIX = "told "
MOST_RIGS = 200


class Emulator:
    """One storage emulator for the whole session, with an untouched account for every rig.

    It lives on a loop of its own, because every test has another.
    """

    def __init__(self) -> None:
        self._accounts = [f"account{number}" for number in range(MOST_RIGS)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._azurite: Azurite | None = None

    async def account(self) -> str:
        """Return the connection string of the next account; start the emulator if need be."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
            self._azurite = await self._there(Azurite(accounts=self._accounts).__aenter__())
        return self._azurite.connection_string_of(self._accounts.pop())

    def stop(self) -> None:
        if self._loop is None:
            return
        leaving = asyncio.run_coroutine_threadsafe(self._azurite.__aexit__(), self._loop)
        leaving.result(timeout=15)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = None

    async def _there(self, work):
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


EMULATOR = Emulator()


@dataclass(slots=True, kw_only=True)
class Rig:
    sim: Simulator
    fleet: Fleet
    storage: Storage
    http: aiohttp.ClientSession
    taken: list[dict[str, object]] = field(default_factory=list)

    @property
    def keys(self):
        return self.fleet.options.keys

    def key(self) -> dict[str, str]:
        return {"x-functions-key": self.keys.host}

    async def ask(self, method: str, path: str, **more) -> tuple[int, str]:
        async with self.http.request(method, self.fleet.url + path, **more) as answer:
            return answer.status, await answer.text()

    async def send(self, queue: str, body: str | bytes) -> None:
        raw = body.encode() if isinstance(body, str) else body
        await self.storage.create_queue(queue)
        await self.storage.put(queue, base64.b64encode(raw).decode())

    async def raw_messages(self, queue: str) -> list[str]:
        """Take what is visible in a queue, as stored."""
        try:
            found = await self.storage.receive(queue, 32, 60)
        except StorageFault as fault:
            if fault.status == 404:
                return []
            raise
        for message in found:
            await self.storage.delete(queue, message.message_id, message.receipt)
        return [message.text for message in found]

    async def bodies(self, queue: str, count: int, within: float = 15.0) -> list[str]:
        """Wait for so many messages of a queue, decoded."""
        found: list[str] = []
        ends = time.monotonic() + within
        while len(found) < count:
            assert time.monotonic() < ends, f"only {found} in {queue}; {self.told()}"
            found += [base64.b64decode(text).decode() for text in await self.raw_messages(queue)]
            await asyncio.sleep(0.02)
        return found

    async def seen(
        self, function: str, count: int = 1, *, queue: str = "seen", within: float = 15.0
    ) -> list[dict[str, object]]:
        """Wait for what a function of the sample app told, so many times."""
        ends = time.monotonic() + within
        while True:
            texts = await self.raw_messages(queue)
            self.taken += [
                json.loads(base64.b64decode(text).decode().removeprefix(PREFIX)) for text in texts
            ]
            mine = [one for one in self.taken if one["function"] == function]
            if len(mine) >= count:
                self.taken = [one for one in self.taken if one not in mine]
                return mine
            assert time.monotonic() < ends, f"{function} told {mine}; {self.told()}"
            await asyncio.sleep(0.02)

    def runs(self, function: str, *, state: str = "") -> list[Invocation]:
        return [
            one
            for one in self.fleet.invocations.listed
            if one.function == function and state in {"", one.state}
        ]

    async def until(
        self, condition: Callable[[], object], what: str = "", within: float = 15.0
    ) -> None:
        ends = time.monotonic() + within
        while not condition():
            assert time.monotonic() < ends, f"not in time: {what}; {self.told()}"
            await asyncio.sleep(0.02)

    def advance(self, seconds: float) -> None:
        self.sim.clock.advance(seconds)

    def told(self) -> str:
        last = list(self.fleet.invocations.listed)[-5:]
        return f"deaths {self.fleet.deaths}, last {[(o.function, o.state, o.error) for o in last]}"


@contextlib.asynccontextmanager
async def rig(
    *,
    app: Path = SAMPLE,
    workers: int = 1,
    speed: float = 1.0,
    tick: str = "0 0 0 1 1 *",
    settings: Mapping[str, str] | None = None,
    probe: bool = False,
    kill_at: str = "",
) -> AsyncIterator[Rig]:
    """Run the sample app; ``tick`` is the schedule of its timer, by default once a year."""
    async with contextlib.AsyncExitStack() as stack:
        sim = await stack.enter_async_context(running(speed=speed))
        account = await EMULATOR.account()
        told = {
            "AzureWebJobsStorage": account,
            "AzureWebJobsOther": account,
            "WALK_QUEUE": "walk",
            "TICK": tick,
            "AzureWebJobs.switched_off.Disabled": "true",
            **(settings or {}),
        }
        http = await stack.enter_async_context(aiohttp.ClientSession())
        fleet = await stack.enter_async_context(
            Fleet(
                FleetOptions(
                    app=app,
                    settings={name: value for name, value in told.items() if value},
                    workers=workers,
                    clock_url=f"{sim.control_url}/_sim/clock",
                    probe=probe,
                    kill_at=kill_at,
                    grace=1.0,
                )
            )
        )
        storage = Storage(connection("AzureWebJobsOther", told), http)
        yield Rig(sim=sim, fleet=fleet, storage=storage, http=http)


def variant(folder: Path, host: Mapping[str, object]) -> Path:
    """Copy the sample app with another ``host.json``."""
    copy = folder / "app"
    shutil.copytree(SAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "host.json").write_text(json.dumps({"version": "2.0", **host}))
    return copy
