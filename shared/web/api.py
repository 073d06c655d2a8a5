"""The small API: enroll one VM, explain one VM, health. JSON in, JSON out, no surprises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from shared import telemetry
from shared.domain.ids import VIRTUAL_MACHINES, ArmId
from shared.domain.messages import Cause, WorkItem
from shared.errors import BadArmId, BadSettings, EnrollmentError
from shared.ports import Ports
from shared.web.http import Answer, Request

Opened = Callable[[], Awaitable[Ports]]


async def respond(what: str, request: Request, ports: Opened) -> Answer:
    """Answer `enroll`, `explain` or `health`; what the caller got wrong is said, with 400."""
    try:
        if what == "health":
            return await _health(ports)
        if what == "enroll":
            return await _enroll(request, await ports())
        return await _explain(request, await ports())
    except BadArmId as error:
        return _json(400, {"error": "vm", "message": str(error)})


async def _enroll(request: Request, ports: Ports) -> Answer:
    try:
        body = msgspec.json.decode(request.body)
    except msgspec.MsgspecError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("vm"), str):
        return _json(400, {"error": "body", "message": 'send {"vm": "<resource id of a VM>"}'})
    vm = _machine(body["vm"])
    with telemetry.span("api.enroll", request.headers.get("traceparent", "")) as trace:
        work = WorkItem(
            vm=str(vm), seen_at=ports.clock.now(), cause=Cause.OPERATOR, trace=trace, by="api"
        )
        await ports.queues.send(work)
        telemetry.wide("api.enroll", vm=str(vm), trace=trace)
    return _json(202, {"vm": str(vm), "trace": trace})


async def _explain(request: Request, ports: Ports) -> Answer:
    from shared.explaining import explained

    vm = _machine(request.params.get("vm", ""))
    told = await explained(ports, vm)
    if "text/plain" in request.headers.get("accept", ""):
        return Answer(status=200, body=told.text.encode(), kind="text/plain; charset=utf-8")
    return Answer(status=200, body=told.json, kind="application/json")


async def _health(ports: Opened) -> Answer:
    """Say whether storage answers and the sweep runs; no names, no numbers of the estate."""
    try:
        opened = await ports()
        last = await opened.ledger.noted("sweep-started")
        await opened.rules.current()
    except (EnrollmentError, BadSettings):
        return _json(503, {"status": "unhealthy"})
    return _json(200, {"status": "healthy", "swept": bool(last)})


def _machine(text: str) -> ArmId:
    vm = ArmId.parse(text)
    if vm.type != VIRTUAL_MACHINES:
        raise BadArmId(f"not a virtual machine: {vm.type}")
    return vm


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(body), kind="application/json")
