"""The governor: how much of Azure's budgets this instance may use (the `Pace` port).

It sees every request of the process as a policy of the one pipeline, learns budgets from what
answers say (`x-ms-ratelimit-remaining-*`, `x-ms-user-quota-*`, `Retry-After`, the text of a 429)
and shares them with the other instances by taking a part of what it sees. It knows no limit of
Azure's: those change (facts §4). A request that Azure has said to keep away is not sent.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.core.pipeline.policies import AsyncHTTPPolicy

from shared import telemetry
from shared.adapters.faults import read, request_id_of
from shared.adapters.meters import Meter
from shared.domain.ids import ArmId
from shared.errors import AzureFault, Disposition
from shared.ports import Clock
from shared.settings import Settings

HELD_BACK = "HeldBack"  # the code of a request we did not send because Azure said to wait

_REMAINING = "x-ms-ratelimit-remaining-"
_PER_ACTION = frozenset({"subscription-resource-requests", "subscription-resource-entities-read"})
_QUOTA, _QUOTA_RESETS = "x-ms-user-quota-remaining", "x-ms-user-quota-resets-after"
_NAMED_ACTION = re.compile(r"action '([\w./]+)'")
_ONE_RESOURCE = re.compile(r'"target":\s*"\w+Resource"')  # a budget of a single VM, not ours

_PATIENCE = 2.0  # seconds worth waiting in process (DESIGN §3.4)
_TURN = 0.1  # seconds between two looks while waiting
_WAITING = 8  # reconciles of one subscription that wait in process: more would stop the listener
_EAGER = 2.0  # a turn is told somewhat early: a budget that comes back faster is noticed so
_SLOWEST = 0.5  # turns a second, however little was granted lately
_BRISK = 60.0  # ... where not Azure but our own number of reconciles at once is the limit
_AHEAD = 10.0, 20.0  # seconds, at least and at most, between the first turn told and the last
_WATCHED = 0.4  # share of an hourly budget that the watch may use (DESIGN §3.6)
_LOST = timedelta(minutes=5)  # no reconcile takes so long
_ABREAST = 12  # reconciles of one subscription at once: the host runs two dozen messages
_GRANTED = timedelta(seconds=120)  # an enable that nobody told us the end of is over by then
_TIDIED = timedelta(seconds=60)  # between two looks for what is of no use any more


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one request draws on: the subscription in its URL, the action, ARM's own class."""

    subscription: str
    action: str  # e.g. microsoft.recoveryservices/vaults/backupjobs/read
    kind: str  # reads, writes, deletes

    @staticmethod
    def by(method: str, url: str) -> Drawn:
        """Classify a request (facts §4.2-4.5)."""
        path = unquote(urlsplit(url).path).lower()
        parts = [part for part in path.split("/") if part]
        subscription = parts[1] if parts[:1] == ["subscriptions"] and len(parts) > 1 else ""
        verb, kind = _VERBS.get(method.upper(), ("action", "writes"))
        if "providers" not in parts:
            return Drawn(subscription, f"{'/'.join(parts[::2])}/{verb}", kind)
        last = len(parts) - 1 - parts[::-1].index("providers")
        provider, chain = parts[last + 1 : last + 2], parts[last + 2 :]
        return Drawn(subscription, "/".join([*provider, *chain[::2], verb]), kind)


_VERBS = {
    "GET": ("read", "reads"),
    "HEAD": ("read", "reads"),
    "PUT": ("write", "writes"),
    "PATCH": ("write", "writes"),
    "DELETE": ("delete", "deletes"),
}  # and POST counts as a write (facts §1.1, call 8)


