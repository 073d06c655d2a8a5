"""Pages of a list: absolute nextLink with a skip token (report §6.18)."""

import base64
from collections.abc import Sequence
from urllib.parse import quote

from simulator.arm import BY_GATEWAY, Call, Json, Refusal, Reply
from simulator.world import World


def paged(world: World, call: Call, rows: Sequence[Json], size: int) -> Reply:
    """Answer one page of rows; the next page's address repeats the question."""
    token = call.query.get("$skiptoken") or call.query.get("$skipToken")
    start = _offset(token) if token else 0
    body: dict[str, Json] = {"value": list(rows[start : start + size])}
    if start + size < len(rows):
        following = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        asked = {name: value for name, value in call.query.items() if name.lower() != "$skiptoken"}
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in asked.items())
        body["nextLink"] = world.url(f"{call.path}?{query}&%24skiptoken={quote(following)}")
    return Reply(status=200, body=body)


def _offset(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token.encode()).decode())
    except ValueError as broken:
        raise Refusal(
            400,
            "InvalidSkipToken",
            f"The skip token '{token}' is invalid.",
            headers=BY_GATEWAY,
        ) from broken
