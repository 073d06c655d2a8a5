"""Compares a recorded answer with a simulated one, member by member.

Presence, type, order, enumerations and every value the request determines are compared exactly.
What a service draws by itself is compared by shape, and by what it must agree with: an id is
learned where it first appears and has to be the same one everywhere after (`Names`); a time has to
be written the same way and lie within seconds of the recorded one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from tests.conformance.origin import Hidden
from tests.conformance.recordings import TIME, read_time
from tests.conformance.timing import seconds_of

#: Ids a service draws: GUIDs, the numbers of items and points, a vault operation's base64 id,
#: paging tokens.
DRAWN = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?<![0-9A-Za-z])[0-9]{10,}(?![0-9A-Za-z])"
    r"|(?<![A-Za-z0-9])(?:MTAyMz|MjA0Nz|NDA5NT|[A-Za-z0-9]{36})[A-Za-z0-9]{4,}(?:=|%3D){0,2}"
)
SIGNED = re.compile(r"([?&])(t|c|s|h|p)=[^&]*")
COMPACT = re.compile(r"\d{8}T\d{6}Z")
TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d\d):(\d\d):(\d\d)(?:\.\d+)?")
AMERICAN = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M")
SIZE = re.compile(r"\d+ MB")
#: Two clocks, a recorder that rounds to seconds, and front ends that disagree (report §0.6).
TOLERANCE = 6.0
#: An agent reports every minute; what is shown is its last word.
TOLERANCES = {".vmAgent.statuses[].time": 75.0}
#: Values that only a machine or Azure's own store knows: their shape is compared, no more.
UNKNOWABLE = re.compile(
    r"instanceView\.(osName|osVersion|vmAgent\.vmAgentVersion)$"
    r"|propertyBag\.(Config Blob|Template Blob) [A-Za-z ]+$"
    r"|extensionHandlers\[\]\.typeHandlerVersion$"
)
#: What a restore leaves behind: restores are outside the surface.
OF_A_RESTORE = frozenset({"RestoreOperationStatusKPI"})
#: How often a header is sent depends on the front end; what it counts is nobody's here.
COUNTED = "x-ms-ratelimit-remaining-"
URLS = frozenset({"location", "azure-asyncoperation"})
HEADERS = ("content-type", "location", "azure-asyncoperation", "x-ms-failure-cause")
SHOWN_BUDGETS = (
    COUNTED + "subscription-resource-requests",
    COUNTED + "resource",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the two answers differ; ``path`` has no list positions."""

    path: str
    recorded: str
    simulated: str

    def __str__(self) -> str:
        return f"{self.path}: recorded {self.recorded}, simulated {self.simulated}"


@dataclass(slots=True)
class Names:
    """Which simulated id stands for which recorded one: one to one, learned at first sight.

    ``is_hidden`` tells of which recorded ids the place in a sorted list cannot be known.
    """

    is_hidden: Hidden = field(default=lambda _: False)
    simulated: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, str] = field(default_factory=dict)

    def agree(self, old: str, new: str) -> bool:
        """Tell whether two ids stand for each other; learn them if both are new."""
        if old in self.simulated or new in self.recorded:
            return self.simulated.get(old) == new and self.recorded.get(new) == old
        if old != new:
            self.simulated[old], self.recorded[new] = new, old
        return True

    def translated(self, text: str) -> str:
        """Write a recorded text with the ids the simulator gave."""
        return DRAWN.sub(lambda found: self.simulated.get(found[0], found[0]), text)


def compare(
    recorded: tuple[int, dict[str, str], Any],
    simulated: tuple[int, dict[str, str], Any],
    names: Names,
) -> list[Difference]:
    """Compare status, headers that matter and body of two answers."""
    found: list[Difference] = []
    (old_status, old_headers, old_body), (new_status, new_headers, new_body) = recorded, simulated
    if old_status != new_status:
        found.append(_difference("status", old_status, new_status))
    found += _headers(old_headers, new_headers, names)
    found += _value("$", old_body, new_body, names)
    return found


def _headers(old: dict[str, str], new: dict[str, str], names: Names) -> Iterator[Difference]:
    for name in HEADERS:
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            if was != now:
                yield _difference(f"header {name}", was, now)
        elif not _same_text("header", _worth(was, name), _worth(now, name), names):
            yield _difference(f"header {name}", was, now)
    for name in SHOWN_BUDGETS:
        if (name in old) != (name in new):
            yield _difference(f"header {name}", old.get(name), new.get(name))
        elif name in old and _budget(old[name]) != _budget(new[name]):
            yield _difference(f"header {name}", old[name], new[name])


def _worth(text: str, name: str) -> str:
    """Keep what a client reads: not a URL's signature, not which front end names its charset."""
    if name in URLS:
        return SIGNED.sub(r"\1\2=", text)
    return text.partition(";")[0]


def _budget(text: str) -> str:
    return re.sub(r"-?\d+(?=$|,)", "n", text)


