"""Triggers only: parse, call, return. What happens to a VM is decided in `shared/domain`.

Handlers never let `CancelledError` escape: the worker would never answer, and the invocation
would hang until its timeout. No handler waits for Azure Backup, and none keeps state.
"""

import azure.functions as func

from shared import bootstrap
from shared.triggers import answered

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"


@app.function_name("on_vm_event")
@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="work", queue_name="enrollments", connection=STORAGE)
@answered
async def on_vm_event(event: str, work: func.Out[bytes], context: func.Context) -> None:
    """Turn one event into one message, or park it. Imports no SDK on the good path."""
    if (body := await bootstrap.take_event(event, context.trace_context)) is not None:
        work.set(body)


@app.function_name("enroll_vm")
@app.queue_trigger(arg_name="message", queue_name="enrollments", connection=STORAGE)
@answered
async def enroll_vm(message: func.QueueMessage) -> None:
    """Reconcile one VM that an event pointed at."""
    await bootstrap.enroll(message.get_body(), message.id, backlog=False)


@app.function_name("enroll_backlog")
@app.queue_trigger(arg_name="message", queue_name="enrollments-backlog", connection=STORAGE)
@answered
async def enroll_backlog(message: func.QueueMessage) -> None:
    """Reconcile one VM of a sweep, a backfill or a released wait."""
    await bootstrap.enroll(message.get_body(), message.id, backlog=True)


@app.function_name("sweep_subscription")
@app.queue_trigger(arg_name="message", queue_name="sweeps", connection=STORAGE)
@answered
async def sweep_subscription(message: func.QueueMessage) -> None:
    """Walk on through one subscription."""
    await bootstrap.sweep_page(message.get_body())


@app.function_name("send_notice")
@app.queue_trigger(arg_name="message", queue_name="notices", connection=STORAGE)
@answered
async def send_notice(message: func.QueueMessage) -> None:
    """Deliver what is due of one notice."""
    await bootstrap.deliver(message.get_body())


@app.function_name("watch_enrollments")
@app.timer_trigger(arg_name="timer", schedule="*/20 * * * * *", use_monitor=False)
@answered
async def watch_enrollments(timer: func.TimerRequest) -> None:
    """Settle what Azure Backup has finished."""
    await bootstrap.watch()


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="5 * * * * *", use_monitor=True)
@answered
async def sweep(timer: func.TimerRequest) -> None:
    """Release due waits; start the sweeps that are due."""
    await bootstrap.sweep_tick()


@app.function_name("tick_notices")
@app.timer_trigger(arg_name="timer", schedule="35 * * * * *", use_monitor=True)
@answered
async def tick_notices(timer: func.TimerRequest) -> None:
    """Re-drive notices: retries, reminders, escalations, digests."""
    await bootstrap.tick_notices()


@app.function_name("park_enrollment")
@app.queue_trigger(arg_name="message", queue_name="enrollments-poison", connection=STORAGE)
@answered
async def park_enrollment(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("enrollments", message.get_body())


@app.function_name("park_backlog")
@app.queue_trigger(arg_name="message", queue_name="enrollments-backlog-poison", connection=STORAGE)
@answered
async def park_backlog(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("enrollments-backlog", message.get_body())


@app.function_name("park_sweep")
@app.queue_trigger(arg_name="message", queue_name="sweeps-poison", connection=STORAGE)
@answered
async def park_sweep(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("sweeps", message.get_body())


@app.function_name("park_notice")
@app.queue_trigger(arg_name="message", queue_name="notices-poison", connection=STORAGE)
@answered
async def park_notice(message: func.QueueMessage) -> None:
    """Park what failed five times, then acknowledge it."""
    await bootstrap.park_poison("notices", message.get_body())


@app.function_name("enroll_one")
@app.route(route="vms/enroll", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answered
async def enroll_one(req: func.HttpRequest) -> func.HttpResponse:
    """Enqueue a look at one VM: body {"vm": "<resource id>"}."""
    return await bootstrap.answer("enroll", req)


@app.function_name("explain_one")
@app.route(route="vms/explain", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answered
async def explain_one(req: func.HttpRequest) -> func.HttpResponse:
    """Explain one VM: ?vm=<resource id>; JSON, or text with Accept: text/plain."""
    return await bootstrap.answer("explain", req)


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answered
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the service is well, and nothing private."""
    return await bootstrap.answer("health", req)
