"""One attempt to send one letter, and what its end means for the delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared import telemetry
from shared.domain import deliveries
from shared.domain.deliveries import LEASE, Delivery
from shared.domain.letters import Letter
from shared.errors import AzureFault, Disposition
from shared.outbox import NO_ANSWER, Channel
from shared.ports import Clock

THROTTLED = 429
LONGEST = 45.0  # real seconds of one attempt, unless the clock runs fast: always within the lease


@dataclass(slots=True, kw_only=True)
class Postman:
    """Knows the channels of this deployment."""

    channels: Mapping[str, Channel]
    clock: Clock
    troubles: list[tuple[str, str]] = field(default_factory=list)  # (channel, error), to be told
    fine: list[str] = field(default_factory=list)  # channels that took something, to be noted

    def keyed(self, delivery: Delivery) -> bool:
        channel = self.channels.get(delivery.target.channel)
        return channel is not None and channel.keyed

    def overdue(self, delivery: Delivery, now: datetime) -> Delivery:
        """Judge an attempt whose end nobody recorded within its lease."""
        error = "the attempt was interrupted; nobody recorded its end"
        return deliveries.lost(delivery, now, keyed=self.keyed(delivery), error=error, waited=True)

    async def send(self, letter: Letter, delivery: Delivery) -> tuple[Delivery, AzureFault | None]:
        """Send and judge. What is not a fault of the channel (a bug of ours) is not caught."""
        target = delivery.target
        channel = self.channels.get(target.channel)
        fault: AzureFault | None = None
        if channel is None:
            fault = _fault("NoSuchChannel", f"there is no channel {target.channel} here")
        else:
            seconds = min(LONGEST, self.clock.real_seconds(LEASE.total_seconds() * 0.8))
            try:
                async with asyncio.timeout(seconds):
                    receipt = await channel.send(letter)
            except AzureFault as error:
                fault = error
            except TimeoutError:
                fault = _fault(NO_ANSWER, f"no answer in {seconds:.0f} s", Disposition.DEFER)
        now = self.clock.now()
        if fault is None:
            settled = deliveries.sent(delivery, now, receipt.reference)
            self.fine.append(target.channel)
        else:
            settled = self._failed(delivery, fault, now)
        telemetry.count(
            "enrollment.notices", channel=target.channel, outcome=fault.code if fault else "sent"
        )
        telemetry.wide(
            "notice.attempt",
            letter=letter.id,
            kind=letter.kind,
            channel=target.channel,
            outcome=settled.outcome,
            status=fault.status if fault else 0,
            code=fault.code if fault else "",
            stories=len(letter.stories),
            remarks="" if fault else "; ".join(receipt.remarks),
            trace=letter.trace,
        )
        return settled, fault

    def _failed(self, delivery: Delivery, fault: AzureFault, now: datetime) -> Delivery:
        error = f"{fault.status} {fault.code} {fault.message}"[:500]
        if fault.code == NO_ANSWER:
            after = deliveries.lost(delivery, now, keyed=self.keyed(delivery), error=error)
        else:
            after = deliveries.failed(
                delivery,
                now,
                error=error,
                retry_after=fault.retry_after,
                throttled=fault.status == THROTTLED,
                permanent=fault.disposition is Disposition.PARK,
            )
        if after.at != delivery.at:
            self.troubles.append((delivery.target.channel, error))
        return after


def _fault(code: str, message: str, disposition: Disposition = Disposition.PARK) -> AzureFault:
    return AzureFault("notice", status=0, code=code, message=message, disposition=disposition)
