"""The one address of all instances: requests go to each in turn, as Azure's front ends do.

A request that an instance cannot have seen (its connection was refused) goes to the next; one
that broke on the way is a 502, because sending it twice could run a function twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from simulator.host.child import Child

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailers", "transfer-encoding", "upgrade", "content-length",
    }
)  # fmt: skip
#: Azure's load balancer gives up on an answer after 230 s (facts §7.5).
PATIENCE = 230.0
#: A request that comes while no instance listens waits for one to start, in real seconds.
COLD_START = 15.0
LOOK = 0.05


class Front:
    def __init__(self, ready: Callable[[], list[Child]]) -> None:
        self._ready = ready
        self._turn = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def start(self, port: int) -> None:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),  # a kept one may end at the dead
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )
        # The client would send a GET again whose connection broke: that could run it twice.
        self._session._retry_connection = False  # noqa: SLF001 - there is no public switch
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read() if request.body_exists else None
        ends = time.monotonic() + COLD_START
        while time.monotonic() < ends:
            ready = self._ready()
            self._turn += 1
            for step in range(len(ready)):
                child = ready[(self._turn + step) % len(ready)]
                try:
                    return await self._ask(child, request, body)
                except aiohttp.ClientConnectorError:
                    continue  # dead, and not yet known to be
                except aiohttp.ClientError:
                    return web.Response(status=502)
                except TimeoutError:
                    return web.Response(status=504)
            await asyncio.sleep(LOOK)
        return web.Response(status=503, text="Function host is not running.")

    async def _ask(
        self, child: Child, request: web.Request, body: bytes | None
    ) -> web.StreamResponse:
        if self._session is None:
            raise asyncio.InvalidStateError("the front is not started")
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP
        )
        headers.setdefault("X-Forwarded-For", request.remote or "127.0.0.1")
        async with self._session.request(
            request.method,
            f"http://127.0.0.1:{child.port}{request.raw_path}",
            headers=headers,
            data=body if body is None or request.content_length is not None else _chunks(body),
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type", "Accept-Encoding"),
        ) as answer:
            reply = web.Response(status=answer.status, body=await answer.read())
            reply.headers.clear()
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    reply.headers.add(name, value)
            return reply


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    """Send a body as it came: in chunks, without a length, which the host does not read."""
    yield body
