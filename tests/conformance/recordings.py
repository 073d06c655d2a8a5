"""Recordings of real ARM traffic: one exchange a line, read into values; what is broken is named.

A file holds one session, or (the files of single VM reads) many: lines that name a source `file`
belong to that session. Nothing here knows the simulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z0-9.-]+)?")
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")
#: Members whose freshest value tells what time it was; others may lie in the future.
TELLS_TIME = frozenset({"startTime", "endTime", "timeCreated", "time", "etag", "lastUpdatedTime"})
NEEDED = ("seq", "t_s", "method", "path", "status", "response_headers", "response_body")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded request with its answer; ``at`` is seconds since the session's first answer."""

    file: str
    session: str
    seq: int
    at: float
    method: str
    target: str
    api_version: str
    sent: Any
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def where(self) -> str:
        return f"{self.file}#{self.seq}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def last_word(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Broken:
    """A line, an exchange or a file that cannot be compared, and why."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def label(path: Path) -> str:
    """Name a file as findings do: with its folder, which is mostly its year."""
    return f"{path.parent.name}/{path.name}"


def read(path: Path) -> tuple[list[Exchange], list[Broken]]:
    """Read a file; a broken line does not stop it and is returned by name, as the file itself is."""
    exchanges: list[Exchange] = []
    broken: list[Broken] = []
    name = label(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        return [], [Broken(name, f"cannot be read: {error}")]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            exchanges.append(_exchange(name, json.loads(line)))
        except json.JSONDecodeError as error:
            broken.append(Broken(f"{name}:{number}", f"no JSON: {error}"))
        except (ValueError, TypeError, AttributeError) as error:
            broken.append(Broken(f"{name}:{number}", str(error)))
    return exchanges, broken


def _exchange(file: str, row: Any) -> Exchange:
    if not isinstance(row, dict):
        raise ValueError("a line is an object")  # noqa: TRY004 - what is broken is one kind
    if missing := [name for name in NEEDED if name not in row]:
        raise ValueError(f"no {', '.join(missing)}")
    if {type(row["status"]), type(row["seq"])} != {int}:
        raise ValueError(f"status {row['status']!r} or seq {row['seq']!r} is no number")
    query = dict(parse_qsl(row["path"].partition("?")[2], keep_blank_values=True))
    version = next((v for k, v in query.items() if k.lower() == "api-version"), "")
    if not VERSION.fullmatch(version) or not _is_day(version[:10]):
        raise ValueError(f"unknown api-version {version!r}")
    body = row["response_body"]
    if isinstance(body, str) and body.lstrip().startswith(("{", "[")):
        raise ValueError(f"truncated body of {len(body)} characters")
    return Exchange(
        file=file,
        session=str(row.get("file", "")),
        seq=row["seq"],
        at=float(row["t_s"]),
        method=row["method"],
        target=row["path"],
        api_version=version,
        sent=row.get("request_body"),
        status=row["status"],
        headers={k.lower(): v for k, v in (row["response_headers"] or {}).items()},
        body=body if body != "" else None,
    )


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def sessions(exchanges: Iterable[Exchange]) -> list[list[Exchange]]:
    """Split a file into its sessions, each in order of time."""
    kept: dict[str, list[Exchange]] = {}
    for one in exchanges:
        kept.setdefault(one.session, []).append(one)
    return [sorted(group, key=lambda one: one.seq) for group in kept.values()]


def began(session: list[Exchange]) -> datetime | None:
    """Tell when a session's clock stood at 0: no fresh time in its answers may lie in the future."""
    fresh = [
        at - timedelta(seconds=one.at)
        for one in session
        for key, value in leaves(one.body)
        if key in TELLS_TIME and isinstance(value, str) and (at := read_time(value)) is not None
    ]
    return max(fresh, default=None)


def read_time(text: str) -> datetime | None:
    """Read the first time in a text as Azure writes it; None for none and for year 1."""
    found = TIME.search(text)
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    offset = "" if zone in {None, "Z"} else zone
    at = datetime.fromisoformat(whole.replace("%3A", ":") + (fraction or "")[:7] + offset)
    if at.year <= 2001:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the leaves of a JSON value with the name of the member each is in."""
    match value:
        case dict():
            for name, member in value.items():
                yield from leaves(member, name)
        case list():
            for member in value:
                yield from leaves(member, key)
        case _:
            yield key, value


def bodies(value: Any) -> list[dict[str, Any]]:
    """Return the resources of an answer: the one it is, or those of its list."""
    if not isinstance(value, dict):
        return []
    rows = value["value"] if isinstance(value.get("value"), list) else [value]
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
