"""The log of every request the simulated Azure answered, with counters by action and caller."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import datetime

LIMIT = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """One answered request; ``duration`` is real seconds, ``at`` simulated time."""

    sequence: int
    at: datetime
    method: str
    path: str
    query: str
    template: str
    operation: str
    action: str
    status: int
    code: str
    subscription: str
    caller: str
    request_id: str
    client_request_id: str
    duration: float
    received: int
    sent: int
    fault: str

    def shown(self) -> dict[str, object]:
        return {**asdict(self), "at": self.at.isoformat()}


class CallLog:
    """Keeps the last calls in full and counts all of them."""

    def __init__(self) -> None:
        self._calls: deque[LoggedCall] = deque(maxlen=LIMIT)
        self.total = 0
        self.by_action: Counter[tuple[str, str, int]] = Counter()

    def add(self, call: LoggedCall) -> None:
        self._calls.append(call)
        self.total += 1
        self.by_action[call.action or call.operation, call.caller, call.status] += 1

    def next_sequence(self) -> int:
        return self.total + 1

    def since(self, sequence: int = 0) -> list[LoggedCall]:
        """Return the calls after a sequence number, oldest first."""
        return [call for call in self._calls if call.sequence > sequence]

    def summary(self) -> list[dict[str, object]]:
        return [
            {"action": action, "caller": caller, "status": status, "count": count}
            for (action, caller, status), count in sorted(self.by_action.items())
        ]

    def clear(self) -> None:
        self._calls.clear()
        self.total = 0
        self.by_action.clear()