def _value(path: str, old: Any, new: Any, names: Names) -> Iterator[Difference]:
    match old, new:
        case dict(), dict():
            yield from _object(path, old, new, names)
        case list(), list():
            yield from _list(path, old, new, names)
        case str(), str():
            if not _same_text(path, old, new, names):
                yield _difference(path, old, new)
        case _:
            if type(old) is not type(new) or old != new:
                yield _difference(path, old, new)


def _object(path: str, old: dict, new: dict, names: Names) -> Iterator[Difference]:
    for key, value in old.items():
        if key in OF_A_RESTORE:
            continue
        if key in new:
            yield from _value(f"{path}.{key}", value, new[key], names)
        else:
            yield _difference(f"{path}.{key}", value, "absent")
    for key in new.keys() - old.keys() - OF_A_RESTORE:
        yield _difference(f"{path}.{key}", "absent", new[key])


def _list(path: str, old: list, new: list, names: Names) -> Iterator[Difference]:
    if len(old) != len(new):
        yield _difference(f"{path}[]", _titles(old), _titles(new))
        return
    was, now = _keys(old, names), _keys(new, names, simulated=True)
    if was and sorted(was) == sorted(now) and was != now:
        shown = [key for key in was if not names.is_hidden(key)]
        if shown != [key for key in now if not names.is_hidden(key)]:
            yield _difference(f"{path}[] order", _titles(old), _titles(new))
        new = [new[now.index(key)] for key in was]
    for before, after in zip(old, new, strict=True):
        yield from _value(f"{path}[]", before, after, names)


def _keys(rows: list, names: Names, *, simulated: bool = False) -> list[str]:
    """Return the ids of a list of resources in the recording's words; none for other lists."""
    if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        return []
    ids = [row["id"].lower() for row in rows]
    if not simulated:
        return ids
    back = {new.lower(): old.lower() for new, old in names.recorded.items()}
    return [DRAWN.sub(lambda found: back.get(found[0].lower(), found[0]), one) for one in ids]


def _titles(rows: list) -> list[Any]:
    return [row.get("name", "?") if isinstance(row, dict) else row for row in rows]


def _same_text(path: str, old: str, new: str, names: Names) -> bool:
    if old == new:
        return True
    if "REDACTED" in old:
        return bool(new)
    if path.endswith(".nextLink"):
        return _same_link(old, new, names)
    if path.endswith(".etag") and TIME.search(old):  # opaque: a new one wherever a new one was
        return _around(old) == _around(new) and names.agree(old, new)
    if path.endswith(".protectedItemDataId"):
        return new.isdigit() and names.agree(old, new)
    if UNKNOWABLE.search(path):
        return bool(old) == bool(new)
    if TIME.search(old) and not DRAWN.fullmatch(old):
        return _same_time(old, new, _tolerance(path))
    for shape in (AMERICAN, SIZE):
        if shape.fullmatch(old):
            return shape.fullmatch(new) is not None
    if (span := TIMESPAN.fullmatch(old)) is not None:
        again = TIMESPAN.fullmatch(new)
        return again is not None and abs(_span(span) - _span(again)) <= TOLERANCE
    if (length := seconds_of(old)) is not None:
        again_length = seconds_of(new)
        return again_length is not None and abs(length - again_length) <= TOLERANCE
    return _same_but_for_ids(old, new, names)


def _tolerance(path: str) -> float:
    return next((t for tail, t in TOLERANCES.items() if path.endswith(tail)), TOLERANCE)


def _same_time(old: str, new: str, tolerance: float) -> bool:
    """Compare how a time is written, what stands around it, and when it is."""
    was, now = TIME.search(old), TIME.search(new)
    if was is None or now is None or _around(old) != _around(new):
        return False
    if (was[3] or "") != (now[3] or ""):
        return False
    before, after = read_time(old), read_time(new)
    if before is None or after is None:
        return before is after and was[1] == now[1]
    return abs(before - after) <= timedelta(seconds=tolerance)


def _same_link(old: str, new: str, names: Names) -> bool:
    """Compare a link to the next page and learn its token, whatever its encoding."""
    (was, old_token), (now, new_token) = _split(old), _split(new)
    names.simulated[old_token] = new_token  # a list that changed may give an old token anew
    return was == now and bool(old_token) == bool(new_token)


def _split(link: str) -> tuple[str, str]:
    head, _, token = link.partition("skiptoken=")
    return head.lower(), unquote(token.partition("&")[0])


def _around(text: str) -> str:
    return TIME.sub("<time>", text)


def _span(found: re.Match[str]) -> float:
    days, hours, minutes, seconds = (int(word or 0) for word in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def _same_but_for_ids(old: str, new: str, names: Names) -> bool:
    old, new = COMPACT.sub("<time>", old), COMPACT.sub("<time>", new)
    was, now = DRAWN.findall(old), DRAWN.findall(new)
    if len(was) != len(now):
        return False
    agreed = [names.agree(before, after) for before, after in zip(was, now, strict=True)]
    return all(agreed) and DRAWN.sub("<id>", old) == DRAWN.sub("<id>", new)


def _difference(path: str, old: Any, new: Any) -> Difference:
    return Difference(path, _short(old), _short(new))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:297] + "..."
