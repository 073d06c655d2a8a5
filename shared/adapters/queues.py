"""Queue storage: the one way out for work. Base64 text, as the Functions host expects it.

Messages never expire (storage's default is 7 days): a message that is lost to a week's outage
would be work nobody does. A queue that does not exist is created by the first send.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from enum import StrEnum
from math import ceil
from typing import assert_never

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from shared.adapters.faults import fault_of
from shared.adapters.stores import Stores
from shared.domain.messages import Message, Newer, NoticeItem, SweepPage, WorkItem, encode
from shared.ports import Clock

LONGEST_DELAY = 7 * 24 * 3600  # seconds; storage refuses more
FOREVER = -1


class QueueName(StrEnum):
    """Every queue of the product, as `function_app.py` binds them."""

    ENROLLMENTS = "enrollments"
    BACKLOG = "enrollments-backlog"
    SWEEPS = "sweeps"
    NOTICES = "notices"


class StorageQueues:
    """`ports.Queues` on Azure Queue storage."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    async def send(
        self, message: Message | Newer, *, delay: float = 0.0, backlog: bool = False
    ) -> None:
        """Send after ``delay`` seconds of our clock, rounded up, at most 7 real days."""
        queue = self._stores.queue(_queue_of(message, backlog=backlog))
        text = base64.b64encode(encode(message)).decode()
        hidden = min(ceil(self._clock.real_seconds(max(delay, 0.0))), LONGEST_DELAY)
        try:
            try:
                await queue.send_message(text, visibility_timeout=hidden, time_to_live=FOREVER)
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):  # another instance creates it too
                    await queue.create_queue()
                await queue.send_message(text, visibility_timeout=hidden, time_to_live=FOREVER)
        except AzureError as error:
            raise fault_of(error, f"{queue.queue_name}.send") from error

    async def depth(self, queue: str) -> int:
        """Give the approximate number of messages, hidden ones too; 0 for a queue not created."""
        try:
            properties = await self._stores.queue(queue).get_queue_properties()
        except ResourceNotFoundError:
            return 0
        except AzureError as error:
            raise fault_of(error, f"{queue}.depth") from error
        return properties.approximate_message_count or 0


def _queue_of(message: Message | Newer, *, backlog: bool) -> QueueName:
    match message:
        case WorkItem():
            return QueueName.BACKLOG if backlog else QueueName.ENROLLMENTS
        case SweepPage():
            return QueueName.SWEEPS
        case NoticeItem():
            return QueueName.NOTICES
        case Newer():
            return QueueName(message.queue)
        case _:
            assert_never(message)
