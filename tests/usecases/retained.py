"""How much the service's process keeps: what can be reached from its long-lived objects.

Resident memory says little here, where the simulated Azure and all storage live in the same process
and may grow. So the objects are walked that one process of the service has: everything that its
composition root made, the post office, and the globals, class variables and caches of `shared`.
Nothing that belongs to a test, the simulator or the event loop is entered. What cannot be reached
is garbage, which is no leak.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from tests.usecases.town import Town

PORTS = ("estate", "directory", "machines", "backup", "networks", "index", "pace", "notices")
NOT_OURS = (
    "_asyncio",
    "_contextvars",
    "_socket",
    "_ssl",
    "aiohttp",  # its pool holds a connection more or less
    "asyncio",
    "logging",
    "simulator",
    "socket",
    "ssl",
    "tests",
    "threading",
)
NEVER = (ModuleType, type, CodeType, FrameType, BuiltinFunctionType)


def retained(house: Town) -> Counter[str]:
    """Give the bytes that the process of a house keeps now, by type."""
    gc.collect()
    left: list[Any] = [getattr(house, name) for name in PORTS]
    left += [house.life, *_globals()]
    seen: set[int] = set()
    found: Counter[str] = Counter()
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, NEVER) or _foreign(one):
            continue
        seen.add(id(one))
        found[f"{type(one).__module__}.{type(one).__qualname__}"] += sys.getsizeof(one)
        if isinstance(one, FunctionType):  # its globals are the module's
            left += [one.__defaults__, one.__kwdefaults__, one.__dict__, *(one.__closure__ or ())]
        else:
            left += gc.get_referents(one)
    return found


def _foreign(one: object) -> bool:
    return type(one).__module__.partition(".")[0] in NOT_OURS


def _globals() -> list[object]:
    found: list[object] = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "shared":
            continue
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == name:
                found += vars(value).values()
            elif not _borrowed_cache(value):
                found.append(value)
    return found


def _borrowed_cache(value: object) -> bool:
    """Tell whether it is a cached function of the standard library's, which has its own bound."""
    return hasattr(value, "cache_info") and not value.__module__.startswith("shared")
