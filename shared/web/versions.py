"""Which code runs: told by the app to the doctor, which compares it with the operator's own."""

from __future__ import annotations

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared import VERSION

SHARED = Path(__file__).parents[1]
LIBRARIES = (
    "azure-functions",
    "azure-functions-runtime",
    "azure-identity",
    "azure-mgmt-compute",
    "azure-mgmt-recoveryservicesbackup",
)


@cache
def ours() -> str:
    """Name the release, and the code itself: the same text is the same code."""
    digest = sha256()
    for file in sorted(SHARED.rglob("*.py")):
        digest.update(file.relative_to(SHARED).as_posix().encode())
        digest.update(file.read_bytes())
    return f"{VERSION}, code {digest.hexdigest()[:10]}"


def beneath() -> str:
    """Name what it runs on."""
    known = [f"{name} {found}" for name in LIBRARIES if (found := _version(name))]
    return ", ".join((f"Python {platform.python_version()}", *known))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # an operator needs no worker
        return ""
