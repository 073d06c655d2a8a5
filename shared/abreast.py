"""Some steps at a time: what is done for many VMs, without a task that outlives the invocation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from itertools import batched

AT_ONCE = 8


async def abreast[T](steps: Iterable[Awaitable[T]], at_once: int = AT_ONCE) -> list[T]:
    """Await the steps, a few at a time, and give their answers in order.

    The first failure is raised as it is, after the steps beside it have ended; those after it are
    never begun.
    """
    answers: list[T] = []
    waiting = list(steps)
    try:
        for few in batched(list(waiting), at_once, strict=False):
            del waiting[: len(few)]
            done = await asyncio.gather(*few, return_exceptions=True)
            failed = [one for one in done if isinstance(one, BaseException)]
            if failed:
                raise failed[0]
            answers += [one for one in done if not isinstance(one, BaseException)]
    finally:
        for step in waiting:
            if asyncio.iscoroutine(step):
                step.close()
    return answers
