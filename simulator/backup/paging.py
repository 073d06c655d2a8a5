"""Pages of a list: at most 200 entries, ``nextLink`` absolute, its token opaque (facts §1.0)."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from simulator.arm import Call, Json
from simulator.backup import refusals
from simulator.backup.formats import Fields
from simulator.world import World


def page[T](
    world: World, call: Call, entries: Sequence[T], shown: Callable[[T], Fields]
) -> dict[str, Json]:
    """Return the page a call asks for; only the entries on it are written out."""
    at = _start(call.query)
    most = max(1, int(world.knobs.number("backup.page")))
    value: list[Json] = [shown(entry) for entry in entries[at : at + most]]
    body: dict[str, Json] = {"value": value}
    if at + most < len(entries):
        kept = [
            f"{quote(key, safe='$')}={quote(text, safe='')}"
            for key, text in call.query.items()
            if key.lower() not in {"$skiptoken", "$top"}
        ]
        token = base64.b64encode(f"next:{at + most}".encode()).decode()
        body["nextLink"] = world.url(
            f"{call.path}?{'&'.join([*kept, '$skipToken=' + quote(token, safe='')])}"
        )
    return body


def _start(query: Mapping[str, str]) -> int:
    token = next((text for key, text in query.items() if key.lower() == "$skiptoken"), "")
    if not token:
        return 0
    try:
        word, _, number = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        word, number = "", ""
    if word != "next" or not number.isdigit():
        raise refusals.bad_input("The skip token is not valid.")
    return int(number)
