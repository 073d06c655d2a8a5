"""Timer triggers: one instance runs them all, on the simulated clock, never two runs at once.

The next time is computed when a run has ended, so what a long run or a jump of the clock passes
over is one run, not many. The schedule's status is a blob, so that a start after a missed time
runs once as past due; an instance holds the lock until it dies (the parent says when).
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from azure_functions_runtime.bindings.datumdef import Datum

from simulator.clock import SimClock
from simulator.host.ncrontab import Schedule
from simulator.host.storage import Storage, StorageFault
from simulator.host.worker import Binder, Cause, Function, Outcome, Request, Worker

CONTAINER = "azure-webjobs-hosts"
LOCK = "timers"
#: ``useMonitor`` defaults to on from this interval up (facts §7.4).
MONITORED_FROM = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """When a timer last ran and runs next, as kept between starts of the host."""

    schedule: str
    last: datetime | None
    next: datetime
    updated: datetime


@dataclass(slots=True, kw_only=True)
class Timer:
    """One timer trigger; :meth:`keep` runs until cancelled, and only while this host has the lock."""

    function: Function
    schedule: Schedule
    clock: SimClock
    worker: Worker
    bind: Binder
    storage: Storage
    host_id: str

    async def keep(self) -> None:
        now = self.clock.now()
        status = await self._recall()
        past_due = False
        if status is None or status.schedule != self.schedule.text:
            status = await self._remember(None, self.schedule.next_after(now))
        elif now > status.next:
            past_due = True
        if past_due or self.function.trigger.settings.get("runOnStartup") is True:
            status = await self._tick(status, past_due=past_due)
        while True:
            jumped = await self._wait_for(status.next)
            status = await self._tick(status, past_due=jumped)

    async def run(
        self, status: Status | None, *, past_due: bool, cause: Cause = "timer"
    ) -> Outcome:
        """Run the function, and again as its own retry policy says."""
        policy = self.function.retry
        request = Request(
            function=self.function,
            cause=cause,
            value=Datum(_payload(status if self.monitored else None, past_due=past_due), "json"),
            attempts=policy.count if policy else 0,
        )
        outcome = await self.worker.run(request, self.bind)
        while policy and not outcome.ok and (policy.count < 0 or request.attempt < policy.count):
            request = replace(request, attempt=request.attempt + 1, last_error=outcome.error)
            await self.clock.sleep(policy.wait(request.attempt))
            outcome = await self.worker.run(request, self.bind)
        return outcome

    @property
    def monitored(self) -> bool:
        chosen = self.function.trigger.settings.get("useMonitor")
        if chosen is False:
            return False
        return self.schedule.shortest_interval(self.clock.now()) >= MONITORED_FROM

    async def _tick(self, status: Status, *, past_due: bool) -> Status:
        began = self.clock.now()
        await self.run(status, past_due=past_due)
        return await self._remember(began, self.schedule.next_after(self.clock.now()))

    async def _wait_for(self, when: datetime) -> bool:
        """Wait; tell whether a jump of the clock carried us past it."""
        while (left := (when - self.clock.now()).total_seconds()) > 0:
            epoch = self.clock.epoch
            await self.clock.changed_within(self.clock.real_seconds(left))
            if self.clock.epoch != epoch and self.clock.now() > when:
                return True
        return False

    @property
    def _blob(self) -> str:
        return f"timers/{self.host_id}/Host.Functions.{self.function.name}/status"

    async def _recall(self) -> Status | None:
        if not self.monitored:
            return None
        try:
            content = await self.storage.read_blob(CONTAINER, self._blob)
        except StorageFault:
            return None
        if content is None:
            return None
        kept: Mapping[str, str | None] = json.loads(content)
        return Status(
            schedule=kept["Schedule"] or "",
            last=datetime.fromisoformat(kept["Last"]) if kept["Last"] else None,
            next=datetime.fromisoformat(kept["Next"] or ""),
            updated=datetime.fromisoformat(kept["LastUpdated"] or ""),
        )

    async def _remember(self, last: datetime | None, following: datetime) -> Status:
        status = Status(
            schedule=self.schedule.text, last=last, next=following, updated=last or self.clock.now()
        )
        if self.monitored:
            content = json.dumps({"Schedule": status.schedule, **_status(status)}).encode()
            try:
                await self.storage.write_blob(CONTAINER, self._blob, content)
            except StorageFault:
                return status  # the next tick writes it again
        return status


def host_id(app: str) -> str:
    """Name the host in storage: apps that share storage must not share their timers' status."""
    return hashlib.sha256(app.encode()).hexdigest()[:32]


async def keep_timers(timers: list[Timer], granted: asyncio.Event) -> None:
    """Run all timers once this instance is granted the lock."""
    await granted.wait()
    async with asyncio.TaskGroup() as group:
        for timer in timers:
            group.create_task(timer.keep())


def _status(status: Status) -> dict[str, str]:
    def written(at: datetime | None) -> str:
        return at.isoformat() if at else "0001-01-01T00:00:00+00:00"

    return {
        "Last": written(status.last),
        "LastUpdated": written(status.updated),
        "Next": written(status.next),
    }


def _payload(status: Status | None, *, past_due: bool) -> str:
    return json.dumps(
        {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": _status(status) if status else None,
            "IsPastDue": past_due,
        }
    )
