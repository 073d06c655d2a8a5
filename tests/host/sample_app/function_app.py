"""One function per row of what a host must imitate; each tells what it saw on the queue `seen`."""

import asyncio
import json
import logging
import os
import time
import typing

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
STORAGE = "AzureWebJobsStorage"


def told(function: str, **facts: object) -> str:
    """Not a JSON text by itself: an object would be written again by the output binding."""
    return "told " + json.dumps(
        {"function": function, "instance": os.environ["WEBSITE_INSTANCE_ID"], **facts}
    )


@app.route(route="hello/{name?}", methods=["GET", "POST"])
async def hello(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    body = req.get_body()
    answer = func.HttpResponse(
        json.dumps(
            {
                "method": req.method,
                "url": req.url,
                "headers": dict(req.headers),
                "query": dict(req.params),
                "route": dict(req.route_params),
                "body": body.decode(),
                "traceparent": context.trace_context.Traceparent,
                "instance": os.environ["WEBSITE_INSTANCE_ID"],
            }
        ),
        mimetype="application/json",
        status_code=201 if req.method == "POST" else 200,
    )
    answer.headers.add("Set-Cookie", "a=1; Path=/")
    answer.headers.add("Set-Cookie", "b=2; HttpOnly")
    return answer


@app.route(route="things/{id:int}", auth_level=func.AuthLevel.ANONYMOUS)
def thing(req: func.HttpRequest) -> str:
    return f"thing {req.route_params['id']}"


@app.route(route="returns/{what}", auth_level=func.AuthLevel.ANONYMOUS)
def returns(req: func.HttpRequest) -> func.HttpResponse:
    return {"none": None, "dict": {"a": 1}}[req.route_params["what"]]


@app.route(route="admin_only", auth_level=func.AuthLevel.ADMIN)
def admin_only(req: func.HttpRequest) -> str:
    return "admin"


@app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req: func.HttpRequest) -> str:
    await asyncio.sleep(float(req.params.get("seconds", "60")))
    return "done"


@app.route(route="blocked", auth_level=func.AuthLevel.ANONYMOUS)
async def blocked(req: func.HttpRequest) -> str:
    time.sleep(60)  # noqa: ASYNC251
    return "done"


@app.route(route="cancelled", auth_level=func.AuthLevel.ANONYMOUS)
async def cancelled(req: func.HttpRequest) -> str:
    raise asyncio.CancelledError


@app.route(route="exits", auth_level=func.AuthLevel.ANONYMOUS)
async def exits(req: func.HttpRequest) -> str:
    raise SystemExit(7)


@app.route(route="emit", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="emitted", connection=STORAGE)
def emit(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set(req.get_body().decode())
    return "emitted"


@app.route(route="emit_bytes", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="emitted", connection=STORAGE)
def emit_bytes(req: func.HttpRequest, out: func.Out[bytes]) -> str:
    out.set(req.get_body())
    return "emitted"


@app.route(route="emit_list", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="emitted", connection=STORAGE)
def emit_list(req: func.HttpRequest, out: func.Out[typing.List[str]]) -> str:  # noqa: UP006
    out.set(req.get_body().decode().split(","))
    return "emitted"


@app.route(route="emit_work", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="text-work", connection=STORAGE)
def emit_work(req: func.HttpRequest, out: func.Out[bytes]) -> str:
    out.set(req.get_body())
    return "emitted"


@app.route(route="emit_badly", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="No_Queue_Name", connection=STORAGE)
def emit_badly(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set("x")
    return "emitted"


@app.route(route="logs", auth_level=func.AuthLevel.ANONYMOUS)
async def logs(req: func.HttpRequest) -> str:
    logging.getLogger("sample").info("sample.line %s", req.params["word"])
    return "logged"


@app.queue_trigger(arg_name="msg", queue_name="work", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
async def work(msg: func.QueueMessage, out: func.Out[bytes], context: func.Context) -> None:
    body = msg.get_body().decode()
    facts = {
        "id": msg.id,
        "dequeue_count": msg.dequeue_count,
        "inserted": str(msg.insertion_time),
        "expires": str(msg.expiration_time),
        "next_visible": str(msg.time_next_visible),
        "receipt": bool(msg.pop_receipt),
        "body": body,
        "traceparent": context.trace_context.Traceparent,
    }
    if body.startswith("fail"):
        raise ValueError(body)
    if body.startswith("hang"):
        await asyncio.sleep(3600)
    if body.startswith("sleep"):
        await asyncio.sleep(float(body.split()[1]))
    out.set(told("work", **facts).encode())


@app.queue_trigger(arg_name="msg", queue_name="text-work", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
def text_work(msg: str, out: func.Out[bytes]) -> None:
    out.set(told("text_work", kind=type(msg).__name__, body=msg).encode())


@app.queue_trigger(arg_name="msg", queue_name="work-poison", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
def buried(msg: func.QueueMessage, out: func.Out[bytes]) -> None:
    if msg.get_body().decode().startswith("fail twice"):
        raise ValueError("here too")
    out.set(told("buried", body=msg.get_body().decode(), dequeue_count=msg.dequeue_count).encode())


@app.queue_trigger(arg_name="msg", queue_name="%WALK_QUEUE%", connection="Other")
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
async def walk(msg: func.QueueMessage, out: func.Out[bytes]) -> None:
    await asyncio.sleep(0.01)
    for _ in range(2):
        await _stride()
    out.set(told("walk", dequeue_count=msg.dequeue_count).encode())


async def _stride() -> None:
    await asyncio.sleep(0.01)


@app.queue_trigger(arg_name="msg", queue_name="chatty", connection=STORAGE)
def chatty(msg: func.QueueMessage) -> str:
    return "nobody asked"


@app.queue_trigger(arg_name="msg", queue_name="switched-off", connection=STORAGE)
def switched_off(msg: func.QueueMessage) -> None:
    raise AssertionError(msg)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
async def on_text(event: str, out: func.Out[bytes]) -> None:
    if "fail" in event:
        raise ValueError("asked to")
    out.set(told("on_text", kind=type(event).__name__, event=event).encode())


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
def on_typed(event: func.EventGridEvent, out: func.Out[bytes]) -> None:
    out.set(told("on_typed", kind=type(event).__name__, id=event.id).encode())


@app.timer_trigger(arg_name="timer", schedule="%TICK%")
@app.queue_output(arg_name="out", queue_name="ticks", connection=STORAGE)
async def tick(timer: func.TimerRequest, out: func.Out[bytes]) -> None:
    out.set(
        told(
            "tick", past_due=timer.past_due, status=timer.schedule_status, schedule=timer.schedule
        ).encode()
    )


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
@app.queue_output(arg_name="out", queue_name="nights", connection=STORAGE)
async def nightly(timer: func.TimerRequest, out: func.Out[bytes], context: func.Context) -> None:
    retry = context.retry_context
    if retry.retry_count < retry.max_retry_count:
        raise ValueError(f"attempt {retry.retry_count}")
    error = retry.rpc_exception.message if retry.rpc_exception else ""
    out.set(
        told(
            "nightly",
            past_due=timer.past_due,
            attempt=retry.retry_count,
            error=error,
            status=timer.schedule_status,
        ).encode()
    )
