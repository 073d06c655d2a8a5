"""Triggers only: parse, call, return. What happens to a VM is decided in `shared/domain`.

Handlers never let `CancelledError` escape: the worker would never answer, and the invocation
would hang until its timeout. No handler waits for Azure Backup, and none keeps state.
"""

import azure.functions as func

from shared import bootstrap
from shared.triggers import answered

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="work", queue_name="enrollments", connection=STORAGE)
@answered
async def on_vm_event(event: str, work: func.Out[bytes], context: func.Context) -> None:
    """Turn one event into one message, or park it. Imports no SDK on the good path."""
    if (body := await bootstrap.take_event(event, context.trace_context.trace_parent)) is not None:
        work.set(body)


@app.queue_trigger(arg_name="message", queue_name="enrollments", connection=STORAGE)
@answered
async def enroll_vm(message: func.QueueMessage) -> None:
    """Reconcile one VM that an event pointed at."""
    await bootstrap.enroll(message.get_body(), message.id or "", backlog=False)


@app.queue_trigger(arg_name="message", queue_name="enrollments-backlog", connection=STORAGE)
@answered
async def enroll_backlog(message: func.QueueMessage) -> None:
    """Reconcile one VM of a sweep, a backfill or a released wait."""
    await bootstrap.enroll(message.get_body(), message.id or "", backlog=True)


@app.queue_trigger(arg_name="message", queue_name="sweeps", connection=STORAGE)
@answered
async def sweep_subscription(message: func.QueueMessage) -> None:
    """Walk on through one subscription."""
    await bootstrap.sweep_page(message.get_body())


@app.queue_trigger(arg_name="message", queue_name="notices", connection=STORAGE)
@answered
async def send_notice(message: func.QueueMessage) -> None:
    """Deliver what is due of one notice."""
    await bootstrap.deliver(message.get_body())


@app.timer_trigger(arg_name="timer", schedule="*/20 * * * * *", use_monitor=False)
@answered
async def watch_enrollments(timer: func.TimerRequest) -> None:
    """Settle what Azure Backup has finished."""
    await bootstrap.watch()


@app.timer_trigger(arg_name="timer", schedule="5 * * * * *", use_monitor=True)
@answered
async def sweep(timer: func.TimerRequest) -> None:
    """Release due waits; start the sweeps that are due."""
    await bootstrap.sweep_tick()


@app.timer_trigger(arg_name="timer", schedule="35 * * * * *", use_monitor=True)
@answered
async def tick_notices(timer: func.TimerRequest) -> None:
    """Re-drive notices: retries, reminders, escalations, digests."""
    await bootstrap.tick_notices()


@app.queue_trigger(arg_name="message", queue_name="enrollments-poison", connection=STORAGE)
@answered
async def park_enrollment(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("enrollments", message.get_body())


@app.queue_trigger(arg_name="message", queue_name="enrollments-backlog-poison", connection=STORAGE)
@answered
async def park_backlog(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("enrollments-backlog", message.get_body())


@app.queue_trigger(arg_name="message", queue_name="sweeps-poison", connection=STORAGE)
@answered
async def park_sweep(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("sweeps", message.get_body())


@app.queue_trigger(arg_name="message", queue_name="notices-poison", connection=STORAGE)
@answered
async def park_notice(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("notices", message.get_body())


# Programs come with a function key, which the host asks for. Who else may ask is decided by the
# app itself (`shared/web/auth.py`).


@app.route(route="vms/enroll", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answered
async def enroll_one(req: func.HttpRequest) -> func.HttpResponse:
    """Enqueue a look at one VM: body {"vm": "<resource id>"}."""
    return await _answered("vms/enroll", req)


@app.route(route="vms/explain", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answered
async def explain_one(req: func.HttpRequest) -> func.HttpResponse:
    """Explain one VM: ?vm=<resource id>; JSON, or text with Accept: text/plain."""
    return await _answered("vms/explain", req)


@app.route(route="coverage/{*rest}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answered
async def coverage(req: func.HttpRequest) -> func.HttpResponse:
    """Show the coverage page and what belongs to it."""
    return await _answered(f"coverage/{req.route_params.get('rest') or ''}", req)


@app.route(route="doctor", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answered
async def doctor(req: func.HttpRequest) -> func.HttpResponse:
    """Say what the app can reach and do under its own identity, for `ops doctor`."""
    return await _answered("doctor", req)


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answered
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the service is well, and nothing private."""
    return await _answered("health", req)


async def _answered(what: str, req: func.HttpRequest) -> func.HttpResponse:
    answer = await bootstrap.answer(
        what,
        method=req.method,
        url=req.url,
        params=req.params,
        headers=dict(req.headers),
        body=req.get_body(),
    )
    return func.HttpResponse(
        answer.body,
        status_code=answer.status,
        headers={**answer.headers, "Content-Type": answer.kind},
    )
