"""The Event Grid webhook of the Event Grid extension (facts §7.3).

One invocation per event, all in parallel; 202 only if every one succeeded, else 500 and Event
Grid sends the whole payload again: functions must be idempotent per event.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from azure_functions_runtime.bindings.datumdef import Datum

from simulator.host.worker import Binder, Function, Outcome, Request, Worker


@dataclass(slots=True, kw_only=True)
class Webhook:
    functions: Mapping[str, Function]
    worker: Worker
    bind: Binder

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return _allowed(request)
        if request.method != "POST":
            return web.Response(status=404)
        name = request.query.get("functionName", "")
        function = self.functions.get(name.lower())
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        match request.headers.get("aeg-event-type", "").lower():
            case "subscriptionvalidation":
                return await _validated(request)
            case "notification":
                return await self._notified(request, function)
            case "unsubscribe":
                return web.Response(status=202)
            case _:
                return web.Response(status=400)

    async def _notified(self, request: web.Request, function: Function) -> web.StreamResponse:
        try:
            content = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400)
        events = content if isinstance(content, list) else [content]
        if not all(isinstance(event, dict) for event in events):
            return web.Response(status=400)
        outcomes = await asyncio.gather(*(self._one(function, event) for event in events))
        failed = next((outcome for outcome in outcomes if not outcome.ok), None)
        if failed is not None:
            return web.Response(status=500, text=failed.error)
        return web.Response(status=202)

    async def _one(self, function: Function, event: object) -> Outcome:
        return await self.worker.run(
            Request(
                function=function,
                cause="eventgrid",
                value=Datum(json.dumps(event, ensure_ascii=False), "json"),
            ),
            self.bind,
        )


async def _validated(request: web.Request) -> web.StreamResponse:
    try:
        [event] = json.loads(await request.read())
        code = str(event["data"]["validationCode"])
    except (ValueError, TypeError, KeyError):
        return web.Response(status=400)
    return web.json_response({"validationResponse": code})


def _allowed(request: web.Request) -> web.StreamResponse:
    origin = request.headers.get("WebHook-Request-Origin", "")
    if not origin:
        return web.Response(status=400)
    return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
