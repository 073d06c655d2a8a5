"""Keys of table rows. Pure.

A key must not hold slashes, ``#``, ``?`` or control characters, may be 1 KiB long (512 UTF-16 units), and a
percent sign breaks point reads: the table service decodes URL paths twice (Microsoft's storage
team, "PartitionKey or RowKey containing the percent '%' character", 2012-05-28). So names are
quoted as in a URL, but with ``=`` in place of ``%``; letters of any script stay, because nine
characters for each of ninety Korean ones would not fit. Keys are never taken apart again: ids are
stored beside them.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from shared.domain.ids import ArmId

LONGEST = 100  # characters of a quoted name; a group's name has at most 90, a VM's 64

_UNSAFE = re.compile(r"[^\w.()-]")


def safe(name: str) -> str:
    """Quote a name; one that no Azure resource can have is cut and told apart by its digest."""
    quoted = _UNSAFE.sub(_quote, name)
    if len(quoted) <= LONGEST:
        return quoted
    return f"{quoted[: LONGEST - 34]}=={digest(name)}"  # quoting never gives two = in a row


def digest(text: str) -> str:
    """Give 32 characters that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def in_subscription(resource: ArmId) -> str:
    """Give ``group|name``, unique among the VMs (or the vaults) of one subscription."""
    return f"{safe(resource.group.lower())}|{safe(resource.name.lower())}"


def anywhere(resource: ArmId) -> str:
    """Give ``subscription|group|name``, unique among all VMs (or all vaults)."""
    return f"{resource.subscription.lower()}|{in_subscription(resource)}"


def instant(at: datetime) -> str:
    """Give a time as text that sorts as the times do: UTC, microseconds, fixed width."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _quote(match: re.Match[str]) -> str:
    return "".join(f"={byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
