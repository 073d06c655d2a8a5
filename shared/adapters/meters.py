"""One budget of Azure's, as far as it shows: what is left, when it was refused, how fast we went.

Azure tells neither the size of a budget nor how it refills, several front ends count apart from
each other, and other clients draw on the same budget (facts §4.2). So nothing here computes with
limits: a meter believes the lowest of its latest readings, takes a share of it, stops when told,
halves its speed on a 429 and lets it creep up while it is quiet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

_LATEST = 4  # readings believed at a time: front ends disagree, the lower ones are right for us
_MEMORY = timedelta(seconds=60)  # a reading older than this says nothing any more
_TOGETHER = timedelta(seconds=2)  # readings so close to the newest count beside it
_TREND = 1.0, 30.0  # seconds between two looks at how fast a budget comes back, least and most
_GLANCE = 0.5  # seconds until a budget is tried again of which somebody may have left us nothing
_FIRST_PROBE, _LAST_PROBE = 2.0, 300.0  # ... and one that was found empty
_LATELY = timedelta(seconds=10)  # the time in which a pace is measured
_CALM = 30.0  # seconds without a 429 in which the pace doubles again
_AT_ONCE = timedelta(seconds=2)  # 429s so close to each other are one
_STEADY = 2.0  # others who draw more than so many times what comes back empty the budget
_BRISK = 0.02  # a gap shorter than this is none
_HOUR = 3600.0
_IDLE = timedelta(hours=1)  # by then every budget is whole again


@dataclass(slots=True)
class Meter:
    """What is known of one budget. Times are the clock port's, shares are of one instance."""

    readings: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=_LATEST))
    granted: deque[datetime] = field(default_factory=deque)  # in the latest minute
    blocked_until: datetime | None = None
    budget: float = 0.0  # the most that all front ends at once were seen to have left
    _refused_at: datetime | None = None
    _gap: float = 0.0  # seconds between two grants, as of the latest 429
    _gap_since: datetime | None = None
    _probes: int = 0  # that found nothing
    _empty_at: datetime | None = None
    _returns: float = 0.0  # how much comes back a second, beyond what others take
    _trend: tuple[datetime, float] | None = None  # a reading to compare with
    _drawn: int = 0  # our own draws since then
    _tokens: float | None = None
    _tokens_at: datetime | None = None

    def read(self, remaining: float, now: datetime) -> None:
        """Take in what an answer says is left; negative means overdrawn."""
        self.readings.append((now, max(0.0, remaining)))
        if remaining >= 1:
            self._probes = 0
        elif self._empty_at is None or now - self._empty_at >= _AT_ONCE:
            self._probes, self._empty_at = self._probes + 1, now
        low = self.low(now)
        if low is None:
            return
        self.budget = max(self.budget, low)
        self._drawn += 1
        self._compare(low, now)

    def low(self, now: datetime) -> float | None:
        """Give the lowest of the latest readings; None if there is none worth believing."""
        if not self.readings or now - self.readings[-1][0] >= _MEMORY:
            return None
        newest = self.readings[-1][0]
        return min(remaining for at, remaining in self.readings if newest - at < _TOGETHER)

    def refuse(self, now: datetime, seconds: float | None) -> None:
        """Take in a 429: stop for as long as told, and go on at half the speed."""
        if seconds is None:
            self._probes += 1
            seconds = self._probe()
        until = now + timedelta(seconds=seconds)
        self.blocked_until = max(until, self.blocked_until or until)
        if self._refused_at is None or now - self._refused_at >= _AT_ONCE:
            speed = self.speed(now)
            self._gap = max(2 * self.gap(now), 2 / speed if speed else 0.0, 2 * _BRISK)
        self._refused_at = now
        self._gap_since = self.blocked_until

    def gap(self, now: datetime) -> float:
        """Give the seconds to leave between two grants: it halves every calm while."""
        if self._gap_since is None:
            return 0.0
        quiet = max(0.0, (now - self._gap_since).total_seconds())
        gap: float = self._gap * 0.5 ** (quiet / _CALM)
        return gap if gap > _BRISK else 0.0

    def hold(self, now: datetime) -> float:
        """Give the seconds for which Azure said to stay away."""
        if self.blocked_until is None:
            return 0.0
        return max(0.0, (self.blocked_until - now).total_seconds())

    def idle(self, now: datetime) -> bool:
        """Tell whether a new meter would know as much: Azure told nothing for an hour."""
        told = [self.readings[-1][0]] if self.readings else []
        kept_away = [self.blocked_until] if self.blocked_until else []
        return all(now - at >= _IDLE for at in (*told, *kept_away))

    def wait(self, now: datetime, instances: int, underway: int = 0) -> float:
        """Give the seconds until this instance may draw once; 0.0: now.

        ``underway`` is what was granted and has not been answered: no reading counts it yet.
        """
        if (hold := self.hold(now)) > 0:
            return hold
        if self.granted and (gap := self.gap(now)):
            since = (now - self.granted[-1]).total_seconds()
            if self._returns:  # what comes back by itself need not be left lying
                gap = min(gap, instances / self._returns)
            if since < gap:
                return gap - since
        missing = 1 - self._share(now, instances, underway)
        if missing <= 0:
            return 0.0
        # All of our share is out. What came back so far says when there is more; if nothing did,
        # one try after a while tells.
        latest = max([self.readings[-1][0], *self.granted])
        probe = max(0.0, self._probe() - (now - latest).total_seconds())
        return min(probe, missing * instances / self._returns) if self._returns else probe

    def speed(self, now: datetime) -> float:
        """Give the grants a second of the latest seconds."""
        lately = [at for at in self.granted if now - at < _LATELY]
        return len(lately) / max(1.0, (now - lately[0]).total_seconds()) if lately else 0.0

    def pace(self, now: datetime) -> float:
        """Give the grants a second that may be expected; 0.0 of a budget not drawn on lately."""
        speed = self.speed(now)
        return max(speed, self._returns) if speed else 0.0

    def grant(self, now: datetime) -> None:
        """Count one draw that was allowed."""
        self.granted.append(now)
        while now - self.granted[0] >= _MEMORY:
            self.granted.popleft()

    def wait_for_slow(self, now: datetime, share: float) -> float:
        """Give the seconds until a slow budget, refilled over an hour, has a draw for us.

        ``share`` of the budget is ours per hour, a quarter of it at once.
        """
        rate = share * self.budget / _HOUR
        if not rate:
            return 0.0
        tokens = self._refill(now, rate)
        return 0.0 if tokens >= 1 else (1 - tokens) / rate

    def draw_slow(self, now: datetime, share: float) -> None:
        """Count one draw on a slow budget."""
        rate = share * self.budget / _HOUR
        if rate:
            self._tokens = self._refill(now, rate) - 1

    def _share(self, now: datetime, instances: int, underway: int) -> float:
        """Give how much of what is left this instance may draw; no end if nothing is known."""
        low = self.low(now)
        if low is None:
            return inf
        since = (now - self.readings[-1][0]).total_seconds()
        others = (instances - 1) * self.speed(now)  # the other instances do as we do
        trend = self._returns if others <= _STEADY * self._returns else -others
        return (low + since * trend) / instances - underway

    def _compare(self, low: float, now: datetime) -> None:
        """Learn how fast the budget comes back: what is left now, and what we drew meanwhile."""
        if self._trend is None:
            self._trend, self._drawn = (now, low), 0
            return
        at, before = self._trend
        passed = (now - at).total_seconds()
        least, most = _TREND
        if passed < least:
            return
        if passed <= most:
            returned = max(0.0, (low - before + self._drawn) / passed)
            self._returns = (self._returns + returned) / 2
        self._trend, self._drawn = (now, low), 0

    def _refill(self, now: datetime, rate: float) -> float:
        most = max(1.0, rate * _HOUR / 4)
        if self._tokens is None or self._tokens_at is None:
            self._tokens = most
        else:
            passed = (now - self._tokens_at).total_seconds()
            self._tokens = min(most, self._tokens + passed * rate)
        self._tokens_at = now
        return self._tokens

    def _probe(self) -> float:
        if not self._probes:
            return _GLANCE
        return min(_LAST_PROBE, _FIRST_PROBE * 2.0 ** (self._probes - 1))
