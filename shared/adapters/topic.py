"""Outcomes on an Event Grid custom topic, as CloudEvents, for tickets and pipelines (F41).

The event's id is the outcome's: a repeat carries the same id, by which subscribers and Event Grid
itself recognise it. Data holds ids and words of ours; no claims, no tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent

from shared.adapters.undelivered import undelivered
from shared.domain.letters import Letter
from shared.errors import AzureFault, Disposition
from shared.outbox import Receipt

if TYPE_CHECKING:
    from azure.eventgrid.aio import EventGridPublisherClient

TYPE = "VmBackupEnrollment.Vm."  # and the outcome, e.g. WaitingTooLong


class TopicChannel:
    """`outbox.Channel` for announcements only; it is no route of a person."""

    keyed = True

    def __init__(self, client: Callable[[], EventGridPublisherClient], source: str) -> None:
        self._client = client
        self._source = source

    async def send(self, letter: Letter) -> Receipt:
        event = self._event(letter)
        try:
            await self._client().send([event])
        except (AzureError, ValueError) as error:
            raise undelivered(error, "topic.send") from error
        return Receipt(reference=event.id)

    def _event(self, letter: Letter) -> CloudEvent[dict[str, object]]:
        told = letter.announcement
        if told is None:
            raise AzureFault(
                "topic.send",
                status=0,
                code="NoOutcome",
                message="the topic takes outcomes, not notices",
                disposition=Disposition.PARK,
            )
        words = told.what.replace("-", " ").title().replace(" ", "")
        return CloudEvent(
            source=self._source,
            type=TYPE + words,
            id=letter.id,
            time=told.at,
            subject=told.vm,
            data={"vm": told.vm, "outcome": told.what.value, **told.details},
            datacontenttype="application/json",
            extensions={"traceparent": letter.trace} if letter.trace else None,
        )
