"""An estate in a file: one header with vaults and policies, then one line per VM.

Written by `ops export`, read by `ops simulate`: the same rules can be tried on the same world
again and again, without a call to Azure. Memory stays flat, whatever the number of VMs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import msgspec

from shared.domain.model import Policy, Room, Snapshot, Vault
from shared.errors import BadMessage

VERSION = 1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What all VMs of the file share."""

    v: int
    at: datetime
    vaults: tuple[Vault, ...]
    policies: dict[str, tuple[Policy, ...]]
    room: dict[str, Room]


_HEADER = msgspec.json.Decoder(Header)
_SNAPSHOT = msgspec.json.Decoder(Snapshot)


def write(
    snapshots: Iterable[Snapshot],
    *,
    at: datetime,
    vaults: tuple[Vault, ...],
    policies: Mapping[str, tuple[Policy, ...]],
    room: Mapping[str, Room],
) -> Iterator[bytes]:
    """Give the lines of a file, without their line ends."""
    yield msgspec.json.encode(
        Header(v=VERSION, at=at, vaults=vaults, policies=dict(policies), room=dict(room))
    )
    for one in snapshots:
        yield msgspec.json.encode(replace(one, vaults=(), policies={}, room={}))


def read(lines: Iterable[bytes]) -> Iterator[Snapshot]:
    """Give the snapshots of a file.

    Raises:
        BadMessage: not such a file; ``detail`` names the line.

    """
    header: Header | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if header is None:
                header = _HEADER.decode(line)
                if header.v != VERSION:
                    raise BadMessage("version", f"line {number}: version {header.v}")
                continue
            one = _SNAPSHOT.decode(line)
        except msgspec.MsgspecError as error:
            raise BadMessage("shape", f"line {number}: {error}") from error
        yield replace(one, vaults=header.vaults, policies=header.policies, room=header.room)
    if header is None:
        raise BadMessage("shape", "the file is empty")
