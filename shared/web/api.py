"""The small API: look at one VM, explain one VM, health. JSON in, JSON out, no surprises."""

from __future__ import annotations

import msgspec

from shared import telemetry
from shared.domain.ids import VIRTUAL_MACHINES, ArmId
from shared.domain.messages import Cause, WorkItem
from shared.errors import BadArmId
from shared.web.auth import Caller
from shared.web.desk import Desk
from shared.web.http import Answer, Request, as_json


def machine(text: str) -> ArmId:
    """Parse the id of a VM.

    Raises:
        BadArmId: no id, or of something else.

    """
    vm = ArmId.parse(text)
    if vm.type != VIRTUAL_MACHINES:
        raise BadArmId(f"not a virtual machine: {vm.type}")
    return vm


async def enroll(desk: Desk, request: Request, caller: Caller) -> Answer:
    """Enqueue a look at one VM."""
    ports = desk.ports
    try:
        body = msgspec.json.decode(request.body)
    except msgspec.MsgspecError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("vm"), str):
        return as_json(400, {"error": "body", "message": 'send {"vm": "<resource id of a VM>"}'})
    vm = machine(body["vm"])
    with telemetry.span("api.enroll", request.headers.get("traceparent", "")) as trace:
        work = WorkItem(
            vm=str(vm), seen_at=ports.clock.now(), cause=Cause.OPERATOR, trace=trace, by=caller.name
        )
        await ports.queues.send(work)
        telemetry.wide("api.enroll", vm=str(vm), by=caller.name, trace=trace)
    return as_json(202, {"vm": str(vm), "trace": trace})


async def explain(desk: Desk, request: Request, _caller: Caller) -> Answer:
    """Explain one VM: JSON, or text for those who ask for it."""
    from shared.explaining import explained

    told = await explained(desk.ports, machine(request.params.get("vm", "")))
    if "text/plain" in request.headers.get("accept", ""):
        return Answer(status=200, body=told.text.encode(), kind="text/plain; charset=utf-8")
    return Answer(status=200, body=told.json, kind="application/json")


async def health(desk: Desk) -> Answer:
    """Say whether storage answers, rules are in force and the sweep runs; nothing private."""
    swept = await desk.ports.ledger.noted("sweep-started")
    await desk.ports.rules.current()
    return as_json(200, {"status": "healthy", "swept": bool(swept)})
