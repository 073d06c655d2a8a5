"""What callers may still ask, counted as Azure counts it, and the 429 when it is spent.

Backup reads draw on a budget per (subscription, action), whoever calls; other ARM calls on token
buckets per (subscription, principal); Compute counts per subscription and per VM besides. Every
answer says what is left in the recorded header names (report §4).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator.arm import Call, PrincipalKind, Route
from simulator.profiles import HOUR, PROFILES, ComputeRate, Profile, Rate
from simulator.throttles import arm_throttled, backup_throttled, compute_throttled, graph_throttled
from simulator.world import World

REMAINING = "x-ms-ratelimit-remaining-"
#: The count that Recovery Services shows itself.
PROVIDER_COUNT = REMAINING + "subscription-resource-requests"
#: Every recorded backup 429 asked for this many seconds (facts §2.1).
BACKUP_WAIT = 324.0
#: What there was after that wait: the next answers said 39, 134 and 147 of 150 (facts §4.2).
REFILLED = (40 / 150, 135 / 150, 148 / 150)


_RSV = "microsoft.recoveryservices/vaults/"
_VAULT_CHANGES = frozenset({_RSV + "write", _RSV + "delete"})
#: Reads that ARM counts like any other: no recorded answer of theirs carries the provider's count.
_NOT_COUNTED = frozenset(
    {_RSV + "read", _RSV + "operationstatus/read", _RSV + "backupresourceguardproxies/read"}
)


@dataclass(slots=True)
class Bucket:
    """A token bucket read by the simulated clock."""

    rate: Rate
    tokens: float
    at: datetime

    def left(self, now: datetime) -> float:
        gained = max(0.0, (now - self.at).total_seconds()) * self.rate.refill
        self.tokens = min(self.rate.capacity, self.tokens + gained)
        self.at = max(self.at, now)
        return self.tokens

    def wait(self, now: datetime) -> float:
        """Return the seconds until one token is there; 0 when there is one."""
        missing = 1 - self.left(now)
        return missing / self.rate.refill if missing > 0 else 0.0


@dataclass(slots=True)
class Hourly:
    """The backup provider's budget: an hour's worth that comes back in part after a 429."""

    limit: int
    began: datetime
    used: float = 0.0
    blocked_until: datetime | None = None

    def refresh(self, now: datetime, refilled: float) -> None:
        if self.blocked_until is not None and now >= self.blocked_until:
            self.began, self.used = now, self.limit - round(self.limit * refilled)
            self.blocked_until = None
        elif self.blocked_until is None and (now - self.began).total_seconds() >= HOUR:
            self.began, self.used = now, 0.0

    def left(self, now: datetime, foreign_share: float) -> int:
        elapsed = min(1.0, (now - self.began).total_seconds() / HOUR)
        return int(self.limit - self.used - foreign_share * self.limit * elapsed)


@dataclass(slots=True)
class Budgets:
    """All counters of one world, under the profile a knob names."""

    world: World
    buckets: dict[tuple[str, ...], Bucket] = field(default_factory=dict)
    hours: dict[tuple[str, ...], Hourly] = field(default_factory=dict)
    windows: dict[str, tuple[datetime, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        knobs = self.world.knobs
        knobs.declare("budgets.profile", "doc", "whose numbers count", choices=PROFILES)
        knobs.declare(
            "budgets.front_ends", 1, "ARM front ends with backup counters of their own (1 or 2)"
        )
        knobs.declare(
            "budgets.foreign_share", 0.0, "share of each backup budget another client uses up"
        )
        knobs.declare("budgets.enforced", True, "false: count and show, never refuse")
        knobs.declare(
            "budgets.retry_after", True, "backup 429s carry Retry-After, not only the text"
        )
        knobs.declare("budgets.backup_limit", 0, "overrides the hourly limit of backup reads")

    def charge(self, call: Call, route: Route) -> dict[str, str]:
        """Take one request off what is left; return the headers, or refuse with a 429."""
        if call.principal.kind is PrincipalKind.SYSTEM or not route.action:
            return {}
        profile = PROFILES[self.world.knobs.text("budgets.profile")]
        action = route.action.lower()
        if action.startswith("microsoft.resourcegraph/"):
            return self._graph(call, profile.graph, profile.graph_window)
        if _counted_by_provider(action, route.method, profile):
            headers = self._backup(call, route.action)
            version = "v1"
        else:
            headers = self._arm(call, route.method)
            version = "v2"
        if action.startswith("microsoft.compute/"):
            headers |= self._compute(call, profile.compute[_compute_kind(call, route)])
        if profile.throttling_version:
            headers["x-ms-throttling-version"] = version
        return headers

    def _backup(self, call: Call, action: str) -> dict[str, str]:
        knobs = self.world.knobs
        profile = PROFILES[knobs.text("budgets.profile")]
        ends = max(1, int(knobs.number("budgets.front_ends")))
        end = self.world.rng.randrange(ends) if ends > 1 else 0
        key = (call.subscription.lower(), action.lower(), str(end))
        limit = profile.backup_actions.get(action.lower(), profile.backup_reads)
        limit = int(knobs.number("budgets.backup_limit")) or limit
        hour = self.hours.get(key)
        if hour is None or hour.limit != limit:
            hour = self.hours[key] = Hourly(limit, call.now)
        refilled = self.world.rng.choice(REFILLED) if hour.blocked_until is not None else 1.0
        hour.refresh(call.now, refilled)
        left = hour.left(call.now, knobs.number("budgets.foreign_share"))
        if left < 0 and knobs.flag(
            "budgets.enforced"
        ):  # the recorded counter shows -1 before a 429
            if hour.blocked_until is None:
                hour.blocked_until = call.now + timedelta(seconds=BACKUP_WAIT)
            wait = (hour.blocked_until - call.now).total_seconds()
            refusal = backup_throttled(action, limit, wait)
            if not knobs.flag("budgets.retry_after"):
                refusal.headers.pop("Retry-After")
            raise refusal
        hour.used += 1
        return {PROVIDER_COUNT: str(left - 1)}

    def _arm(self, call: Call, method: str) -> dict[str, str]:
        profile = PROFILES[self.world.knobs.text("budgets.profile")]
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
        scope = "subscription" if call.subscription else "tenant"
        owner = call.subscription.lower() or call.tenant
        own = self._bucket(
            profile.arm[kind], call.now, scope, owner, call.principal.object_id, kind
        )
        counters = [(f"{scope}-{kind}", own)]
        if kind in profile.arm_global and call.subscription:
            shared = self._bucket(profile.arm_global[kind], call.now, "global", owner, kind)
            counters.append((f"{scope}-global-{kind}", shared))
        for _, bucket in counters:
            if (wait := bucket.wait(call.now)) and self.world.knobs.flag("budgets.enforced"):
                raise arm_throttled(call, kind, wait)
        return {REMAINING + name: str(self._take(bucket)) for name, bucket in counters}

    def _compute(self, call: Call, rate: ComputeRate) -> dict[str, str]:
        owner = call.subscription.lower()
        counters = [
            (rate.subscription_name, rate.subscription, (rate.subscription_name, owner)),
        ]
        if rate.longer is not None:
            counters.append((rate.longer_name, rate.longer, (rate.longer_name, owner)))
        if rate.resource is not None:
            one = (rate.resource_name, call.resource_id.lower())
            counters.append((rate.resource_name, rate.resource, one))
        if rate.resource_first:
            counters.reverse()
        buckets = [(name, self._bucket(r, call.now, *key)) for name, r, key in counters]
        for name, bucket in buckets:
            if (wait := bucket.wait(call.now)) and self.world.knobs.flag("budgets.enforced"):
                raise compute_throttled(call, name, bucket.rate, wait)
        shown = ",".join(f"Microsoft.Compute/{name};{self._take(b)}" for name, b in buckets)
        return {REMAINING + "resource": shown}

    def _graph(self, call: Call, limit: int, seconds: float) -> dict[str, str]:
        key = call.principal.object_id
        began, used = self.windows.get(key, (call.now, 0))
        if (call.now - began).total_seconds() >= seconds:
            began, used = call.now, 0
        resets = max(0.0, seconds - (call.now - began).total_seconds())
        if used >= limit and self.world.knobs.flag("budgets.enforced"):
            raise graph_throttled(call, resets)
        self.windows[key] = (began, used + 1)
        return {
            "x-ms-user-quota-remaining": str(max(0, limit - used - 1)),
            "x-ms-user-quota-resets-after": f"00:00:{round(resets):02d}",
        }

    def _bucket(self, rate: Rate, now: datetime, *key: str) -> Bucket:
        bucket = self.buckets.get(key)
        if bucket is None or bucket.rate != rate:
            bucket = self.buckets[key] = Bucket(rate, rate.capacity, now)
        return bucket

    @staticmethod
    def _take(bucket: Bucket) -> int:
        bucket.tokens = max(0.0, bucket.tokens - 1)
        return int(bucket.tokens)


def _counted_by_provider(action: str, method: str, profile: Profile) -> bool:
    """Tell whether Recovery Services counts a request itself (then ARM's own header is absent)."""
    if not action.startswith("microsoft.recoveryservices/"):
        return False
    if action in _VAULT_CHANGES:
        return profile.counts_vaults and (profile.counts_deletes or method != "DELETE")
    if action == _RSV + "backupjobs/read":
        return profile.counts_jobs
    return profile.counts_reads and method == "GET" and action not in _NOT_COUNTED


def _compute_kind(call: Call, route: Route) -> str:
    if route.method == "GET":
        if "/operations/" in route.template:
            return "operation"
        return "get" if route.template.endswith("}") or "instanceView" in call.path else "list"
    return {"PUT": "put", "PATCH": "patch", "DELETE": "delete"}.get(route.method, "patch")
