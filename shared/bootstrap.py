"""The composition root: Settings -> credential -> adapters -> Ports, lazy and once per process.

`function_app.py` calls the functions at the end; each imports only what its invocation needs, so
that the first event after a cold start loads no SDK. Nothing here touches the network at import.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared import telemetry
from shared.domain.messages import NoticeItem, SweepPage, WorkItem, decode, encode
from shared.errors import BadMessage
from shared.loading import loading
from shared.settings import Settings, from_environment

if TYPE_CHECKING:
    from shared.adapters.assembly import Foundation
    from shared.notify import Notifier
    from shared.ports import Clock, ParkedMessages, Ports
    from shared.web.desk import Desk
    from shared.web.http import Answer

    Params = Mapping[str, str]


class _Process:
    """What this process has built. One event loop, so building needs no locks."""

    settings: Settings | None = None
    clock: Clock | None = None
    foundation: Foundation | None = None
    ports: Ports | None = None
    notifier: Notifier | None = None
    desk: Desk | None = None
    walking: asyncio.Lock | None = None


def settings() -> Settings:
    """Read the environment once, and set up telemetry as it says."""
    if _Process.settings is None:
        _Process.settings = from_environment()
        if _Process.settings.exporter != "none":
            with loading():
                from shared.adapters.exporters import providers

            made = providers(_Process.settings)
            telemetry.install(tracer=made.tracer, meter=made.meter, handler=made.handler)
    return _Process.settings


async def clock() -> Clock:
    """Give the clock, synchronized for this invocation."""
    if _Process.clock is None:
        from shared.adapters.clock import clock_of

        _Process.clock = clock_of(settings().clock)
    await _Process.clock.synchronize()
    return _Process.clock


async def ports() -> Ports:
    """Give everything a use case may reach."""
    foundation = await _foundation()
    if _Process.ports is None:
        with loading():
            from shared.adapters.assembly import assemble

            _Process.ports, _Process.notifier = assemble(foundation)
    return _Process.ports


async def notifier() -> Notifier:
    """Give the outbox."""
    await ports()
    assert _Process.notifier is not None, "assembled with the ports"
    return _Process.notifier


async def _foundation() -> Foundation:
    now = await clock()
    if _Process.foundation is None:
        with loading():
            from shared.adapters.assembly import Foundation

            _Process.foundation = Foundation(settings(), now)
    return _Process.foundation


async def _parked() -> ParkedMessages:
    from shared.adapters.assembly import parked_messages

    return parked_messages(await _foundation())


# --- what the triggers call ----------------------------------------------------------------------


async def take_event(text: str, trace: str) -> bytes | None:
    """Give the message for one event, or None if it asks nothing or was parked."""
    with loading():
        from shared.intake import park, work_item

    now = (await clock()).now()
    try:
        work = work_item(text, now, trace)
    except BadMessage as error:
        await park(await _parked(), "event", text, error, now, trace)
        return None
    return encode(work) if work is not None else None


async def enroll(body: bytes, message_id: str, *, backlog: bool) -> None:
    """Reconcile the VM a message names; park a message that cannot be read."""
    with loading():
        from shared.reconcile import reconcile

    queue = "enrollments-backlog" if backlog else "enrollments"
    item = await _decoded(queue, body)
    if isinstance(item, WorkItem):
        await reconcile(await ports(), item, message_id, backlog=backlog)


async def sweep_page(body: bytes) -> None:
    """Walk on through one subscription.

    A page is thousands of VMs, items and rows in memory, and the queue hands out as many pages as
    there are subscriptions: an instance reads one at a time.
    """
    from shared.sweep import sweep

    item = await _decoded("sweeps", body)
    if isinstance(item, SweepPage):
        opened = await ports()
        _Process.walking = _Process.walking or asyncio.Lock()
        async with _Process.walking:
            await sweep(opened, item)


async def deliver(body: bytes) -> None:
    """Deliver what is due of one notice."""
    item = await _decoded("notices", body)
    if isinstance(item, NoticeItem):
        await (await notifier()).deliver(item)


async def watch() -> None:
    """Settle what Azure Backup has finished."""
    from shared.watch import watch as settle_all

    await settle_all(await ports())
    await _ran("watch")


async def sweep_tick() -> None:
    """Release due waits, start the sweeps that are due, count what changed for the page."""
    from shared.coverage import recount
    from shared.rules_in_force import look_at_rules
    from shared.sweep import tick

    await look_at_rules(await ports())
    await tick(await ports())
    await recount(await ports())
    await _ran("sweep")


async def tick_notices() -> None:
    """Re-drive notices."""
    outbox = await notifier()
    await outbox.tick((await clock()).now())
    await _ran("notices")


async def park_poison(queue: str, body: bytes) -> None:
    """Park a message that failed five times, tell the operators, mark its VM."""
    from shared.poison import park_poisoned

    await park_poisoned(await ports(), queue, body)


async def answer(
    what: str, *, method: str, url: str, params: Params, headers: Params, body: bytes
) -> Answer:
    """Answer one HTTP request."""
    with loading():
        from shared.web.http import Request
        from shared.web.routes import respond

    named = {name.lower(): value for name, value in headers.items()}
    request = Request(method=method, url=url, params=params, headers=named, body=body)
    return await respond(what, request, _desk)


async def _desk() -> Desk:
    opened, outbox = await ports(), await notifier()
    if _Process.desk is None:
        with loading():
            from shared.adapters.assembly import desk

        _Process.desk = desk(await _foundation(), opened, outbox)
    return _Process.desk


async def _ran(timer: str) -> None:
    """Note that a timer did its work: the page and `doctor` miss it when it does not."""
    opened = await ports()
    await opened.ledger.note(f"ran-{timer}", opened.clock.now().isoformat())


async def _decoded(queue: str, body: bytes) -> WorkItem | SweepPage | NoticeItem | None:
    from shared.intake import park, wait_for_newer

    try:
        return decode(body)
    except BadMessage as error:
        now = (await clock()).now()
        newer = error.reason == "version"
        if newer and await wait_for_newer((await ports()).queues, body, queue, now):
            return None
        await park(await _parked(), queue, body.decode(errors="replace"), error, now, "")
        return None