class Governor:
    """Answers the `Pace` port; `GovernorPolicy` tells it what happens on the wire."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._instances = settings.instances
        self._vault_cap = max(1, settings.vault_in_flight // settings.instances)
        self._meters: defaultdict[tuple[str, str], Meter] = defaultdict(Meter)
        self._urgent: Counter[str] = Counter()  # PUTs of single events that wait right now
        self._waiting: Counter[str] = Counter()  # reconciles that wait in process
        self._granted: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._turns: dict[str, tuple[datetime, datetime]] = {}  # of a crowd: the first, the next
        self._vaults: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self.throttled: Counter[str] = Counter()  # 429s by action, for telemetry
        self._tidied_at = clock.now()

    # --- the port -------------------------------------------------------------------------------

    async def slot(self, subscription: str, *, urgent: bool) -> float:
        key = subscription.lower()
        left = patience = _PATIENCE if self._waiting[key] < _WAITING else 0.0
        self._waiting[key] += 1
        if urgent:
            self._urgent[key] += 1
        try:
            while True:
                crowded = len(self._underway(key, self._clock.now())) >= _ABREAST
                wait = _TURN if crowded else self._wait(key, urgent=urgent)
                if wait <= 0:
                    self._grant(key)
                    return 0.0
                if wait > left:
                    if left < patience:  # whoever waited is next: not sent to the end of the line
                        return _jittered(max(wait, _TURN))
                    eager, least = (2 * _EAGER, _BRISK) if crowded else (_EAGER, _SLOWEST)
                    return self._turn(key, _jittered(wait), eager, least)
                pause = max(wait, _TURN)
                left -= pause
                await asyncio.sleep(self._clock.real_seconds(pause))
        finally:
            self._waiting[key] -= 1
            if urgent:
                self._urgent[key] -= 1

    def done(self, subscription: str) -> None:
        if granted := self._granted.get(subscription.lower()):
            granted.popleft()

    def may_read(self, subscription: str, action: str) -> float:
        key = subscription.lower()
        if self._urgent[key]:
            return _jittered(_PATIENCE)  # a read that can wait yields to a PUT
        now = self._clock.now()
        meter = self._meters[key, action.lower()]
        wait = max(meter.wait(now, instances=1), meter.wait_for_slow(now, _WATCHED))
        return _jittered(wait) if wait else 0.0

    async def vault_slot(self, vault: ArmId) -> float:
        now = self._clock.now()
        flying = self._vaults[vault.key]
        while flying and now - flying[0] >= _GRANTED:
            flying.popleft()
        if len(flying) >= self._vault_cap:
            return _jittered(max(1.0, (flying[0] + _GRANTED - now).total_seconds()))
        flying.append(now)
        return 0.0

    def settled(self, vault: ArmId) -> None:
        if flying := self._vaults.get(vault.key):
            flying.popleft()

    # --- what the wire tells --------------------------------------------------------------------

    def hold(self, drawn: Drawn) -> float:
        """Give the seconds for which Azure told us not to ask this."""
        now = self._clock.now()
        keys = (
            (drawn.subscription, drawn.action),
            (drawn.subscription, f"subscription-{drawn.kind}"),
        )
        return max(self._meters[key].hold(now) if key in self._meters else 0.0 for key in keys)

    def sent(self, drawn: Drawn) -> None:
        """Count a request that goes out."""
        if meter := self._meters.get((drawn.subscription, drawn.action)):
            meter.draw_slow(self._clock.now(), _WATCHED)

    def answered(self, drawn: Drawn, headers: Mapping[str, str]) -> None:
        """Learn what is left from an answer's headers, names in any case."""
        now = self._clock.now()
        if now - self._tidied_at >= _TIDIED:
            self._tidy(now)
        lower = {name.lower(): value for name, value in headers.items()}
        for key, remaining in _remaining(drawn, lower):
            self._meters[key].read(remaining, now)
            telemetry.level("enrollment.budget_left", remaining, budget=key[1])
        quota = _whole(lower.get(_QUOTA, ""))
        if quota is not None and quota < self._instances:
            resets = _span(lower.get(_QUOTA_RESETS, ""))
            meter = self._meters[drawn.subscription, drawn.action]
            until = now + timedelta(seconds=_jittered(resets))
            meter.blocked_until = max(until, meter.blocked_until or until)

    def refused(self, drawn: Drawn, code: str, text: str, seconds: float | None) -> None:
        """Learn from a 429 which budget ran out, and for how long."""
        self.throttled[drawn.action] += 1
        telemetry.count("enrollment.throttled", action=drawn.action)
        if _ONE_RESOURCE.search(text):
            return
        if named := _NAMED_ACTION.search(text):
            key = (drawn.subscription, named[1].lower())
        elif code.lower().startswith("subscription"):
            key = (drawn.subscription, f"subscription-{drawn.kind}")
        else:
            key = (drawn.subscription, drawn.action)
        self._meters[key].refuse(self._clock.now(), seconds)

    # --- inside ---------------------------------------------------------------------------------

    def _tidy(self, now: datetime) -> None:
        """Let go of budgets and vaults that nothing has been asked of for long; some are gone."""
        self._tidied_at = now
        for key in [key for key, meter in self._meters.items() if meter.idle(now)]:
            del self._meters[key]
        for vault in [of for of, at in self._vaults.items() if not at or now - at[-1] >= _GRANTED]:
            del self._vaults[vault]

    def _wait(self, subscription: str, *, urgent: bool) -> float:
        if not urgent and self._urgent[subscription]:
            return _TURN
        now = self._clock.now()
        underway = len(self._underway(subscription, now))
        waits = [meter.wait(now, self._instances, underway) for meter in self._gates(subscription)]
        return max(waits, default=0.0)

    def _grant(self, subscription: str) -> None:
        now = self._clock.now()
        for meter in self._gates(subscription):
            meter.grant(now)
        self._granted[subscription].append(now)

    def _underway(self, subscription: str, now: datetime) -> deque[datetime]:
        """Give the grants whose work is not over."""
        granted = self._granted[subscription]
        while granted and now - granted[0] >= _LOST:
            granted.popleft()
        return granted

    def _turn(self, subscription: str, wait: float, eager: float, least: float) -> float:
        """Give the seconds to put a reconcile off, each behind the one before, at our pace.

        All at once would only queue up again; what was granted lately, or comes back, says how many
        a second go: ``eager`` times as many are called, ``least`` at least.
        """
        now = self._clock.now()
        first = now + timedelta(seconds=wait)
        began, latest = self._turns.get(subscription, (now, first))
        turn = max(first, latest)
        least_ahead, most_ahead = _AHEAD
        if (now - latest).total_seconds() > most_ahead:
            began = now  # the last crowd is long gone
        known = (now - began).total_seconds()  # nobody is told more than we have seen
        if (turn - first).total_seconds() > min(max(known, least_ahead), most_ahead):
            turn = first
        paces = [pace for meter in self._gates(subscription) if (pace := meter.pace(now))]
        pace = max(eager * min(paces, default=0.0), least)
        self._turns[subscription] = began, turn + timedelta(seconds=1 / pace)
        return (turn - now).total_seconds()

    def _gates(self, subscription: str) -> Iterator[Meter]:
        """Give the meters that a reconcile draws on: ARM's own, the VM's GET, the item's PUT."""
        for (of, name), meter in list(self._meters.items()):
            if of == subscription and not name.endswith(("-deletes", "/delete", "/action")):
                backup_read = name.startswith("microsoft.recoveryservices/")
                if not (backup_read and name.endswith("/read")):
                    yield meter


