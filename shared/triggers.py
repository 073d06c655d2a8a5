"""What every handler needs: `CancelledError` turned into a failure the worker can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps


def answered[**P, T](handler: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Wrap a handler so that a cancellation fails the invocation instead of hanging it.

    The worker library never answers when `CancelledError` escapes; the message would stay hidden
    until the function's timeout.
    """

    @wraps(handler)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(*args, **kwargs)
        except asyncio.CancelledError as cancelled:
            raise RuntimeError("the invocation was cancelled") from cancelled

    return wrapped
