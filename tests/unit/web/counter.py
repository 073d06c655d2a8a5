"""A page on fakes: a house full of VMs in every standing, and a browser of sorts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from shared.coverage import recount
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId, virtual_machine
from shared.domain.records import Row, SweepMark
from shared.domain.states import State
from shared.web.desk import Desk
from shared.web.http import Answer, Request
from shared.web.routes import respond
from tests.fakes.notices import FakeNoticeStore
from tests.unit.domain import worlds
from tests.usecases.house import House

HOST = "http://127.0.0.1:7071"
PASSWORD = "correct horse battery"
LAPTOP = {
    "AZURE_CLOUD": "custom",
    "AZURE_CLOUD_ARM_ENDPOINT": "https://127.0.0.1:9443",
    "LOCAL_SIGN_IN": PASSWORD,
}


class NoKeys:
    """A tenant that nobody asks."""

    async def key(self, kid: str):
        raise AssertionError("no token was sent")


@dataclass
class Hushed:
    """Remembers what was snoozed."""

    snoozed: list[tuple[ArmId, datetime, str]] = field(default_factory=list)

    async def snooze(self, vm: ArmId, until: datetime, by: str, now: datetime) -> None:
        self.snoozed.append((vm, until, by))


@dataclass
class Quiet:
    """`web.desk.Soundings` where all is well; tests change what it says."""

    off: timedelta = timedelta(seconds=1)
    ages: dict[str, timedelta] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=lambda: {"teams": ""})

    async def ahead(self) -> timedelta:
        return self.off

    async def oldest(self, queue: str) -> timedelta | None:
        return self.ages.get(queue)

    async def channels(self) -> dict[str, str]:
        return self.said


def blocker(code: str = "AGENT_NOT_READY") -> Finding:
    return Finding(code=code, severity=Severity.BLOCKER, text="It is so.", evidence="seen")


class Counter:
    """Somebody at the page. ``ask`` sends what a browser would send."""

    def __init__(self, keys=None, **environment: str) -> None:
        self.house = House(**({**LAPTOP, **environment} if keys is None else environment))
        self.keys = keys or NoKeys()
        self.notices = FakeNoticeStore()
        self.hush = Hushed()
        self.soundings = Quiet()
        self.cookie = ""

    async def desk(self) -> Desk:
        return Desk(
            ports=self.house.ports,
            keys=self.keys,
            notices=self.notices,
            hush=self.hush,
            soundings=self.soundings,
        )

    async def ask(self, path: str, *, form: dict[str, str] | None = None, **headers: str) -> Answer:
        parts = urlsplit(path)
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        named.setdefault("accept", "text/html")
        if self.cookie:
            named.setdefault("cookie", self.cookie)
        body = b""
        if form is not None:
            body = urlencode(form).encode()
            named["content-type"] = "application/x-www-form-urlencoded"
        request = Request(
            method="GET" if form is None else "POST",
            url=HOST + path,
            params=dict(parse_qsl(parts.query)),
            headers=named,
            body=body,
        )
        answer = await respond(parts.path.removeprefix("/api/"), request, self.desk)
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    async def sign_in(self) -> None:
        answer = await self.ask("/api/coverage/sign-in", form={"password": PASSWORD})
        assert answer.status == 303, answer.body

    async def text(self, path: str) -> str:
        answer = await self.ask(path)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.body.decode()

    async def rows(self, *rows: Row) -> None:
        for one in rows:
            await self.house.ledger.insert(one)

    async def counted(self, *, swept: bool = True) -> None:
        """Sweep and count as the timers would."""
        now = self.house.clock.now()
        if swept:
            seen: dict[str, int] = {}
            for row in self.house.ledger.all_rows():
                subscription = ArmId.parse(row.vm).subscription
                seen[subscription] = seen.get(subscription, 0) + 1
            for subscription, vms in seen.items():
                await self.house.ledger.put_sweep(
                    SweepMark(
                        subscription=subscription,
                        sweep="s",
                        started_at=now - timedelta(seconds=1),
                        finished_at=now,
                        vms=vms,
                    )
                )
        await recount(self.house.ports)

    def row(
        self, name: str, state: State, subscription: str = worlds.SUB, group="rg-app", **changes
    ) -> Row:
        now = self.house.clock.now()
        base = Row(
            vm=str(virtual_machine(subscription, group, name)),
            state=state,
            since=now,
            seen_at=now,
            region="westeurope",
            rule="production",
        )
        return msgspec.structs.replace(base, **changes)