class GovernorPolicy(AsyncHTTPPolicy[Any, Any]):
    """The innermost policy: sees every try of every request of the process."""

    def __init__(self, governor: Governor, clock: Clock) -> None:
        super().__init__()
        self._governor = governor
        self._clock = clock

    async def send(self, request: Any) -> Any:
        """Hold back what Azure said to keep away; learn from the answer.

        Raises:
            AzureFault: 429 `HeldBack`; the request was not sent.

        """
        http = request.http_request
        drawn = Drawn.by(http.method, http.url)
        if hold := self._governor.hold(drawn):
            if hold > _PATIENCE:
                raise AzureFault(
                    drawn.action,
                    status=429,
                    code=HELD_BACK,
                    message=f"Azure said to wait; {hold:.0f} s are left.",
                    disposition=Disposition.DEFER,
                    request_id=request_id_of(request),
                    retry_after=_jittered(hold),
                )
            await asyncio.sleep(self._clock.real_seconds(hold))
        self._governor.sent(drawn)
        response = await self.next.send(request)
        answer = response.http_response
        self._governor.answered(drawn, answer.headers)
        if answer.status_code == 429:
            if hasattr(answer, "read"):
                await answer.read()  # a streamed answer has no text before
            told = read(answer)
            self._governor.refused(drawn, told.code, answer.text() or "", told.retry_after)
        return response


def _remaining(drawn: Drawn, headers: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], float]]:
    """Give every budget that the headers speak of, with what is left of it."""
    for header, value in headers.items():
        if not header.startswith(_REMAINING):
            continue
        name = header.removeprefix(_REMAINING)
        if name == "resource":  # Microsoft.Compute/LowCostGetSubscriptionMaximum;23996,...
            for pair in value.split(","):
                bucket, _, left = pair.strip().lower().rpartition(";")
                count = _whole(left)
                if bucket and count is not None and not bucket.endswith("resource"):
                    yield (drawn.subscription, bucket), count
            continue
        count = _whole(value)
        if count is None:
            continue
        key = drawn.action if name in _PER_ACTION else name
        yield (drawn.subscription, key), count


def _whole(text: str) -> float | None:
    try:
        return float(text.strip())
    except ValueError:
        return None


def _span(text: str) -> float:
    """Read hh:mm:ss; what nobody can read counts as one second."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return 1.0
    return hours * 3600 + minutes * 60 + seconds


def _jittered(seconds: float) -> float:
    """Spread what ends at one time, always later, never earlier."""
    return seconds * random.uniform(1.0, 1.2) + random.uniform(0.0, 0.1)
